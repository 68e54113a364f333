"""The documents of a trace, and the bounds on how many of them are searched for in prompts."""

import logging

import pytest
from prompt_cases import PAGES

from otel_callbacks import limits
from otel_callbacks.operations import Document
from otel_callbacks.rag.trace_documents import TraceDocuments


def test_beyond_a_hundred_documents_none_is_found(caplog: pytest.LogCaptureFixture) -> None:
    limits.log_reached.cache_clear()
    text, others = PAGES[0][:300], [Document(content="nowhere to be seen")] * 99
    for number, found in ((99, 1), (100, 0)):
        documents = TraceDocuments()
        with caplog.at_level(logging.WARNING, "otel_callbacks"):
            documents.add_retrieved([*others, *others][:number])
            documents.add_retrieved([Document(content=text)])
        assert len(documents.find_in(text).documents) == found
        assert len(caplog.messages) == number - 99
    assert "TRACE_DOCUMENTS" in caplog.text


def test_beyond_a_million_characters_none_is_found() -> None:
    text = PAGES[0][:300]
    documents = TraceDocuments()
    documents.add_retrieved([Document(content="long " * 200_000), Document(content=text)])
    assert not documents.find_in(text).documents
