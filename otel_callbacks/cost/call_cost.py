"""What an operation cost when it ended, and the attributes that say so on its span."""

import logging
from decimal import Decimal

from otel_callbacks import operations, semconv
from otel_callbacks.cost.pricing import Call, Cost, Pricer, Unpriced
from otel_callbacks.limits import UNPRICED_MODELS_LOGGED

logger = logging.getLogger("otel_callbacks")

CallCost = Cost | Unpriced

_FIXED_BY_PRICE_BOOK = frozenset(("unknown_model", "unknown_provider", "local_endpoint", "no_rate"))
"""The reasons that go away once the user's price book has a line for the model."""

_PRICED_OPERATIONS = (operations.Inference, operations.Embedding, operations.Rerank)
_PARTS = (
    ("input", semconv.COST_INPUT_USD),
    ("output", semconv.COST_OUTPUT_USD),
    ("cache_read", semconv.COST_CACHE_READ_USD),
    ("cache_write", semconv.COST_CACHE_WRITE_USD),
)


class OperationPricer:
    """Prices the operations of one handler, and warns once about each model that has no price.

    Args:
        pricer: computes the cost of a call.
    """

    def __init__(self, pricer: Pricer) -> None:
        self._pricer = pricer
        self._warned: set[tuple[str | None, str | None]] = set()

    def price(self, operation: operations.Operation, started: int, *, failed: bool) -> CallCost | None:
        """Returns the cost of an operation, or None if it has no cost of its own.

        That is an operation that calls no model, a model call that failed before the provider counted any tokens,
        a model that wraps another one, and a reranker without a model.

        Args:
            operation: the operation, complete.
            started: nanoseconds since 1970.
            failed: whether it failed or was cut short.
        """
        call = _call_to_price(operation, started, failed)
        if call is None:
            return None
        cost = self._pricer.price(call)
        if isinstance(cost, Unpriced) and cost.reason in _FIXED_BY_PRICE_BOOK:
            self._warn(call, cost)
        return cost

    def _warn(self, call: Call, cost: Unpriced) -> None:
        """Logs once per model that it has no price, and the price book line that would fix it."""
        model = call.response_model or call.request_model
        key = call.provider, model
        if key in self._warned or len(self._warned) >= UNPRICED_MODELS_LOGGED:
            return
        self._warned.add(key)
        logger.warning(
            "calls of %s (%s, %s) have no price (%s) and no cost; to price them, add to your PriceBook:"
            ' {"prices": {"%s": {"input": <USD per million tokens>, "output": <USD per million tokens>}}}',
            model,
            call.provider or "unknown provider",
            call.host or "the provider's own address",
            cost.reason,
            model,
        )


def _call_to_price(operation: operations.Operation, started: int, failed: bool) -> Call | None:
    if not isinstance(operation, _PRICED_OPERATIONS):
        return None
    match operation:
        case operations.Inference():
            if operation.duplicate or (failed and operation.usage is None):
                return None
            usage = operation.usage
            return Call(
                provider=operation.provider,
                request_model=operation.name,
                response_model=operation.response_model,
                host=operation.server_address,
                usage=usage,
                service_tier=operation.response_service_tier or operation.request_service_tier,
                started_at=started,
                cached=operation.cached,
                reported_usd=operation.reported_usd,
                cache_write_1h_tokens=usage.cache_write_1h_input_tokens if usage is not None else None,
            )
        case operations.Embedding() if not failed or operation.usage is not None:
            return Call(
                provider=operation.provider,
                request_model=operation.name,
                response_model=operation.response_model,
                host=operation.server_address,
                usage=operation.usage,
                started_at=started,
            )
        case operations.Rerank() if operation.name and not failed:
            return Call(provider=operation.provider, request_model=operation.name, started_at=started)
    return None


def attributes(cost: CallCost) -> dict[str, str | float]:
    """Returns the span attributes for the cost of a call."""
    if isinstance(cost, Unpriced):
        return {semconv.COST_STATUS: "unpriced", semconv.COST_UNPRICED_REASON: cost.reason}
    total = float(cost.total)
    found: dict[str, str | float] = {
        semconv.USAGE_COST_USD: total,
        semconv.USAGE_COST: total,
        semconv.COST_SOURCE: cost.source,
    }
    if cost.source == "cache":
        found[semconv.COST_STATUS] = "cached"
        if cost.saved is not None:
            found[semconv.COST_SAVED_USD] = float(cost.saved)
    elif cost.source == "reported":
        found[semconv.COST_STATUS] = "reported"
    else:
        found[semconv.COST_STATUS] = "priced"
        for part, name in _PARTS:
            amount: Decimal | None = getattr(cost, part)
            if amount:
                found[name] = float(amount)
    if cost.model is not None:
        found[semconv.COST_MODEL] = cost.model
    if cost.version is not None:
        found[semconv.COST_PRICE_VERSION] = cost.version
    return found
