"""Token rates, and the arithmetic that makes a call's cost from them: exact decimals, never rounded.

All money is USD. Rates are per million tokens, as providers print them.
"""

from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, getcontext, setcontext
from typing import Literal, NamedTuple

from otel_callbacks.limits import DECIMAL_DIGITS, RATE_DIGITS, TOKENS_OF_A_CALL
from otel_callbacks.operations import Usage

UnpricedReason = Literal[
    "unknown_model",
    "unknown_provider",
    "local_endpoint",
    "no_usage",
    "no_rate",
    "invalid_usage",
    "no_price_source",
]
"""Why a call has no cost; the values of `otel_callbacks.cost.unpriced_reason`."""

ZERO = Decimal(0)

# Our own context, because the application may have set another precision for the thread. If a result ever needed
# rounding, that would raise an error instead of giving a wrong price.
_EXACT = Context(prec=DECIMAL_DIGITS, traps=[InvalidOperation, Overflow, Inexact])
_PER_TOKEN = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """USD per million tokens of each kind. None means "not listed", which differs from a listed 0.

    If a rate is not listed, another one stands in, as providers (and genai-prices) do it: the input rate for cache
    reads, cache writes and input images, the cache write rate for one-hour cache writes, the output rate for
    reasoning. Audio and generated images have no stand-in: without a rate for them the call has no price.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    image_input: Decimal | None = None
    image_output: Decimal | None = None

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
        per_request: USD for each call, in addition to its tokens.
        tiers: the rates for long inputs; stored in ascending order, with missing rates filled in.
        valid_from: the first day (UTC) of the price; None if it always holds.

    Raises:
        ValueError: a rate is negative, not finite or not a Decimal, or two tiers begin at the same count.
    """

    per_request: Decimal | None = None
    tiers: tuple[Tier, ...] = ()
    valid_from: date | None = None

    def __post_init__(self) -> None:
        Rates.__post_init__(self)
        if self.per_request is not None:
            check_rate(self.per_request, "per_request")
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
    return _EXACT.add(one, other)


class TokenCounts(NamedTuple):
    """Checked token counts: none is negative, and no part is larger than its total."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    reasoning: int
    audio_input: int
    audio_output: int
    image_input: int
    image_output: int | None
    """None if the provider did not report how many output tokens were images."""
    input_reported: bool
    output_reported: bool


class CostParts(NamedTuple):
    """The cost of a call in USD; the parts do not overlap, and their sum is the total."""

    total: Decimal
    input: Decimal
    """Input of every modality that was neither read from nor written to the provider's cache."""
    output: Decimal
    """All output: text, reasoning, audio, images."""
    cache_read: Decimal
    cache_write: Decimal
    request: Decimal


def checked_counts(
    usage: Usage | None, cache_write_1h: int | None, image_input: int | None, image_output: int | None
) -> TokenCounts | UnpricedReason:
    """Checks the usage of a call.

    Returns:
        The counts, or the reason why the call has no cost: `no_usage` if the provider counted nothing,
        `invalid_usage` if a count is negative, not an integer or absurdly large, or if parts exceed their total.
    """
    if usage is None or not (usage.input_tokens or usage.output_tokens):
        return "no_usage" if usage is None or not _has_parts(usage) else "invalid_usage"
    counts = (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_input_tokens,
        cache_write_1h,
        usage.reasoning_output_tokens,
        usage.audio_input_tokens,
        usage.audio_output_tokens,
        image_input,
        image_output,
    )
    for count in counts:
        if count is not None and (type(count) is not int or not 0 <= count < TOKENS_OF_A_CALL):
            return "invalid_usage"
    total_in, total_out = counts[0] or 0, counts[1] or 0
    read, written, written_1h = counts[2] or 0, counts[3] or 0, counts[4] or 0
    reasoning, audio_in, audio_out = counts[5] or 0, counts[6] or 0, counts[7] or 0
    image_in, image_out = counts[8] or 0, counts[9] or 0
    has_input, has_output = usage.input_tokens is not None, usage.output_tokens is not None
    if has_input and (read + written > total_in or audio_in + image_in > total_in):
        return "invalid_usage"
    if has_output and (reasoning > total_out or audio_out + image_out > total_out):
        return "invalid_usage"
    if written_1h > written:
        return "invalid_usage"
    return TokenCounts(
        total_in,
        total_out,
        read,
        written,
        written_1h,
        reasoning,
        audio_in,
        audio_out,
        image_in,
        image_output,
        has_input,
        has_output,
    )


