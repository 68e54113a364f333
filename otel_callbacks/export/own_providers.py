"""Our providers of the three signals. They leave out what would send to one place twice.

Others may add exporters to the global provider later: an application, or FastAPI with FASTAPI_OTEL_AUTO_CONFIGURE,
which adds those of the environment.
"""

import os
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from otel_callbacks import semconv
from otel_callbacks.export.attribution_processor import AttributionSpanProcessor
from otel_callbacks.export.destinations import destination_of, destinations_of
from otel_callbacks.export.otlp import Signal
from otel_callbacks.runtime.faults import logger


class OwnTracerProvider(TracerProvider):
    """A tracer provider that sends to each destination once."""

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Adds a processor, unless it exports to where this provider exports already."""
        if not _repeats(self, span_processor):
            super().add_span_processor(span_processor)


class OwnMeterProvider(MeterProvider):
    """A meter provider that sends to each destination once."""

    if hasattr(MeterProvider, "add_metric_reader"):  # not in older SDKs

        def add_metric_reader(self, metric_reader: MetricReader) -> None:
            """Adds a reader, unless it exports to where this provider exports already."""
            if _repeats(self, metric_reader):
                metric_reader._set_collect_callback(_collect_nothing)  # without one it complains every minute
            else:
                super().add_metric_reader(metric_reader)


class OwnLoggerProvider(LoggerProvider):
    """A logger provider that sends to each destination once."""

    def add_log_record_processor(self, log_record_processor: LogRecordProcessor) -> None:
        """Adds a processor, unless it exports to where this provider exports already."""
        if not _repeats(self, log_record_processor):
            super().add_log_record_processor(log_record_processor)


def _collect_nothing(*_: Any, **__: Any) -> Any:
    """Collects no metrics."""


def _repeats(provider: Any, component: Any) -> bool:
    found = destination_of(component)
    if found is None or found not in destinations_of(provider):
        return False
    logger.warning(
        "%s would send to %s a second time and is left out; configure() sends there already",
        type(component).__name__,
        found.address,
    )
    return True


_WORKFLOW_SECONDS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
    *(60, 120, 300, 600, 1800, 3600, 7200),
)
"""The conventions' boundaries for workflows, which begin at 1 s, and smaller ones: many workflows take less."""


def _views() -> Sequence[View]:
    """Returns the view of workflow durations, unless the environment asks for buckets that adapt to the values."""
    if os.environ.get(OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION, "").startswith("base2"):
        return ()
    buckets = ExplicitBucketHistogramAggregation(_WORKFLOW_SECONDS)
    return (View(instrument_name=semconv.METRIC_WORKFLOW_DURATION, aggregation=buckets),)


def make_provider(signal: Signal, components: Sequence[Any], resource: Resource) -> Any:
    """Makes our provider of a signal with its processors or readers."""
    match signal:
        case "traces":
            tracers = OwnTracerProvider(resource=resource, shutdown_on_exit=False)
            for processor in (AttributionSpanProcessor(), *components):
                tracers.add_span_processor(processor)
            return tracers
        case "metrics":
            return OwnMeterProvider(components, resource, shutdown_on_exit=False, views=_views())
        case "logs":
            loggers = OwnLoggerProvider(resource, shutdown_on_exit=False)
            for processor in components:
                loggers.add_log_record_processor(processor)
            return loggers
