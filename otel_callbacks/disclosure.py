"""What is said of content, as the policy allows: on spans, and as events."""

import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, StatusCode, Tracer

from otel_callbacks import mapping, operations, semconv
from otel_callbacks.current import Run
from otel_callbacks.events import Events
from otel_callbacks.guard import guarded, stack_of
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.privacy.redaction import make_safe
from otel_callbacks.privacy.values import to_json
from otel_callbacks.privacy.writer import Writer


@guarded  # what goes wrong with content must not cost the span its usage
def disclose_content(run: Run, attributes: mapping.Attributes, events: Events, ended: int) -> None:
    """Adds to the attributes, or emits, the content of a run; `attributes` are those that it ends with."""
    policy: ContentPolicy = run.content
    writer = Writer(policy)
    found = mapping.content_attributes(run.operation, writer)
    attributes.update(mapping.content_remarks(writer))
    if policy.events and isinstance(run.operation, operations.Inference):
        started = mapping.start_attributes(run.operation, policy.label)
        events.details(run.span, {**started, **attributes, **found}, ended)
    if policy.spans:
        for name, value in found.items():
            attributes[name] = value if isinstance(value, str) else to_json(value)


@guarded
def disclose_failure(run: Run, failure: operations.Failure, events: Events, ended: int) -> None:
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
        event = {semconv.EXCEPTION_TYPE: failure.type, semconv.EXCEPTION_STACKTRACE: stack_of(error)}
        events.exception(
            run.span,
            ended,
            on_span={**event, **said} if policy.spans else event,
            as_log={**event, **said} if policy.events else event,
        )
    if run.parent is not None and run.parent.open:
        run.parent.recorded_error = error


def disclose_evaluation(
    subject: SpanContext,
    attributes: mapping.Attributes,
    explanation: Mapping[str, str],
    labels: Mapping[str, str],
    policy: ContentPolicy,
    tracer: Tracer,
    events: Events,
) -> None:
    """Tells what somebody thinks of a span: as an event in its context, and as a span that links to it."""
    make_safe(attributes)
    now, about = time.time_ns(), str(attributes[semconv.EVALUATION_NAME])
    writer = Writer(policy)
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
    message = Writer(policy).value(semconv.EXCEPTION_MESSAGE, "exceptions", failure.said())
    if message is None:
        return {}
    return {semconv.EXCEPTION_MESSAGE: message if isinstance(message, str) else to_json(message)}
