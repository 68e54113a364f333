"""The cost of the model call in a finished span: as recorded, or recomputed from its tokens at other prices."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal
from typing import Any, Literal

from otel_callbacks import semconv
from otel_callbacks.cost.call_cost import UNIT_ATTRIBUTES
from otel_callbacks.cost.model_calls import COST_ATTRIBUTES, FinishedSpan, has_recorded_cost
from otel_callbacks.cost.pricing import ENDED_EARLY, Call, Pricer, Unpriced
from otel_callbacks.cost.rates import ZERO
from otel_callbacks.cost.recorded_costs import recorded_usd, recorded_what
from otel_callbacks.cost.terms import TIER
from otel_callbacks.limits import DECIMAL_DIGITS
from otel_callbacks.operations import Usage
from otel_callbacks.operations.providers import token_count

EXACT = Context(prec=DECIMAL_DIGITS)
"""The context for sums of costs: with so many digits no sum is rounded."""

NOT_RECORDED = "no cost recorded"
"""The reason for a call whose span has neither a cost nor a reason why not."""

_COUNTS = {
    "input_tokens": semconv.USAGE_INPUT_TOKENS,
    "output_tokens": semconv.USAGE_OUTPUT_TOKENS,
    "cache_read_input_tokens": semconv.USAGE_CACHE_READ_INPUT_TOKENS,
    "cache_write_input_tokens": semconv.USAGE_CACHE_WRITE_INPUT_TOKENS,
    "cache_write_1h_input_tokens": semconv.USAGE_CACHE_WRITE_1H,
    "reasoning_output_tokens": semconv.USAGE_REASONING_OUTPUT_TOKENS,
    "audio_input_tokens": semconv.USAGE_AUDIO_INPUT_TOKENS,
    "audio_output_tokens": semconv.USAGE_AUDIO_OUTPUT_TOKENS,
    "audio_cache_read_input_tokens": semconv.USAGE_AUDIO_CACHE_READ_INPUT_TOKENS,
    "image_input_tokens": semconv.USAGE_IMAGE_INPUT_TOKENS,
    "image_output_tokens": semconv.USAGE_IMAGE_OUTPUT_TOKENS,
    "image_cache_read_input_tokens": semconv.USAGE_IMAGE_CACHE_READ_INPUT_TOKENS,
}
"""The counts that decide a price, and the attributes that carry them."""

_EPOCH = date(1970, 1, 1).toordinal()
_DAY_NS = 86_400_000_000_000

Status = Literal["priced", "reported", "cached", "partial", "unpriced", "failed", "recorded"]


@dataclass(frozen=True, slots=True)
class SpanCost:
    """The cost of a span's call, or the reason why it is unknown.

    Attributes:
        status: as in `otel_callbacks.cost.status`; `failed` for a call that ended in an error before the provider
            counted any tokens, and so is neither priced nor unpriced; `recorded` for what is no model call and has a
            cost that the application recorded.
        usd: the cost; None if the call is `unpriced` or `failed`, a lower bound if it is `partial`.
        saved_usd: what the framework's own cache saved.
        reason: why the call is `unpriced`, or what a `partial` cost leaves out.
    """

    status: Status
    usd: Decimal | None = None
    saved_usd: Decimal | None = None
    reason: str | None = None


CostReader = Callable[[FinishedSpan], SpanCost]
"""Returns the cost of a span's call: `recorded_cost`, or the result of `repriced_cost`."""


def recorded_cost(span: FinishedSpan) -> SpanCost:
    """Returns the cost that a span carries, whoever wrote it. It is never rounded: 0.1 is one tenth."""
    attributes = span.attributes
    if has_recorded_cost(attributes):
        return SpanCost("recorded", recorded_usd(attributes))
    status = attributes.get(semconv.COST_STATUS)
    if status == "cached":
        return SpanCost("cached", ZERO, _usd(attributes.get(semconv.COST_SAVED_USD)))
    usd = next((usd for name in COST_ATTRIBUTES if (usd := _usd(attributes.get(name))) is not None), None)
    reason = text(attributes, semconv.COST_UNPRICED_REASON) or NOT_RECORDED
    if usd is not None:
        if status == "partial":
            return SpanCost("partial", usd, reason=reason)
        return SpanCost("reported" if status == "reported" else "priced", usd)
    if status is None and _failed(span):
        return SpanCost("failed")
    return SpanCost("unpriced", reason=reason)


