"""The cost of a call. The provider's own figure comes first, then the user's price book, then the price list.

A price is never made up. A call without a known price is `Unpriced`, with the reason: an estimate would be added to
exact costs, and nobody could tell them apart afterwards. All money is USD in `Decimal` and never rounded; floats
appear only where a cost is written to a span or a metric.

What a call used beside its tokens (searches) is priced too. If some of it has no price, or nobody counted it, the cost
is partial: `missing` names what it leaves out. Costs leave out what no response reports: cache storage, taxes, free
quotas, and discounts of a contract (put those into a `PriceBook`).
"""

import os
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, get_args

from otel_callbacks.cost.arithmetic import CostParts, TokenCounts, checked_counts, cost_of, fees_of
from otel_callbacks.cost.calls import ENDED_EARLY, Call, Cost, Source, Unpriced
from otel_callbacks.cost.day_prices import DayPrices
from otel_callbacks.cost.plain_price import PlainPrice, plain_price
from otel_callbacks.cost.price_book import PriceBook
from otel_callbacks.cost.price_entry import PriceQuery
from otel_callbacks.cost.price_list import NotLoaded, PriceList, is_private_host, is_same_model, prices
from otel_callbacks.cost.rates import ZERO, Price, UnpricedReason
from otel_callbacks.cost.terms import terms_of
from otel_callbacks.limits import PRICES_REMEMBERED
from otel_callbacks.operations import Billing, Inference
from otel_callbacks.operations.providers import provider_name

__all__ = ["ENDED_EARLY", "Call", "Cost", "Pricer", "Prices", "Source", "Unpriced", "as_price_book"]

Prices = PriceBook | Mapping[str, Any] | str | os.PathLike[str]
"""A price book, a mapping in its format, or the path of a .toml or .json file."""

_NO_BILLING = Billing()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NS = 86_400_000_000_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_MIDNIGHT = time_of_day(0)

_BILL_REASONING_APART = frozenset(("perplexity", "api.perplexity.ai"))
"""Providers and hosts whose reasoning has a rate of its own, unlike the output (https://docs.perplexity.ai/getting-started/pricing)."""

_UNCOUNTED_TOKENS = "billed_tokens"
"""In `Call.unknown`: the tokens in the usage are not those that are billed."""

_UNCOUNTED_CACHE = "cached_tokens"
"""In `Call.unknown`: some of the input may have been read from the provider's cache, for less."""

_UNHEARD_COST = "reported_cost"
"""In `Call.unknown`: the provider said what it bills, which was not passed on. Its list price may be another one."""

_BILLED_BY_OTHERS = frozenset(("upstream_cost",))
"""In `Call.unknown`: what is billed by somebody else than who reports the cost."""


class _FoundPrices(NamedTuple):
    source: Source
    day: DayPrices
    starts: tuple[time_of_day, ...]
    bills_reasoning_apart: bool
    plain: PlainPrice | None


def _found_prices(source: Source, day: DayPrices, query: PriceQuery) -> _FoundPrices:
    starts = tuple(start for start, _ in day.prices)
    apart = not _BILL_REASONING_APART.isdisjoint((query.provider, query.host))
    return _FoundPrices(source, day, starts, apart, None if apart else plain_price(source, day))


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


