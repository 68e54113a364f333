"""The price of most calls: one rate for the input, one for what was read from the cache, one for the output.

It says the same as `arithmetic.py`, which knows every kind of tokens, in a fraction of the time.
"""

from operator import attrgetter
from types import NoneType

from otel_callbacks.cost.calls import Cost, Source
from otel_callbacks.cost.day_prices import DayPrices
from otel_callbacks.cost.rates import EXACT, PER_TOKEN, ZERO, Price
from otel_callbacks.limits import TOKENS_OF_A_CALL
from otel_callbacks.operations import Usage
from otel_callbacks.operations.usage import USAGE_FIELDS

_COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "reasoning_output_tokens")
_OTHERS = [each for each in USAGE_FIELDS if each not in (*_COUNTS, "cache_reported")]
_counts = attrgetter(*_COUNTS)
_others = attrgetter(*_OTHERS)
_NO_OTHERS = _others(Usage())
_KINDS = frozenset((int, NoneType))
_times, _plus = EXACT.multiply, EXACT.add


class PlainPrice:
    """A price of which three rates and a fee are all that matters, as long as only text is used.

    Args:
        price: the price; it has a rate for input and for output.
        source: where the price comes from.
        day: the model, and the version of the price data.
    """

    __slots__ = ("_cache_read", "_fee", "_input", "_model", "_most", "_output", "_source", "_version")

    def __init__(self, price: Price, source: Source, day: DayPrices) -> None:
        read = price.input if price.cache_read is None else price.cache_read
        self._input, self._cache_read, self._output = (
            ZERO if rate is None else _times(rate, PER_TOKEN) for rate in (price.input, read, price.output)
        )
        self._fee = price.per_request or ZERO
        self._most = min([TOKENS_OF_A_CALL - 1, *(tier.above for tier in price.tiers)])
        self._source, self._model, self._version = source, day.model, day.version

    def cost(self, usage: Usage) -> Cost | None:
        """Returns the cost of a usage; None for one that has other counts, lacks one, or is wrong in any way."""
        counts = _counts(usage)
        if _others(usage) != _NO_OTHERS or not _KINDS.issuperset(map(type, counts)):
            return None
        sent, received, read, thoughts = counts
        if not sent or not received:
            return None
        if not (
            0 <= (read or 0) <= sent <= self._most and 0 <= (thoughts or 0) <= received < TOKENS_OF_A_CALL
        ):
            return None  # with more input than `_most`, another tier has other rates
        cached = ZERO
        if read:
            cached, sent = _times(self._cache_read, read), sent - read
        fresh = _times(self._input, sent) if sent else ZERO
        output = _times(self._output, received)
        total = _plus(_plus(fresh, output), _plus(cached, self._fee))
        parts = fresh, output, cached, ZERO, self._fee
        made = (total, self._source, *parts, self._model, self._version, None, ())
        return tuple.__new__(Cost, made)  # its own constructor takes longer


def plain_price(source: Source, day: DayPrices) -> PlainPrice | None:
    """Returns the prices of a day as a plain price; None if more than that decides what text costs."""
    price = day.prices[0][1]
    if len(day.prices) > 1 or day.missing or price.input is None or price.output is None:
        return None
    if price.reasoning not in (None, price.output) or price.image_output not in (None, price.output):
        return None
    return PlainPrice(price, source, day)
