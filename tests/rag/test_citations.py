"""An answer cites documents by number or by name, and none by chance."""

import pytest

from otel_callbacks.operations import Document
from otel_callbacks.rag.citations import cited

DOCUMENTS = (
    Document("doc-1", metadata={"source": "https://acme.org/help/refunds.html"}),
    Document("doc-2", metadata={"file_path": "C:\\files\\holidays.md", "title": "Holidays, paid"}),
    Document("doc-3", metadata={"source": "guide/holidays.md"}),
    Document("doc-4"),
)


@pytest.mark.parametrize(
    ("answer", "places"),
    [
        ("Thirty days [1].", [1]),
        ("Thirty days[1][3].", [1, 3]),
        ("Thirty days [1, 3] or so [^4].", [1, 3, 4]),
        ("Thirty days [2-4].", [2, 3, 4]),
        ("三十天【1】。", [1]),
        ("Thirty days 【4:0†refunds.html】", [1]),
        ("Thirty days [doc 2] [Source: 3]", [2, 3]),
        ("Thirty days [doc-3; doc-4].", [3, 4]),
        ("Thirty days (source: refunds.html).", [1]),
        ("Thirty days.\n\nSources: refunds.html, doc-4.", [1, 4]),
        ("See [the page](https://acme.org/help/refunds.html).", [1]),
        ("As [Holidays, paid] says", [2]),
        ("Two files have the name [holidays.md].", [2, 3]),
        ("But [guide/holidays.md] is one.", [3]),
        ("[DOC-1]", [1]),
    ],
)
def test_cited(answer: str, places: list[int]) -> None:
    assert [place for place, is_cited in enumerate(cited(DOCUMENTS, answer), 1) if is_cited] == places


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Document 1 says thirty days, doc-2 does not.",
        "In 2024 [2024] there were 3 of them (1).",
        "[0] [5] [1.5] [1 day] [doc-33]",
        "`rows[1]` and\n```python\nfirst = rows[1]\n```",
        "```\nunclosed [1]",
        "The source of the river: [unknown]",
        "[" * 100_000 + "]" * 100_000,
    ],
)
def test_not_cited(answer: str) -> None:
    assert cited(DOCUMENTS, answer) == [False] * 4


def test_references_at_the_end_of_a_long_answer_are_seen() -> None:
    assert cited(DOCUMENTS, "Thirty days. " * 10_000 + "\n\nSources: doc-2") == [False, True, False, False]


def test_a_number_that_is_a_documents_id_does_not_count_documents() -> None:
    documents = (Document("7"), Document("1"), Document("9"))
    assert cited(documents, "Thirty days [1], [3].") == [False, True, False]
