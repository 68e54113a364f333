"""A span processor for spans that are not ours: HTTP clients, databases, the application's own."""

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from otel_callbacks import semconv
from otel_callbacks.cost.attribution import labels_in
from otel_callbacks.recording.foreign_spans import note_start
from otel_callbacks.recording.process_recorder import process_recorder


class AttributionSpanProcessor(SpanProcessor):
    """Adds the current attribution labels to every span that starts, so that each one says who pays.

    If another instrumentation starts the span of a model call inside ours, the usage is left to it.
    Our own spans carry the labels anyway. `configure` adds this processor; an application with its own provider
    adds it itself: `provider.add_span_processor(AttributionSpanProcessor())`.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Labels a span that starts."""
        scope = span.instrumentation_scope
        if scope is None or scope.name != semconv.SCOPE:
            context = context_api.get_current() if parent_context is None else parent_context
            note_start(span.attributes or {}, context)
            recorder = process_recorder()
            span.set_attributes(labels_in(context, recorder.content_policy if recorder is not None else None))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Returns True: nothing waits here.

        The base class of the oldest SDK returns None, and a provider then flushes no further processor.
        """
        return True
