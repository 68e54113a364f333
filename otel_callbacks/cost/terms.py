"""The terms of a call: its service tier, and the other conditions that decide its rates.

Terms that mean the usual price are dropped, whatever a provider calls them. What is left needs a price of its own: a
call at terms that no price names is unpriced, because the standard rate would be a wrong one.
"""

from collections.abc import Iterable, Mapping

Terms = tuple[tuple[str, str], ...]
"""The terms that change the price, by name, in lower case; empty for the usual price."""

TIER = "service_tier"

_STANDARD_TIERS = {
    # "auto" is the request's: without a word in the response, it was the project's usual tier
    "openai": ("auto", "default"),  # platform.openai.com/docs/api-reference/chat/create
    "anthropic": ("auto", "standard", "standard_only"),  # docs.claude.com/en/api/service-tiers
    "aws.bedrock": ("default", "standard"),  # docs.aws.amazon.com/bedrock/latest/userguide/service-tiers-inference.html
    "gcp": ("on_demand", "standard", "traffic_type_unspecified"),  # ai.google.dev/api: TrafficType
    "groq": ("auto", "on_demand"),  # console.groq.com/docs/service-tiers; "auto" may be flex, at the same price
    "mistral_ai": ("default", "standard"),  # docs.mistral.ai/api
    "x_ai": ("auto", "default"),  # docs.x.ai/docs/api-reference
}  # fmt: skip
"""How each provider calls its standard tier. No name is a dearer tier of another one, so a gateway's may be any."""

_STANDARD_NAMES = frozenset(name for names in _STANDARD_TIERS.values() for name in names) | {""}

TIERS_AT_STANDARD_PRICE = frozenset((("groq", "flex"),))
"""Other tiers, by provider, at the price of the standard tier (https://console.groq.com/docs/flex-processing)."""

_SAME_TIERS = {"on_demand_priority": "priority", "on_demand_flex": "flex"}
"""Google's names of traffic types → the tiers that they are."""

_STANDARD_CONDITIONS = {
    "speed": ("standard",),  # docs.claude.com/en/build-with-claude/fast-mode
    "inference_geo": ("global", "not_available"),  # docs.claude.com/en/build-with-claude/data-residency
    "latency": ("standard",),  # docs.aws.amazon.com/bedrock/latest/userguide/latency-optimized-inference.html
    "traffic_type": ("on_demand",),  # Google's; capacity that was bought beforehand is not billed by the token
    "search_context_size": (),  # docs.perplexity.ai/getting-started/pricing
}  # fmt: skip
"""The conditions that a price can name, with the values that change nothing."""

CONDITIONS = tuple(_STANDARD_CONDITIONS)

FEE_CONDITIONS = frozenset(("search_context_size",))
"""Conditions that change the fee of a request, and no rate of its tokens."""


def terms_of(tier: str | None, conditions: Iterable[tuple[str, str]], provider: str | None = None) -> Terms:
    """Returns the terms that change the price of a provider's call."""
    terms = {
        name: value for name, given in conditions if (value := _clean(given)) not in _standard_values(name)
    }
    name = _clean(tier or "")
    if name not in _STANDARD_NAMES and (provider, name) not in TIERS_AT_STANDARD_PRICE:
        terms[TIER] = _SAME_TIERS.get(name, name)
    return tuple(sorted(terms.items()))


def rate_terms(terms: Terms) -> Mapping[str, str]:
    """Returns the terms that change the rates of tokens."""
    return {name: value for name, value in terms if name not in FEE_CONDITIONS}


def _standard_values(condition: str) -> tuple[str, ...]:
    return ("", "default", *_STANDARD_CONDITIONS.get(condition, ("standard",)))


def _clean(value: str) -> str:
    return value.strip().lower()
