"""The conventions' events: log records about model calls and about exceptions."""

import os
from collections.abc import Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber
from opentelemetry.trace import Span, SpanContext

from otel_callbacks import semconv
from otel_callbacks.recording.instrumentation_scope import logger_of
from otel_callbacks.recording.span_plans import start_attributes
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.faults import guarded

EXCEPTION_VARIABLE = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"
"""Unset records exceptions on spans, `logs` as log records instead, `logs/dup` as both (OpenTelemetry conventions)."""


class Events:
    """Emits log records to one logger provider (None: the global one, even if it is set later)."""

    def __init__(self, logger_provider: LoggerProvider | None) -> None:
        self._logger = logger_of(logger_provider)
        opted = {word.strip() for word in os.environ.get(EXCEPTION_VARIABLE, "").split(",")}
        self._exceptions_on_spans = "logs" not in opted
        self._exceptions_as_logs = bool(opted & {"logs", "logs/dup"})

    def details(self, span: Span, attributes: Mapping[str, Any], timestamp: int) -> None:
        """Emits the details of a model call, with its messages; `timestamp` is in nanoseconds since 1970."""
        self._emit(span, semconv.EVENT_OPERATION_DETAILS, SeverityNumber.DEBUG, attributes, timestamp)

    @guarded
    def started(self, run: Run) -> None:
        """Emits that an agent or workflow has started, with what its span starts with."""
        attributes = start_attributes(run.operation, run.content_policy.label)
        attributes.update(run.recorded_labels)
        self._emit(run.span, semconv.EVENT_RUN_STARTED, SeverityNumber.INFO, attributes, run.started)

    def exception(
        self, span: Span, timestamp: int, *, on_span: Mapping[str, str], as_log: Mapping[str, str]
    ) -> None:
        """Records an exception on the span, as a log record, or both, as the environment variable says."""
        if self._exceptions_on_spans:
            span.add_event("exception", on_span, timestamp)
        if self._exceptions_as_logs:
            self._emit(span, semconv.EVENT_OPERATION_EXCEPTION, SeverityNumber.WARN, as_log, timestamp)

    def evaluation(self, subject: SpanContext, attributes: Mapping[str, Any], timestamp: int) -> None:
        """Emits somebody's feedback on a span, in the context of that span."""
        span = trace.NonRecordingSpan(subject)
        self._emit(span, semconv.EVENT_EVALUATION_RESULT, SeverityNumber.INFO, attributes, timestamp)

    def _emit(
        self,
        span: Span,
        name: str,
        severity: SeverityNumber,
        attributes: Mapping[str, Any],
        timestamp: int,
    ) -> None:
        self._logger.emit(
            LogRecord(
                timestamp=timestamp,
                context=trace.set_span_in_context(span),
                severity_number=severity,
                event_name=name,
                attributes=attributes,
            )
        )
