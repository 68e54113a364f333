"""Starts the spans of runs, with what is quickest and right for the tracer of a provider."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, TracerProvider

from otel_callbacks.recording.span_attributes import add_start_attributes, plan_of
from otel_callbacks.runs.current_span import context_with
from otel_callbacks.runs.open_runs import OpenRuns
from otel_callbacks.runs.run import Run

StartSpan = Callable[[str, Span, Context, SpanKind, dict[str, Any], Sequence[Link], int], Span]
"""Takes name, parent span, the context around it, kind, attributes, links and start (nanoseconds)."""


def span_starter(tracer: trace.Tracer) -> StartSpan:
    """Returns the quickest right way to start spans with a tracer; the SDK is imported only where it is in use."""
    if type(tracer).__module__ == "opentelemetry.sdk.trace":
        from otel_callbacks.recording import sdk_span

        if (quick := sdk_span.quick_starter(tracer)) is not None:
            return quick
    return lambda name, parent, around, *rest: tracer.start_span(name, context_with(parent, around), *rest)


class OfProvider(NamedTuple):
    """What belongs to one tracer provider: the open runs, and what starts spans."""

    provider: TracerProvider
    open_runs: OpenRuns
    start_span: StartSpan


def start_span(start: StartSpan, run: Run, parent: Span, context: Context, links: Sequence[Link]) -> Span:
    """Starts the span of a run below `parent`; its start attributes are those that samplers may want to see."""
    operation, policy = run.operation, run.content_policy
    plan = plan_of(operation)
    attributes = {**plan.attributes, **policy.labels(run.body_labels.labels)}
    add_start_attributes(attributes, operation, policy.label)
    return start(plan.span_name, parent, context, plan.span_kind, attributes, links, run.started)
