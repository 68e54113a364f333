"""The prices of a model on one day, from its entry in genai-prices."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_callbacks.cost.price_book import PriceQuery
from otel_callbacks.cost.rates import TOKEN_KINDS, ZERO, Price, Tier, UnpricedReason

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

_TIERS_AT_STANDARD_PRICE = frozenset((("groq", "flex"),))
"""Other service tiers at the price of the standard tier (https://console.groq.com/docs/flex-processing)."""

_RATE_KEYS = (
    ("input", "input_mtok"),
    ("output", "output_mtok"),
    ("cache_read", "cache_read_mtok"),
    ("cache_write", "cache_write_mtok"),
    ("cache_write_1h", "cache_write_1h_mtok"),
    ("reasoning", "output_reasoning_mtok"),
    ("audio_input", "input_audio_mtok"),
    ("audio_output", "output_audio_mtok"),
    ("image_input", "input_image_mtok"),
    ("image_output", "output_image_mtok"),
)

_ZERO_RATES: dict[str, Any] = dict.fromkeys(TOKEN_KINDS, ZERO)
_FREE = Price(**_ZERO_RATES)
_MIDNIGHT = time_of_day(0)


class DayPrices(NamedTuple):
    """The prices of a model on one day.

    Attributes:
        model: the entry that matched; it may be a related model, so spans show it.
        version: the version of the price data.
        prices: times of day (UTC) and the price from then on; the first is midnight.
    """

    model: str
    version: str | None
    prices: tuple[tuple[time_of_day, Price], ...]


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
        The prices, or `no_rate` if genai-prices has none for the service tier or at some time of the day.
    """
    context = _pricing_context(query)
    is_standard = not (query.service_tier or query.batch)
    if not (
        is_standard
        or (provider.id, query.service_tier) in _TIERS_AT_STANDARD_PRICE
        or _has_price_for(context, model, provider, query)
    ):
        return "no_rate"
    prices: list[tuple[time_of_day, Price]] = []
    for start in _price_changes(model):
        moment = datetime.combine(query.day, start, UTC)
        price = _price(model.id, model.get_prices(moment, context))
        if price is None:
            return "no_rate"
        prices.append((start, price))
    return DayPrices(model.id, version, tuple(prices))


def _pricing_context(query: PriceQuery) -> dict[str, str]:
    context = {"service_tier": query.service_tier} if query.service_tier else {}
    if query.service_tier == "fast":
        context["speed"] = "fast"  # Anthropic's name for it
    if query.batch:
        context["processing"] = "batch"
    return context


def _has_price_for(
    context: dict[str, str], model: "ModelInfo", provider: "Provider", query: PriceQuery
) -> bool:
    """Tells whether the provider has a price for this service tier; if not, genai-prices returns the standard price."""
    if not any(model is candidate for candidate in provider.models):
        return False  # the entry is another provider's (OpenAI's for Azure), whose tiers are not this one's
    moment = datetime.combine(query.day, _MIDNIGHT, UTC)
    return any(
        (variant.constraint is None or variant.constraint.active(moment))
        and variant.when.items() <= context.items()
        for variant in model.price_variants or ()
    )


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


def _price(model: str, rates: "ModelPrice") -> Price | None:
    """Converts the rates of genai-prices; returns None if there are none.

    An entry without rates means that the price is unknown. Of the 179 such entries in the data, only those that
    OpenRouter marks `:free` are free.
    """
    stored = {key: value for key, value in vars(rates).items() if value is not None}
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
