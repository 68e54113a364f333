"""Converts traces to pandas data frames: spans, documents, and question-answer rows for evaluation libraries."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from otel_callbacks import semconv
from otel_callbacks.explore.spans.content import Message, asked_text, input_messages, output_messages
from otel_callbacks.explore.spans.documents import RetrievedDocument
from otel_callbacks.explore.spans.evaluations import Evaluation
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

RAGAS_COLUMNS = {"question": "user_input", "contexts": "retrieved_contexts", "answer": "response"}
"""For `rag_frame(…).rename(columns=RAGAS_COLUMNS)`: the column names of ragas since 0.2; before, it used ours."""

PHOENIX_COLUMNS = {
    "trace_id": "context.trace_id",
    "span_id": "context.span_id",
    "rank": "document_position",
    "query": "input",
    "text": "reference",
    "score": "document_score",
}
"""For `documents_frame(…).rename(columns=PHOENIX_COLUMNS)`: the columns that Phoenix's retrieval evals read."""

_SPAN_COLUMNS = (
    *("trace_id", "span_id", "parent_id", "name", "operation", "start_ns", "duration", "status"),
    *("error_type", "error_message", "model", "input_tokens", "output_tokens", "cache_read_tokens"),
    *("cost", "cost_status", "time_to_first_chunk", "outcome"),
)
_EVALUATIONS = (
    "evaluations"  # a column: what was said of the span, or of the trace, by the name of the judgement
)
_DOCUMENT_COLUMNS = (
    *("trace_id", "span_id", "operation", "query", "rank", "id", "score", "score_kind", "kept", "in_prompt"),
    *("cited", "source", "page", "chunk", "size", "rank_before", "text"),
)
_RAG_COLUMNS = (
    "trace_id",
    "question",
    "contexts",
    "answer",
    "cost",
    "latency",
    "input_tokens",
    "output_tokens",
    _EVALUATIONS,
)

# Nullable types: pandas would turn integers with gaps into floats, and bools with gaps into objects.
_SPAN_TYPES = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens"), "Int64")
_DOCUMENT_TYPES = dict.fromkeys(("kept", "in_prompt", "cited"), "boolean")
_DOCUMENT_TYPES |= dict.fromkeys(("size", "rank_before"), "Int64")


def to_dicts(traces: Iterable[SpanTree]) -> list[dict[str, Any]]:
    """Returns one dictionary per span, its attributes under `attributes`; duration in seconds, cost in US dollars.

    `evaluations` has the judgements of the span by name, as score or label; those of the trace are with its root.
    """
    return [span_dict(trace, span) for trace in traces for span in trace.spans]


def span_dict(trace: SpanTree, span: SpanRecord) -> dict[str, Any]:
    """Returns one span of a trace as `to_dicts` does."""
    return {
        **{name: getattr(span, name) for name in _SPAN_COLUMNS},
        _EVALUATIONS: _judgements(trace.evaluations_of(span)),
        "attributes": dict(span.attributes),
    }


def spans_frame(traces: Iterable[SpanTree]) -> "pandas.DataFrame":
    """Returns one row per span: the fields of `to_dicts`, `start` as a timestamp, and one column per attribute.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    pd = _pandas()
    rows = [{**row.pop("attributes"), **row} for row in to_dicts(traces)]
    attributes = sorted({name for row in rows for name in row} - {*_SPAN_COLUMNS, _EVALUATIONS})
    frame = pd.DataFrame(rows, columns=[*_SPAN_COLUMNS, _EVALUATIONS, *attributes])
    frame["start_ns"] = pd.to_datetime(frame["start_ns"], unit="ns", utc=True)
    return frame.astype(_SPAN_TYPES).rename(columns={"start_ns": "start"})


def documents_frame(traces: Iterable[SpanTree]) -> "pandas.DataFrame":
    """Returns one row per retrieved or reranked document; see `RetrievedDocument` and `PHOENIX_COLUMNS`.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    rows = [
        {name: getattr(document, name) for name in _DOCUMENT_COLUMNS}
        for trace in traces
        for document in trace.documents()
    ]
    return _pandas().DataFrame(rows, columns=list(_DOCUMENT_COLUMNS)).astype(_DOCUMENT_TYPES)


def rag_frame(traces: Iterable[SpanTree]) -> "pandas.DataFrame":
    """Returns one row per trace with a retrieval: question, contexts, answer, cost (US dollars), latency (seconds).

    The columns have the names of ragas before 0.2; `RAGAS_COLUMNS` gives the newer ones. Question, contexts and
    answer need content recording. `evaluations` has score or label by the name of the judgement. Contexts are the
    in-prompt documents, or those of the last retrieval or rerank
    if nothing tells which were in the prompt.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    return _pandas().DataFrame(list(_rag_rows(traces)), columns=list(_RAG_COLUMNS))


def _rag_rows(traces: Iterable[SpanTree]) -> Iterator[dict[str, Any]]:
    for trace in traces:
        if any(span.operation == semconv.RETRIEVAL for span in trace.spans):
            found = trace.documents()
            yield {
                "trace_id": trace.trace_id,
                "question": question(trace, found),
                "contexts": _contexts(found),
                "answer": answer(trace),
                "cost": trace.cost,
                "latency": trace.duration,
                "input_tokens": trace.input_tokens,
                "output_tokens": trace.output_tokens,
                _EVALUATIONS: _judgements(trace.evaluations),
            }


def _judgements(found: Iterable[Evaluation]) -> dict[str, float | str | None]:
    """Returns the score, else the label, of the latest judgement of each name."""
    return {each.name: each.label if each.score is None else each.score for each in found}


def question(trace: SpanTree, found: Sequence[RetrievedDocument]) -> str | None:
    """Returns the last user message of the outermost span that recorded one, else the first retrieval query."""
    for span in trace.walk():
        if questions := [each for each in input_messages(span) if each.role == "user"]:
            return asked_text(questions[-1].text)
    return next((document.query for document in found if document.query), None)


def answer(trace: SpanTree) -> str | None:
    """Returns the last output message of the root, else of the last model call."""
    spans: Iterable[SpanRecord] = (*trace.roots, *reversed(trace.model_calls))
    answers: Iterator[Message] = (each for span in spans for each in output_messages(span)[-1:])
    return next((each.text for each in answers if each.text), None)


def _contexts(found: Sequence[RetrievedDocument]) -> list[str]:
    if any(document.in_prompt is not None for document in found):
        chosen = [document for document in found if document.in_prompt]
    else:
        chosen = [document for document in found if document.span_id == found[-1].span_id]
    return list(dict.fromkeys(document.text for document in chosen if document.text))


def _pandas() -> Any:
    try:
        import pandas
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(f"{missing}; pip install 'otel-callbacks[notebook]'") from missing
    return pandas
