"""Chooses what starts spans with the tracer of a provider."""

from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.trace import Span


def span_starter(tracer: trace.Tracer) -> Callable[..., Span]:
    """Returns what starts spans with a tracer; the SDK is imported only where it is in use."""
    if type(tracer).__module__ != "opentelemetry.sdk.trace":
        return tracer.start_span
    from otel_callbacks.recording import sdk_span

    return sdk_span.span_starter(tracer)
