"""What waits, was sent and was lost, as metrics: `Telemetry.stats()` for a dashboard."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from otel_callbacks import semconv
from otel_callbacks.export.otlp import Signal
from otel_callbacks.export.outbox import Delivery
from otel_callbacks.export.routes import Route
from otel_callbacks.privacy.patterns import remove_secrets
from otel_callbacks.recording.instrumentation_scope import meter_of

_Observe = Callable[[CallbackOptions], Iterable[Observation]]


def observe_deliveries(provider: MeterProvider, routes: Sequence[Route]) -> None:
    """Has a meter provider tell of the deliveries by these routes, by destination and signal."""
    meter, what = meter_of(provider), "Spans, events and collections of metrics that"
    meter.create_observable_up_down_counter(
        semconv.METRIC_DELIVERY_QUEUED,
        [_observer(routes, lambda delivery: delivery.waiting)],
        "{item}",
        f"{what} wait for a destination",
    )
    meter.create_observable_counter(
        semconv.METRIC_DELIVERY_SENT,
        [_observer(routes, lambda delivery: delivery.exported)],
        "{item}",
        f"{what} a destination accepted",
    )
    meter.create_observable_counter(
        semconv.METRIC_DELIVERY_LOST,
        [_observer(routes, lambda delivery: delivery.failed + delivery.dropped)],
        "{item}",
        f"{what} a destination refused, or that found its queue full",
    )


def _observer(routes: Sequence[Route], number: Callable[[Delivery], int]) -> _Observe:
    outboxes = [
        (remove_secrets(sender.name), route.signal, sender.outbox)
        for route in routes
        for sender in route.senders
        if sender.outbox is not None
    ]

    def observe(options: CallbackOptions) -> Iterable[Observation]:
        sums = Counter[tuple[str, Signal]]()  # two accounts of one back end have the same name
        for destination, signal, outbox in outboxes:
            sums[destination, signal] += number(outbox.delivery())
        for (destination, signal), value in sums.items():
            attributes = {semconv.DELIVERY_DESTINATION: destination, semconv.DELIVERY_SIGNAL: signal}
            yield Observation(value, attributes)

    return observe
