"""Records feedback by users or evaluators on a trace, during the trace or later and from another process."""

import math
import re
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.trace import SpanContext, TraceFlags

from otel_callbacks import semconv
from otel_callbacks.manual.current_recorder import current_recorder
from otel_callbacks.recording import by_hand
from otel_callbacks.runs.surroundings import suppressed
from otel_callbacks.runtime.faults import guarded

# A few digits without 0x may be any word.
_HEX = re.compile(r"0x([0-9a-f]+)|([0-9a-f]{16}|[0-9a-f]{32,})", re.IGNORECASE)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_ACCEPTED = (
    "ids (32 or 16 hex digits, or int), a W3C traceparent, or a span or trace of OpenTelemetry or"
    " otel_callbacks.explore"
)


def current_trace_id() -> str | None:
    """Returns the id, in hex, of the current trace; None outside a trace."""
    context = trace_api.get_current_span().get_span_context()
    return trace_api.format_trace_id(context.trace_id) if context.is_valid else None


def record_feedback(
    trace: Any,
    span: Any = None,
    *,
    name: str,
    score: float | None = None,
    label: str | None = None,
    explanation: str | None = None,
) -> None:
    """Records feedback on a trace, or on one of its spans, which may have ended long ago in another process.

    It emits a `gen_ai.evaluation.result` event in the context of that span and, for back ends without events, a span
    `evaluation {name}` with a link to it. That span starts a trace of its own. A late child would stretch the
    duration of the original trace, perhaps by days, and back ends close traces after a few minutes.

    Args:
        trace: the trace: its id (hex or int), a W3C traceparent, or a span or trace of OpenTelemetry or of
            `otel_callbacks.explore`. If it also names a span and `span` is None, the feedback is about that span.
        span: the span: its id, or any of the objects above.
        name: the quality that is judged, such as "helpful" or "faithfulness".
        score: how good it is, a finite number on any scale.
        label: the judgement in a word, such as "pass".
        explanation: the reason; recorded only if the content policy allows it.

    Raises:
        TypeError, ValueError: an argument has the wrong type or value; the message says what is right.
    """
    attributes = _attributes(name, score, label, explanation)
    subject = _subject(trace, span)
    if not suppressed(context_api.get_current()):
        _record(subject, attributes, explanation)


@guarded
def _record(subject: SpanContext, attributes: dict[str, Any], explanation: str | None) -> None:
    content = {} if explanation is None else {semconv.EVALUATION_EXPLANATION: explanation}
    by_hand.record_evaluation(current_recorder(), subject, attributes, content)


def _attributes(name: str, score: float | None, label: str | None, explanation: str | None) -> dict[str, Any]:
    for argument, text in (("name", name), ("label", label), ("explanation", explanation)):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"{argument} must be a string, not {type(text).__name__}: {text!r:.100}")
    if not name:
        raise ValueError("name is empty; it must say what is judged, such as 'helpful'")
    if score is None and label is None and explanation is None:
        raise ValueError("give a score, a label or an explanation")
    attributes: dict[str, Any] = {semconv.EVALUATION_NAME: name}
    if score is not None:
        attributes[semconv.EVALUATION_SCORE_VALUE] = _score(score)
    if label is not None:
        attributes[semconv.EVALUATION_SCORE_LABEL] = label
    return attributes


def _score(score: float) -> float:
    if not isinstance(score, int | float):
        raise TypeError(f"score must be a number, not {type(score).__name__}: {score!r:.100}")
    if not math.isfinite(score):
        raise ValueError(f"score={score!r} is not a score; it must be finite")
    return float(score)


def _subject(trace: Any, span: Any) -> SpanContext:
    """Returns the context of the span that the feedback is about; without a span id if it is about the trace."""
    trace_id, span_id, flags = _identify("trace", trace)
    if span is not None:
        first, second, span_flags = _identify("span", span)
        if second is None:
            span_id = first  # a span id alone
        elif first == trace_id:
            span_id, flags = second, span_flags
        else:
            raise ValueError(f"span={span!r:.100} is not in the trace {trace_api.format_trace_id(trace_id)}")
    if not 0 < trace_id < 2**128:
        raise ValueError(
            f"trace={trace!r:.100} is not a trace id, which has up to 32 hex digits and is not 0"
        )
    if span_id is not None and not 0 < span_id < 2**64:
        raise ValueError(f"span={span!r:.100} is not a span id, which has up to 16 hex digits and is not 0")
    return SpanContext(trace_id, span_id or 0, is_remote=True, trace_flags=flags)


def _identify(argument: str, value: Any) -> tuple[int, int | None, TraceFlags]:
    """Returns the one or two ids in a value and the trace flags, which say sampled unless the value has its own."""
    sampled = TraceFlags(TraceFlags.SAMPLED)
    if isinstance(value, int):
        return value, None, sampled
    if isinstance(value, str):
        if parent := _TRACEPARENT.fullmatch(value.strip()):
            trace_id, span_id, flags = parent.groups()
            return int(trace_id, 16), int(span_id, 16), TraceFlags(int(flags, 16))
        if digits := _HEX.fullmatch(value.strip()):
            return int(digits[1] or digits[2], 16), None, sampled
        raise ValueError(f"{argument}={value!r:.100} is not an id; give {_ACCEPTED}")
    context = value.get_span_context() if hasattr(value, "get_span_context") else value
    if isinstance(context, SpanContext):
        return context.trace_id, context.span_id, context.trace_flags
    roots = getattr(value, "roots", None)  # a trace of otel_callbacks.explore, which usually has one root
    record = roots[0] if roots else value
    if not isinstance(trace_hex := getattr(record, "trace_id", None), str):
        raise TypeError(f"{argument} must be {_ACCEPTED}, not {type(value).__name__}")
    return int(trace_hex, 16), int(record.span_id, 16), sampled