def repriced_cost(pricer: Pricer) -> CostReader:
    """Returns a reader that prices calls again, from their tokens at the prices of the day on which they began.

    Waits for the price list. Ignores costs that the provider reported. It cannot price what other instrumentations
    leave out of their spans, such as service tiers.
    """
    pricer.ready()

    def reprice(span: FinishedSpan) -> SpanCost:
        recorded = recorded_cost(span)
        if recorded.status in ("failed", "recorded"):
            return recorded
        call = call_of(span)
        cost = pricer.price(call)
        if isinstance(cost, Unpriced):
            return SpanCost("unpriced", reason=cost.reason)
        if cost.missing:
            return SpanCost("partial", cost.total, reason=",".join(cost.missing))
        return SpanCost("cached" if call.cached else "priced", cost.total, cost.saved)

    return reprice


def call_of(span: FinishedSpan) -> Call:
    """Returns the call that a span recorded."""
    attributes = span.attributes
    cached = attributes.get(semconv.COST_STATUS) == "cached"
    terms = dict(term.split("=", 1) for term in _texts(attributes, semconv.COST_TERMS) if "=" in term)
    tier = terms.pop(TIER, None)
    uncounted = [name for name in _texts(attributes, semconv.USAGE_NOT_COUNTED) if name != ENDED_EARLY]
    units = {
        unit: token_count(attributes[name]) for unit, name in UNIT_ATTRIBUTES.items() if name in attributes
    }
    return Call(
        provider=text(attributes, semconv.PROVIDER_NAME),
        request_model=_requested_model(attributes),
        response_model=text(attributes, semconv.RESPONSE_MODEL),
        host=text(attributes, semconv.SERVER_ADDRESS),
        usage=_usage_of_cached(attributes) if cached else usage_of(attributes),
        service_tier=tier
        or text(attributes, semconv.OPENAI_RESPONSE_SERVICE_TIER)
        or text(attributes, semconv.OPENAI_REQUEST_SERVICE_TIER),
        conditions=terms,
        units={unit: number for unit, number in units.items() if number is not None},
        unknown=tuple(uncounted),
        started_at=span.start_ns,
        cached=cached,
    )


def usage_of(attributes: Mapping[str, Any]) -> Usage:
    """Returns the token counts in a span's attributes. Those that were invalid when the call ended still are."""
    counts: dict[str, Any] = {
        field: token_count(attributes[name]) for field, name in _COUNTS.items() if name in attributes
    }
    return Usage(
        **counts,
        contradictory=attributes.get(semconv.COST_UNPRICED_REASON) == "invalid_usage",
        is_final=ENDED_EARLY not in _texts(attributes, semconv.USAGE_NOT_COUNTED),
        estimated=attributes.get(semconv.USAGE_SOURCE) == "estimated",
    )


def _usage_of_cached(attributes: Mapping[str, Any]) -> Usage:
    return Usage(
        token_count(attributes.get(semconv.CACHED_INPUT_TOKENS)),
        token_count(attributes.get(semconv.CACHED_OUTPUT_TOKENS)),
    )


def _texts(attributes: Mapping[str, Any], name: str) -> list[str]:
    values = attributes.get(name)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list | tuple) else []


def text(attributes: Mapping[str, Any], name: str) -> str | None:
    """Returns an attribute if it is a non-empty string, else None."""
    value = attributes.get(name)
    return value if isinstance(value, str) and value else None


def model_of(attributes: Mapping[str, Any]) -> str | None:
    """Returns the model that answered, else the requested model, else what a recorded cost is for."""
    model = text(attributes, semconv.RESPONSE_MODEL) or _requested_model(attributes)
    return model or ", ".join(recorded_what(attributes)) or None


def _requested_model(attributes: Mapping[str, Any]) -> str | None:
    return text(attributes, semconv.REQUEST_MODEL) or text(attributes, semconv.RAG_RERANK_MODEL)


def _failed(span: FinishedSpan) -> bool:
    attributes = span.attributes
    return semconv.ERROR_TYPE in attributes and attributes.get(semconv.USAGE_INPUT_TOKENS) is None


def _usd(value: Any) -> Decimal | None:
    """Returns an amount as it was written; None for strings, booleans, NaN and negative numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    usd = Decimal(repr(value))
    return usd if usd.is_finite() and usd >= 0 else None


def day_of(span: FinishedSpan) -> date:
    """Returns the day (UTC) on which a call began."""
    return date.fromordinal(_EPOCH + span.start_ns // _DAY_NS)
