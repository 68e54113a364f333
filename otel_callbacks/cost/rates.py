"""What a token costs, and what a call of so many tokens therefore owes: exact decimals, never rounded.

All money is USD. Rates are per million tokens, as every provider prints them.
"""

from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, getcontext, setcontext
from typing import Literal, NamedTuple

from otel_callbacks.operations import Usage

Reason = Literal[
    "unknown_model",
    "unknown_provider",
    "local_endpoint",
    "no_usage",
    "no_rate",
    "invalid_usage",
    "no_price_source",
]
"""Why a call has no price; the values of `otel_callbacks.cost.unpriced_reason`."""

ZERO = Decimal(0)
MAX_DIGITS = 24
"""Significant digits a rate may have. With counts below 10**15 no product or sum can outgrow `_EXACT`."""

# Our own context: the application may have set a precision of its own for the thread. Digits enough that
# nothing is ever rounded; should it happen nevertheless, it is an error and not a wrong price.
_EXACT = Context(prec=120, traps=[InvalidOperation, Overflow, Inexact])
_PER_TOKEN = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """USD per million tokens of each kind; None is "not listed", which is not the same as a listed 0.

    Where a rate is not listed, cache reads and writes are billed as input and reasoning as output, which is what
    providers do (and genai-prices does); one-hour cache writes are billed as cache writes, images that were sent
    as input, because vision models count them so. Audio and images that were made have no such stand-in: a call
    with tokens of a kind that has no rate has no price.
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
        for kind in KINDS:
            if (rate := getattr(self, kind)) is not None:
                check_rate(rate, kind)


KINDS = tuple(field.name for field in fields(Rates))
"""The kinds of tokens that have a rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier(Rates):
    """The rates of a call with more than `above` input tokens (cache included): all its tokens pay them.

    A rate that the tier does not name is that of the tier below it.
    """

    above: int

    def __post_init__(self) -> None:
        Rates.__post_init__(self)
        if type(self.above) is not int or self.above < 0:
            raise ValueError(f"above must be a number of tokens, not {self.above!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Rates):
    """What a model costs.

    Attributes:
        per_request: USD owed for the call itself, whatever its tokens.
        tiers: rates of long inputs, a cliff each; kept in ascending order, with what they leave out filled in.
        valid_from: the first day, in UTC, on which the price holds; None is always.

    Raises:
        ValueError: a rate is negative, not finite or no Decimal, or two tiers begin at the same count.
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
            missing = {kind: getattr(below, kind) for kind in KINDS if getattr(tier, kind) is None}
            below = replace(tier, **missing)
            completed.append(below)
        return completed

    def at(self, input_tokens: int) -> Rates:
        """The rates of a call with so many input tokens, cache included."""
        rates: Rates = self
        for tier in self.tiers:
            if input_tokens > tier.above:
                rates = tier
        return rates


def check_rate(rate: object, name: str) -> None:
    """Refuses what is no price.

    Raises:
        ValueError: `rate` is not a Decimal (a float is not exact, a bool not a number), negative, NaN, infinite
            or longer than `MAX_DIGITS`.
    """
    if not isinstance(rate, Decimal):
        raise ValueError(f"{name} must be a Decimal, not {rate!r}")
    if not rate.is_finite():
        raise ValueError(f"{name} must be a finite number, not {rate}")
    if rate < 0:
        raise ValueError(f"{name} must not be negative, and is {rate}")
    _, digits, exponent = rate.as_tuple()
    if len(digits) > MAX_DIGITS or not -MAX_DIGITS <= int(exponent) <= MAX_DIGITS:
        raise ValueError(f"{name} has more digits than a price: {rate}")


def add(one: Decimal, other: Decimal) -> Decimal:
    """The exact sum, whatever precision the application has set for the thread."""
    return _EXACT.add(one, other)


class Counts(NamedTuple):
    """Token counts that were checked: all at least 0, no part larger than its whole."""

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
    """None: the caller cannot tell images from text."""
    input_reported: bool
    output_reported: bool


class Bill(NamedTuple):
    """What a call owes, in USD and in parts that do not overlap: their sum is the total."""

    total: Decimal
    input: Decimal
    """Input that was neither read from nor written to the provider's cache, of every modality."""
    output: Decimal
    """All output: text, reasoning, audio, images."""
    cache_read: Decimal
    cache_write: Decimal
    request: Decimal


def counts_of(
    usage: Usage | None, cache_write_1h: int | None, image_input: int | None, image_output: int | None
) -> Counts | Reason:
    """Reads and checks the usage of a call.

    Returns:
        The counts, or why there are none: `no_usage` if nothing at all was counted, `invalid_usage` if a count
        is negative or no integer, or if the parts of a total are larger than the total.
    """
    if usage is None or not (usage.input_tokens or usage.output_tokens):
        return "no_usage" if usage is None or not _holds_any(usage) else "invalid_usage"
    given = (
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
    for count in given:
        if count is not None and (type(count) is not int or not 0 <= count < 10**15):
            return "invalid_usage"
    sent, received = given[0] or 0, given[1] or 0
    read, written, hour = given[2] or 0, given[3] or 0, given[4] or 0
    reasoning, heard, spoken = given[5] or 0, given[6] or 0, given[7] or 0
    seen, drawn = given[8] or 0, given[9] or 0
    if usage.input_tokens is not None and (read + written > sent or heard + seen > sent):
        return "invalid_usage"
    if usage.output_tokens is not None and (reasoning > received or spoken + drawn > received):
        return "invalid_usage"
    if hour > written:
        return "invalid_usage"
    sides = usage.input_tokens is not None, usage.output_tokens is not None
    return Counts(sent, received, read, written, hour, reasoning, heard, spoken, seen, image_output, *sides)


def _holds_any(usage: Usage) -> bool:
    """Whether something was counted although the totals are missing or 0: a part larger than its whole."""
    return bool(
        usage.cache_read_input_tokens
        or usage.cache_write_input_tokens
        or usage.reasoning_output_tokens
        or usage.audio_input_tokens
        or usage.audio_output_tokens
    )


def bill(price: Price, counts: Counts) -> Bill | Reason:
    """Multiplies.

    Returns:
        What is owed, or `no_rate` if tokens of some kind have no rate, `no_usage` if a side that costs something
        was not counted (a broken-off stream that reported its input only), or `invalid_usage` if the rates need
        a split that the counts do not tell (how much of the cached input was audio).
    """
    rates = price.at(counts.input) if price.tiers else price
    if (rates.input and not counts.input_reported) or (rates.output and not counts.output_reported):
        return "no_usage"
    theirs = getcontext()
    setcontext(_EXACT)  # operators are four times as fast as the methods of a context
    try:
        sent = _input_side(rates, counts)
        if isinstance(sent, str):
            return sent
        output = _output_side(rates, counts)
        if isinstance(output, str):
            return output
        fresh, read, written = sent
        request = price.per_request or ZERO
        return Bill(fresh + output + read + written + request, fresh, output, read, written, request)
    finally:
        setcontext(theirs)


def _input_side(rates: Rates, counts: Counts) -> tuple[Decimal, Decimal, Decimal] | Reason:
    """What the input owes: fresh, read from the cache, written to the cache."""
    text = rates.input
    fresh = counts.input - counts.cache_read - counts.cache_write
    other = ZERO
    if counts.audio_input or counts.image_input:
        # Usage counts what was cached and what was audio, but not what was both
        mixed = bool(counts.cache_read or counts.cache_write)
        image = _first(rates.image_input, text)
        for tokens, rate in ((counts.audio_input, rates.audio_input), (counts.image_input, image)):
            if not tokens:
                continue
            if rate is None:
                return "no_rate"
            if rate == text:
                continue
            if mixed:
                return "invalid_usage"
            fresh -= tokens
            other += _owed(rate, tokens)
    if fresh and text is None:
        return "no_rate"
    plain = _owed(text, fresh)
    read = _first(rates.cache_read, text)
    written = _first(rates.cache_write, text)
    if (counts.cache_read and read is None) or (counts.cache_write and written is None):
        return "no_rate"
    writes = _owed(written, counts.cache_write - counts.cache_write_1h)
    if counts.cache_write_1h:
        writes += _owed(_first(rates.cache_write_1h, written), counts.cache_write_1h)
    return plain + other, _owed(read, counts.cache_read), writes


def _output_side(rates: Rates, counts: Counts) -> Decimal | Reason:
    """What the output owes."""
    text = rates.output
    rest = counts.output
    if not rest:
        return ZERO
    drawn = counts.image_output
    if drawn is None and rates.image_output not in (None, text):
        # a model that draws: pictures cost many times the text, and nobody counted which is which
        return "no_rate"
    parts = ZERO
    if counts.reasoning or counts.audio_output or drawn:
        for tokens, rate in (
            (counts.audio_output, rates.audio_output),
            (drawn, rates.image_output),
            (counts.reasoning, _first(rates.reasoning, text)),
        ):
            if not tokens:
                continue
            if rate is None:
                return "no_rate"
            if rate != text:
                rest -= tokens
                parts += _owed(rate, tokens)
        if rest < 0:
            return "invalid_usage"  # reasoning, audio and images overlap
    if rest and text is None:
        return "no_rate"
    return parts + _owed(text, rest)


def _first(rate: Decimal | None, otherwise: Decimal | None) -> Decimal | None:
    return otherwise if rate is None else rate


def _owed(rate: Decimal | None, tokens: int) -> Decimal:
    """USD for so many tokens at a rate per million; tokens without a rate were refused before."""
    return rate * tokens * _PER_TOKEN if tokens and rate is not None else ZERO
