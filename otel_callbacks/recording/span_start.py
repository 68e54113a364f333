"""Starts the spans of runs, with what is quickest and right for the tracer of a provider, and makes them current."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, TracerProvider

from otel_callbacks import operations
from otel_callbacks.recording.span_plans import add_varying, clean_names, plan_of
from otel_callbacks.runs import context_variable
from otel_callbacks.runs.current_span import CurrentSpan, context_with
from otel_callbacks.runs.open_runs import OpenRuns
from otel_callbacks.runs.run import Run
from otel_callbacks.runs.sampling import dropped_child, is_dropped
from otel_callbacks.runs.silence import silence_for
from otel_callbacks.runs.surroundings import Surroundings

StartSpan = Callable[[str, Span, SpanContext, Context, SpanKind, dict[str, Any], Sequence[Link], int], Span]
"""Takes name, parent span, its identity, the context around it, kind, attributes, links and start (nanoseconds)."""


def span_starter(tracer: trace.Tracer) -> StartSpan:
    """Returns the quickest right way to start spans with a tracer; the SDK is imported only where it is in use."""
    if type(tracer).__module__ == "opentelemetry.sdk.trace":
        from otel_callbacks.recording import sdk_span

        if (quick := sdk_span.quick_starter(tracer)) is not None:
            return quick
    return lambda name, parent, above, around, *rest: tracer.start_span(
        name, context_with(parent, around), *rest
    )


class OfProvider(NamedTuple):
    """What belongs to one tracer provider: the open runs, and what starts spans."""

    provider: TracerProvider
    open_runs: OpenRuns
    start_span: StartSpan


def start_span(of_provider: OfProvider, run: Run, parent: Span, context: Context, *, resumes: bool) -> None:
    """Starts the span of a run below `parent`; its start attributes are those that samplers may want to see."""
    operation, policy, (_, open_runs, start) = run.operation, run.content_policy, of_provider
    labels = run.body_labels.labels
    run.recorded_labels = policy.labels(labels) if policy.redact else labels
    above = parent.get_span_context()
    if not above[3] & 1 and open_runs.drops_children and is_dropped(parent):  # not sampled
        clean_names(operation)
        run.span, run.uncounted = dropped_child(parent), None
        return
    span_name, kind, shared, cleaned, _ = plan = plan_of(operation)
    if cleaned:
        operation.__dict__.update(cleaned)
    attributes = add_varying({**shared, **run.recorded_labels}, plan, operation, policy.label)
    links = open_runs.links_to_interrupted(operation.conversation_id) if resumes else ()
    run.span = start(span_name, parent, above, context, kind, attributes, links, run.started)
    if run.parent is None and is_dropped(run.span):
        run.uncounted = None


_NONE: Mapping[str, Any] = {}


def make_current(run: Run, around: Surroundings, *, attach: bool, defers: bool) -> None:
    """Attaches a run to the context, and silences instrumentations of the client that it calls.

    Args:
        run: the run, which has a span.
        around: what it found around it.
        attach: False if several runs start before the first body runs.
        defers: the usage of model calls is left to another instrumentation.
    """
    entries = _NONE
    if run.operation.CALLS_CLIENT:
        is_inference = isinstance(run.operation, operations.Inference)
        entries = silence_for(run, around, is_inference=is_inference, defers=defers)
    if attach:
        run.stand_in = CurrentSpan(run, around.outer, around.enclosing)
        run.stand_in.attach(around.context, entries)
    elif entries:
        context_variable.attach(Context({**around.context, **entries}))
