"""The retrieved documents of a trace: their ranks and scores, and whether they were kept, in the prompt and cited."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.explore.spans.attributes import integer, number
from otel_callbacks.explore.spans.content import json_objects, query_text
from otel_callbacks.explore.spans.records import SpanRecord

_OPERATIONS = (semconv.RETRIEVAL, semconv.RERANK)
_SOURCES = ("source", "file_path", "file_name", "url")  # keys of document metadata


@dataclass(frozen=True, slots=True)
class RetrievedDocument:
    """One document that a retrieval returned or a rerank kept. Fields that were not recorded are None.

    `rank` counts from 1; `rank_before` is the rank before a rerank. `kept` tells whether the next rerank kept the
    document, `in_prompt` whether its text is in a prompt, and `cited` whether an answer cites it. `size` is in
    characters. `query` and `text` need content recording.
    """

    trace_id: str
    span_id: str
    operation: str
    query: str | None
    rank: int
    rank_before: int | None
    id: str | None
    score: float | None
    score_kind: str | None
    source: str | None
    page: str | None
    chunk: str | None
    size: int | None
    kept: bool | None
    in_prompt: bool | None
    cited: bool | None
    text: str | None

    @property
    def key(self) -> str:
        """The id of the document, or `#rank` if it has no id."""
        return self.id or f"#{self.rank}"


def documents(spans: Sequence[SpanRecord]) -> list[RetrievedDocument]:
    """Returns the documents of every retrieval and rerank among the spans of a trace, which are in start order."""
    in_prompt = _marked(spans, semconv.RAG_PROMPT_DOCUMENTS, semconv.RAG_DOCUMENTS_IN_PROMPT)
    cited = _marked(spans, semconv.RAG_CITED_DOCUMENTS, semconv.RAG_DOCUMENTS_CITED)
    found = []
    for place, span in enumerate(spans):
        if span.operation in _OPERATIONS:
            kept = _kept_after(spans[place + 1 :])
            found += [_row(span, item, kept, in_prompt, cited) for item in _items(span)]
    return found


def _items(span: SpanRecord) -> list[dict[str, Any]]:
    """Returns the recorded documents of a span as dictionaries, with their text if content was recorded."""
    facts = json_objects(span, semconv.RAG_DOCUMENTS)
    recorded = [
        _from_content(place, item)
        for place, item in enumerate(json_objects(span, semconv.RETRIEVAL_DOCUMENTS))
    ]
    if not facts:
        return recorded
    if len(facts) != len(recorded):
        recorded = [{} for _ in facts]
    return [
        {"rank": place + 1, **text, **fact}
        for place, (fact, text) in enumerate(zip(facts, recorded, strict=True))
    ]


def _from_content(place: int, item: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a document of `gen_ai.retrieval.documents`, whose `rank_before` counts from 0."""
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    before = item.get("rank_before")
    return {
        "rank": place + 1,
        "id": item.get("id"),
        "score": item.get("score"),
        "source": next((metadata[name] for name in _SOURCES if metadata.get(name)), None),
        "rank_before": before + 1 if isinstance(before, int) else None,
        "text": item.get("content"),
    }


def _row(
    span: SpanRecord,
    item: Mapping[str, Any],
    kept: frozenset[str] | None,
    in_prompt: frozenset[str] | None,
    cited: frozenset[str] | None,
) -> RetrievedDocument:
    key = _key(item)
    return RetrievedDocument(
        trace_id=span.trace_id,
        span_id=span.span_id,
        operation=span.operation or "",
        query=query_text(span),
        rank=integer(item.get("rank")) or 0,
        rank_before=integer(item.get("rank_before")),
        id=_text(item.get("id")),
        score=number(item.get("score")),
        score_kind=_text(item.get("score_kind") or span.attributes.get(semconv.RAG_SCORE_KIND)),
        source=_text(item.get("source")),
        page=_text(item.get("page")),
        chunk=_text(item.get("chunk")),
        size=integer(item.get("size")),
        kept=None if kept is None else key in kept,
        in_prompt=None if in_prompt is None else key in in_prompt,
        cited=None if cited is None else key in cited,
        text=_text(item.get("text")),
    )


def _kept_after(later: Sequence[SpanRecord]) -> frozenset[str] | None:
    """Returns the keys of the documents that the next rerank kept.

    None if no rerank comes before the next model call, or if its documents were not recorded.
    """
    for span in later:
        if span.operation == semconv.RERANK:
            items = _items(span)
            return frozenset(map(_key, items)) if items or span.documents_count == 0 else None
        if span.is_model_call and span.operation != semconv.EMBEDDINGS:
            return None
    return None


def _marked(spans: Sequence[SpanRecord], names: str, count: str) -> frozenset[str] | None:
    """Returns the keys that any span lists under `names`; None if no span has `names` or `count`."""
    if not any(names in span.attributes or count in span.attributes for span in spans):
        return None
    lists = (span.attributes.get(names) for span in spans)
    return frozenset(str(key) for listed in lists if isinstance(listed, tuple) for key in listed)


def _key(item: Mapping[str, Any]) -> str:
    return str(item.get("id") or f"#{item.get('rank')}")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
