"""What a call cost: reported by the provider, else by the user's own prices, else by the list prices, else nothing.

A price is never made up. What is not known is `Unpriced`, with its reason; an estimate would be added up with the
facts and could not be told from them afterwards. All money is USD in `Decimal` and is never rounded; who needs a
float converts at the very end.

Not included, because no usage report that reaches a callback counts it: fees for searches and other tools of the
provider, storage of caches, taxes, discounts of a contract (write those into a `PriceBook`).
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

from otel_callbacks.cost.price_book import PriceBook, PriceBookError, Query, standard_tier
from otel_callbacks.cost.price_list import Listed, NotLoaded, PriceList, is_local, same_model
from otel_callbacks.cost.rates import KINDS, ZERO, Bill, Price, Reason, Tier, bill, counts_of
from otel_callbacks.operations import Usage
from otel_callbacks.operations.providers import provider_name

__all__ = [
    "Call",
    "Cost",
    "Price",
    "PriceBook",
    "PriceBookError",
    "PriceList",
    "Pricer",
    "Prices",
    "Reason",
    "Tier",
    "Unpriced",
    "price_book",
]

Prices = PriceBook | Mapping[str, Any] | str | os.PathLike[str]
"""A price book, a mapping of its form, or the path of a .toml or .json file."""

LOOKUPS = 2_048
"""How many lookups a pricer remembers, those without a result included."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NS = 86_400_000_000_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MIDNIGHT = time_of_day(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a model, as far as its price depends on it.

    Attributes:
        provider: as in `gen_ai.provider.name`.
        request_model: as asked for; an alias or the name of a deployment, perhaps.
        response_model: as the provider names what answered; counts before `request_model`.
        host: the server's address, without the port; None is the provider's own.
        usage: None if none was reported.
        service_tier: as the response reports it, or else as asked for.
        batch: whether it was part of a batch job.
        started_at: an aware datetime, or nanoseconds since 1970; None is now.
        cached: answered from the framework's own cache, so that nothing was sent.
        reported_usd: what the provider or a gateway says it cost.
        cache_write_1h_tokens: the part of the usage's cache writes that is kept for an hour.
        image_input_tokens: the part of the input that was images, if counted.
        image_output_tokens: the part of the output that was images; None if nobody counted.
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
    """What a call cost, in USD, unrounded.

    The parts do not overlap, their sum is the total; all are None if only a total was reported.

    Attributes:
        total: what is owed.
        input: for input that the provider's cache had no part in.
        output: for all output, reasoning included.
        cache_read: for input read from the provider's cache.
        cache_write: for input written to it.
        request: the fee per call, where there is one.
        source: who says so; "cache" is the framework's own, which costs nothing.
        model: the entry that matched, None if the cost was reported. It may be a sibling of the model.
        version: of the price data.
        saved: what a cached answer would have cost; None if that has no price.
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
    """Why a call has no cost."""

    reason: Reason


class _Found(NamedTuple):
    source: Source
    listed: Listed
    starts: tuple[time_of_day, ...]


def _found(source: Source, listed: Listed) -> _Found:
    return _Found(source, listed, tuple(start for start, _ in listed.prices))


def price_book(prices: Prices) -> PriceBook:
    """The price book that an argument stands for.

    Raises:
        TypeError, PriceBookError: it is none.
        OSError: the file cannot be read.
    """
    if isinstance(prices, PriceBook):
        return prices
    if isinstance(prices, Mapping):
        return PriceBook.of(prices)
    if isinstance(prices, str | os.PathLike):
        return PriceBook.load(os.fspath(prices))
    raise TypeError(f"prices must be a PriceBook, a mapping or the path of one, not {prices!r:.100}")


# one for the process: several handlers need not import the list prices several times
LIST_PRICES = PriceList()
"""genai-prices."""


class Pricer:
    """Prices calls; safe to share between threads.

    A model's rates are looked up once a day and remembered; a call of a model seen before is arithmetic only.

    Args:
        book: the user's own prices.
        catalogue: the list prices; None for none.
    """

    def __init__(self, book: PriceBook | None = None, catalogue: PriceList | None = LIST_PRICES) -> None:
        self._book = book or PriceBook()
        self._price_list = catalogue
        # a NotLoaded is raised and so not remembered: the next call asks again
        self._lookup = lru_cache(maxsize=LOOKUPS)(self._find)

    def warm(self) -> threading.Thread | None:
        """Starts importing the list prices in a daemon thread; call it where a handler is made."""
        return self._price_list.warm() if self._price_list is not None else None

    def ready(self, timeout: float | None = None) -> bool:
        """Waits until the list prices are there, at most `timeout` seconds; whether they are."""
        return self._price_list is not None and self._price_list.ready(timeout)

    def price(self, call: Call) -> Cost | Unpriced:
        """What a call cost, or why that is not known.

        The first calls may wait for the list prices, within the limits of `Catalogue`; a call whose price is
        reported or in the book never does.

        Raises:
            ValueError: `started_at` is a datetime without a time zone, or out of the calendar.
        """
        if not call.cached:
            return self._price(call, wait=True)
        owed = self._price(call, wait=False)
        if isinstance(owed, Unpriced):
            return _nothing(None, None, None)
        return _nothing(owed.total, owed.model, owed.version)

    def _price(self, call: Call, *, wait: bool) -> Cost | Unpriced:
        reported = call.reported_usd
        if isinstance(reported, Decimal) and reported.is_finite() and reported >= 0:
            return Cost(total=reported, source="reported")
        counts = counts_of(
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
            return _fee(found) or _UNPRICED[counts]
        if isinstance(found, Unpriced):
            return found
        owed = bill(_at(found, nanoseconds), counts)
        if isinstance(owed, str):
            return _UNPRICED[owed]
        return _cost(owed, found)

    def _find(
        self,
        provider: str | None,
        request_model: str | None,
        response_model: str | None,
        host: str | None,
        tier: str | None,
        batch: bool,
        day: int,
    ) -> _Found | Unpriced:
        """The rates of a model on one day (since 1970): the user's own, or else the listed ones."""
        tier = standard_tier(tier)
        query = Query(
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
            return _found("price_book", Listed(entry.model, version, ((_MIDNIGHT, entry.price),)))
        return self._find_listed(query)

    def _find_listed(self, query: Query) -> _Found | Unpriced:
        biller = self._book.biller(query.host)
        if biller is not None:
            query = query._replace(provider=biller, host=None)
        if is_local(query.host):
            return _UNPRICED["local_endpoint"]
        if self._price_list is None:
            return _UNPRICED["no_price_source"]
        listed = self._price_list.find(query, self._names(query))
        return _UNPRICED[listed] if isinstance(listed, str) else _found("genai_prices", listed)

    def _names(self, query: Query) -> list[str]:
        """What the model is called in the list: what answered, and what was asked for if it is the same.

        What was asked for is no substitute for an answer from an unknown model: "latest" and a router's "auto" mean
        another model every month. An alias that the user declared is.
        """
        response, request = query.response_model, query.request_model
        aliases = self._book.aliases
        names: list[str] = []
        if response:
            names.append(aliases.get(response, response))
        if request and (request in aliases or not response or same_model(response, request)):
            names.append(aliases.get(request, request))
        return names


_UNPRICED: dict[Reason, Unpriced] = {
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


def _at(found: _Found, nanoseconds: int) -> Price:
    """The price at a time of the day; almost always there is only one."""
    prices = found.listed.prices
    if len(prices) == 1:
        return prices[0][1]
    moment = (_EPOCH + timedelta(microseconds=nanoseconds // 1_000)).time()
    return prices[bisect_right(found.starts, moment) - 1][1]


def _cost(owed: Bill, found: _Found) -> Cost:
    return Cost(
        total=owed.total,
        input=owed.input,
        output=owed.output,
        cache_read=owed.cache_read,
        cache_write=owed.cache_write,
        request=owed.request,
        source=found.source,
        model=found.listed.model,
        version=found.listed.version,
    )


def _fee(found: _Found | Unpriced) -> Cost | None:
    """What a call owes of which no tokens were counted, if the user's price is per call alone (a reranker's)."""
    if isinstance(found, Unpriced) or found.source != "price_book":
        return None
    price = found.listed.prices[0][1]
    if price.per_request is None or any(getattr(price, kind) is not None for kind in KINDS):
        return None
    return _cost(Bill(price.per_request, ZERO, ZERO, ZERO, ZERO, price.per_request), found)


def _nothing(saved: Decimal | None, model: str | None, version: str | None) -> Cost:
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
    """Nanoseconds since 1970.

    Raises:
        ValueError: the datetime has no time zone, so that nobody knows which day it was.
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
