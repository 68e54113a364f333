"""What the retrievals of a run found, and whether the answer used it."""

from collections.abc import Sequence
from dataclasses import dataclass

from otel_callbacks import semconv
from otel_callbacks.explore.evidence.nodes import outermost
from otel_callbacks.explore.spans.attributes import integer
from otel_callbacks.explore.spans.content import query_text
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree


@dataclass(frozen=True, slots=True)
class Search:
    """One retrieval, or the outermost of several in each other.

    `in_prompt` and `cited` are those of the whole run, None if nobody counted them. `query` is None unless it was
    recorded, which needs content.
    """

    span_id: str
    source: str
    scale: str
    found: int | None
    best: float | None
    in_prompt: int | None
    cited: int | None
    query: str | None


def searches_of(tree: SpanTree) -> Sequence[Search]:
    """Returns the retrievals of a trace."""
    retrievals = list(outermost(tree, _has_searched))
    if not retrievals:
        return ()
    in_prompt = _count(tree, semconv.RAG_DOCUMENTS_IN_PROMPT)
    cited = _count(tree, semconv.RAG_DOCUMENTS_CITED)
    return tuple(_search(span, in_prompt, cited) for span in retrievals)


def _search(span: SpanRecord, in_prompt: int | None, cited: int | None) -> Search:
    names = (semconv.DATA_SOURCE_ID, semconv.RAG_SCORE_KIND, semconv.RAG_EMBEDDING_MODEL)
    texts = {name: value if isinstance(value := span.attributes.get(name), str) else "" for name in names}
    return Search(
        span_id=span.span_id,
        source=texts[semconv.DATA_SOURCE_ID] or span.name.removeprefix(f"{semconv.RETRIEVAL} "),
        scale=f"{texts[semconv.RAG_SCORE_KIND]} {texts[semconv.RAG_EMBEDDING_MODEL]}".strip(),
        found=span.documents_count,
        best=span.top_score,
        in_prompt=in_prompt,
        cited=cited,
        query=query_text(span),
    )


def _has_searched(span: SpanRecord) -> bool:
    return span.operation == semconv.RETRIEVAL and not span.failed


def _count(tree: SpanTree, name: str) -> int | None:
    """Returns the count of the first root that has one, else the sum over the model calls."""
    of_roots = [integer(root.attributes.get(name)) for root in tree.roots]
    if known := [count for count in of_roots if count is not None]:
        return known[0]
    of_calls = [integer(span.attributes.get(name)) for span in tree.model_calls]
    counts = [count for count in of_calls if count is not None]
    return sum(counts) if counts else None
