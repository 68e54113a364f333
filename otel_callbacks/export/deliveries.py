"""What sends each signal to its destinations: those given in code, those that the environment names, and a file."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, PeriodicExportingMetricReader

from otel_callbacks.explore.files.own import writes_to
from otel_callbacks.explore.files.writing import JsonLinesSpanExporter
from otel_callbacks.export import environment
from otel_callbacks.export.otlp import OtlpEndpoint, Signal
from otel_callbacks.export.outbox import Outbox
from otel_callbacks.export.signals import EventDelivery, MetricDelivery, SpanDelivery
from otel_callbacks.privacy.patterns import remove_secrets

_FILE_DELAY = 0.5
"""Seconds: writing to a file is cheap, and somebody may follow the file to see what is happening."""


class Sender(NamedTuple):
    """Sends one signal to one destination.

    Attributes:
        name: the destination, as it is shown.
        component: what a provider takes, a processor or a reader; for metrics an exporter until it is `plugged`.
        outbox: the queue; None for a reader whose server collects by itself, such as Prometheus.
    """

    name: str
    component: Any
    outbox: Outbox[Any] | None

    def plugged(self) -> "Sender":
        """Returns it with a reader that collects metrics for it; a reader without a provider would complain."""
        if isinstance(self.component, MetricDelivery):
            return self._replace(component=PeriodicExportingMetricReader(self.component))
        return self


def senders(
    signal: Signal,
    endpoints: Sequence[OtlpEndpoint],
    in_environment: OtlpEndpoint | None,
    tell: Callable[[str], None],
) -> list[Sender]:
    """Returns a sender for each endpoint given, and for each exporter that the environment names.

    What is wrong in the environment is told and left out: the application starts all the same.
    """
    found = [
        _sender(signal, str(each), each.exporter_factory(signal), each.profiles)
        for each in endpoints
        if signal in each.signals
    ]
    if in_environment is not None:
        found += _senders_in_environment(signal, in_environment, tell)
    return found


def _senders_in_environment(
    signal: Signal, otlp: OtlpEndpoint, tell: Callable[[str], None]
) -> Iterator[Sender]:
    for name in environment.exporter_names(signal):
        try:
            if name == "otlp":
                yield _sender(signal, str(otlp), otlp.exporter_factory(signal))
            else:
                yield _sender(signal, name, environment.load_exporter(signal, name))
        except Exception as error:  # bad configuration must not keep the application from starting
            tell(f"an exporter of {signal} is left out: {remove_secrets(str(error)):.300}")


def file_sender(file: str | os.PathLike[str]) -> tuple[Sender, Any]:
    """Returns what writes spans to a file or folder, and the path that it writes to."""
    limits = environment.queue_limits("OTEL_BSP")
    soon = dataclasses.replace(limits, delay=min(limits.delay, _FILE_DELAY))
    delivery = SpanDelivery(str(file), partial(JsonLinesSpanExporter, file), soon)
    writes_to(Path(file), delivery.outbox.flush)
    return Sender(str(file), delivery, delivery.outbox), JsonLinesSpanExporter(file).path


def _sender(signal: Signal, name: str, make: Callable[[], Any], profiles: Sequence[str] = ()) -> Sender:
    match signal:
        case "traces":
            spans = SpanDelivery(name, make, environment.queue_limits("OTEL_BSP"), profiles)
            return Sender(name, spans, spans.outbox)
        case "logs":
            events = EventDelivery(name, make, environment.queue_limits("OTEL_BLRP"))
            return Sender(name, events, events.outbox)
        case "metrics" if isinstance(make, type) and issubclass(make, MetricReader):
            return Sender(name, make(), None)
        case "metrics":
            metrics = MetricDelivery(name, cast(Callable[[], MetricExporter], make))
            return Sender(name, metrics, metrics.outbox)
