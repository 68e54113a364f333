"""What an operation cost when it ended, and the attributes that say so on its span."""

import logging
from collections.abc import Sequence
from itertools import compress
from operator import attrgetter

from otel_callbacks import operations, semconv
from otel_callbacks.cost.calls import ENDED_EARLY, Call, Cost, Unpriced
from otel_callbacks.cost.pricing import Pricer
from otel_callbacks.cost.terms import terms_of
from otel_callbacks.limits import UNPRICED_MODELS_LOGGED

logger = logging.getLogger("otel_callbacks")

CallCost = Cost | Unpriced

_FIXED_BY_PRICE_BOOK = frozenset(("unknown_model", "unknown_provider", "local_endpoint", "no_rate"))
"""The reasons that go away once the user's price book has a line for the model."""

_PRICED_OPERATIONS = (operations.Inference, operations.Embedding, operations.Rerank)
_PARTS = {
    "input": semconv.COST_INPUT_USD,
    "output": semconv.COST_OUTPUT_USD,
    "cache_read": semconv.COST_CACHE_READ_USD,
    "cache_write": semconv.COST_CACHE_WRITE_USD,
    "fees": semconv.COST_FEES_USD,
}
_read_parts = attrgetter(*_PARTS)
_ENDED_EARLY = Unpriced(ENDED_EARLY)
UNIT_ATTRIBUTES = {
    "requests": semconv.USAGE_REQUESTS,
    "web_searches": semconv.USAGE_WEB_SEARCHES,
    "file_searches": semconv.USAGE_FILE_SEARCHES,
    "rerank_searches": semconv.USAGE_RERANK_SEARCHES,
    "sources": semconv.USAGE_SOURCES,
    "citation_tokens": semconv.USAGE_CITATION_TOKENS,
    "audio_seconds": semconv.USAGE_AUDIO_SECONDS,
}
"""The attributes that say how many units a call used."""
_NO_BILLING = operations.Billing()


class OperationPricer:
    """Prices the operations of one handler, and warns once about each model that has no price.

    Args:
        pricer: computes the cost of a call.
    """

    def __init__(self, pricer: Pricer) -> None:
        self._pricer = pricer
        self._warned: set[tuple[object, ...]] = set()

    def start_import(self) -> None:
        """Imports the price list, see `PriceList.start_import`."""
        self._pricer.start_import()

    def price(
        self, operation: operations.Operation, started: int, *, failed: bool, ended_early: bool = False
    ) -> CallCost | None:
        """Returns the cost of an operation, or None if it has no cost of its own.

        That is an operation that calls no model, a model call that failed before the provider counted any tokens,
        one whose usage another span has, and a reranker without a model.

        Args:
            operation: the operation, complete.
            started: nanoseconds since 1970.
            failed: whether it failed.
            ended_early: whether it was cut short after the provider had started, who bills what nobody has counted.
        """
        if not isinstance(operation, _PRICED_OPERATIONS):
            return None
        if operation.duplicate or (isinstance(operation, operations.Rerank) and not operation.name):
            return None
        reported = getattr(operation, "reported_usd", None)
        if operation.usage is None and reported is None and (failed or ended_early):
            return _ENDED_EARLY if ended_early else None
        if isinstance(operation, operations.Inference) and reported is None:
            plain = self._pricer.price_plain(operation, started)
            if plain is not None:
                return plain
        call = _call_to_price(operation, started)
        cost = self._pricer.price(call)
        if isinstance(cost, Unpriced):
            if cost.reason in _FIXED_BY_PRICE_BOOK:
                self._warn(call, cost.reason)
        elif fees := [unit for unit in cost.missing if unit in UNIT_ATTRIBUTES]:
            self._warn_of_fees(call, fees)
        return cost

    def _warn(self, call: Call, reason: str) -> None:
        """Logs once per model and terms that they have no price, and the price book line that would fix it."""
        model = call.response_model or call.request_model
        terms = terms_of(call.service_tier, (call.conditions or {}).items(), call.provider)
        if self._is_new(call.provider, model, terms):
            logger.warning(
                "calls of %s (%s, %s) have no price (%s) and no cost; to price them, add to your PriceBook:"
                ' {"prices": {"%s": {%s"input": <USD per million tokens>, "output": <USD per million tokens>}}}',
                model,
                call.provider or "unknown provider",
                call.host or "the provider's own address",
                reason,
                model,
                "".join(f'"{name}": "{value}", ' for name, value in terms),
            )

    def _warn_of_fees(self, call: Call, fees: Sequence[str]) -> None:
        """Logs once per model which fees its costs leave out."""
        model = call.response_model or call.request_model
        if self._is_new(call.provider, model, fees[0]):
            logger.warning(
                "the cost of calls of %s (%s) leaves out %s: no price is known; add `units` or `per_request` to its"
                " line in your PriceBook",
                model,
                call.provider or "unknown provider",
                ", ".join(fees),
            )

    def _is_new(self, *what: object) -> bool:
        if what in self._warned or len(self._warned) >= UNPRICED_MODELS_LOGGED:
            return False
        self._warned.add(what)
        return True


