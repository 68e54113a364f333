"""The prices of a model on one day, from its entry in genai-prices."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_callbacks.cost.price_entry import PriceQuery
from otel_callbacks.cost.rates import TOKEN_KINDS, ZERO, Price, Tier, UnpricedReason
from otel_callbacks.cost.terms import TIER, TIERS_AT_STANDARD_PRICE, rate_terms

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, Provider

_RATE_KEYS = (
    ("input", "input_mtok"),
    ("output", "output_mtok"),
    ("cache_read", "cache_read_mtok"),
    ("cache_write", "cache_write_mtok"),
    ("cache_write_1h", "cache_write_1h_mtok"),
    ("reasoning", "output_reasoning_mtok"),
    ("audio_input", "input_audio_mtok"),
    ("audio_output", "output_audio_mtok"),
    ("audio_cache_read", "cache_audio_read_mtok"),
    ("image_input", "input_image_mtok"),
    ("image_output", "output_image_mtok"),
    ("image_cache_read", "cache_image_read_mtok"),
)
_UNIT_KEYS = (
    ("web_searches", "web_searches_kcount"),
    ("file_searches", "storage_searches_kcount"),
    ("rerank_searches", "rerank_searches_kcount"),
    ("citation_tokens", "output_citation_mtok"),
)
_OLD_SEARCH_TOOL = ("openai", "gpt-4")
"""Models of OpenAI's that some versions of the search tool bill at 25 USD, others at the 10 USD of the list. The
response does not say which (https://platform.openai.com/docs/pricing)."""

_ZERO_RATES: dict[str, Any] = dict.fromkeys(TOKEN_KINDS, ZERO)
_FREE = Price(**_ZERO_RATES)
_MIDNIGHT = time_of_day(0)


class DayPrices(NamedTuple):
    """The prices of a model on one day.

    Attributes:
        model: the entry that matched; it may be a related model, so spans show it.
        version: the version of the price data.
        prices: times of day (UTC) and the price from then on; the first is midnight.
        missing: fees of every call that have no price.
    """

    model: str
    version: str | None
    prices: tuple[tuple[time_of_day, Price], ...]
    missing: tuple[str, ...] = ()


def prices_on_day(
    model: "ModelInfo", provider: "Provider", query: PriceQuery, version: str
) -> DayPrices | UnpricedReason:
    """Returns the prices of a model on the day of a call.

    Args:
        model: the entry of genai-prices.
        provider: who bills; the entry may be another provider's.
        query: the call.
        version: the version of the price data.

    Returns:
        The prices, or `no_rate` if genai-prices has none at the terms of the call or at some time of the day.
    """
    wanted = _variant_conditions(query, provider)
    is_own = any(model is each for each in provider.models)
    if wanted and not is_own:
        return (
            "no_rate"  # the entry is another provider's (OpenAI's for Azure), whose terms are not this one's
        )
    prices: list[tuple[time_of_day, Price]] = []
    missing: tuple[str, ...] = ()
    for start in _price_changes(model):
        stored = _stored_rates(model, datetime.combine(query.day, start, UTC), wanted)
        if stored is None:
            return "no_rate"
        missing = _remove_unsure_fees(stored, model, provider, query, is_own)
        price = _price(model.id, stored)
        if price is None:
            return "no_rate"
        prices.append((start, price))
    return DayPrices(model.id, version, tuple(prices), missing)


def _variant_conditions(query: PriceQuery, provider: "Provider") -> dict[str, str]:
    """Returns the terms of a call as genai-prices names them; empty for the standard price."""
    wanted = dict(rate_terms(query.terms))
    if (provider.id, wanted.get(TIER)) in TIERS_AT_STANDARD_PRICE:
        del wanted[TIER]
    if wanted.get(TIER) == "batch":
        del wanted[TIER]
        wanted["processing"] = "batch"
    return wanted


def _stored_rates(model: "ModelInfo", moment: datetime, wanted: Mapping[str, str]) -> dict[str, Any] | None:
    """Returns the rates at exactly these terms; None if genai-prices does not know them.

    Its own look-up returns the standard price for terms that it does not know.
    """
    stored = {key: value for key, value in vars(model.get_prices(moment)).items() if value is not None}
    if not wanted:
        return stored
    for variant in model.price_variants or ():
        if variant.when == wanted and (variant.constraint is None or variant.constraint.active(moment)):
            changes = {key: value for key, value in vars(variant.prices).items() if value is not None}
            return stored | changes
    return None


def _remove_unsure_fees(
    stored: dict[str, Any], model: "ModelInfo", provider: "Provider", query: PriceQuery, is_own: bool
) -> tuple[str, ...]:
    """Removes the fees that this call may not pay; returns those that every call pays."""
    unsure_search = (provider.id, model.id[:5]) == _OLD_SEARCH_TOOL
    for _, key in _UNIT_KEYS:
        if not is_own or (unsure_search and key == "web_searches_kcount"):
            stored.pop(key, None)
    # Perplexity's fee grows with the search context, and the list has the highest one
    # (https://docs.perplexity.ai/getting-started/pricing)
    if "requests_kcount" in stored and ("search_context_size", "high") not in query.terms:
        del stored["requests_kcount"]
        return ("requests",)
    return ()


def _price_changes(model: "ModelInfo") -> Iterable[time_of_day]:
    """Returns the times of day (UTC) at which the price of a model changes, starting with midnight."""
    conditions: list[Any] = list(model.price_variants or ())
    if isinstance(model.prices, list):
        conditions += model.prices
    times = {_MIDNIGHT}
    for condition in conditions:
        for edge in ("start_time", "end_time"):
            change: time_of_day | None = getattr(condition.constraint, edge, None)
            if change is not None:
                moment = datetime.combine(date(2000, 1, 1), change, change.tzinfo or UTC)
                times.add(moment.astimezone(UTC).time())
    return sorted(times)


def _price(model: str, stored: dict[str, Any]) -> Price | None:
    """Converts the rates of genai-prices; returns None if there are none.

    An entry without rates means that the price is unknown. Of the 179 such entries in the data, only those that
    OpenRouter marks `:free` are free.
    """
    if not stored:
        return _FREE if model.endswith(":free") else None
    if "embed" in model:
        stored.pop("output_mtok", None)  # no usage report counts vectors as output tokens
    if "output_video_mtok" in stored:
        stored.pop("output_mtok", None)  # usage does not say which output tokens were video
    starts = sorted({tier.start for value in stored.values() for tier in getattr(value, "tiers", ())})
    fee = stored.get("requests_kcount")
    return Price(
        **_rates_above(stored, None),
        per_request=None if fee is None else _base(fee).scaleb(-3),
        units={unit: _base(stored[key]) for unit, key in _UNIT_KEYS if key in stored},
        tiers=tuple(Tier(above=start, **_rates_above(stored, start)) for start in starts),
    )


def _rates_above(stored: Mapping[str, Any], start: int | None) -> dict[str, Any]:
    rates: dict[str, Any] = {}
    for kind, key in _RATE_KEYS:
        value = stored.get(key)
        if value is None:
            continue
        rates[kind] = _base(value)
        for tier in getattr(value, "tiers", ()):
            if start is not None and tier.start <= start:
                rates[kind] = tier.price
    return rates


def _base(value: Any) -> Decimal:
    rate: Decimal = value if isinstance(value, Decimal) else value.base
    return rate
