"""What the application records by hand: the usage of a model call, the cost of anything else, feedback."""

from collections.abc import Mapping
from decimal import Decimal

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext

from otel_callbacks import operations, semconv
from otel_callbacks.cost import attribution
from otel_callbacks.privacy.content_scope import find_content_scope, scoped_policy
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.recording import content_recording
from otel_callbacks.recording.attribute_table import Attributes
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.current_span import CurrentSpan
from otel_callbacks.runs.run import Run
from otel_callbacks.runs.surroundings import enclosing_labels, enclosing_run, suppressed

_WITH_USAGE = (
    operations.Inference,
    operations.Embedding,
    operations.Rerank,
    operations.AgentInvocation,
)
"""The operations whose spans carry usage or a cost of their own."""


def record_usage(recorder: Recorder, call: operations.Inference) -> None:
    """Records the usage of a model call that the application made by hand.

    Inside a run that is a model call, it completes that run. Otherwise it goes onto the current span, or onto a new
    span below it: a span of ours describes another operation, and a span has room for one model call only.
    """
    context = context_api.get_current()
    run, span = enclosing_run(context), trace.get_current_span(context)
    if run is not None and isinstance(run.operation, operations.Inference):
        run.operation.usage = call.usage
        run.operation.reported_usd = call.reported_usd
        run.operation.billing = call.billing or run.operation.billing
        run.operation.response_service_tier = (
            call.response_service_tier or run.operation.response_service_tier
        )
        run.operation.response_model = run.operation.response_model or call.response_model
    elif isinstance(span, CurrentSpan) or not span.is_recording() or _has_cost(span):
        below = recorder.start(object(), call, attach=False)
        if below is not None:
            recorder.finish(below)
    else:
        labels, policy = _labels_here(recorder, context), _policy_here(recorder, context, run)
        recorder.end_of_run.record_on_user_span(span, run, policy, labels, call)


def record_cost(recorder: Recorder, usd: Decimal, what: str) -> None:
    """Records the cost of something that is no model call, on the current span or on one of its own below."""
    context = context_api.get_current()
    if suppressed(context):
        return
    run, span = enclosing_run(context), trace.get_current_span(context)
    labels, policy = _labels_here(recorder, context), _policy_here(recorder, context, run)
    if run is not None and span.get_span_context() == run.span.get_span_context():
        takes_cost = labels == run.labels and not isinstance(run.operation, _WITH_USAGE)
        span = run.span
    else:
        takes_cost = span.is_recording() and _has_room(span, policy.labels(labels))
    if takes_cost:
        recorder.end_of_run.record_cost(span, run, policy, labels, usd, what)
        return
    below = recorder.start(object(), operations.Step(name=what), attach=False)
    if below is not None:
        recorder.end_of_run.record_cost(below.span, below, below.content_policy, below.labels, usd, what)
        recorder.finish(below)


def _labels_here(recorder: Recorder, context: Context) -> attribution.Labels:
    return recorder.attribution.labels_of_run(None, enclosing_labels(context), None, context).labels


def _policy_here(recorder: Recorder, context: Context, run: Run | None) -> ContentPolicy:
    scope = find_content_scope(context, run.content_scope if run is not None else None)
    return scoped_policy(scope, recorder.content_policy)


def _has_cost(span: Span) -> bool:
    """Tells whether a model call, or another cost, has been recorded on a span of the application."""
    known = _attributes(span)
    return semconv.COST_STATUS in known or semconv.COST_RECORDED_USD in known


def _has_room(span: Span, labels: attribution.Labels) -> bool:
    """Tells whether a span of the application may carry a cost: no operation of GenAI is on it, and its labels fit."""
    known = _attributes(span)
    if semconv.COST_STATUS in known or semconv.OPERATION_NAME in known:
        return False
    return all(known.get(name) == text for name, text in labels.items())


def _attributes(span: Span) -> Mapping[str, object]:
    return getattr(span, "attributes", None) or {}


def record_evaluation(
    recorder: Recorder,
    subject: SpanContext,
    attributes: Attributes,
    explanation: Mapping[str, str],
) -> None:
    """Records somebody's feedback on a span; `explanation` holds the attributes that are content."""
    context = context_api.get_current()
    policy = scoped_policy(find_content_scope(context), recorder.content_policy)
    labels = attribution.labels_in(context, policy)
    content_recording.record_evaluation(
        subject, attributes, explanation, labels, policy, recorder.tracer, recorder.events
    )
