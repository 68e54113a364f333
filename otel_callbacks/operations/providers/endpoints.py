"""Server addresses: the host and port that a provider's client connects to."""

import os
from functools import lru_cache
from urllib.parse import urlsplit

from otel_callbacks.limits import CACHED_TEXTS

_DEFAULT_ENDPOINTS: dict[str, tuple[tuple[str, ...], str]] = {
    "openai": (("OPENAI_BASE_URL", "OPENAI_API_BASE"), "https://api.openai.com"),
    "anthropic": (("ANTHROPIC_BASE_URL", "ANTHROPIC_API_URL"), "https://api.anthropic.com"),
    "mistral_ai": (("MISTRAL_BASE_URL",), "https://api.mistral.ai"),
    "groq": (("GROQ_BASE_URL", "GROQ_API_BASE"), "https://api.groq.com"),
}
"""The address of a client that was configured with none: the variables that its library reads, then the default."""

_ACCENTS = {"api.x.ai": "x_ai", "api.perplexity.ai": "perplexity"}
"""Servers that answer in OpenAI's language, and mean or bill something of their own."""


def who_answers(provider: str | None, host: str | None) -> str | None:
    """Returns whose answers a server gives; its client may be another provider's."""
    return _ACCENTS.get(host or "", provider)


def endpoint(provider: str | None, base_url: str | None) -> tuple[str | None, int | None]:
    """Returns the host and port of the server, or (None, None).

    Args:
        provider: the conventions' name.
        base_url: the configured address; without one, the provider's default counts.
    """
    if base_url is None and provider in _DEFAULT_ENDPOINTS:
        variables, default = _DEFAULT_ENDPOINTS[provider]
        base_url = next((url for name in variables if (url := os.environ.get(name))), default)
    return _host_and_port(base_url) if base_url else (None, None)


@lru_cache(maxsize=CACHED_TEXTS)
def _host_and_port(url: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        return parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:  # not an address; the provider's client will complain
        return None, None
