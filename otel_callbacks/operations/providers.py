"""What we know about model providers: their names, their hosts, and how each spells parameters and usage.

To add a provider, add its spellings here; both frameworks read them.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from otel_callbacks.operations.operation import Inference
from otel_callbacks.operations.payload import attribute, integer, items, mapping, number, text, word, words
from otel_callbacks.operations.usage import Usage

_NAMES = {
    "amazon_bedrock": "aws.bedrock",
    "aws": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azure-openai": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "openai-codex": "openai",
    "openai_like": "openai",
    "google_genai": "gcp.gemini",
    "google": "gcp.gemini",
    "gemini": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "google_anthropic_vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
    "ibm": "ibm.watsonx.ai",
    "watsonx": "ibm.watsonx.ai",
    "moonshot": "moonshot_ai",
}
"""Spellings of the frameworks whose conventions' name (`gen_ai.provider.name`) is another."""

_DEFAULT_ENDPOINTS: dict[str, tuple[tuple[str, ...], str]] = {
    "openai": (("OPENAI_BASE_URL", "OPENAI_API_BASE"), "https://api.openai.com"),
    "anthropic": (("ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL"), "https://api.anthropic.com"),
    "mistral_ai": (("MISTRAL_BASE_URL",), "https://api.mistral.ai"),
    "groq": (("GROQ_BASE_URL", "GROQ_API_BASE"), "https://api.groq.com"),
}
"""Where a client that was given no address connects to: the variables its library reads, then the default."""

_COUNTS = {
    "input_tokens": "input",
    "prompt_tokens": "input",
    "inputTokens": "input",
    "prompt_token_count": "input",
    "prompt_eval_count": "input",
    "output_tokens": "output",
    "completion_tokens": "output",
    "outputTokens": "output",
    "candidates_token_count": "output",
    "eval_count": "output",
    "cache_read_input_tokens": "cache_read",
    "cacheReadInputTokens": "cache_read",
    "cached_content_token_count": "cache_read",
    "cache_creation_input_tokens": "cache_write",
    "cache_write_input_tokens": "cache_write",
    "cacheWriteInputTokens": "cache_write",
    "thoughts_token_count": "thoughts",
}
"""Which count each spelling of the providers means."""

_INPUT_DETAILS = {"input_token_details", "prompt_tokens_details", "input_tokens_details"}
_OUTPUT_DETAILS = {"output_token_details", "completion_tokens_details", "output_tokens_details"}
_DETAILS = {
    "cache_read": "cache_read",
    "cached_tokens": "cache_read",
    "cache_creation": "cache_write",
    "cache_write_tokens": "cache_write",
    "ephemeral_5m_input_tokens": "cache_write_5m",
    "ephemeral_1h_input_tokens": "cache_write_1h",
    "reasoning": "reasoning",
    "reasoning_tokens": "reasoning",
    "audio": "audio",
    "audio_tokens": "audio",
}
"""The same for the details within input and output, without the tier that LangChain puts before a name."""

FINISH_KEYS = ("finish_reason", "stop_reason", "stopReason", "done_reason")
"""Where they say why an answer stopped."""

_FINISH_REASONS = {
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "STOP": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "refusal": "content_filter",
}
"""The providers' words for why an answer stopped, where the conventions' message schema has another."""

_APART = {"cache_read_input_tokens", "cache_creation_input_tokens", "cacheReadInputTokens"}
_TIERS = ("priority_", "flex_")
_MAX_USD = 1_000_000
_MAX_FIELDS = 200  # of a report or the details in it
_MAX_TOOLS = 200
_MAX_REPEATED = 4_096  # characters
_MAX_REASON = 64


def provider_name(name: str | None) -> str | None:
    """The conventions' name of a provider; one they do not know keeps its own (the enum is open)."""
    return None if not name else _NAMES.get(name.lower(), name)


