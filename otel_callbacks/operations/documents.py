"""Documents that a retriever found or a reranker kept, and their ranks among the candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from otel_callbacks.limits import COMPARED_CHARACTERS
from otel_callbacks.operations.payload import head_and_tail

ScoreKind = Literal["similarity", "distance", "relevance"]
"""What a score measures: higher is better for `similarity` and `relevance` (from 0 to 1), lower for `distance`."""


@dataclass(frozen=True, slots=True)
class Document:
    """A retrieved document. `score` is None unless the framework reported one.

    `content` and `metadata` are the framework's own objects, always. The content policy decides what of them is
    recorded.
    """

    id: str | None = None
    score: float | None = None
    content: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def without_retriever_scores(kept: Sequence[Document], candidates: Sequence[Document]) -> list[Document]:
    """Removes the scores that a reranker only passed on: a score equal to the candidate's is the retriever's."""
    return [
        replace(document, score=None)
        if rank is not None and document.score == candidates[rank - 1].score
        else document
        for document, rank in zip(kept, candidate_ranks(kept, candidates), strict=True)
    ]


def candidate_ranks(kept: Sequence[Document], candidates: Sequence[Document]) -> list[int | None]:
    """Returns the rank of each document among the candidates, from 1; None for one that is not among them.

    Documents are matched by id, else by text, because many rerankers make new documents without the id. Long texts
    are matched by length, head and tail.
    """
    by_id: dict[str | None, int] = {}
    by_text: dict[tuple[int, str] | None, int] = {}
    for rank, document in enumerate(candidates, 1):
        by_id.setdefault(document.id, rank)
        by_text.setdefault(_text_key(document.content), rank)
    by_id.pop(None, None)
    by_text.pop(None, None)
    return [by_id.get(document.id) or by_text.get(_text_key(document.content)) for document in kept]


def _text_key(content: str | None) -> tuple[int, str] | None:
    """Returns a key that differs for different texts, without reading all of a very long one."""
    return None if content is None else (len(content), head_and_tail(content, COMPARED_CHARACTERS))
