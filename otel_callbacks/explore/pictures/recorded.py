"""What was recorded of each span beside numbers: messages, arguments, results, documents, events and judgements."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby

from otel_callbacks import semconv
from otel_callbacks.explore.spans.attributes import attributes_to_json
from otel_callbacks.explore.spans.content import (
    Message,
    input_messages,
    instructions,
    output_messages,
    query_text,
)
from otel_callbacks.explore.spans.evaluations import Evaluation
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree

Piece = tuple[str, str]
"""One recorded text: what it is, such as `user`, `arguments` or `event retry`, and the text."""

_TEXTS = {semconv.TOOL_CALL_ARGUMENTS: "arguments", semconv.TOOL_CALL_RESULT: "result"}
_NOT_ANSWERS = (semconv.EMBEDDINGS, semconv.RERANK)


def recorded(trace: SpanTree) -> Iterator[tuple[SpanRecord, list[Piece]]]:
    """Yields the spans of which something was recorded, parents first, with all that was."""
    said = {span.span_id: pieces for span, _, pieces in conversations(trace)}
    told = {piece for pieces in said.values() for piece in pieces}
    documents = dict(document_texts(trace))
    for span in trace.walk():
        pieces = [
            *said.get(span.span_id, [piece for piece in _messages(span) if piece not in told]),
            *texts(span),
            *documents.get(span.span_id, ()),
            *events(span),
            *map(judgement, trace.evaluations_of(span)),
        ]
        if pieces:
            yield span, pieces


def answering_calls(trace: SpanTree) -> list[SpanRecord]:
    """Returns the model calls that have messages if content is recorded."""
    return [span for span in trace.model_calls if span.operation not in _NOT_ANSWERS]


def conversations(trace: SpanTree) -> Iterator[tuple[SpanRecord, int, list[Piece]]]:
    """Yields the model calls with messages: how many an earlier call has already shown, and the others."""
    before: tuple[Message, ...] = ()
    for span in answering_calls(trace):
        inputs, outputs = (*instructions(span), *input_messages(span)), output_messages(span)
        if inputs or outputs:
            shared = _shared_beginning(before, inputs)
            yield span, shared, [(message.role, message.text) for message in (*inputs[shared:], *outputs)]
            before = inputs + outputs


def other_messages(trace: SpanTree) -> Iterator[tuple[SpanRecord, list[Piece]]]:
    """Yields the other spans with messages, such as agents and workflows, with those that no model call shows."""
    told = {piece for _, _, pieces in conversations(trace) for piece in pieces}
    calls = {span.span_id for span in answering_calls(trace)}
    for span in trace.walk():
        new = [piece for piece in _messages(span) if piece not in told]
        if new and span.span_id not in calls:
            yield span, new


def texts(span: SpanRecord) -> list[Piece]:
    """Returns the query of a retrieval, the arguments and result of a tool, and what filled in a prompt template."""
    found: list[Piece] = [("query", query)] if (query := query_text(span)) else []
    for name, value in span.attributes.items():
        if name in _TEXTS:
            found.append((_TEXTS[name], value if isinstance(value, str) else json.dumps(value, default=str)))
        elif name.startswith(semconv.PROMPT_VARIABLE_PREFIX):
            found.append((name.removeprefix(semconv.PROMPT_VARIABLE_PREFIX), str(value)))
    return found


def document_texts(trace: SpanTree) -> Iterator[tuple[str, list[Piece]]]:
    """Yields the id of each span with documents whose text was recorded, and these."""
    for span_id, found in groupby(trace.documents(), key=lambda document: document.span_id):
        if pieces := [(f"{each.rank}. {each.key}", each.text) for each in found if each.text]:
            yield span_id, pieces


def events(span: SpanRecord) -> list[Piece]:
    """Returns the events of a span; an exception is shown as the failure of the span."""
    return [
        (f"event {event.name}", attributes_to_json(event.attributes) if event.attributes else "")
        for event in span.events
        if event.name != "exception"
    ]


def judgement(evaluation: Evaluation) -> Piece:
    """Returns a judgement: `helpful 1.0 👍`, and the explanation."""
    return str(evaluation), evaluation.explanation or ""


def _messages(span: SpanRecord) -> list[Piece]:
    messages = (*instructions(span), *input_messages(span), *output_messages(span))
    return [(message.role, message.text) for message in messages]


def _shared_beginning(before: Sequence[Message], now: Sequence[Message]) -> int:
    """Returns how many messages at the beginning of `now` are the same as in `before`."""
    pairs = zip(before, now, strict=False)
    return next(
        (place for place, (one, other) in enumerate(pairs) if one != other), min(len(before), len(now))
    )
