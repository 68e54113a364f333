"""Usage reports: token counts and the cost of a call, in every spelling that providers and frameworks use."""

from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from typing import Any

from otel_callbacks.limits import ITEMS_READ, TOKENS_OF_A_CALL, USD_OF_A_CALL
from otel_callbacks.operations.payload import attribute, mapping, mapping_or_fields, number
from otel_callbacks.operations.usage import Usage

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
"""Which count each provider's spelling means."""

_INPUT_DETAILS = {"input_token_details", "prompt_tokens_details", "input_tokens_details"}
_OUTPUT_DETAILS = {"output_token_details", "completion_tokens_details", "output_tokens_details"}
_DETAIL_COUNTS = {
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
"""The same for the details of input and output, without the tier that LangChain puts before a name."""

_BESIDE_INPUT = {"cache_read_input_tokens", "cache_creation_input_tokens", "cacheReadInputTokens"}
_TIERS = ("priority_", "flex_")


def read_usage(reported: Any) -> Usage | None:
    """Reads the usage report of a provider or of LangChain, a mapping or an object, in any known spelling.

    The totals include everything: where a report counts the cache beside the input (Anthropic's and Bedrock's own
    reports), it is added. Returns None if the report has neither input nor output tokens, or only zeros.
    """
    report = mapping_or_fields(reported)
    if not report:
        return None
    counts: dict[str, int] = {}
    input_details: dict[str, int] = {}
    output_details: dict[str, int] = {}
    for key, value in islice(report.items(), ITEMS_READ):
        if type(key) is not str:
            continue
        if key in _INPUT_DETAILS:
            input_details = _read_details(value)
        elif key == "cache_creation":  # Anthropic's own split by lifetime; LangChain puts it into the details
            input_details = _read_details(value) | input_details
        elif key in _OUTPUT_DETAILS:
            output_details = _read_details(value)
        elif (field := _COUNTS.get(key)) is not None and (counted := token_count(value)) is not None:
            counts.setdefault(field, counted)
    input_tokens, output_tokens = counts.get("input"), counts.get("output")
    if not input_tokens and not output_tokens:
        return None
    cache_read = counts.get("cache_read") or input_details.get("cache_read") or 0
    # LangChain splits Anthropic's cache writes by lifetime, and reports their sum as 0
    by_lifetime = input_details.get("cache_write_5m", 0) + input_details.get("cache_write_1h", 0)
    cache_write = by_lifetime or counts.get("cache_write") or input_details.get("cache_write") or 0
    cached = cache_read + cache_write
    if cached and input_tokens is not None and (cached > input_tokens or _excludes_cache(report)):
        input_tokens += cached
    thoughts = counts.get("thoughts", 0)
    if output_tokens is not None:
        output_tokens += thoughts  # Gemini counts thoughts beside the candidates
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_input_tokens=cache_read or None,
        cache_write_input_tokens=cache_write or None,
        cache_write_1h_input_tokens=input_details.get("cache_write_1h") or None,
        reasoning_output_tokens=output_details.get("reasoning") or thoughts or None,
        audio_input_tokens=input_details.get("audio") or None,
        audio_output_tokens=output_details.get("audio") or None,
    )


def reported_usd(reported: Any) -> Decimal | None:
    """Returns the cost of the call in USD that a usage report states, as OpenRouter's does (`cost`)."""
    cost = mapping_or_fields(reported).get("cost")
    if cost is None and hasattr(
        type(reported), "model_extra"
    ):  # fields that the client's types do not declare
        cost = mapping(attribute(reported, "model_extra")).get("cost")
    if type(cost) is not Decimal:
        cost = None if (found := number(cost)) is None else Decimal(str(found))
    return cost if cost is not None and cost.is_finite() and 0 <= cost < USD_OF_A_CALL else None


def token_count(value: Any) -> int | None:
    """Returns a token count; None for anything else, such as booleans, negatives, NaN and texts."""
    if type(value) is int and 0 <= value < TOKENS_OF_A_CALL:
        return value
    found = number(value)
    return int(found) if found is not None and 0 <= found < TOKENS_OF_A_CALL else None


def _read_details(value: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, detail in islice(mapping_or_fields(value).items(), ITEMS_READ):
        field = _DETAIL_COUNTS.get(key) if type(key) is str else None
        if field is None and type(key) is str and key.startswith(_TIERS):
            field = _DETAIL_COUNTS.get(key.partition("_")[2])
        if field is not None and (counted := token_count(detail)) is not None:
            found.setdefault(field, counted)
    return found


def _excludes_cache(report: Mapping[str, Any]) -> bool:
    """Tells whether the input excludes the cache, as in the raw reports of Anthropic and Bedrock."""
    keys = report.keys()
    return (
        not keys.isdisjoint(_BESIDE_INPUT) and keys.isdisjoint(_INPUT_DETAILS) and "prompt_tokens" not in keys
    )
