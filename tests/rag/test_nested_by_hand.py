"""Retrievals inside retrievals, and rerankers in a row, that the application traces by hand."""

from typing import Any

import pytest

from otel_callbacks import inference, rerank, retrieval, workflow
from otel_callbacks.testing import Captured

TEXTS = [f"Text number {number} speaks of animals, and of nothing else." for number in range(9)]
NAMES = ("results_count", "reranked_count", "documents_in_prompt", "documents_cited")


def counts(captured: Captured) -> dict[str, Any]:
    """Returns the counts on the root, without those that it does not have."""
    found = captured.spans[0].attributes or {}
    return {name: found[f"rag.{name}"] for name in NAMES if f"rag.{name}" in found}


def given(*numbers: int) -> list[dict[str, str]]:
    return [{"id": f"d{number}", "text": TEXTS[number]} for number in numbers]


@retrieval()
def search(query: str, *numbers: int) -> list[dict[str, str]]:
    return given(*numbers)


@retrieval()
def fuse(query: str) -> list[dict[str, str]]:
    return [*search(query, 0, 1, 2), *search(query, 2, 3)][:2]


@retrieval()
def silent(query: str) -> None:
    search(query, 0, 1, 2)


@retrieval()
def broken(query: str) -> list[dict[str, str]]:
    search(query, 0, 1, 2)
    raise ValueError("no")


def test_by_hand(captured: Captured) -> None:
    with workflow("rag"):
        found = fuse("q")
        with inference("scripted-1") as call:
            call.messages(input="\n".join(each["text"] for each in found), output="It is [1], or [2].")
    assert counts(captured) == {"results_count": 2, "documents_in_prompt": 2, "documents_cited": 2}


def test_if_the_outermost_returns_nothing_readable_those_inside_count(captured: Captured) -> None:
    with workflow("rag"):
        silent("q")
    assert counts(captured)["results_count"] == 3


def test_a_retrieval_that_failed_returned_nothing(captured: Captured) -> None:
    with workflow("rag"):
        with pytest.raises(ValueError, match="no"):
            broken("q")
        search("q", 5)
    assert counts(captured)["results_count"] == 1


def test_rerankers_by_hand_keep_the_scores_that_the_application_gives(captured: Captured) -> None:
    with workflow("rag"):
        with retrieval() as found:
            found.documents([("a", 0.9), ("b", 0.8)])
        for kept in (("b", "a"), ("b",)):
            with rerank("rerank-1") as best:
                best.candidates([("a", 0.9), ("b", 0.9)])
                best.documents([(text, 0.9) for text in kept])
    assert [(span.attributes or {})["rag.top_score"] for span in captured.spans[2:]] == [0.9, 0.9]
    assert counts(captured)["reranked_count"] == 1
