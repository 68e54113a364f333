"""What an operation that has ended is charged, and how its span says so."""

import logging
from decimal import Decimal

from otel_callbacks import operations, semconv
from otel_callbacks.cost.pricing import Call, Cost, Pricer, Unpriced

logger = logging.getLogger("otel_callbacks")

CallCost = Cost | Unpriced

_MAX_WARNED = 1_000
_REMEDIABLE = frozenset(("unknown_model", "unknown_provider", "local_endpoint", "no_rate"))
"""The reasons that a line in a price book does away with."""

_PARTS = (
    ("input", semconv.COST_INPUT_USD),
    ("output", semconv.COST_OUTPUT_USD),
    ("cache_read", semconv.COST_CACHE_READ_USD),
    ("cache_write", semconv.COST_CACHE_WRITE_USD),
)


class CallCosts:
    """Charges the operations of one handler.

    Args:
        pricer: knows what calls cost.
    """

    def __init__(self, pricer: Pricer) -> None:
        self._pricer = pricer
        self._warned: set[tuple[str | None, str | None]] = set()

    def of(self, operation: operations.Operation, started: int, *, failed: bool) -> CallCost | None:
        """What an operation is charged; None for what is not charged for.

        That is a call that failed before the provider counted anything, a model that wraps another, and a
        reranker without a model.

        Args:
            operation: the operation, complete.
            started: nanoseconds since 1970.
            failed: it did not end as it should.
        """
        call = _call(operation, started, failed)
        if call is None:
            return None
        charge = self._pricer.price(call)
        if isinstance(charge, Unpriced) and charge.reason in _REMEDIABLE:
            self._warn(call, charge)
        return charge

    def _warn(self, call: Call, charge: Unpriced) -> None:
        """Says once per model that it has no price, and what to do about it."""
        model = call.response_model or call.request_model
        key = call.provider, model
        if key in self._warned or len(self._warned) >= _MAX_WARNED:
            return
        self._warned.add(key)
        logger.warning(
            "calls of %s (%s, %s) have no price (%s) and no cost; to price them, add to your PriceBook:"
            ' {"prices": {"%s": {"input": <USD per million tokens>, "output": <USD per million tokens>}}}',
            model,
            call.provider or "unknown provider",
            call.host or "the provider's own address",
            charge.reason,
            model,
        )


_CHARGED = (operations.Inference, operations.Embedding, operations.Rerank)


def _call(operation: operations.Operation, started: int, failed: bool) -> Call | None:
    if not isinstance(operation, _CHARGED):
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


def attributes(charge: CallCost) -> dict[str, str | float]:
    """What the span of a charged operation says."""
    if isinstance(charge, Unpriced):
        return {semconv.COST_STATUS: "unpriced", semconv.COST_UNPRICED_REASON: charge.reason}
    total = float(charge.total)
    found: dict[str, str | float] = {
        semconv.USAGE_COST_USD: total,
        semconv.USAGE_COST: total,
        semconv.COST_SOURCE: charge.source,
    }
    if charge.source == "cache":
        found[semconv.COST_STATUS] = "cached"
        if charge.saved is not None:
            found[semconv.COST_SAVED_USD] = float(charge.saved)
    elif charge.source == "reported":
        found[semconv.COST_STATUS] = "reported"
    else:
        found[semconv.COST_STATUS] = "priced"
        for part, name in _PARTS:
            amount: Decimal | None = getattr(charge, part)
            if amount:
                found[name] = float(amount)
    if charge.model is not None:
        found[semconv.COST_MODEL] = charge.model
    if charge.version is not None:
        found[semconv.COST_PRICE_VERSION] = charge.version
    return found
