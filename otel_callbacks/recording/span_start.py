"""Chooses what starts spans with the tracer of a provider."""

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind

from otel_callbacks.runs.current_span import context_with

StartSpan = Callable[[str, Span, Context, SpanKind, dict[str, Any], Sequence[Link], int], Span]
"""Takes name, parent span, the context around it, kind, attributes, links and start (nanoseconds)."""


def span_starter(tracer: trace.Tracer) -> StartSpan:
    """Returns the quickest right way to start spans with a tracer; the SDK is imported only where it is in use."""
    if type(tracer).__module__ == "opentelemetry.sdk.trace":
        from otel_callbacks.recording import sdk_span

        if (quick := sdk_span.quick_starter(tracer)) is not None:
            return quick
    return lambda name, parent, around, *rest: tracer.start_span(name, context_with(parent, around), *rest)
