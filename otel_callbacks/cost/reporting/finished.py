"""What a finished span says its call cost, and what the call costs when it is priced again from its tokens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal
from typing import Any, Literal

from otel_callbacks import semconv
from otel_callbacks.cost.model_calls import COSTS, Span
from otel_callbacks.cost.pricing import Call, Pricer, Unpriced
from otel_callbacks.cost.rates import ZERO
from otel_callbacks.operations import Usage
from otel_callbacks.operations.providers import count

EXACT = Context(prec=120)
"""For sums: digits enough that no sum of what spans carry is rounded."""

NOT_RECORDED = "no cost recorded"
"""The reason of a call on which nobody wrote a cost or why there is none."""

_EPOCH = date(1970, 1, 1).toordinal()
_DAY_NS = 86_400_000_000_000

Status = Literal["priced", "reported", "cached", "unpriced", "failed"]


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call cost, or why nobody knows.

    Attributes:
        status: as in `otel_callbacks.cost.status`; `failed` is a call that ended in an error before anything was
            counted, so that it is neither priced nor unpriced.
        usd: what it cost; None unless `priced`, `reported` or `cached`.
        saved_usd: what the framework's own cache saved.
        reason: why it is `unpriced`.
    """

    status: Status
    usd: Decimal | None = None
    saved_usd: Decimal | None = None
    reason: str | None = None


Charging = Callable[[Span], Charge]
"""Where the cost of a call comes from: `recorded`, or `repriced` with some prices."""


def recorded(span: Span) -> Charge:
    """What the span carries, also one that another writer wrote. Never rounded: 0.1 is one tenth."""
    attributes = span.attributes
    status = attributes.get(semconv.COST_STATUS)
    if status == "cached":
        return Charge("cached", ZERO, _usd(attributes.get(semconv.COST_SAVED_USD)))
    usd = next((usd for name in COSTS if (usd := _usd(attributes.get(name))) is not None), None)
    if usd is not None:
        return Charge("reported" if status == "reported" else "priced", usd)
    if status is None and _failed(span):
        return Charge("failed")
    reason = attributes.get(semconv.COST_UNPRICED_REASON)
    return Charge("unpriced", reason=reason if isinstance(reason, str) else NOT_RECORDED)


def repriced(pricer: Pricer) -> Charging:
    """Prices calls again, from their tokens and at the prices of the day on which they began.

    Waits for the list prices. A cost that the provider reported counts no longer. What a span does not tell cannot
    be priced: that it was part of a batch, that cache writes were for an hour, how many tokens were images.
    """
    pricer.ready()

    def charging(span: Span) -> Charge:
        before = recorded(span)
        if before.status == "failed":
            return before
        call = call_of(span)
        cost = pricer.price(call)
        if isinstance(cost, Unpriced):
            return Charge("unpriced", reason=cost.reason)
        return Charge("cached" if call.cached else "priced", cost.total, cost.saved)

    return charging


def call_of(span: Span) -> Call:
    """The call that a span is the record of."""
    attributes = span.attributes
    cached = attributes.get(semconv.COST_STATUS) == "cached"
    return Call(
        provider=text(attributes, semconv.PROVIDER_NAME),
        request_model=text(attributes, semconv.REQUEST_MODEL),
        response_model=text(attributes, semconv.RESPONSE_MODEL),
        host=text(attributes, semconv.SERVER_ADDRESS),
        usage=_usage_of_cached(attributes) if cached else usage_of(attributes),
        service_tier=text(attributes, semconv.OPENAI_RESPONSE_SERVICE_TIER)
        or text(attributes, semconv.OPENAI_REQUEST_SERVICE_TIER),
        started_at=span.start_ns,
        cached=cached,
    )


def usage_of(attributes: Mapping[str, Any]) -> Usage:
    """The token counts among a span's attributes."""
    return Usage(
        count(attributes.get(semconv.USAGE_INPUT_TOKENS)),
        count(attributes.get(semconv.USAGE_OUTPUT_TOKENS)),
        count(attributes.get(semconv.USAGE_CACHE_READ_INPUT_TOKENS)),
        count(attributes.get(semconv.USAGE_CACHE_WRITE_INPUT_TOKENS)),
        count(attributes.get(semconv.USAGE_REASONING_OUTPUT_TOKENS)),
        count(attributes.get(semconv.USAGE_AUDIO_INPUT_TOKENS)),
        count(attributes.get(semconv.USAGE_AUDIO_OUTPUT_TOKENS)),
    )


def _usage_of_cached(attributes: Mapping[str, Any]) -> Usage:
    return Usage(
        count(attributes.get(semconv.CACHED_INPUT_TOKENS)),
        count(attributes.get(semconv.CACHED_OUTPUT_TOKENS)),
    )


def text(attributes: Mapping[str, Any], name: str) -> str | None:
    """An attribute that is a text, or None."""
    value = attributes.get(name)
    return value if isinstance(value, str) and value else None


def model_of(attributes: Mapping[str, Any]) -> str | None:
    """The model that answered, else the one that was asked for."""
    return text(attributes, semconv.RESPONSE_MODEL) or text(attributes, semconv.REQUEST_MODEL)


def _failed(span: Span) -> bool:
    attributes = span.attributes
    return semconv.ERROR_TYPE in attributes and attributes.get(semconv.USAGE_INPUT_TOKENS) is None


def _usd(value: Any) -> Decimal | None:
    """An amount as it was written down; None for what is none: a text, a boolean, NaN, less than nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    usd = Decimal(repr(value))
    return usd if usd.is_finite() and usd >= 0 else None


def day_of(span: Span) -> date:
    """The day on which a call began, in UTC."""
    return date.fromordinal(_EPOCH + span.start_ns // _DAY_NS)
