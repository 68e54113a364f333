"""What the application records by hand: the usage of a model call, the cost of anything else, feedback."""

from collections.abc import Mapping

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import SpanContext

from otel_callbacks import operations
from otel_callbacks.cost import attribution
from otel_callbacks.privacy.content_scope import find_content_scope, scoped_policy
from otel_callbacks.recording import content_recording, span_attributes
from otel_callbacks.recording.end_of_run import has_model_call
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.current_span import CurrentSpan
from otel_callbacks.runs.surroundings import enclosing_labels, enclosing_run


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
        run.operation.response_model = run.operation.response_model or call.response_model
    elif isinstance(span, CurrentSpan) or not span.is_recording() or has_model_call(span):
        below = recorder.start(object(), call, attach=False)
        if below is not None:
            recorder.finish(below)
    else:
        scope = find_content_scope(context, run.content_scope if run is not None else None)
        labels = recorder.attribution.labels_of_run(None, enclosing_labels(context), None, context).labels
        policy = scoped_policy(scope, recorder.content_policy)
        recorder.end_of_run.record_on_user_span(span, run, policy, labels, call)


def record_evaluation(
    recorder: Recorder,
    subject: SpanContext,
    attributes: span_attributes.Attributes,
    explanation: Mapping[str, str],
) -> None:
    """Records somebody's feedback on a span; `explanation` holds the attributes that are content."""
    context = context_api.get_current()
    policy = scoped_policy(find_content_scope(context), recorder.content_policy)
    labels = attribution.labels_in(context, policy)
    content_recording.record_evaluation(
        subject, attributes, explanation, labels, policy, recorder.tracer, recorder.events
    )
