"""What waits, was sent and was lost, as metrics: `Telemetry.stats()` for a dashboard."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from otel_callbacks import limits, semconv
from otel_callbacks.export.outbox import Delivery, Outbox
from otel_callbacks.export.routes import Route
from otel_callbacks.privacy.patterns import remove_secrets
from otel_callbacks.recording.instrumentation_scope import meter_of
from otel_callbacks.runtime.by_identity import ByIdentity

_Observe = Callable[[CallbackOptions], Iterable[Observation]]


class DeliveryMetrics:
    """The instruments of one meter provider, which lets nobody make them twice; `configure` may replace a set-up."""

    def __init__(self, provider: MeterProvider) -> None:
        self._outboxes: list[tuple[str, str, Outbox[Any]]] = []
        meter = meter_of(provider)
        meter.create_observable_up_down_counter(
            semconv.METRIC_DELIVERY_QUEUED,
            [self._observer(lambda delivery: delivery.waiting)],
            "{item}",
            "Spans, events and collections of metrics that wait for a destination",
        )
        meter.create_observable_counter(
            semconv.METRIC_DELIVERY_SENT,
            [self._observer(lambda delivery: delivery.exported)],
            "{item}",
            "Spans, events and collections of metrics that a destination accepted",
        )
        meter.create_observable_counter(
            semconv.METRIC_DELIVERY_LOST,
            [self._observer(lambda delivery: delivery.failed + delivery.dropped)],
            "{item}",
            "Spans, events and collections of metrics that a destination refused, or that found its queue full",
        )

    def add(self, routes: Sequence[Route]) -> None:
        """Adds the destinations of a set-up."""
        self._outboxes += [
            (remove_secrets(sender.name), route.signal, sender.outbox)
            for route in routes
            for sender in route.senders
            if sender.outbox is not None
        ]

    def _observer(self, number: Callable[[Delivery], int]) -> _Observe:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            sums = Counter[tuple[str, str]]()
            for destination, signal, outbox in self._outboxes:
                sums[destination, signal] += number(outbox.delivery())
            return [
                Observation(
                    value,
                    {semconv.DELIVERY_DESTINATION: destination, semconv.DELIVERY_SIGNAL: signal},
                )
                for (destination, signal), value in sums.items()
            ]

        return observe


_by_provider = ByIdentity[MeterProvider, DeliveryMetrics](DeliveryMetrics, limits.PROVIDERS_KEPT)


def observe_deliveries(provider: MeterProvider, routes: Sequence[Route]) -> None:
    """Has a meter provider tell of the deliveries by these routes."""
    _by_provider.of(provider).add(routes)
