"""What we know about model providers: their names, their hosts, and how each spells usage.

To add a provider, add its spellings here; both frameworks read them.
"""

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from otel_callbacks.operations import Usage

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

# The first spelling that is present wins.
_INPUT = ("input_tokens", "prompt_tokens", "inputTokens", "prompt_token_count", "prompt_eval_count")
_OUTPUT = ("output_tokens", "completion_tokens", "outputTokens", "candidates_token_count", "eval_count")
_CACHE_READ = ("cache_read_input_tokens", "cacheReadInputTokens", "cached_content_token_count", "cache_read")
_CACHE_WRITE = (
    "cache_creation_input_tokens",
    "cacheWriteInputTokens",
    "cache_write_input_tokens",
    "cache_creation",
)
_INPUT_DETAILS = ("input_token_details", "prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS = ("output_token_details", "completion_tokens_details", "output_tokens_details")
_AUDIO = ("audio", "audio_tokens")
_TIERS = ("priority", "flex")


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


def count(value: Any) -> int | None:
    """A token count, or None for what is none: booleans, negatives, NaN, texts."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        return None
    return int(value)


def usage_of(reported: Any) -> Usage | None:
    """Reads a provider's or LangChain's usage report, a mapping or an object, in any known spelling.

    Totals are made inclusive: where the cache is counted beside the input (Anthropic's and Bedrock's own
    reports), it is added. None if neither input nor output is reported, and for a report of nothing at all.
    """
    report = as_mapping(reported)
    if not report:
        return None
    input_tokens, output_tokens = _first(report, _INPUT), _first(report, _OUTPUT)
    if not input_tokens and not output_tokens:
        return None
    input_details, output_details = _details(report, _INPUT_DETAILS), _details(report, _OUTPUT_DETAILS)
    cache_read = _either(
        _first(report, _CACHE_READ),
        _tiered(input_details, "cache_read"),
        count(input_details.get("cached_tokens")),
    )
    cache_write = _either(
        _cache_write_by_lifetime(input_details),
        _first(report, _CACHE_WRITE),
        _tiered(input_details, "cache_creation"),
        count(input_details.get("cache_write_tokens")),
    )
    cached = (cache_read or 0) + (cache_write or 0)
    if input_tokens is not None and cached and (_counts_cache_apart(report) or cached > input_tokens):
        input_tokens += cached
    reasoning = _either(
        _tiered(output_details, "reasoning"),
        count(output_details.get("reasoning_tokens")),
        count(report.get("thoughts_token_count")),
    )
    if count(report.get("thoughts_token_count")) and output_tokens is not None:
        output_tokens += reasoning or 0  # Gemini counts its thoughts beside the candidates
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_input_tokens=cache_read or None,
        cache_write_input_tokens=cache_write or None,
        reasoning_output_tokens=reasoning or None,
        audio_input_tokens=_first(input_details, _AUDIO) or None,
        audio_output_tokens=_first(output_details, _AUDIO) or None,
    )


def service_tier_of(usage_metadata: Mapping[str, Any]) -> str | None:
    """The tier that LangChain hides in the names of the usage details (`priority_cache_read`)."""
    details = _details(usage_metadata, _INPUT_DETAILS)
    return next((tier for tier in _TIERS if tier in details or f"{tier}_cache_read" in details), None)


def finish_reasons_of(reasons: Iterable[Any]) -> tuple[str, ...] | None:
    """Stop reasons of the choices in order; a reason that merging chunks repeated (`stopstop`) is mended."""
    named = tuple(_unrepeated(str(reason)) for reason in reasons if reason)
    return named or None


def unrepeated(text: Any) -> str | None:
    """A string that may have been repeated when chunks were merged; None for what is no text."""
    return _unrepeated(text) if isinstance(text, str) and text else None


def _unrepeated(text: str) -> str:
    # a text that is k copies of a shorter one is found in itself, doubled, before its end
    at = (text + text).find(text, 1)
    return text[:at] if 0 < at < len(text) else text


def as_mapping(value: Any) -> Mapping[str, Any]:
    """A mapping, or the fields of a pydantic or plain object; empty for anything else."""
    if isinstance(value, Mapping):
        return value
    if value is None or isinstance(value, str | bytes | int | float):
        return {}
    fields = getattr(value, "__dict__", None)
    return fields if isinstance(fields, dict) else {}


def _first(report: Mapping[str, Any], spellings: Iterable[str]) -> int | None:
    return next((number for key in spellings if (number := count(report.get(key))) is not None), None)


def _either(*candidates: int | None) -> int | None:
    return next((candidate for candidate in candidates if candidate is not None), None)


def _details(report: Mapping[str, Any], spellings: Iterable[str]) -> Mapping[str, Any]:
    return next((found for key in spellings if (found := as_mapping(report.get(key)))), {})


def _tiered(details: Mapping[str, Any], key: str) -> int | None:
    return _first(details, (key, *(f"{tier}_{key}" for tier in _TIERS)))


def _cache_write_by_lifetime(details: Mapping[str, Any]) -> int | None:
    """LangChain splits Anthropic's cache writes by lifetime, and then reports the sum as 0."""
    parts = [count(details.get(f"ephemeral_{lifetime}_input_tokens")) for lifetime in ("5m", "1h")]
    return sum(part or 0 for part in parts) or None


def _counts_cache_apart(report: Mapping[str, Any]) -> bool:
    """Whether the input excludes the cache: so in the raw reports of Anthropic and Bedrock."""
    return any(
        key in report
        for key in ("cache_read_input_tokens", "cache_creation_input_tokens", "cacheReadInputTokens")
    ) and not any(key in report for key in (*_INPUT_DETAILS, "prompt_tokens"))
