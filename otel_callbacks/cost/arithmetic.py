"""The arithmetic that makes the cost of a call from its counts and a price: exact decimals, never rounded."""

from collections.abc import Mapping
from decimal import Decimal, getcontext, setcontext
from operator import attrgetter
from typing import NamedTuple

from otel_callbacks.cost.rates import EXACT, PER_TOKEN, ZERO, Price, Rates, UnpricedReason
from otel_callbacks.limits import TOKENS_OF_A_CALL
from otel_callbacks.operations import TOKEN_COUNTS, Usage

_PER_UNIT = Decimal("0.001")

_all_counts = attrgetter(*TOKEN_COUNTS)
_parts = attrgetter(*(name for name in TOKEN_COUNTS if name not in ("input_tokens", "output_tokens")))
_parts_or_none = attrgetter(
    "image_output_tokens", "audio_cache_read_input_tokens", "image_cache_read_input_tokens"
)


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
    audio_cache_read: int | None
    """None if the provider did not report how many of the cached tokens were audio; so for images."""
    image_cache_read: int | None
    lacks_input: bool
    """Nobody counted the input, although the call is over; so for the output."""
    lacks_output: bool


_parts_of_input = attrgetter("cache_read", "cache_write", "audio_input", "image_input")
_NO_PARTS = (0,) * 7
"""The counts between the totals and the parts that may be unknown."""


class CostParts(NamedTuple):
    """The cost of a call in USD; the parts do not overlap, and their sum is the total."""

    total: Decimal
    input: Decimal
    """Input of every modality that was neither read from nor written to the provider's cache."""
    output: Decimal
    """All output: text, reasoning, audio, images."""
    cache_read: Decimal
    cache_write: Decimal
    fees: Decimal
    """What is not billed by the token: the request, searches."""


def checked_counts(usage: Usage | None) -> TokenCounts | UnpricedReason:
    """Checks the usage of a call.

    Returns:
        The counts, or the reason why the call has no cost: `no_usage` if the provider counted nothing,
        `estimated_usage` if the counts are an estimate, `invalid_usage` if they contradict each other, if one is
        negative, not an integer or absurdly large, or if parts exceed their total.
    """
    if usage is None:
        return "no_usage"
    if usage.contradictory:
        return "invalid_usage"
    if not (usage.input_tokens or usage.output_tokens):
        return "invalid_usage" if any(_all_counts(usage)) else "no_usage"
    if usage.estimated:
        return "estimated_usage"
    present = [*filter(None, _all_counts(usage))]
    if {*map(type, present)} != {int} or min(present) < 0 or max(present) >= TOKENS_OF_A_CALL:
        return "invalid_usage"
    lacking = usage.input_tokens is None and usage.is_final, usage.output_tokens is None and usage.is_final
    if not any(_parts(usage)):  # most calls report nothing but the two totals
        totals = usage.input_tokens or 0, usage.output_tokens or 0
        return tuple.__new__(TokenCounts, (*totals, *_NO_PARTS, *_parts_or_none(usage), *lacking))
    every = (
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        usage.cache_read_input_tokens or 0,
        usage.cache_write_input_tokens or 0,
        usage.cache_write_1h_input_tokens or 0,
        usage.reasoning_output_tokens or 0,
        usage.audio_input_tokens or 0,
        usage.audio_output_tokens or 0,
        usage.image_input_tokens or 0,
        *_parts_or_none(usage),
        *lacking,
    )
    counts = tuple.__new__(TokenCounts, every)
    return counts if _parts_fit(counts, usage) else "invalid_usage"


def _parts_fit(counts: TokenCounts, usage: Usage) -> bool:
    """Tells whether no part is larger than its total, where there is a total."""
    if usage.input_tokens is not None and (
        counts.cache_read + counts.cache_write > counts.input
        or counts.audio_input + counts.image_input > counts.input
    ):
        return False
    if usage.output_tokens is not None and (
        counts.reasoning > counts.output or counts.audio_output + (counts.image_output or 0) > counts.output
    ):
        return False
    heard, seen = counts.audio_cache_read or 0, counts.image_cache_read or 0
    return (
        counts.cache_write_1h <= counts.cache_write
        and heard + seen <= counts.cache_read
        and heard <= counts.audio_input
        and seen <= counts.image_input
    )


