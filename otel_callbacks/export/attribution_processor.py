"""A span processor for spans that are not ours: HTTP clients, databases, the application's own."""

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from otel_callbacks import semconv
from otel_callbacks.cost.attribution import labels_in
from otel_callbacks.recording.in_charge import recorder_in_charge


class AttributionSpanProcessor(SpanProcessor):
    """Puts the labels that hold where a span starts on it, so that every span of a call says who pays.

    Our own spans carry them anyway. `configure` adds this; an application with a provider of its own does so itself:
    `provider.add_span_processor(AttributionSpanProcessor())`.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Labels a span that starts."""
        scope = span.instrumentation_scope
        if scope is None or scope.name != semconv.SCOPE:
            context = context_api.get_current() if parent_context is None else parent_context
            recorder = recorder_in_charge()
            span.set_attributes(labels_in(context, recorder.content if recorder is not None else None))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here. The oldest SDK's own says None, upon which a provider flushes no other processor."""
        return True