def _has_parts(usage: Usage) -> bool:
    """Tells whether parts were counted although the totals are missing or 0."""
    return bool(
        usage.cache_read_input_tokens
        or usage.cache_write_input_tokens
        or usage.reasoning_output_tokens
        or usage.audio_input_tokens
        or usage.audio_output_tokens
    )


def cost_of(price: Price, counts: TokenCounts) -> CostParts | UnpricedReason:
    """Multiplies token counts by the rates of a price.

    Returns:
        The cost, or the reason why there is none: `no_rate` if some kind of tokens has no rate, `no_usage` if input
        or output has a rate but was not counted (an aborted stream may report its input only), `invalid_usage` if
        the rates need a split that the counts do not have (how much of the cached input was audio).
    """
    rates = price.at(counts.input) if price.tiers else price
    if (rates.input and not counts.input_reported) or (rates.output and not counts.output_reported):
        return "no_usage"
    application_context = getcontext()
    setcontext(_EXACT)  # operators are four times as fast as the methods of a context
    try:
        input_costs = _input_costs(rates, counts)
        if isinstance(input_costs, str):
            return input_costs
        output = _output_cost(rates, counts)
        if isinstance(output, str):
            return output
        fresh, read, written = input_costs
        request = price.per_request or ZERO
        return CostParts(fresh + output + read + written + request, fresh, output, read, written, request)
    finally:
        setcontext(application_context)


def _input_costs(rates: Rates, counts: TokenCounts) -> tuple[Decimal, Decimal, Decimal] | UnpricedReason:
    """Returns the cost of the input: uncached, read from the cache, written to the cache."""
    text = rates.input
    fresh = counts.input - counts.cache_read - counts.cache_write
    other = ZERO
    if counts.audio_input or counts.image_input:
        # usage reports cached tokens and audio tokens, but not cached audio tokens
        may_overlap = bool(counts.cache_read or counts.cache_write)
        image = _rate_or(rates.image_input, text)
        for tokens, rate in ((counts.audio_input, rates.audio_input), (counts.image_input, image)):
            if not tokens:
                continue
            if rate is None:
                return "no_rate"
            if rate == text:
                continue
            if may_overlap:
                return "invalid_usage"
            fresh -= tokens
            other += _amount(rate, tokens)
    if fresh and text is None:
        return "no_rate"
    plain = _amount(text, fresh)
    read = _rate_or(rates.cache_read, text)
    written = _rate_or(rates.cache_write, text)
    if (counts.cache_read and read is None) or (counts.cache_write and written is None):
        return "no_rate"
    writes = _amount(written, counts.cache_write - counts.cache_write_1h)
    if counts.cache_write_1h:
        writes += _amount(_rate_or(rates.cache_write_1h, written), counts.cache_write_1h)
    return plain + other, _amount(read, counts.cache_read), writes


def _output_cost(rates: Rates, counts: TokenCounts) -> Decimal | UnpricedReason:
    """Returns the cost of the output."""
    text = rates.output
    rest = counts.output
    if not rest:
        return ZERO
    images = counts.image_output
    if images is None and rates.image_output not in (None, text):
        # a model that makes images: they cost many times the text, and the provider did not count them separately
        return "no_rate"
    parts = ZERO
    if counts.reasoning or counts.audio_output or images:
        for tokens, rate in (
            (counts.audio_output, rates.audio_output),
            (images, rates.image_output),
            (counts.reasoning, _rate_or(rates.reasoning, text)),
        ):
            if not tokens:
                continue
            if rate is None:
                return "no_rate"
            if rate != text:
                rest -= tokens
                parts += _amount(rate, tokens)
        if rest < 0:
            return "invalid_usage"  # reasoning, audio and images overlap
    if rest and text is None:
        return "no_rate"
    return parts + _amount(text, rest)


def _rate_or(rate: Decimal | None, otherwise: Decimal | None) -> Decimal | None:
    return otherwise if rate is None else rate


def _amount(rate: Decimal | None, tokens: int) -> Decimal:
    """Returns the USD for some tokens; callers check first that tokens have a rate."""
    return rate * tokens * _PER_TOKEN if tokens and rate is not None else ZERO
