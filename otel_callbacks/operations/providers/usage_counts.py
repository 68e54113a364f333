"""The spellings of token counts: which count of a usage report each provider's and framework's word means."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from otel_callbacks.limits import ITEMS_READ, TOKENS_OF_A_CALL
from otel_callbacks.operations.payload import attribute, is_list, items, mapping_or_fields, number, text

Counts = dict[str, int]
"""By name: `input`, `output` and `total`; what may stand inside or beside them, such as `cache_read`, `reasoning` and
`thoughts`; and counts by modality, named as in `Usage`."""

_COUNTS = {
    # OpenAI's chat and all who imitate it
    "prompt_tokens": "input",
    "completion_tokens": "output",
    "total_tokens": "total",
    # OpenAI's Responses, Anthropic, Cohere, LangChain
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_write",
    "cache_write_input_tokens": "cache_write",
    # Bedrock's Converse, and its metrics of other calls
    "inputTokens": "input",
    "outputTokens": "output",
    "totalTokens": "total",
    "cacheReadInputTokens": "cache_read",
    "cacheWriteInputTokens": "cache_write",
    "inputTokenCount": "input",
    "outputTokenCount": "output",
    "cacheReadInputTokenCount": "cache_read",
    "cacheWriteInputTokenCount": "cache_write",
    # Google, as its SDK and as its API spell it
    "prompt_token_count": "input",
    "candidates_token_count": "output",
    "response_token_count": "output",
    "total_token_count": "total",
    "cached_content_token_count": "cache_read",
    "thoughts_token_count": "thoughts",
    "tool_use_prompt_token_count": "tool_results",
    "promptTokenCount": "input",
    "candidatesTokenCount": "output",
    "responseTokenCount": "output",
    "totalTokenCount": "total",
    "cachedContentTokenCount": "cache_read",
    "thoughtsTokenCount": "thoughts",
    "toolUsePromptTokenCount": "tool_results",
    # Ollama
    "prompt_eval_count": "input",
    "eval_count": "output",
    # watsonx
    "input_token_count": "input",
    "generated_token_count": "output",
    # DeepSeek
    "prompt_cache_hit_tokens": "cache_read",
    # Moonshot, Cohere
    "cached_tokens": "cache_read",
    # Perplexity
    "reasoning_tokens": "reasoning",
}
COUNT_KEYS = _COUNTS.keys()
_INPUT_DETAILS = {
    "input_token_details",
    "input_tokens_details",
    "prompt_tokens_details",
    "promptTokensDetails",
    "cache_creation",  # Anthropic's own split by lifetime; LangChain puts it into the details
}
_OUTPUT_DETAILS = {
    "output_token_details",
    "output_tokens_details",
    "completion_tokens_details",
    "candidates_tokens_details",
    "candidatesTokensDetails",
    "response_tokens_details",
    "responseTokensDetails",
}
_MORE_INPUT_DETAILS = {"tool_use_prompt_tokens_details", "toolUsePromptTokensDetails"}
"""What is beside the prompt by modality, to be added."""
_CACHE_DETAILS = {"cache_tokens_details", "cacheTokensDetails", "cached_tokens_details"}
_LIFETIMES = {"cacheDetails", "cache_details"}
"""Bedrock's cache writes by lifetime: [{"ttl": "1h", "inputTokens": 100}]."""

_DETAILS = {
    "cache_read": "cache_read",
    "cached_tokens": "cache_read",
    "cache_creation": "cache_write",
    "cache_write_tokens": "cache_write",
    "cache_creation_tokens": "cache_write",
    "ephemeral_5m_input_tokens": "cache_write_5m",
    "ephemeral_1h_input_tokens": "cache_write_1h",
    "reasoning": "reasoning",
    "reasoning_tokens": "reasoning",
    "thinking_tokens": "reasoning",
}
_MODALITIES = {
    "text": "text",
    "text_tokens": "text",
    "audio": "audio",
    "audio_tokens": "audio",
    "image": "image",
    "image_tokens": "image",
}
"""The same for details, without the tier that LangChain puts before a name."""
_SIDES = {"input": "input_tokens", "output": "output_tokens", "cache_read": "cache_read_input_tokens"}
BY_MODALITY = {
    side: tuple(f"{kind}_{total}" for kind in ("text", "audio", "image")) for side, total in _SIDES.items()
}
"""The names of the counts by modality, as in `Usage`."""
_TIERS = ("priority_", "flex_")


def read_counts(report: Mapping[str, Any]) -> Counts:
    """Returns the counts of a usage report, in any known spelling. It does not decide which counts include others."""
    counts: Counts = {}
    for key, value in islice(report.items(), ITEMS_READ):
        if type(key) is not str or value is None:
            continue
        if (name := _COUNTS.get(key)) is not None:
            if (counted := token_count(value)) is not None and not counts.get(name):
                counts[name] = counted
        elif key in _INPUT_DETAILS:
            _read_details(counts, value, "input")
        elif key in _OUTPUT_DETAILS:
            _read_details(counts, value, "output")
        elif key in _CACHE_DETAILS:
            _read_details(counts, value, "cache_read")
        elif key in _MORE_INPUT_DETAILS:
            _read_modalities(counts, value, "input")
        elif key in _LIFETIMES:
            _read_lifetimes(counts, value)
    return counts


def _read_details(counts: Counts, value: Any, side: str) -> None:
    if type(value) is not dict and is_list(value):
        _read_modalities(counts, value, side)
        return
    details = value if type(value) is dict else mapping_or_fields(value)
    for key, detail in islice(details.items(), ITEMS_READ):
        if type(key) is not str or detail is None:
            continue
        plain = key.partition("_")[2] if key.startswith(_TIERS) else key
        if key in _CACHE_DETAILS:
            _read_details(counts, detail, "cache_read")
            continue
        name = _DETAILS.get(plain) or ((kind := _MODALITIES.get(plain)) and f"{kind}_{_SIDES[side]}")
        if name and (counted := token_count(detail)) and not counts.get(name):
            counts[name] = counted
        elif name == "cache_read" and token_count(detail) == 0:  # that nothing was read says something, too
            counts.setdefault(name, 0)


def _read_modalities(counts: Counts, value: Any, side: str) -> None:
    """Adds Google's counts by modality: [{"modality": "AUDIO", "token_count": 300}]."""
    for each in islice(items(value), ITEMS_READ):
        known = mapping_or_fields(each)
        modality = known.get("modality")
        spelled = text(modality) or text(attribute(modality, "value")) or ""  # Google's are enum members
        kind = _MODALITIES.get(spelled.lower())
        counted = token_count(known.get("token_count", known.get("tokenCount")))
        if kind and counted:
            name = f"{kind}_{_SIDES[side]}"
            counts[name] = counts.get(name, 0) + counted


def _read_lifetimes(counts: Counts, value: Any) -> None:
    for each in islice(items(value), ITEMS_READ):
        known = mapping_or_fields(each)
        ttl, counted = text(known.get("ttl")), token_count(known.get("inputTokens"))
        if counted and ttl in ("5m", "1h"):
            name = f"cache_write_{ttl}"
            counts[name] = counts.get(name, 0) + counted


def token_count(value: Any) -> int | None:
    """Returns a token count; None for anything else, such as booleans, negatives, NaN and texts."""
    if type(value) is int and 0 <= value < TOKENS_OF_A_CALL:
        return value
    found = number(value)
    return int(found) if found is not None and 0 <= found < TOKENS_OF_A_CALL else None
