"""How far the traces and an invoice differ, and the usual cause of such a difference."""

from decimal import Decimal
from typing import NamedTuple

from otel_callbacks.cost.rates import ZERO
from otel_callbacks.runtime.words import plural

TOKEN_TOLERANCE = Decimal("0.005")
"""How far token counts may differ and still agree, as a share of the invoice's count."""

USD_TOLERANCE = Decimal("0.01")
"""How far amounts may differ and still agree, as a share of the invoice's amount."""

CENT = Decimal("0.01")
_RATIO_TOLERANCE = Decimal("0.005")
_USUAL_RATIOS = (
    (Decimal("0.5"), "half price: a batch, or the flex tier"),
    (Decimal("1.1"), "10 % more: a regional endpoint or data residency"),
    (Decimal("1.7"), "1.7 times the price: the priority tier"),
    (Decimal("2"), "double price: the priority tier, or a long context"),
    *((Decimal(rate), "tax is included") for rate in ("1.19", "1.2", "1.21", "1.22", "1.23", "1.25")),
)
"""The charged amount as a multiple of the traced amount, and the cause of that multiple."""


class TracedSums(NamedTuple):
    """The sums over some traced calls."""

    calls: int = 0
    unpriced_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal = ZERO


class ChargedSums(NamedTuple):
    """The sums over some lines of an invoice; None for what the invoice has no column for.

    Attributes:
        lines: the number of lines.
        cents: whether every amount is in whole cents, and so may be rounded.
        item: whether the lines charge something other than tokens: a tool, tax, a credit.
    """

    lines: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: Decimal | None = None
    cents: bool = False
    item: bool = False

    @property
    def tokens(self) -> int | None:
        """Input and output tokens together; None if the invoice counts neither."""
        if self.input_tokens is None and self.output_tokens is None:
            return None
        return (self.input_tokens or 0) + (self.output_tokens or 0)


def drift(traced: Decimal | int, charged: Decimal | int | None) -> Decimal | None:
    """Returns how much more was traced than charged, as a share of the charge; None if nothing is charged."""
    return (traced - Decimal(charged)) / Decimal(charged) if charged else None


def agree(traced: Decimal | int, charged: Decimal | int | None, tolerance: Decimal) -> bool:
    """Tells whether two numbers agree; a number missing on the invoice agrees with everything."""
    return charged is None or abs(Decimal(charged) - traced) <= abs(Decimal(charged)) * tolerance


def usual_cause(traced: TracedSums, charged: ChargedSums) -> str:
    """Returns the usual cause of a difference; "" if both sides agree."""
    if charged.item:
        return "not for tokens"
    if not traced.calls:
        return "not traced"
    if not charged.lines:
        return "not charged here: another account or key, or not billed yet"
    return _cause_in_tokens(traced, charged.tokens) or _cause_in_money(traced, charged)


def _cause_in_tokens(traced: TracedSums, charged: int | None) -> str:
    counted = traced.input_tokens + traced.output_tokens
    if charged is None or agree(counted, charged, TOKEN_TOLERANCE):
        return ""
    if charged > counted:
        return "more tokens than traced: calls without tracing, or retries within a client"
    return "fewer tokens than traced: another account or key, or not billed yet"


def _cause_in_money(traced: TracedSums, charged: ChargedSums) -> str:
    usd = charged.usd
    if agree(traced.usd, usd, USD_TOLERANCE) or usd is None:
        return ""
    if traced.unpriced_calls:
        return f"{plural(traced.unpriced_calls, 'call')} without a price, or with one for a part only"
    if charged.cents and abs(usd - traced.usd) <= CENT / 2 * charged.lines:
        return "rounded to the cent"
    if usd == 0:
        return "free tokens, or paid by a credit"
    for ratio, cause in _USUAL_RATIOS:
        if agree(traced.usd * ratio, usd, _RATIO_TOLERANCE):
            return cause
    return "other prices: a discount, a tier, or prices of another day"
