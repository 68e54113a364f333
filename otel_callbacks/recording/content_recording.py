"""Records content as far as the policy allows: messages, exceptions and feedback, on spans and as events."""

import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, StatusCode, Tracer

from otel_callbacks import operations, semconv
from otel_callbacks.privacy.json_values import to_json
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.privacy.redactor import redact_attributes
from otel_callbacks.recording import span_attributes, span_plans
from otel_callbacks.recording.attribute_table import Attributes
from otel_callbacks.recording.content_writer import ContentWriter
from otel_callbacks.recording.events import Events
from otel_callbacks.recording.message_history import MessageHistory
from otel_callbacks.runs.recorded_messages import RecordedMessages
from otel_callbacks.runs.run import Run
from otel_callbacks.runs.sent_messages import sent_messages_of
from otel_callbacks.runtime.faults import guarded, stack_frames


@guarded  # a fault in content must not cost the span its usage
def record_content(
    run: Run, attributes: Attributes, events: Events, ended: int, recorded: RecordedMessages
) -> None:
    """Adds the content of a run to the attributes of its end, or emits it as an event, as the policy says."""
    policy: ContentPolicy = run.content_policy
    history = None
    if policy.history == "new":
        context = run.span.get_span_context()
        history = MessageHistory(recorded, (context.trace_id, context.trace_flags, policy.where))
    _complete_agent(run)
    writer = ContentWriter(policy, history, sent_messages_of(run))
    content = span_attributes.content_attributes(run.operation, writer)
    attributes.update(span_attributes.cut_content_attributes(writer))
    if policy.events and isinstance(run.operation, operations.Inference):
        started = span_plans.start_attributes(run.operation, policy.label)
        events.details(run.span, {**started, **attributes, **content}, ended)
    if policy.spans:
        for name, value in content.items():
            attributes[name] = value if isinstance(value, str) else to_json(value)


def _complete_agent(run: Run) -> None:
    """Adds to an agent what only its model calls know: why the answer ended, the instructions, the tools on offer."""
    operation = run.operation
    if isinstance(operation, operations.AgentInvocation):
        if operation.finish_reasons is None and run.totals is not None:
            operation.finish_reasons = run.totals.finish_reasons
        return
    if not isinstance(operation, operations.Inference):
        return
    above = run.parent
    while above is not None and not isinstance(above.operation, operations.AgentInvocation):
        above = above.parent
    if above is None:
        return
    agent, first = above.operation, next(iter(operation.input_messages or ()), None)
    agent.tool_definitions = operation.tool_definitions or agent.tool_definitions  # these have the parameters
    told_before = agent.system_instructions is not None or first in (agent.input_messages or ())
    if not told_before and first is not None and first.role in ("system", "developer"):
        agent.system_instructions = first


@guarded
def record_failure(run: Run, failure: operations.Failure, events: Events, ended: int) -> None:
    """Sets the status of a failed run, and records the exception on the innermost run that raised it.

    The message is recorded only if the policy allows it: it may quote a prompt or a key. Without it, the status names
    the type of the error.
    """
    policy: ContentPolicy = run.content_policy
    message = _message(failure, policy)
    shown = message.get(semconv.EXCEPTION_MESSAGE) if policy.spans else None
    run.span.set_status(StatusCode.ERROR, shown or failure.type)
    error = failure.exception
    if error is None:
        return
    if run.recorded_error is not error:
        event = {semconv.EXCEPTION_TYPE: failure.type, semconv.EXCEPTION_STACKTRACE: stack_frames(error)}
        events.exception(
            run.span,
            ended,
            on_span={**event, **message} if policy.spans else event,
            as_log={**event, **message} if policy.events else event,
        )
    if run.parent is not None and run.parent.open:
        run.parent.recorded_error = error


def record_evaluation(
    subject: SpanContext,
    attributes: Attributes,
    explanation: Mapping[str, str],
    labels: Mapping[str, str],
    policy: ContentPolicy,
    tracer: Tracer,
    events: Events,
) -> None:
    """Records feedback on a span (`subject`): as an event in its context, and as a span that links to it."""
    redact_attributes(attributes)
    now, evaluation_name = time.time_ns(), str(attributes[semconv.EVALUATION_NAME])
    writer = ContentWriter(policy)
    written = {name: writer.value(name, "answers", text) for name, text in explanation.items()}
    content = {name: text for name, text in written.items() if text is not None}
    events.evaluation(subject, {**attributes, **content} if policy.events else attributes, now)
    tracer.start_span(
        f"evaluation {evaluation_name}",
        Context(),
        attributes={**labels, **attributes, **(content if policy.spans else {})},
        links=(Link(subject, {semconv.EVALUATION_NAME: evaluation_name}),),
        start_time=now,
    ).end(now)


def _message(failure: operations.Failure, policy: ContentPolicy) -> dict[str, str]:
    if not policy.allows("exceptions"):
        return {}
    message = ContentWriter(policy).value(
        semconv.EXCEPTION_MESSAGE, "exceptions", failure.message_or_arguments()
    )
    if message is None:
        return {}
    return {semconv.EXCEPTION_MESSAGE: message if isinstance(message, str) else to_json(message)}
