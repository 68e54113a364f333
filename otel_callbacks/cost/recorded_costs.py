"""Costs that the application records by hand, for what is no model call: how a span carries them.

They have attributes of their own, so that no back end takes the span for a model call. A span carries such a cost or a
model call's, never both.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.cost.rates import ZERO, add
from otel_callbacks.limits import RECORDED_COSTS_NAMED, log_reached


def with_cost(attributes: Mapping[str, Any], usd: Decimal, what: str) -> dict[str, Any]:
    """Returns the attributes for a cost on a span that has `attributes`; adds up what is recorded there already."""
    total = add(recorded_usd(attributes) or ZERO, usd)
    named = recorded_what(attributes)
    if what not in named and len(named) < RECORDED_COSTS_NAMED:
        named = (*named, what)
    elif what not in named:
        log_reached(
            "RECORDED_COSTS_NAMED", "further names of costs are not on the span; the sum has their costs"
        )
    return {semconv.COST_RECORDED_USD: float(total), semconv.COST_RECORDED_WHAT: named}


def recorded_usd(attributes: Mapping[str, Any]) -> Decimal | None:
    """Returns the recorded cost in a span's attributes, as it was written; None without one."""
    value = attributes.get(semconv.COST_RECORDED_USD)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    usd = Decimal(repr(value))
    return usd if usd.is_finite() and usd >= 0 else None


def recorded_what(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns what the recorded cost in a span's attributes is for."""
    value = attributes.get(semconv.COST_RECORDED_WHAT)
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