def fees_of(price: Price, units: Mapping[str, int] | None) -> tuple[Decimal, tuple[str, ...]]:
    """Returns what a call costs beside its tokens, and the units that the price does not cover.

    Raises:
        ValueError: a number of units is not one.
    """
    fees = price.per_request or ZERO
    if not units:
        return fees, ()
    missing = []
    for unit, number in units.items():
        if type(number) is not int or not 0 <= number < TOKENS_OF_A_CALL:
            raise ValueError(f"{unit}: {number!r}")
        rate = price.units.get(unit)
        if rate is not None:
            each = PER_TOKEN if unit.endswith("_tokens") else _PER_UNIT
            fees = EXACT.add(fees, EXACT.multiply(EXACT.multiply(rate, each), number))
        elif number and not (price.per_request is not None and unit.endswith(("requests", "searches"))):
            missing.append(unit)
    return fees, tuple(missing)


def cost_of(price: Price, counts: TokenCounts, fees: Decimal) -> CostParts | UnpricedReason:
    """Multiplies token counts by the rates of a price, and adds the fees.

    Returns:
        The cost, or the reason why there is none: `no_rate` if some kind of tokens has no rate, `no_usage` if input
        or output has a rate but was not counted, `invalid_usage` if the rates need a split that the counts do not
        have (how much of the cached input was audio).
    """
    rates = price.at(counts.input) if price.tiers else price
    if (rates.input and counts.lacks_input) or (rates.output and counts.lacks_output):
        return "no_usage"
    application_context = getcontext()
    setcontext(EXACT)  # operators are four times as fast as the methods of a context
    try:
        input_costs = _input_costs(rates, counts)
        if isinstance(input_costs, str):
            return input_costs
        output = _output_cost(rates, counts)
        if isinstance(output, str):
            return output
        fresh, read, written = input_costs
        return CostParts(fresh + output + read + written + fees, fresh, output, read, written, fees)
    finally:
        setcontext(application_context)


def _input_costs(rates: Rates, counts: TokenCounts) -> tuple[Decimal, Decimal, Decimal] | UnpricedReason:
    """Returns the cost of the input: uncached, read from the cache, written to the cache."""
    text = rates.input
    if not any(_parts_of_input(counts)):
        whole = _amount(text, counts.input), ZERO, ZERO
        return "no_rate" if counts.input and text is None else whole
    fresh = counts.input - counts.cache_read - counts.cache_write
    read_rate = _rate_or(rates.cache_read, text)
    read, fresh_other, read_other = counts.cache_read, ZERO, ZERO
    if counts.audio_input or counts.image_input:
        others = _other_input(rates, counts, read_rate)
        if isinstance(others, str):
            return others
        fresh, fresh_other = fresh - others.fresh, others.fresh_cost
        read, read_other = read - others.read, others.read_cost
    if fresh and text is None:
        return "no_rate"
    plain = _amount(text, fresh)
    write_rate = _rate_or(rates.cache_write, text)
    if (read and read_rate is None) or (counts.cache_write and write_rate is None):
        return "no_rate"
    writes = _amount(write_rate, counts.cache_write - counts.cache_write_1h)
    if counts.cache_write_1h:
        writes += _amount(_rate_or(rates.cache_write_1h, write_rate), counts.cache_write_1h)
    return plain + fresh_other, _amount(read_rate, read) + read_other, writes


class _OtherInput(NamedTuple):
    """The audio and images of an input that have other rates than its text: their tokens and what they cost."""

    fresh: int
    fresh_cost: Decimal
    read: int
    read_cost: Decimal


def _other_input(
    rates: Rates, counts: TokenCounts, read_rate: Decimal | None
) -> _OtherInput | UnpricedReason:
    fresh, fresh_cost, read, read_cost = 0, ZERO, 0, ZERO
    image = _rate_or(rates.image_input, rates.input)
    image_read = _rate_or(rates.image_cache_read, read_rate)
    for tokens, cached, rate, cached_rate in (
        (counts.audio_input, counts.audio_cache_read, rates.audio_input, rates.audio_cache_read),
        (counts.image_input, counts.image_cache_read, image, image_read),
    ):
        if not tokens:
            continue
        if rate is None:
            return "no_rate"
        if rate == rates.input and cached_rate in (read_rate, None):
            continue
        if counts.cache_write or (counts.cache_read and cached is None):
            return "invalid_usage"  # no report says how much of it was written or read
        if cached and cached_rate is None:
            return "no_rate"
        fresh += tokens - (cached or 0)
        fresh_cost += _amount(rate, tokens - (cached or 0))
        read += cached or 0
        read_cost += _amount(cached_rate, cached or 0)
    return _OtherInput(fresh, fresh_cost, read, read_cost)


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
    return rate * tokens * PER_TOKEN if tokens and rate is not None else ZERO