class Pricer:
    """Computes the cost of calls; threads may share it.

    It looks up the rates of a model once per day of calls and remembers them, so most calls cost only arithmetic.

    Args:
        book: the user's own prices.
        price_list: the list prices; None to use only the book.
    """

    def __init__(self, book: PriceBook | None = None, price_list: PriceList | None = prices) -> None:
        self._book = book or PriceBook()
        self._price_list = price_list
        # `_find` raises NotLoaded, and exceptions are not remembered: the next call looks again
        self._lookup = lru_cache(maxsize=PRICES_REMEMBERED)(self._find)

    def start_import(self) -> None:
        """Imports the price list, see `PriceList.start_import`; called when a handler is made."""
        if self._price_list is not None:
            self._price_list.start_import()

    def ready(self, timeout: float | None = None) -> bool:
        """Waits for the price list, at most `timeout` seconds; tells whether it is available."""
        return self._price_list is not None and self._price_list.ready(timeout)

    def price(self, call: Call) -> Cost | Unpriced:
        """Returns the cost of a call, or the reason why it is unknown. Never waits for the price list.

        Raises:
            ValueError: `started_at` is a datetime without a time zone, or out of the calendar.
        """
        if not call.cached:
            return self._price(call)
        saved = self._price(call)
        if isinstance(saved, Unpriced):
            return _cost_of_cached_answer(None, None, None)
        return _cost_of_cached_answer(saved.total, saved.model, saved.version)

    def price_plain(self, call: Inference, started: int) -> Cost | None:
        """Returns what `price` would for a model call that is billed for text alone, as most are; else None.

        It must have no reported cost; `started` is in nanoseconds since 1970.
        """
        billing = call.billing or _NO_BILLING
        if call.usage is None or call.cached or billing.units or billing.unknown:
            return None
        tier = billing.service_tier or call.response_service_tier or call.request_service_tier
        conditions = tuple(billing.conditions.items()) if billing.conditions else ()
        try:
            found = self._lookup(
                *(call.provider, call.name, call.response_model, call.server_address, tier, conditions),
                started // _DAY_NS,
            )
        except NotLoaded:
            return None
        plain = found.plain if isinstance(found, _FoundPrices) else None
        return plain.cost(call.usage) if plain is not None else None

    def _price(self, call: Call) -> Cost | Unpriced:
        reported = call.reported_usd
        if isinstance(reported, Decimal) and reported.is_finite() and reported >= 0:
            # the reported total has everything in it that the same provider bills
            return Cost(reported, "reported", missing=tuple(_BILLED_BY_OTHERS.intersection(call.unknown)))
        if _UNCOUNTED_TOKENS in call.unknown:
            return _UNPRICED["no_usage"]
        counts = checked_counts(call.usage)
        if isinstance(counts, str) and (counts != "no_usage" or not (self._book.entries or call.units)):
            return _UNPRICED[counts]
        day, nanoseconds = divmod(_nanoseconds(call.started_at), _DAY_NS)
        try:
            found = self._lookup(
                call.provider,
                call.request_model,
                call.response_model,
                call.host,
                call.service_tier,
                tuple(call.conditions.items()) if call.conditions else (),
                day,
            )
        except NotLoaded:
            return _UNPRICED["prices_loading" if counts != "no_usage" else counts]
        if isinstance(found, Unpriced):
            return _UNPRICED[counts] if isinstance(counts, str) else found
        if found.source == "genai_prices" and _UNHEARD_COST in call.unknown:
            return _UNPRICED["no_rate"]
        return _cost(call, counts, _price_at(found, nanoseconds), found)

    def _find(
        self,
        provider: str | None,
        request_model: str | None,
        response_model: str | None,
        host: str | None,
        tier: str | None,
        conditions: tuple[tuple[str, str], ...],
        day: int,
    ) -> _FoundPrices | Unpriced:
        """Returns a model's prices on a day (counted from 1970), from the price book or else from the price list."""
        biller = _lower(provider_name(provider))
        query = PriceQuery(
            biller,
            _lower(request_model),
            _lower(response_model),
            _lower(host),
            terms_of(tier, conditions, biller),
            date.fromordinal(_EPOCH_ORDINAL + day),
        )
        entry = self._book.find(query)
        if entry is not None:
            since = entry.price.valid_from
            version = self._book.version or (since.isoformat() if since else None)
            day_prices = DayPrices(entry.model, version, ((_MIDNIGHT, entry.price),))
            return _found_prices("price_book", day_prices, query)
        found = self._find_listed(query)
        if (
            isinstance(found, Unpriced)
            and query.terms
            and self._book.find(query._replace(terms=())) is not None
        ):
            return _UNPRICED["no_rate"]  # the book knows the model, at other terms
        return found

    def _find_listed(self, query: PriceQuery) -> _FoundPrices | Unpriced:
        biller = self._book.biller(query.host)
        if biller is not None:
            query = query._replace(provider=biller, host=None)
        if is_private_host(query.host):
            return _UNPRICED["local_endpoint"]
        if self._price_list is None:
            return _UNPRICED["no_price_source"]
        listed = self._price_list.find(query, self._listed_names(query))
        if isinstance(listed, str):
            return _UNPRICED[listed]
        return _found_prices("genai_prices", listed, query)

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


