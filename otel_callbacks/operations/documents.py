"""Documents that a retriever found or a reranker kept, and their places among the candidates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from otel_callbacks.operations.payload import ends

_MAX_COMPARED = 4_096  # characters of a text

ScoreKind = Literal["similarity", "distance", "relevance"]
"""What a score measures: higher is better for `similarity` and `relevance` (from 0 to 1), lower for `distance`."""


@dataclass(frozen=True, slots=True)
class Document:
    """A retrieved document. `score` is None unless the framework reported one; it is never made up.

    `content` and `metadata` are the framework's own objects. They are here whatever the content policy, which
    decides what of them is recorded.
    """

    id: str | None = None
    score: float | None = None
    content: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def rescored(kept: Sequence[Document], candidates: Sequence[Document]) -> list[Document]:
    """What a reranker kept, without the scores that only came through it: those are still the retriever's."""
    return [
        replace(document, score=None)
        if before is not None and document.score == candidates[before - 1].score
        else document
        for document, before in zip(kept, ranks_before(kept, candidates), strict=True)
    ]


def ranks_before(kept: Sequence[Document], candidates: Sequence[Document]) -> list[int | None]:
    """The place of each document among the candidates, from 1; None for one that is not among them.

    By id, else by text: many rerankers make new documents and leave the id out. Of long texts, length, head and tail.
    """
    by_id: dict[str | None, int] = {}
    by_text: dict[tuple[int, str] | None, int] = {}
    for rank, document in enumerate(candidates, 1):
        by_id.setdefault(document.id, rank)
        by_text.setdefault(_told_apart(document.content), rank)
    by_id.pop(None, None)
    by_text.pop(None, None)
    return [by_id.get(document.id) or by_text.get(_told_apart(document.content)) for document in kept]


def _told_apart(content: str | None) -> tuple[int, str] | None:
    """What tells texts apart without reading all of a very long one."""
    return None if content is None else (len(content), ends(content, _MAX_COMPARED))