def endpoint(provider: str | None, base_url: str | None) -> tuple[str | None, int | None]:
    """Host and port of the server; without a `base_url`, of the one the provider's client connects to."""
    if base_url is None and provider in _DEFAULT_ENDPOINTS:
        variables, default = _DEFAULT_ENDPOINTS[provider]
        base_url = next((url for name in variables if (url := os.environ.get(name))), default)
    return _host_and_port(base_url) if base_url else (None, None)


@lru_cache(maxsize=256)
def _host_and_port(url: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        return parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:  # not an address; what the user configured is not ours to judge
        return None, None


Parameters = Mapping[str, tuple[str, Callable[[Any], Any]]]


def set_parameters(operation: Inference, spellings: Parameters, *given: Mapping[str, Any]) -> None:
    """Takes over what a model is asked for; what is given later counts more.

    The service tier is OpenAI's alone in the conventions, and `auto` is none.
    """
    for parameters in filter(None, given):
        for key, (field, read) in spellings.items():
            if key in parameters and (value := read(parameters[key])) is not None:
                setattr(operation, field, value)
    if operation.provider != "openai" or operation.request_service_tier == "auto":
        operation.request_service_tier = None


def effort(asked: Any) -> str | None:
    """The reasoning effort in OpenAI's reasoning options."""
    return word(as_mapping(asked).get("effort"))


def _several(asked: Any) -> int | None:
    """How many choices are asked for; one is what there is anyway."""
    choices = integer(asked)
    return None if choices == 1 else choices


def _output_type(asked: Any) -> str | None:
    """The modality that a response format asks for; a schema or JSON mode asks for json."""
    if asked is None:
        return None
    return "text" if word(mapping(asked).get("type")) == "text" else "json"


PARAMETERS: Parameters = {
    "n": ("choice_count", _several),
    "frequency_penalty": ("frequency_penalty", number),
    "presence_penalty": ("presence_penalty", number),
    "previous_response_id": ("previous_response_id", word),
    "reasoning_effort": ("reasoning_level", word),
    "reasoning": ("reasoning_level", effort),
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
"""What the parameters of a request are called in both frameworks: the field, and how its value is read."""


def count(value: Any) -> int | None:
    """A token count, or None for what is none: booleans, negatives, NaN, texts."""
    if type(value) is int and 0 <= value < 10**15:
        return value
    found = number(value)
    return int(found) if found is not None and 0 <= found < 1e15 else None


def usage_of(reported: Any) -> Usage | None:
    """Reads a provider's or LangChain's usage report, a mapping or an object, in any known spelling.

    Totals are made inclusive: where the cache is counted beside the input (Anthropic's and Bedrock's own
    reports), it is added. None if neither input nor output is reported, and for a report of nothing at all.
    """
    report = as_mapping(reported)
    if not report:
        return None
    counts: dict[str, int] = {}
    sent: dict[str, int] = {}
    received: dict[str, int] = {}
    for key, value in islice(report.items(), _MAX_FIELDS):
        if type(key) is not str:
            continue
        if key in _INPUT_DETAILS:
            sent = _read(as_mapping(value), _DETAILS)
        elif key == "cache_creation":  # Anthropic's own split by lifetime; LangChain's is in the details
            sent = _read(as_mapping(value), _DETAILS) | sent
        elif key in _OUTPUT_DETAILS:
            received = _read(as_mapping(value), _DETAILS)
        elif (field := _COUNTS.get(key)) is not None and (counted := count(value)) is not None:
            counts.setdefault(field, counted)
    input_tokens, output_tokens = counts.get("input"), counts.get("output")
    if not input_tokens and not output_tokens:
        return None
    cache_read = counts.get("cache_read") or sent.get("cache_read") or 0
    # LangChain splits Anthropic's cache writes by lifetime, and then reports the sum as 0
    by_lifetime = sent.get("cache_write_5m", 0) + sent.get("cache_write_1h", 0)
    cache_write = by_lifetime or counts.get("cache_write") or sent.get("cache_write") or 0
    cached = cache_read + cache_write
    if cached and input_tokens is not None and (cached > input_tokens or _counts_cache_apart(report)):
        input_tokens += cached
    thoughts = counts.get("thoughts", 0)
    if output_tokens is not None:
        output_tokens += thoughts  # Gemini counts its thoughts beside the candidates
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_input_tokens=cache_read or None,
        cache_write_input_tokens=cache_write or None,
        cache_write_1h_input_tokens=sent.get("cache_write_1h") or None,
        reasoning_output_tokens=received.get("reasoning") or thoughts or None,
        audio_input_tokens=sent.get("audio") or None,
        audio_output_tokens=received.get("audio") or None,
    )


def reported_usd(reported: Any) -> Decimal | None:
    """What a usage report says the call cost, as OpenRouter's does (`cost`, in USD)."""
    cost = as_mapping(reported).get("cost")
    if cost is None and hasattr(
        type(reported), "model_extra"
    ):  # fields that the client's own types do not have
        cost = mapping(attribute(reported, "model_extra")).get("cost")
    if type(cost) is not Decimal:
        cost = None if (found := number(cost)) is None else Decimal(str(found))
    return cost if cost is not None and cost.is_finite() and 0 <= cost < _MAX_USD else None


def _read(details: Mapping[str, Any], spellings: Mapping[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, value in islice(details.items(), _MAX_FIELDS):
        field = spellings.get(key) if type(key) is str else None
        if field is None and type(key) is str and key.startswith(_TIERS):
            field = spellings.get(key.partition("_")[2])
        if field is not None and (counted := count(value)) is not None:
            found.setdefault(field, counted)
    return found


def _counts_cache_apart(report: Mapping[str, Any]) -> bool:
    """Whether the input excludes the cache: so in the raw reports of Anthropic and Bedrock."""
    keys = report.keys()
    return not keys.isdisjoint(_APART) and keys.isdisjoint(_INPUT_DETAILS) and "prompt_tokens" not in keys


def finish_reasons_of(reasons: Iterable[Any], *, cut: bool = False) -> tuple[str, ...] | None:
    """Stop reasons, one per choice in order; a reason that merging chunks repeated (`stopstop`) is mended.

    The conventions put `error` where a reason never came: all of them if the answer was `cut`, else those beside
    a choice that has one. A provider that names none at all has none.
    """
    given = [unrepeated(reason) for reason in reasons]
    if not given or not (cut or any(given)):
        return None
    return tuple((reason or "error")[:_MAX_REASON] for reason in given)


def finish_reason(word: str | None) -> str:
    """Why a message stopped, in the words of the conventions' message schema; `stop` where nobody said."""
    return _FINISH_REASONS.get(word or "", word) or "stop"


def unrepeated(value: Any) -> str | None:
    """A string that may have been repeated when chunks were merged; None for what is no text."""
    found = word(value, _MAX_REPEATED)
    return None if found is None else _unrepeated(found)


@lru_cache(maxsize=1_024)
def _unrepeated(found: str) -> str:
    # a text that is k copies of a shorter one is found in itself, doubled, before its end
    at = (found + found).find(found, 1)
    return found[:at] if 0 < at < len(found) else found


def tool_definitions(offered: Any) -> list[Mapping[str, Any]] | None:
    """The tools that a model was offered, from OpenAI's or Anthropic's form to the conventions' flat one."""
    tools = (mapping(tool) for tool in items(offered)[:_MAX_TOOLS])
    return [_tool_definition(tool) for tool in tools if tool] or None


def _tool_definition(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    described = as_mapping(tool.get("function")) or tool
    kind = word(tool.get("type"))
    definition = {
        "type": kind or "function",
        "name": word(described.get("name")) or kind or "tool",
        "description": text(described.get("description")),
        "parameters": described.get("parameters", described.get("input_schema")),
    }
    return {key: value for key, value in definition.items() if value is not None}


def as_mapping(value: Any) -> Mapping[str, Any]:
    """A mapping, or the fields of a pydantic or plain object; empty for anything else."""
    kind = type(value)
    if value is None or kind is dict or issubclass(kind, Mapping):
        return mapping(value)
    fields = attribute(value, "__dict__")
    return fields if type(fields) is dict else {}
