"""What is said of content, as the policy allows: on spans, and as events."""

import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, StatusCode, Tracer

from otel_callbacks import operations, semconv
from otel_callbacks.privacy.json_values import to_json
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.privacy.redactor import redact_attributes
from otel_callbacks.recording import span_attributes
from otel_callbacks.recording.content_writer import ContentWriter
from otel_callbacks.recording.events import Events
from otel_callbacks.runs.current_span import Run
from otel_callbacks.runtime.faults import guarded, stack_frames


@guarded  # what goes wrong with content must not cost the span its usage
def record_content(run: Run, attributes: span_attributes.Attributes, events: Events, ended: int) -> None:
    """Adds to the attributes, or emits, the content of a run; `attributes` are those that it ends with."""
    policy: ContentPolicy = run.content
    writer = ContentWriter(policy)
    found = span_attributes.content_attributes(run.operation, writer)
    attributes.update(span_attributes.content_remarks(writer))
    if policy.events and isinstance(run.operation, operations.Inference):
        started = span_attributes.start_attributes(run.operation, policy.label)
        events.details(run.span, {**started, **attributes, **found}, ended)
    if policy.spans:
        for name, value in found.items():
            attributes[name] = value if isinstance(value, str) else to_json(value)


@guarded
def record_failure(run: Run, failure: operations.Failure, events: Events, ended: int) -> None:
    """Sets the status, and records the exception where it was first seen; runs above only have its type.

    An exception's message may quote a prompt or a key, so it is content.
    """
    policy: ContentPolicy = run.content
    said = _said(failure, policy)
    run.span.set_status(StatusCode.ERROR, said.get(semconv.EXCEPTION_MESSAGE) if policy.spans else None)
    error = failure.exception
    if error is None:
        return
    if run.recorded_error is not error:
        event = {semconv.EXCEPTION_TYPE: failure.type, semconv.EXCEPTION_STACKTRACE: stack_frames(error)}
        events.exception(
            run.span,
            ended,
            on_span={**event, **said} if policy.spans else event,
            as_log={**event, **said} if policy.events else event,
        )
    if run.parent is not None and run.parent.open:
        run.parent.recorded_error = error


def record_evaluation(
    subject: SpanContext,
    attributes: span_attributes.Attributes,
    explanation: Mapping[str, str],
    labels: Mapping[str, str],
    policy: ContentPolicy,
    tracer: Tracer,
    events: Events,
) -> None:
    """Tells what somebody thinks of a span: as an event in its context, and as a span that links to it."""
    redact_attributes(attributes)
    now, about = time.time_ns(), str(attributes[semconv.EVALUATION_NAME])
    writer = ContentWriter(policy)
    said = {name: writer.value(name, "answers", text) for name, text in explanation.items()}
    content = {name: text for name, text in said.items() if text is not None}
    events.evaluation(subject, {**attributes, **content} if policy.events else attributes, now)
    tracer.start_span(
        f"evaluation {about}",
        Context(),
        attributes={**labels, **attributes, **(content if policy.spans else {})},
        links=(Link(subject, {semconv.EVALUATION_NAME: about}),),
        start_time=now,
    ).end(now)


def _said(failure: operations.Failure, policy: ContentPolicy) -> dict[str, str]:
    if not policy.allows("exceptions"):
        return {}
    message = ContentWriter(policy).value(
        semconv.EXCEPTION_MESSAGE, "exceptions", failure.message_or_arguments()
    )
    if message is None:
        return {}
    return {semconv.EXCEPTION_MESSAGE: message if isinstance(message, str) else to_json(message)}
