"""Request parameters: which field of an `Inference` each parameter sets, and how its value is read."""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

from otel_callbacks.operations.operation import Inference
from otel_callbacks.operations.payload import (
    integer,
    is_a,
    mapping,
    mapping_or_fields,
    number,
    word,
    words,
)

_HOLDERS = dict.fromkeys(
    (
        *("model_kwargs", "extra_body", "additional_model_request_fields", "inferenceConfig"),
        *("generation_config", "thinking_config", "output_config", "text"),
    )
).keys()
"""The parameters that hold others: LangChain's, OpenAI's, Bedrock's, Gemini's, Anthropic's."""

Parameters = Mapping[str, tuple[str, Callable[[Any], Any]]]
"""By the name of a parameter: the field of `Inference`, and the function that reads the value (None: not set)."""


def set_parameters(operation: Inference, spellings: Parameters, *sources: Mapping[str, Any]) -> None:
    """Copies the request parameters of a model call to its operation; later sources win.

    In the conventions only OpenAI has a service tier, and `auto` does not count as one; only Bedrock has guardrails.
    """
    for parameters in filter(None, sources):
        for held in (parameters,) if _HOLDERS.isdisjoint(parameters) else (*_held(parameters), parameters):
            for key in filter(held.__contains__, spellings):
                field, read = spellings[key]
                given = held[key]
                if given is not None and (value := read(given)) is not None:
                    setattr(operation, field, value)
    if operation.request_service_tier and (
        operation.provider != "openai" or operation.request_service_tier == "auto"
    ):
        operation.request_service_tier = None
    if operation.guardrail_id and operation.provider != "aws.bedrock":
        operation.guardrail_id = None


def _held(parameters: Mapping[str, Any], depth: int = 2) -> Iterator[Mapping[str, Any]]:
    """Yields the parameters that stand in a parameter, such as Gemini's thinking level in its configuration."""
    for key in filter(parameters.__contains__, _HOLDERS if depth else ()):
        if held := mapping_or_fields(parameters[key]):
            yield from _held(held, depth - 1)
            yield held


def reasoning_effort(options: Any) -> str | None:
    """Returns the reasoning effort in OpenAI's reasoning options."""
    return word(mapping_or_fields(options).get("effort"))


def _level(value: Any) -> str | None:
    """Returns a word, or the value of an enum member in lower case, as Gemini's levels are."""
    return (word(value.value) or "").lower() or None if is_a(value, Enum) else word(value)


def _choice_count(value: Any) -> int | None:
    """Returns the number of choices; None for one choice, which is the default."""
    choices = integer(value)
    return None if choices == 1 else choices


def _output_type(response_format: Any) -> str | None:
    """Returns the modality of a response format; a schema or JSON mode means json."""
    if response_format is None:
        return None
    return "text" if word(mapping_or_fields(response_format).get("type")) == "text" else "json"


def _named_output_type(name: Any) -> str | None:
    """Returns the modality of a format by its name or media type (Ollama, Gemini), or by its schema."""
    if not is_a(name, str):
        return _output_type(mapping(name) or None)
    return "json" if "json" in name else "text" if name == "text/plain" else None


def _guardrail_id(guardrail: Any) -> str | None:
    """Returns the id in Bedrock's configuration of a guardrail, in its own spelling or in Python's."""
    fields = mapping_or_fields(guardrail)
    return word(fields.get("guardrailIdentifier")) or word(fields.get("guardrail_identifier"))


PARAMETERS: Parameters = {
    "n": ("choice_count", _choice_count),
    "frequency_penalty": ("frequency_penalty", number),
    "presence_penalty": ("presence_penalty", number),
    "previous_response_id": ("previous_response_id", word),
    "reasoning_effort": ("reasoning_level", word),
    "reasoning": ("reasoning_level", reasoning_effort),
    "response_format": ("output_type", _output_type),
    **dict.fromkeys(("seed", "random_seed"), ("seed", integer)),
    "service_tier": ("request_service_tier", word),
    "stop": ("stop_sequences", words),
    "stop_sequences": ("stop_sequences", words),
    "stopSequences": ("stop_sequences", words),
    "effort": ("reasoning_level", word),
    "thinking_level": ("reasoning_level", _level),
    "reasoning_options": ("reasoning_level", reasoning_effort),
    "format": ("output_type", _named_output_type),
    "output_format": ("output_type", _named_output_type),
    "response_mime_type": ("output_type", _named_output_type),
    **dict.fromkeys(("response_schema", "response_json_schema"), ("output_type", _output_type)),
    **dict.fromkeys(("guardrail_config", "guardrailConfig", "guardrails"), ("guardrail_id", _guardrail_id)),
    "guardrail_identifier": ("guardrail_id", word),
    "temperature": ("temperature", number),
    "top_k": ("top_k", integer),
    "top_p": ("top_p", number),
    **dict.fromkeys(
        ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "num_predict"),
        ("max_tokens", integer),
    ),
}
"""The request parameters that both frameworks spell alike."""
