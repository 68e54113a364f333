"""Of many documents in a trace, those that are in a prompt are found as if each were compared with it."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_cases import PAGES

from otel_callbacks import limits
from otel_callbacks.operations import Document
from otel_callbacks.rag.document_index import DocumentIndex
from otel_callbacks.rag.in_prompt import in_prompt
from otel_callbacks.rag.trace_documents import TraceDocuments

DOCUMENTS = [  # so short that all their words are indexed, also with a few signs that are not ASCII
    Document(f"d{at}", content=PAGES[at % 10][at * 50 :][:480]) for at in range(100)
]


def searched_trace(documents: list[Document], *, per_search: int = 4) -> TraceDocuments:
    """Returns a trace with these documents, after a prompt without any."""
    trace = TraceDocuments()
    for start in range(0, len(documents), per_search):
        trace.add_retrieved(documents[start : start + per_search])
        trace.find_in("nothing of all this")
    return trace


def names(trace: TraceDocuments, prompt: str) -> list[str | None]:
    return [each.id for each in trace.find_in(prompt).documents]


@pytest.mark.parametrize(
    "write",
    [
        str,
        repr,
        json.dumps,
        str.upper,
        lambda text: text.replace(" ", "\n"),
        lambda text: text[: len(text) // 2],
        lambda text: text[len(text) // 2 :],
        lambda text: " ".join(word for at, word in enumerate(text.split()) if at % 7),
    ],
)
def test_old_documents_are_found_however_the_prompt_writes_them(write: Callable[[str], str]) -> None:
    trace = searched_trace(DOCUMENTS)
    there = [DOCUMENTS[3], DOCUMENTS[47]]
    prompt = "\n".join(write(each.content or "") for each in there)
    compared = [each.id for each, share in zip(DOCUMENTS, in_prompt(DOCUMENTS, prompt), strict=True) if share]
    assert set(names(trace, prompt)) >= set(compared) >= {"d3", "d47"}


def test_few_words_and_other_scripts_are_found() -> None:
    short = [Document("short", content="Paris is in France."), Document("one", content="W" * 60)]
    chinese = Document("zh", content="我们的图书馆在星期日不开放，请在星期一再来借书，谢谢。" * 3)
    trace = searched_trace([*short, chinese, *DOCUMENTS])
    prompt = f"{short[0].content}\n{short[1].content}\n{chinese.content}"
    assert names(trace, prompt) == ["short", "one", "zh"]


def test_a_document_found_often_counts_as_often_as_the_prompt_has_it() -> None:
    again = Document("again", content=PAGES[11][:500])
    trace = searched_trace([again] * 50 + DOCUMENTS[:40])
    assert names(trace, f"{again.content}") == ["again"]
    assert names(trace, "\n".join([again.content or ""] * 3)) == ["again"] * 3


def test_an_old_document_that_a_reranker_dropped_is_found_unchanged() -> None:
    trace = searched_trace(DOCUMENTS[:4])
    trace.add_reranked(DOCUMENTS[:1], candidates=DOCUMENTS[:4])
    for at in range(8, 80, 4):
        trace.add_retrieved(DOCUMENTS[at : at + 4])
        trace.find_in("nothing of all this")
    assert {"d0", "d2"} <= set(names(trace, f"{DOCUMENTS[2].content}\n{DOCUMENTS[0].content}"))


def test_a_long_prompt_is_compared_with_all_documents() -> None:
    trace = searched_trace(DOCUMENTS)
    long = "x" * (limits.PROMPT_BYTES_COMPARED * 3 // 5)  # so that all documents are sought in 5 MB
    assert names(trace, f"{long}\n{DOCUMENTS[5].content}\n{long}") == ["d5"]


def test_documents_that_were_forgotten_are_not_found() -> None:
    many = [
        Document(f"m{at}", content=f"Number {at} of the pages says " + f"{at * 7919} " * 20)
        for at in range(400)
    ]
    trace = searched_trace(many)
    assert names(trace, f"{many[50].content}\n{many[350].content}") == ["m350"]
    assert len(trace._kept._documents) == limits.TRACE_DOCUMENTS
    assert len(trace._kept._index._parts) <= 4


@given(
    st.lists(st.sampled_from(range(100)), max_size=6, unique=True), st.integers(0, 300), st.integers(60, 300)
)
def test_what_the_index_leaves_out_is_not_in_the_prompt(quoted: list[int], start: int, length: int) -> None:
    index = DocumentIndex()
    for number, document in enumerate(DOCUMENTS):
        index.add(number, document)
    prompt = "\n".join((DOCUMENTS[at].content or "")[start : start + length] for at in quoted)
    found = {number for equal in index.find(prompt) or () for number in equal}
    left_out = [each for number, each in enumerate(DOCUMENTS) if number not in found]
    assert not any(in_prompt([each], prompt)[0] for each in left_out)
