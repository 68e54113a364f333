"""How far what was traced is from what is charged, and the usual cause of such a difference."""

from decimal import Decimal
from typing import NamedTuple

from otel_callbacks.cost.rates import ZERO

TOKEN_TOLERANCE = Decimal("0.005")
"""How far tokens may be apart and still agree, as a part of what is charged."""

USD_TOLERANCE = Decimal("0.01")
"""The same for money."""

CENT = Decimal("0.01")
_NEAR = Decimal("0.005")
_RATIOS = (
    (Decimal("0.5"), "half price: a batch, or the flex tier"),
    (Decimal("1.1"), "10 % more: a regional endpoint or data residency"),
    (Decimal("1.7"), "1.7 times the price: the priority tier"),
    (Decimal("2"), "double price: the priority tier, or a long context"),
    *((Decimal(rate), "tax is included") for rate in ("1.19", "1.2", "1.21", "1.22", "1.23", "1.25")),
)
"""What is charged, as a multiple of the estimate, and why that is."""


class Traced(NamedTuple):
    """What the spans say."""

    calls: int = 0
    unpriced_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal = ZERO


class Charged(NamedTuple):
    """What the invoice says; None is what it has no column for.

    Attributes:
        lines: of the invoice.
        cents: every amount is of whole cents, so that it may be a rounded one.
        item: what is charged for is no tokens: a tool, tax, a credit.
    """

    lines: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: Decimal | None = None
    cents: bool = False
    item: bool = False

    @property
    def tokens(self) -> int | None:
        """Of both sides; None if the invoice counts none."""
        if self.input_tokens is None and self.output_tokens is None:
            return None
        return (self.input_tokens or 0) + (self.output_tokens or 0)


def drift(traced: Decimal | int, charged: Decimal | int | None) -> Decimal | None:
    """By how much, as a part of what is charged, the traces say more; None if nothing is charged."""
    return (traced - Decimal(charged)) / Decimal(charged) if charged else None


def near(traced: Decimal | int, charged: Decimal | int | None, tolerance: Decimal) -> bool:
    """Whether two numbers agree; one that is not there disagrees with nothing."""
    return charged is None or abs(Decimal(charged) - traced) <= abs(Decimal(charged)) * tolerance


def cause(traced: Traced, charged: Charged) -> str:
    """The usual cause of such a difference; empty where there is none to speak of."""
    if charged.item:
        return "not for tokens"
    if not traced.calls:
        return "not traced"
    if not charged.lines:
        return "not charged here: another account or key, or not billed yet"
    return _cause_in_tokens(traced, charged.tokens) or _cause_in_money(traced, charged)


def _cause_in_tokens(traced: Traced, charged: int | None) -> str:
    counted = traced.input_tokens + traced.output_tokens
    if charged is None or near(counted, charged, TOKEN_TOLERANCE):
        return ""
    if charged > counted:
        return "more tokens than traced: calls without tracing, or retries within a client"
    return "fewer tokens than traced: another account or key, or not billed yet"


def _cause_in_money(traced: Traced, charged: Charged) -> str:
    usd = charged.usd
    if near(traced.usd, usd, USD_TOLERANCE) or usd is None:
        return ""
    if traced.unpriced_calls:
        return f"{traced.unpriced_calls:,} calls have no price"
    if charged.cents and abs(usd - traced.usd) <= CENT / 2 * charged.lines:
        return "rounded to the cent"
    if usd == 0:
        return "free tokens, or paid by a credit"
    for ratio, name in _RATIOS:
        if near(traced.usd * ratio, usd, _NEAR):
            return name
    return "other prices: a discount, a tier, or prices of another day"
