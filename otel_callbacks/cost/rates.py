"""Prices of models: the rates of their tokens, and the fees beside them.

All money is USD in exact decimals. Rates are per million tokens, as providers print them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Literal

from otel_callbacks.limits import DECIMAL_DIGITS, RATE_DIGITS

UnpricedReason = Literal[
    "unknown_model",
    "unknown_provider",
    "local_endpoint",
    "no_usage",
    "no_rate",
    "invalid_usage",
    "estimated_usage",
    "ended_early",
    "no_price_source",
    "prices_loading",
]
"""Why a call has no cost; the values of `otel_callbacks.cost.unpriced_reason`."""

ZERO = Decimal(0)
PER_TOKEN = Decimal("0.000001")
"""Rates are per million tokens."""

# Our own context, because the application may have set another precision for the thread. If a result ever needed
# rounding, that would raise an error instead of giving a wrong price.
EXACT = Context(prec=DECIMAL_DIGITS, traps=[InvalidOperation, Overflow, Inexact])

UNITS = (
    "web_searches",
    "file_searches",
    "rerank_searches",
    "sources",
    "citation_tokens",
    "audio_seconds",
)
"""What may be billed by number beside the tokens of a call, see `operations.providers`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """USD per million tokens of each kind. None means "not listed", which differs from a listed 0.

    If a rate is not listed, another one stands in, as providers (and genai-prices) do it: the input rate for cache
    reads, cache writes and input images, the cache write rate for one-hour cache writes, the cache read rate for cached
    images, the output rate for reasoning. Audio and generated images have no stand-in: without a rate for them the
    call has no price.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    audio_cache_read: Decimal | None = None
    image_input: Decimal | None = None
    image_output: Decimal | None = None
    image_cache_read: Decimal | None = None

    def __post_init__(self) -> None:
        for kind in TOKEN_KINDS:
            if (rate := getattr(self, kind)) is not None:
                check_rate(rate, kind)


TOKEN_KINDS = tuple(field.name for field in fields(Rates))
"""The kinds of tokens that can have a rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier(Rates):
    """The rates for all tokens of a call that has more than `above` input tokens (cached ones included).

    A rate that a tier leaves out is that of the tier below it.
    """

    above: int

    def __post_init__(self) -> None:
        Rates.__post_init__(self)
        if type(self.above) is not int or self.above < 0:
            raise ValueError(f"above must be a number of tokens, not {self.above!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Rates):
    """The price of a model.

    Attributes:
        per_request: USD for each call, in addition to its tokens; includes searches without a price in `units`.
        units: USD per thousand of what is billed by number (`UNITS`); for units that are tokens, per million.
        tiers: the rates for long inputs; stored in ascending order, with missing rates filled in.
        valid_from: the first day (UTC) of the price; None if it always holds.

    Raises:
        ValueError: a rate is negative, not finite or not a Decimal, or two tiers begin at the same count.
    """

    per_request: Decimal | None = None
    units: Mapping[str, Decimal] = field(default_factory=dict)
    tiers: tuple[Tier, ...] = ()
    valid_from: date | None = None

    def __post_init__(self) -> None:
        Rates.__post_init__(self)
        if self.per_request is not None:
            check_rate(self.per_request, "per_request")
        for unit, price in self.units.items():
            if unit not in UNITS:
                raise ValueError(f"units: {unit!r} is not known; known are {', '.join(UNITS)}")
            check_rate(price, unit)
        if self.tiers:
            object.__setattr__(self, "tiers", tuple(self._completed()))

    def _completed(self) -> list[Tier]:
        completed: list[Tier] = []
        below: Rates = self
        for tier in sorted(self.tiers, key=lambda tier: tier.above):
            if completed and completed[-1].above == tier.above:
                raise ValueError(f"two tiers begin above {tier.above} tokens")
            missing = {kind: getattr(below, kind) for kind in TOKEN_KINDS if getattr(tier, kind) is None}
            below = replace(tier, **missing)
            completed.append(below)
        return completed

    @property
    def bills_tokens(self) -> bool:
        """Whether any kind of tokens has a rate; a reranker may be billed by the call alone."""
        return any(getattr(self, kind) is not None for kind in TOKEN_KINDS)

    @property
    def has_cheap_cache(self) -> bool:
        """Whether input read from the cache has a rate of its own, so that it matters how much was."""
        return any(rates.cache_read not in (None, rates.input) for rates in (self, *self.tiers))

    def at(self, input_tokens: int) -> Rates:
        """Returns the rates for a call with this many input tokens, cached ones included."""
        rates: Rates = self
        for tier in self.tiers:
            if input_tokens > tier.above:
                rates = tier
        return rates


def check_rate(rate: object, name: str) -> None:
    """Checks that a rate is an exact amount.

    Raises:
        ValueError: `rate` is not a Decimal (a float is not exact), is negative, NaN or infinite, or has more than
            `RATE_DIGITS` digits.
    """
    if not isinstance(rate, Decimal):
        raise ValueError(f"{name} must be a Decimal, not {rate!r}")
    if not rate.is_finite():
        raise ValueError(f"{name} must be a finite number, not {rate}")
    if rate < 0:
        raise ValueError(f"{name} must not be negative, and is {rate}")
    _, digits, exponent = rate.as_tuple()
    if len(digits) > RATE_DIGITS or not -RATE_DIGITS <= int(exponent) <= RATE_DIGITS:
        raise ValueError(f"{name} has more digits than a price: {rate}")


def add(one: Decimal, other: Decimal) -> Decimal:
    """Returns the exact sum, whatever precision the application has set for the thread."""
    return EXACT.add(one, other)


def subtract(one: Decimal, other: Decimal) -> Decimal:
    """Returns the exact difference, whatever precision the application has set for the thread."""
    return EXACT.subtract(one, other)