_UNPRICED: dict[UnpricedReason, Unpriced] = {reason: Unpriced(reason) for reason in get_args(UnpricedReason)}


def _price_at(found: _FoundPrices, nanoseconds: int) -> Price:
    """Returns the price at a time of the day; most models have one price for the whole day."""
    prices = found.day.prices
    if len(prices) == 1:
        return prices[0][1]
    moment = (_EPOCH + timedelta(microseconds=nanoseconds // 1_000)).time()
    return prices[bisect_right(found.starts, moment) - 1][1]


def _cost(
    call: Call, counts: TokenCounts | UnpricedReason, price: Price, found: _FoundPrices
) -> Cost | Unpriced:
    try:
        fees, missing = fees_of(price, call.units)
    except ValueError:
        return _UNPRICED["invalid_usage"]
    if call.unknown or found.day.missing:
        missing = (*missing, *_left_out(call, price), *found.day.missing)
    cache_is_counted = _UNCOUNTED_CACHE not in missing
    parts: CostParts | UnpricedReason
    if isinstance(counts, str):
        parts = counts
    else:
        if found.bills_reasoning_apart and counts.reasoning and price.reasoning is None:
            counts = counts._replace(output=counts.output - counts.reasoning, reasoning=0)
            missing = (*missing, "reasoning_tokens")
        if not cache_is_counted:
            counts = counts._replace(
                cache_read=counts.input - counts.cache_write
            )  # the least that it can cost
        parts = cost_of(price, counts, fees)
    if isinstance(parts, str):
        if not _bills_only_units(price, call.units):
            return _UNPRICED[parts]
        parts = CostParts(fees, ZERO, ZERO, ZERO, ZERO, fees)
    if call.usage is not None and not call.usage.is_final:
        missing = (*missing, ENDED_EARLY)
    return Cost(
        total=parts.total,
        input=parts.input if cache_is_counted else None,
        output=parts.output,
        cache_read=parts.cache_read if cache_is_counted else None,
        cache_write=parts.cache_write,
        fees=parts.fees,
        source=found.source,
        model=found.day.model,
        version=found.day.version,
        missing=missing and tuple(sorted(set(missing))),
    )


def _left_out(call: Call, price: Price) -> Iterator[str]:
    """Yields what nobody counted of a call, as far as this price depends on it."""
    for name in call.unknown:
        if name == _UNCOUNTED_CACHE and not price.has_cheap_cache:
            continue
        if name != _UNHEARD_COST:  # here a price of the user's own: the list's does not come so far
            yield name


def _bills_only_units(price: Price, units: Mapping[str, int] | None) -> bool:
    """Tells whether a price is by the request or by other units of this call, and tokens do not count (a reranker)."""
    has_price = price.per_request is not None or any(unit in price.units for unit in units or ())
    return has_price and not price.bills_tokens


def _cost_of_cached_answer(saved: Decimal | None, model: str | None, version: str | None) -> Cost:
    return Cost(
        total=ZERO,
        input=ZERO,
        output=ZERO,
        cache_read=ZERO,
        cache_write=ZERO,
        fees=ZERO,
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
