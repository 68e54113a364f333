"""`capture()`: keeps telemetry in memory, for the tests of applications and our own."""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler

from otel_callbacks.export.attribution_processor import AttributionSpanProcessor
from otel_callbacks.export.resources import without_secrets
from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import set_process_recorder


class CountingIds(IdGenerator):
    """Numbers spans and traces 1, 2, 3 …, so that traces can be compared."""

    def __init__(self) -> None:
        self._spans, self._traces = count(1), count(1)

    def generate_span_id(self) -> int:
        """Returns the next span id."""
        return next(self._spans)

    def generate_trace_id(self) -> int:
        """Returns the next trace id."""
        return next(self._traces)


@dataclass
class Captured:
    """The providers for a handler, and the telemetry that they received.

    Pass all three providers to the handler: `OTelCallbackHandler(**captured.providers)`.
    """

    tracer_provider: TracerProvider
    meter_provider: MeterProvider
    logger_provider: LoggerProvider
    _spans: InMemorySpanExporter = field(repr=False)
    _metrics: InMemoryMetricReader = field(repr=False)
    _logs: InMemoryLogRecordExporter = field(repr=False)

    @property
    def providers(self) -> Mapping[str, Any]:
        """The three providers, as keyword arguments for a handler."""
        return {
            "tracer_provider": self.tracer_provider,
            "meter_provider": self.meter_provider,
            "logger_provider": self.logger_provider,
        }

    @property
    def spans(self) -> list[ReadableSpan]:
        """The ended spans, in the order in which they started."""
        return sorted(self._spans.get_finished_spans(), key=lambda span: span.context.span_id)

    @property
    def events(self) -> list[Any]:
        """The emitted log records."""
        return [data.log_record for data in self._logs.get_finished_logs()]

    def span(self, name: str) -> ReadableSpan:
        """Returns the one span with this name.

        Raises:
            LookupError: no span has this name, or more than one.
        """
        found = [span for span in self.spans if span.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} spans named {name!r} among {[span.name for span in self.spans]}")
        return found[0]

    def metrics(self) -> dict[str, list[Any]]:
        """Collects the metrics and returns the data points of each, by its name."""
        data = self._metrics.get_metrics_data()
        return {
            metric.name: list(metric.data.data_points)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def tree(self) -> str:
        """Returns the spans as an indented outline, one name per line, children in the order of their start."""
        spans = self.spans
        known = {span.context.span_id for span in spans}
        lines: list[str] = []

        def walk(parent: int | None, depth: int) -> None:
            for span in spans:
                above = span.parent.span_id if span.parent and span.parent.span_id in known else None
                if above == parent:
                    lines.append("  " * depth + span.name)
                    walk(span.context.span_id, depth + 1)

        walk(None, 0)
        return "\n".join(lines)

    def clear(self) -> None:
        """Forgets the spans and events captured so far."""
        self._spans.clear()
        self._logs.clear()


@contextmanager
def capture(sampler: Sampler | None = None) -> Iterator[Captured]:
    """Yields providers that keep everything in memory, with ids that count from 1.

    The global providers stay as they are. Inside the block, operations that you trace yourself
    (`otel_callbacks.retrieval` and so on) use these providers, unless a handler with other providers runs around them.

    Args:
        sampler: decides which spans are recorded; by default all.
    """
    spans, metrics, logs = InMemorySpanExporter(), InMemoryMetricReader(), InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    resource = without_secrets(Resource.create())  # as `configure` does
    tracer_provider = TracerProvider(
        sampler=sampler, resource=resource, id_generator=CountingIds(), shutdown_on_exit=False
    )
    tracer_provider.add_span_processor(AttributionSpanProcessor())
    tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    meter_provider = MeterProvider([metrics], resource, shutdown_on_exit=False)
    logger_provider = LoggerProvider(resource, shutdown_on_exit=False)
    logger_provider.add_log_record_processor(SimpleLogRecordProcessor(logs))
    captured = Captured(tracer_provider, meter_provider, logger_provider, spans, metrics, logs)
    set_process_recorder(spans, functools.cache(lambda: recorder(**captured.providers)))
    try:
        yield captured
    finally:
        set_process_recorder(spans, None)
        tracer_provider.shutdown()
        meter_provider.shutdown()
        logger_provider.shutdown()
