"""The cost of a call. The provider's own figure comes first, then the user's price book, then the price list.

A price is never made up. A call without a known price is `Unpriced`, with the reason: an estimate would be added to
exact costs, and nobody could tell them apart afterwards. All money is USD in `Decimal` and never rounded; floats
appear only where a cost is written to a span or a metric.

Costs leave out what no usage report counts: fees for searches and other provider tools, cache storage, taxes, and
discounts of a contract (put those into a `PriceBook`).
"""

import os
import threading
import time
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from otel_callbacks.cost.day_prices import DayPrices
from otel_callbacks.cost.price_book import PriceBook, PriceQuery, normal_tier
from otel_callbacks.cost.price_list import NotLoaded, PriceList, is_private_host, is_same_model
from otel_callbacks.cost.rates import (
    TOKEN_KINDS,
    ZERO,
    CostParts,
    Price,
    UnpricedReason,
    checked_counts,
    cost_of,
)
from otel_callbacks.limits import PRICES_REMEMBERED
from otel_callbacks.operations import Usage
from otel_callbacks.operations.providers import provider_name

Prices = PriceBook | Mapping[str, Any] | str | os.PathLike[str]
"""A price book, a mapping in its format, or the path of a .toml or .json file."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NS = 86_400_000_000_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MIDNIGHT = time_of_day(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Everything about a model call that its price depends on.

    Attributes:
        provider: as in `gen_ai.provider.name`.
        request_model: the requested model; may be an alias or the name of a deployment.
        response_model: the model that answered, as the provider names it; counts before `request_model`.
        host: the server's address, without the port; None for the provider's own.
        usage: None if the provider reported none.
        service_tier: from the response, or else from the request.
        batch: whether the call was part of a batch job.
        started_at: a datetime with a time zone, or nanoseconds since 1970; None for now.
        cached: whether the framework's own cache answered, so that nothing was sent.
        reported_usd: the cost that the provider or a gateway reports.
        cache_write_1h_tokens: the part of the cache writes that is kept for an hour.
        image_input_tokens: the part of the input that was images, if counted.
        image_output_tokens: the part of the output that was images; None if not counted.
    """

    provider: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    host: str | None = None
    usage: Usage | None = None
    service_tier: str | None = None
    batch: bool = False
    started_at: datetime | int | None = None
    cached: bool = False
    reported_usd: Decimal | None = None
    cache_write_1h_tokens: int | None = None
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None


Source = Literal["reported", "price_book", "genai_prices", "cache"]


class Cost(NamedTuple):
    """The cost of a call in USD, unrounded.

    The parts do not overlap, and their sum is the total. They are None if the provider reported only a total.

    Attributes:
        total: the whole cost.
        source: where the cost comes from; "cache" is the framework's own cache, which costs nothing.
        input: the cost of input that was neither read from nor written to the provider's cache.
        output: the cost of all output, including reasoning.
        cache_read: the cost of input read from the provider's cache.
        cache_write: the cost of input written to it.
        request: the fee per call, if there is one.
        model: the price entry that matched, perhaps for a related model; None if the provider reported the cost.
        version: the version of the price data.
        saved: what a cached answer would have cost; None if it has no price.
    """

    total: Decimal
    source: Source
    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    request: Decimal | None = None
    model: str | None = None
    version: str | None = None
    saved: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Unpriced:
    """The result for a call without a cost, with the reason."""

    reason: UnpricedReason


class _FoundPrices(NamedTuple):
    source: Source
    day: DayPrices
    starts: tuple[time_of_day, ...]


def _found_prices(source: Source, day: DayPrices) -> _FoundPrices:
    return _FoundPrices(source, day, tuple(start for start, _ in day.prices))


def as_price_book(prices: Prices) -> PriceBook:
    """Returns the price book in an argument: the book itself, a mapping, or a file.

    Raises:
        TypeError, PriceBookError: it is not a price book.
        OSError: the file cannot be read.
    """
    if isinstance(prices, PriceBook):
        return prices
    if isinstance(prices, Mapping):
        return PriceBook.of(prices)
    if isinstance(prices, str | os.PathLike):
        return PriceBook.load(os.fspath(prices))
    raise TypeError(f"prices must be a PriceBook, a mapping or the path of one, not {prices!r:.100}")


LIST_PRICES = PriceList()
"""The price list that all handlers of the process share, so that it is imported once."""


