"""The documents of a trace: which were found, how they scored, and how far each of them came."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.explore.spans.attributes import integer, number
from otel_callbacks.explore.spans.captured import objects, query_of
from otel_callbacks.explore.spans.records import SpanRecord

_FINDERS = (semconv.RETRIEVAL, semconv.RERANK)
_SOURCES = ("source", "file_path", "file_name", "url")  # of document metadata


@dataclass(frozen=True, slots=True)
class RetrievedDocument:
    """One document that a retrieval found or a rerank kept; what was not recorded is None.

    `rank` counts from 1, `rank_before` is the one it had before a rerank. `kept` tells whether the rerank that
    followed kept it, `in_prompt` whether it reached a prompt and `cited` whether an answer cites it. `size` is
    in characters; `query` and `text` are there when content was captured.
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
        """Its id, or `#rank` when it has none."""
        return self.id or f"#{self.rank}"


def documents(spans: Sequence[SpanRecord]) -> list[RetrievedDocument]:
    """Returns the documents of every retrieval and rerank among the spans of a trace, which are in start order."""
    in_prompt = _marked(spans, semconv.RAG_PROMPT_DOCUMENTS, semconv.RAG_DOCUMENTS_IN_PROMPT)
    cited = _marked(spans, semconv.RAG_CITED_DOCUMENTS, semconv.RAG_DOCUMENTS_CITED)
    found = []
    for place, span in enumerate(spans):
        if span.operation in _FINDERS:
            kept = _kept_after(spans[place + 1 :])
            found += [_row(span, item, kept, in_prompt, cited) for item in _items(span)]
    return found


def _items(span: SpanRecord) -> list[dict[str, Any]]:
    """What is recorded of the documents of a span: their facts, and their text where it was captured."""
    facts = objects(span, semconv.RAG_DOCUMENTS)
    captured = [
        _from_content(place, item) for place, item in enumerate(objects(span, semconv.RETRIEVAL_DOCUMENTS))
    ]
    if not facts:
        return captured
    if len(facts) != len(captured):
        captured = [{} for _ in facts]
    return [
        {"rank": place + 1, **text, **fact}
        for place, (fact, text) in enumerate(zip(facts, captured, strict=True))
    ]


def _from_content(place: int, item: Mapping[str, Any]) -> dict[str, Any]:
    """A document of `gen_ai.retrieval.documents`, whose places count from 0."""
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
        query=query_of(span),
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
    """What the next rerank kept; None when there was none before a model was called, or it did not say."""
    for span in later:
        if span.operation == semconv.RERANK:
            items = _items(span)
            return frozenset(map(_key, items)) if items or span.documents_count == 0 else None
        if span.is_model_call and span.operation != semconv.EMBEDDINGS:
            return None
    return None


def _marked(spans: Sequence[SpanRecord], names: str, count: str) -> frozenset[str] | None:
    """The documents that any span lists under `names`; None when no span says, not even a count of 0."""
    if not any(names in span.attributes or count in span.attributes for span in spans):
        return None
    lists = (span.attributes.get(names) for span in spans)
    return frozenset(str(key) for listed in lists if isinstance(listed, tuple) for key in listed)


def _key(item: Mapping[str, Any]) -> str:
    return str(item.get("id") or f"#{item.get('rank')}")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
