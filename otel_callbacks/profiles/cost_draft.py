"""`cost_draft`: the names of the conventions' draft for the costs of model calls (semantic-conventions-genai #443).

It stands in place of `gen_ai.usage.cost`, never beside it: a back end that knows both would count a cost twice.
"""

from typing import Any

from otel_callbacks import semconv
from otel_callbacks.profiles.reading import Attributes, kind_of, usd


def extra(attributes: Attributes, started: int) -> dict[str, Any]:
    """Returns the extra attributes of a span; none if it has `gen_ai.usage.cost` already."""
    amount = usd(attributes) if kind_of(attributes) in ("chat", "text_completion") else None
    if amount is None or semconv.USAGE_COST in attributes:
        return {}
    reported = attributes.get(semconv.COST_SOURCE) == "reported"
    return {
        semconv.USAGE_COST_AMOUNT: amount,
        semconv.USAGE_COST_CURRENCY: "USD",
        semconv.USAGE_COST_SOURCE: "provider" if reported else "local",
    }
