"""What a run says of its content when it ends: on its span, and as events."""

from opentelemetry.trace import StatusCode

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
        started = mapping.start_attributes(run.operation)
        make_safe(started)
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


def _said(failure: operations.Failure, policy: ContentPolicy) -> dict[str, str]:
    if not policy.allows("exceptions"):
        return {}
    message = Writer(policy).value(semconv.EXCEPTION_MESSAGE, "exceptions", failure.text())
    if message is None:
        return {}
    return {semconv.EXCEPTION_MESSAGE: message if isinstance(message, str) else to_json(message)}
