"""What is recorded of retrieved and reranked documents, whatever the content policy."""

import json
from typing import Any

import pytest

from otel_callbacks.operations import Document, without_retriever_scores
from otel_callbacks.rag import recorded_documents


def told(metadata: dict[str, Any]) -> dict[str, Any]:
    """Returns what is recorded of a document with this metadata."""
    (entry,) = json.loads(recorded_documents.retrieved([Document(metadata=metadata)], None))
    return {key: value for key, value in entry.items() if key != "rank"}


def test_documents_are_recorded_in_the_order_of_the_result() -> None:
    found = [
        Document("d1", 0.75, "Grüße", {"source": "a.pdf", "page": 3, "start_index": 0, "author": "Ada"}),
        Document(content=""),
    ]
    assert json.loads(recorded_documents.retrieved(found, "distance")) == [
        {
            "rank": 1,
            "id": "d1",
            "score": 0.75,
            "score_kind": "distance",
            "source": "a.pdf",
            "page": 3,
            "chunk": 0,
            "size": 5,
        },
        {"rank": 2, "size": 0},
    ]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("/data/a b.pdf", "/data/a b.pdf"),
        ("https://example.com/guide.html", "https://example.com/guide.html"),
        ("https://user:secret@example.com:8443/a?token=secret#secret", "https://example.com:8443/a"),
        ("postgresql://app:secret@db/docs", "postgresql://db/docs"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("//user:secret@host/a?secret", "//host/a"),
        ("What is this?.txt", "What is this?.txt"),
        (f"https://{'secret' * 100}@example.com/a", "https://example.com/a"),
        ("data:text/plain,secret", None),
    ],
)
def test_a_source_has_no_secrets(source: str, shown: str | None) -> None:
    assert told({"source": source}).get("source") == shown


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"file_path": "/a/b.txt", "file_name": "b.txt"}, {"source": "/a/b.txt"}),
        ({"url": "https://example.com"}, {"source": "https://example.com"}),
        ({"source": None, "file_name": "b.txt"}, {"source": "b.txt"}),
        (
            {"source": {"secret": 1}, "title": "secret", "page": [1], "chunk": True, "page_number": 2},
            {"page": 2},
        ),
        ({"page": 0, "page_label": "i"}, {"page": "i"}),
        ({"page": 0}, {"page": 0}),
        ({"chunk_id": "c-7"}, {"chunk": "c-7"}),
        ({"text": "secret", "score": 0.5}, {}),
    ],
)
def test_the_usual_metadata_keys(metadata: dict[str, Any], expected: dict[str, Any]) -> None:
    assert told(metadata) == expected


@pytest.mark.parametrize("score", [float("nan"), float("inf"), None])
def test_a_score_that_is_no_number_is_left_out(score: float | None) -> None:
    assert json.loads(recorded_documents.retrieved([Document(score=score)], "similarity")) == [{"rank": 1}]
    assert json.loads(recorded_documents.reranked([Document(score=score)], [Document("d1", score)])) == [
        {"rank": 1}
    ]


def test_strings_and_lists_are_bounded() -> None:
    long = Document("i" * 10_000, metadata=dict.fromkeys(("source", "page", "chunk"), 'ü"' * 10_000))
    entries = json.loads(recorded_documents.retrieved([long] * 1_000, None))
    assert len(entries) == 100
    assert {len(value) for value in entries[0].values() if isinstance(value, str)} == {256}
    assert len(json.loads(recorded_documents.reranked([long] * 1_000, ()))) == 100


def test_a_reranked_document_has_its_rank_and_score_before() -> None:
    candidates = [Document("d1", 0.75, "one"), Document(None, 0.5, "two"), Document("d3", None, "three")]
    kept = [Document("d3", 0.9, "cut"), Document(None, 0.8, "two"), Document("new", 0.7, "new")]
    relevance = {"score_kind": "relevance"}
    assert json.loads(recorded_documents.reranked(kept, candidates)) == [
        {"rank": 1, "id": "d3", "score": 0.9, **relevance, "size": 3, "rank_before": 3},
        {"rank": 2, "score": 0.8, **relevance, "size": 3, "rank_before": 2, "score_before": 0.5},
        {"rank": 3, "id": "new", "score": 0.7, **relevance, "size": 3},
    ]


def test_a_score_that_the_reranker_passed_on_is_not_its_own() -> None:
    candidates = [Document("d1", 0.75), Document("d2", 0.5)]
    kept = without_retriever_scores([Document("d2", 0.5), Document("d1", 0.9)], candidates)
    assert kept == [Document("d2", None), Document("d1", 0.9)]


def test_a_very_long_source_is_recorded_without_credentials() -> None:
    long = "x" * 10_000
    for source, shown in (
        (f"https://ann:{long}@host/path", "https://"),
        (f"https://ann:secret@host/{long}", f"https://host/{long}"[:256]),
        (f"/data/{long}", f"/data/{long}"[:256]),
    ):
        (entry,) = json.loads(recorded_documents.retrieved([Document(metadata={"source": source})], None))
        assert entry["source"] == shown


def test_after_many_characters_documents_are_recorded_without_names() -> None:
    found = [Document(id=f"{number:03}" + "x" * 300, metadata={"source": "y" * 300}) for number in range(100)]
    for listed in (recorded_documents.retrieved(found, None), recorded_documents.reranked(found, found)):
        entries = json.loads(listed)
        assert [entry["rank"] for entry in entries] == list(range(1, 101))
        named = [entry["rank"] for entry in entries if "id" in entry and "source" in entry]
        assert named == list(range(1, len(named) + 1))
        assert 20 < len(named) < 60
        assert not any("id" in entry or "source" in entry for entry in entries[len(named) :])