def _call_to_price(
    operation: operations.Inference | operations.Embedding | operations.Rerank, started: int
) -> Call:
    billing = operation.billing or _NO_BILLING
    match operation:
        case operations.Inference():
            return Call(
                provider=operation.provider,
                request_model=operation.name,
                response_model=operation.response_model,
                host=operation.server_address,
                usage=operation.usage,
                service_tier=billing.service_tier
                or operation.response_service_tier
                or operation.request_service_tier,
                conditions=billing.conditions,
                units=billing.units,
                unknown=billing.unknown,
                started_at=started,
                cached=operation.cached,
                reported_usd=operation.reported_usd,
            )
        case operations.Embedding():
            return Call(
                provider=operation.provider,
                request_model=operation.name,
                response_model=operation.response_model,
                host=operation.server_address,
                usage=operation.usage,
                service_tier=billing.service_tier,
                conditions=billing.conditions,
                units=billing.units,
                unknown=billing.unknown,
                started_at=started,
                cached=operation.cached,
            )
        case operations.Rerank():
            return Call(
                provider=operation.provider,
                request_model=operation.name,
                usage=operation.usage,
                service_tier=billing.service_tier,
                conditions=billing.conditions,
                units=billing.units,
                unknown=billing.unknown,
                started_at=started,
                reported_usd=operation.reported_usd,
            )


def attributes(cost: CallCost) -> dict[str, str | float]:
    """Returns the span attributes for the cost of a call."""
    if isinstance(cost, Unpriced):
        return {semconv.COST_STATUS: "unpriced", semconv.COST_UNPRICED_REASON: cost.reason}
    total = float(cost.total)
    found: dict[str, str | float] = {
        semconv.USAGE_COST_USD: total,
        semconv.COST_SOURCE: cost.source,
    }
    if cost.source == "cache":
        found[semconv.COST_STATUS] = "cached"
        if cost.saved is not None:
            found[semconv.COST_SAVED_USD] = float(cost.saved)
    else:
        found[semconv.COST_STATUS] = "reported" if cost.source == "reported" else "priced"
        amounts = _read_parts(cost)
        found.update(zip(compress(_PARTS.values(), amounts), map(float, filter(None, amounts)), strict=True))
    if cost.missing:
        found[semconv.COST_STATUS] = "partial"
        found[semconv.COST_UNPRICED_REASON] = ",".join(cost.missing)
    if cost.model is not None:
        found[semconv.COST_MODEL] = cost.model
    if cost.version is not None:
        found[semconv.COST_PRICE_VERSION] = cost.version
    return found


def billing_attributes(
    operation: operations.Inference | operations.Embedding | operations.Rerank,
) -> dict[str, int | Sequence[str]]:
    """Returns the span attributes for what changed the price of a call or is billed beside its tokens.

    With them a cost can be computed again from its span.
    """
    found: dict[str, int | Sequence[str]] = {}
    uncounted: tuple[str, ...] = ()
    if (billing := operation.billing) is not None:
        uncounted = billing.unknown
        terms = terms_of(billing.service_tier, (billing.conditions or {}).items(), operation.provider)
        if terms:
            found[semconv.COST_TERMS] = [f"{name}={value}" for name, value in terms]
        for unit, number in (billing.units or {}).items():
            if unit in UNIT_ATTRIBUTES:
                found[UNIT_ATTRIBUTES[unit]] = number
    if operation.usage is not None and not operation.usage.is_final:
        uncounted = (*uncounted, ENDED_EARLY)
    if uncounted:
        found[semconv.USAGE_NOT_COUNTED] = uncounted
    return found


def unpriced_reason(cost: CallCost) -> str | None:
    """Returns why a call has no cost, or what its partial cost leaves out; None if the cost is whole."""
    if isinstance(cost, Unpriced):
        return cost.reason
    return ",".join(cost.missing) if cost.missing else None