class Pricer:
    """Computes the cost of calls; threads may share it.

    It looks up the rates of a model once per day of calls and remembers them, so most calls cost only arithmetic.

    Args:
        book: the user's own prices.
        price_list: the list prices; None to use only the book.
    """

    def __init__(self, book: PriceBook | None = None, price_list: PriceList | None = LIST_PRICES) -> None:
        self._book = book or PriceBook()
        self._price_list = price_list
        # `_find` raises NotLoaded, and exceptions are not remembered: the next call looks again
        self._lookup = lru_cache(maxsize=PRICES_REMEMBERED)(self._find)

    def warm(self) -> threading.Thread | None:
        """Starts importing the price list in a daemon thread; called when a handler is made."""
        return self._price_list.warm() if self._price_list is not None else None

    def ready(self, timeout: float | None = None) -> bool:
        """Waits for the price list, at most `timeout` seconds; tells whether it is available."""
        return self._price_list is not None and self._price_list.ready(timeout)

    def price(self, call: Call) -> Cost | Unpriced:
        """Returns the cost of a call, or the reason why it is unknown.

        The first calls may wait for the price list, as long as `PriceList` allows. A call whose cost is reported, or
        whose price is in the book, never waits.

        Raises:
            ValueError: `started_at` is a datetime without a time zone, or out of the calendar.
        """
        if not call.cached:
            return self._price(call, wait=True)
        saved = self._price(call, wait=False)
        if isinstance(saved, Unpriced):
            return _cost_of_cached_answer(None, None, None)
        return _cost_of_cached_answer(saved.total, saved.model, saved.version)

    def _price(self, call: Call, *, wait: bool) -> Cost | Unpriced:
        reported = call.reported_usd
        if isinstance(reported, Decimal) and reported.is_finite() and reported >= 0:
            return Cost(total=reported, source="reported")
        counts = checked_counts(
            call.usage, call.cache_write_1h_tokens, call.image_input_tokens, call.image_output_tokens
        )
        if isinstance(counts, str) and (counts != "no_usage" or not self._book.entries):
            return _UNPRICED[counts]
        day, nanoseconds = divmod(_nanoseconds(call.started_at), _DAY_NS)
        try:
            found = self._lookup(
                call.provider,
                call.request_model,
                call.response_model,
                call.host,
                call.service_tier,
                call.batch,
                day,
            )
        except NotLoaded:
            if wait and self._price_list is not None and self._price_list.wait():
                return self._price(call, wait=False)
            return _UNPRICED["no_price_source"]
        if isinstance(counts, str):
            return _cost_per_request(found) or _UNPRICED[counts]
        if isinstance(found, Unpriced):
            return found
        parts = cost_of(_price_at(found, nanoseconds), counts)
        return _UNPRICED[parts] if isinstance(parts, str) else _cost(parts, found)

    def _find(
        self,
        provider: str | None,
        request_model: str | None,
        response_model: str | None,
        host: str | None,
        tier: str | None,
        batch: bool,
        day: int,
    ) -> _FoundPrices | Unpriced:
        """Returns a model's prices on a day (counted from 1970), from the price book or else from the price list."""
        tier = normal_tier(tier)
        query = PriceQuery(
            _lower(provider_name(provider)),
            _lower(request_model),
            _lower(response_model),
            _lower(host),
            tier,
            batch or tier == "batch",
            date.fromordinal(_EPOCH_ORDINAL + day),
        )
        entry = self._book.find(query)
        if entry is not None:
            since = entry.price.valid_from
            version = self._book.version or (since.isoformat() if since else None)
            return _found_prices("price_book", DayPrices(entry.model, version, ((_MIDNIGHT, entry.price),)))
        return self._find_listed(query)

    def _find_listed(self, query: PriceQuery) -> _FoundPrices | Unpriced:
        biller = self._book.biller(query.host)
        if biller is not None:
            query = query._replace(provider=biller, host=None)
        if is_private_host(query.host):
            return _UNPRICED["local_endpoint"]
        if self._price_list is None:
            return _UNPRICED["no_price_source"]
        prices = self._price_list.find(query, self._listed_names(query))
        return _UNPRICED[prices] if isinstance(prices, str) else _found_prices("genai_prices", prices)

    def _listed_names(self, query: PriceQuery) -> list[str]:
        """Returns the names to look up: the model that answered, and the requested one if it is the same model.

        The requested model cannot price the answer of an unknown one: "latest" and a router's "auto" change their
        meaning. An alias in the user's book can.
        """
        response, request = query.response_model, query.request_model
        aliases = self._book.aliases
        names: list[str] = []
        if response:
            names.append(aliases.get(response, response))
        if request and (request in aliases or not response or is_same_model(response, request)):
            names.append(aliases.get(request, request))
        return names


_UNPRICED: dict[UnpricedReason, Unpriced] = {
    reason: Unpriced(reason)
    for reason in (
        "unknown_model",
        "unknown_provider",
        "local_endpoint",
        "no_usage",
        "no_rate",
        "invalid_usage",
        "no_price_source",
    )
}


def _price_at(found: _FoundPrices, nanoseconds: int) -> Price:
    """Returns the price at a time of the day; most models have one price for the whole day."""
    prices = found.day.prices
    if len(prices) == 1:
        return prices[0][1]
    moment = (_EPOCH + timedelta(microseconds=nanoseconds // 1_000)).time()
    return prices[bisect_right(found.starts, moment) - 1][1]


def _cost(parts: CostParts, found: _FoundPrices) -> Cost:
    return Cost(
        total=parts.total,
        input=parts.input,
        output=parts.output,
        cache_read=parts.cache_read,
        cache_write=parts.cache_write,
        request=parts.request,
        source=found.source,
        model=found.day.model,
        version=found.day.version,
    )


def _cost_per_request(found: _FoundPrices | Unpriced) -> Cost | None:
    """Returns the cost of a call without token counts, if the book prices only the call (a reranker)."""
    if isinstance(found, Unpriced) or found.source != "price_book":
        return None
    price = found.day.prices[0][1]
    if price.per_request is None or any(getattr(price, kind) is not None for kind in TOKEN_KINDS):
        return None
    return _cost(CostParts(price.per_request, ZERO, ZERO, ZERO, ZERO, price.per_request), found)


def _cost_of_cached_answer(saved: Decimal | None, model: str | None, version: str | None) -> Cost:
    return Cost(
        total=ZERO,
        input=ZERO,
        output=ZERO,
        cache_read=ZERO,
        cache_write=ZERO,
        request=ZERO,
        source="cache",
        model=model,
        version=version,
        saved=saved,
    )


def _nanoseconds(moment: datetime | int | None) -> int:
    """Converts a moment to nanoseconds since 1970.

    Raises:
        ValueError: the datetime has no time zone, so its day is unknown.
    """
    if moment is None:
        return time.time_ns()
    if isinstance(moment, int):
        return moment
    if moment.tzinfo is None:
        raise ValueError(f"started_at has no time zone: {moment}")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def _lower(name: str | None) -> str | None:
    return name.strip().lower() or None if name else None
