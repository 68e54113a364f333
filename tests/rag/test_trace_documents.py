"""The documents of a trace: which count, and the bounds on how many of them are searched for in prompts."""

import logging

import pytest
from prompt_cases import PAGES

from otel_callbacks import limits
from otel_callbacks.operations import Document
from otel_callbacks.rag.trace_documents import TraceDocuments

TEXT = PAGES[0][:300]


def docs(*names: str, score: float | None = None) -> list[Document]:
    return [Document(name, score, f"The text of document {name}, which is long enough.") for name in names]


def found(documents: TraceDocuments, *names: str) -> list[str | None]:
    """Returns which documents are found in a prompt that has the texts of these."""
    prompt = "\n".join(str(each.content) for each in docs(*names))
    return [each.id for each in documents.find_in(prompt).documents]


# --- counts --------------------------------------------------------------------------------------------------------


def test_of_rerankers_in_a_row_the_last_one_counts() -> None:
    trace = TraceDocuments()
    trace.add_retrieved(docs("a", "b", "c", "d"))
    trace.add_reranked(docs("d", "c", "b"), candidates=docs("a", "b", "c", "d"))
    trace.add_reranked(docs("b"), candidates=docs("d", "c", "b"))
    assert (trace.retrieved, trace.kept) == (4, 1)
    assert found(trace, "a", "b", "d") == ["b", "a", "d"]  # the dropped ones are there unchanged


def test_rerankers_of_different_results_both_count() -> None:
    trace = TraceDocuments()
    trace.add_retrieved(docs("a", "b", "c"))
    trace.add_retrieved(docs("c", "d", "e"))
    trace.add_reranked(docs("c", "a"), candidates=docs("a", "b", "c"))
    trace.add_reranked(docs("c"), candidates=docs("c", "d", "e"))
    trace.add_retrieved(docs("a", "b", "c"))  # the same question again
    trace.add_reranked(docs("a", "b"), candidates=docs("a", "b", "c"))
    assert (trace.retrieved, trace.kept) == (9, 5)


def test_a_reranker_of_merged_results_supersedes_the_rerankers_before() -> None:
    trace = TraceDocuments()
    for names in ("abc", "def"):
        trace.add_retrieved(docs(*names))
        trace.add_reranked(docs(*names[:2]), candidates=docs(*names))
    trace.add_reranked(docs("e"), candidates=docs("a", "b", "d", "e"))
    assert (trace.retrieved, trace.kept) == (6, 1)


def test_rerankers_that_make_new_documents_without_ids_are_recognised_by_the_text() -> None:
    trace = TraceDocuments()
    trace.add_retrieved(docs("a", "b"))
    copies = [Document(content=each.content) for each in docs("a", "b")]
    trace.add_reranked(copies, candidates=docs("a", "b"))
    trace.add_reranked(copies[:1], candidates=copies)
    assert trace.kept == 1
    assert trace.is_reranked(docs("a")[0])
    assert not trace.is_reranked(Document("x", content="elsewhere"))


def test_what_a_retrieval_returns_replaces_what_was_returned_inside_it() -> None:
    inside = TraceDocuments()
    inside.add_retrieved(docs("a", "b", "c"))
    inside.add_reranked(docs("a", "b"), candidates=docs("a", "b", "c"))
    inside.add_retrieved(docs("d"))
    trace = TraceDocuments()
    trace.add_retrieved(docs("a", "d"), inside=inside)
    assert (trace.retrieved, trace.kept) == (2, 1)
    trace.add_inside(inside)
    assert (trace.retrieved, trace.kept) == (6, 3)


# --- bounds --------------------------------------------------------------------------------------------------------


def test_the_newest_three_hundred_documents_are_searched_for(caplog: pytest.LogCaptureFixture) -> None:
    limits.log_reached.cache_clear()
    others = [Document(content="nowhere to be seen")] * 299
    trace = TraceDocuments()
    with caplog.at_level(logging.WARNING, "otel_callbacks"):
        trace.add_retrieved([Document("old", content=TEXT)])
        trace.add_retrieved(others)
        assert len(trace.find_in(TEXT).documents) == 1
        assert not caplog.messages
        trace.add_retrieved([Document("new", content=PAGES[1][:300])])
    assert [each.id for each in trace.find_in(f"{TEXT}\n{PAGES[1][:300]}").documents] == ["new"]
    assert "TRACE_DOCUMENTS" in caplog.text
    trace.add_retrieved([Document("best", content=TEXT), *others, *others])
    assert [each.id for each in trace.find_in(TEXT).documents] == ["best"]


def test_thirty_retrievals_of_five_are_all_found_in_a_long_prompt() -> None:
    trace = TraceDocuments()
    names = [f"{turn}-{rank}" for turn in range(30) for rank in range(5)]
    for turn in range(30):
        trace.add_retrieved(docs(*names[5 * turn : 5 * turn + 5]))
    assert found(trace, *names) == names
    long = [Document(str(number), content=f"{number} " + PAGES[number % 5][:2_000]) for number in range(50)]
    trace = TraceDocuments()
    trace.add_retrieved(long)
    prompt = "\n\n".join(str(each.content) for each in long)
    assert len(trace.find_in(prompt).documents) == 50


def test_one_huge_document_shuts_out_no_others() -> None:
    huge = Document(content="long " * 200_001)
    trace = TraceDocuments()
    trace.add_retrieved([huge, Document("beside", content=TEXT)])
    trace.add_retrieved([Document("later", content=PAGES[1][:300])])
    prompt = f"{TEXT}\n{PAGES[1][:300]}"
    assert [each.id for each in trace.find_in(prompt).documents] == ["beside", "later"]
    assert trace.retrieved == 3


def test_documents_without_an_id_keep_their_rank_when_the_oldest_are_forgotten() -> None:
    trace = TraceDocuments()
    trace.add_retrieved([Document(content=f"Number {number} " + TEXT) for number in range(300)])
    trace.add_retrieved([Document(content=PAGES[1][:300])])
    attributes, _ = trace.add_model_call(trace.find_in(PAGES[1][:300]), "")
    assert attributes["rag.prompt_documents"] == ["#301"]
