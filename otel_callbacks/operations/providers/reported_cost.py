"""The cost of a call that the provider or a gateway reports, in USD."""

from collections.abc import Iterable, Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

from otel_callbacks.limits import DECIMAL_DIGITS, USD_OF_A_CALL
from otel_callbacks.operations.payload import mapping_or_fields, number, word
from otel_callbacks.operations.providers.usage_counts import token_count

_EXACT = Context(prec=DECIMAL_DIGITS)
"""Our own, because the application may have set another precision for the thread."""


COST_KEYS = frozenset(("cost", "cost_in_usd_ticks"))
"""The keys under which costs are reported."""


class ReportedCost(NamedTuple):
    """A reported cost. `complete` is False if somebody else bills the rest and does not report it."""

    usd: Decimal
    complete: bool = True


def reported_cost(sources: Iterable[Mapping[str, Any]]) -> ReportedCost | None:
    """Returns the cost that usage reports or the details beside them state. Zero is a cost too."""
    for source in sources:
        if "cost_in_usd_ticks" in source and (ticks := token_count(source["cost_in_usd_ticks"])) is not None:
            return ReportedCost(Decimal(f"{ticks}e-10"))  # xAI: ten-billionths of a dollar
        stated = source.get("cost")
        if stated is None:
            continue
        usd = _amount(stated)
        if usd is None:  # Perplexity
            usd = _amount(mapping_or_fields(stated).get("total_cost"))
        if usd is not None:
            return _with_own_key(usd, source)
    return None


def _with_own_key(usd: Decimal, source: Mapping[str, Any]) -> ReportedCost:
    """Adds what the provider behind OpenRouter bills for the application's own key.

    For its own keys OpenRouter bills at least what it pays. So where that is more than the cost, the key is the
    application's, even if the integration does not pass that on.
    """
    upstream = _amount(mapping_or_fields(source.get("cost_details")).get("upstream_inference_cost"))
    own_key = source.get("is_byok")
    if own_key is True or (own_key is None and upstream is not None and upstream > usd):
        return (
            ReportedCost(usd, complete=False) if upstream is None else ReportedCost(_EXACT.add(usd, upstream))
        )
    return ReportedCost(usd)


def _amount(value: Any) -> Decimal | None:
    """Returns an amount of USD, also one that is written as a text."""
    if type(value) is Decimal:
        amount: Decimal = value
    elif (written := word(value)) is not None:
        try:
            amount = Decimal(written)
        except InvalidOperation:
            return None
    elif (found := number(value)) is not None:
        amount = Decimal(str(found))
    else:
        return None
    return amount if amount.is_finite() and 0 <= amount < USD_OF_A_CALL else None
