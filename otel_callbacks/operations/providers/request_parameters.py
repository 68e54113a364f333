"""Request parameters: which field of an `Inference` each parameter sets, and how its value is read."""

from collections.abc import Callable, Mapping
from typing import Any

from otel_callbacks.operations.operation import Inference
from otel_callbacks.operations.payload import integer, mapping, mapping_or_fields, number, word, words

Parameters = Mapping[str, tuple[str, Callable[[Any], Any]]]
"""By the name of a parameter: the field of `Inference`, and the function that reads the value (None: not set)."""


def set_parameters(operation: Inference, spellings: Parameters, *sources: Mapping[str, Any]) -> None:
    """Copies the request parameters of a model call to its operation; later sources win.

    In the conventions only OpenAI has a service tier, and `auto` does not count as one.
    """
    for parameters in filter(None, sources):
        for key, (field, read) in spellings.items():
            if key in parameters and (value := read(parameters[key])) is not None:
                setattr(operation, field, value)
    if operation.provider != "openai" or operation.request_service_tier == "auto":
        operation.request_service_tier = None


def reasoning_effort(options: Any) -> str | None:
    """Returns the reasoning effort in OpenAI's reasoning options."""
    return word(mapping_or_fields(options).get("effort"))


def _choice_count(value: Any) -> int | None:
    """Returns the number of choices; None for one choice, which is the default."""
    choices = integer(value)
    return None if choices == 1 else choices


def _output_type(response_format: Any) -> str | None:
    """Returns the modality of a response format; a schema or JSON mode means json."""
    if response_format is None:
        return None
    return "text" if word(mapping(response_format).get("type")) == "text" else "json"


PARAMETERS: Parameters = {
    "n": ("choice_count", _choice_count),
    "frequency_penalty": ("frequency_penalty", number),
    "presence_penalty": ("presence_penalty", number),
    "previous_response_id": ("previous_response_id", word),
    "reasoning_effort": ("reasoning_level", word),
    "reasoning": ("reasoning_level", reasoning_effort),
    "response_format": ("output_type", _output_type),
    "seed": ("seed", integer),
    "service_tier": ("request_service_tier", word),
    "stop": ("stop_sequences", words),
    "temperature": ("temperature", number),
    "top_k": ("top_k", integer),
    "top_p": ("top_p", number),
    **dict.fromkeys(
        ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "num_predict"),
        ("max_tokens", integer),
    ),
}
"""The request parameters that both frameworks spell alike."""
