"""Documents that a retriever found or a reranker kept, and their ranks among the candidates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Literal

from otel_callbacks.limits import COMPARED_CHARACTERS
from otel_callbacks.operations.payload import head_and_tail

ScoreKind = Literal["similarity", "distance", "relevance"]
"""What a score measures: higher is better for `similarity` and `relevance` (from 0 to 1), lower for `distance`."""


_SCORE = attrgetter("score")
_FIELDS = ("id", "score", "content", "metadata")
_NO_METADATA: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, init=False)
class Document:
    """A retrieved document. `score` is None unless the framework reported one.

    `content` and `metadata` are the framework's own objects, always. The content policy decides what of them is
    recorded.
    """

    id: str | None
    score: float | None
    content: str | None
    metadata: Mapping[str, Any]

    def __init__(
        self,
        id: str | None = None,
        score: float | None = None,
        content: str | None = None,
        metadata: Mapping[str, Any] = _NO_METADATA,
    ) -> None:
        # in a third of the time that the generated constructor of a frozen class takes; a search finds many documents
        any(map(object.__setattr__, repeat(self), _FIELDS, (id, score, content, metadata)))


def top_score(documents: Sequence[Document], kind: ScoreKind | None = None) -> float | None:
    """Returns the best score; None if no document has one."""
    scores = [score for score in map(_SCORE, documents) if score is not None]
    return (min if kind == "distance" else max)(scores) if scores else None


def without_retriever_scores(
    kept: Sequence[Document],
    candidates: Sequence[Document],
    is_reranked: Callable[[Document], bool] = lambda candidate: False,
) -> list[Document]:
    """Removes the scores that a reranker only passed on: a score equal to the candidate's is the retriever's.

    Args:
        kept: the documents that the reranker kept.
        candidates: those that it was given.
        is_reranked: tells whether the score of a candidate is that of an earlier reranker, and therefore stays.
    """
    return [
        replace(document, score=None)
        if rank is not None
        and document.score is not None
        and document.score == candidates[rank - 1].score
        and not is_reranked(candidates[rank - 1])
        else document
        for document, rank in zip(kept, candidate_ranks(kept, candidates), strict=True)
    ]


def candidate_ranks(kept: Sequence[Document], candidates: Sequence[Document]) -> list[int | None]:
    """Returns the rank of each document among the candidates, from 1; None for one that is not among them."""
    ranks: dict[object, int] = {}
    for rank, document in enumerate(candidates, 1):
        for key in document_keys(document):
            ranks.setdefault(key, rank)
    return [next((ranks[key] for key in document_keys(document) if key in ranks), None) for document in kept]


def document_keys(document: Document) -> Sequence[object]:
    """Returns what a document is recognised by: its id, else its text.

    Many rerankers make new documents without the id. Long texts are matched by length, head and tail.
    """
    content = document.content
    text = () if content is None else ((len(content), head_and_tail(content, COMPARED_CHARACTERS)),)
    return text if document.id is None else (document.id, *text)
