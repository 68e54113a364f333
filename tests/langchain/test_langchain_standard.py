"""Runs LangChain's own standard tests on plain and on traced objects."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_tests.integration_tests import (
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.unit_tests import EmbeddingsUnitTests

from otel_callbacks.langchain import (
    OTelCallbackHandler,
    instrument,
    trace_embeddings,
    trace_retriever,
    uninstrument,
)
from otel_callbacks.testing import capture


@pytest.fixture(params=["plain", "traced", "process"], autouse=True)
def how(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs each test on a plain object, on a traced object, and with the whole process traced."""
    with capture() as captured:
        if request.param != "plain":
            instrument(OTelCallbackHandler(**captured.providers), embeddings=request.param == "process")
        yield request.param
        uninstrument()
        assert {span.name for span in captured.spans} <= {"embeddings", "retrieval"}
        assert request.param != "plain" or not captured.spans


class FakeEmbedding(DeterministicFakeEmbedding):
    """Defined before the process is instrumented, as in an application."""

    size: int = 6


class TestEmbeddingsUnit(EmbeddingsUnitTests):
    embeddings_class = FakeEmbedding

    @pytest.fixture
    def model(self, how: str) -> Embeddings:
        return trace_embeddings(FakeEmbedding()) if how == "traced" else FakeEmbedding()


class TestEmbeddings(EmbeddingsIntegrationTests):
    embeddings_class = FakeEmbedding

    @pytest.fixture
    def model(self, how: str) -> Embeddings:
        return trace_embeddings(FakeEmbedding()) if how == "traced" else FakeEmbedding()


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, how: str) -> VectorStore:
        store = InMemoryVectorStore(self.get_embeddings())
        return trace_retriever(store) if how == "traced" else store


class Retriever(BaseRetriever):
    """Searches a vector store of five texts."""

    store: Any = None
    k: int = 3

    def model_post_init(self, context: Any) -> None:
        self.store = InMemoryVectorStore.from_texts(list("abcde"), FakeEmbedding())

    def _get_relevant_documents(self, query: str, *, run_manager: Any, **kwargs: Any) -> Any:
        return self.store.similarity_search(query, kwargs.get("k", self.k))


class TestRetriever(RetrieversIntegrationTests):
    retriever_constructor = Retriever
    retriever_constructor_params: dict[str, Any] = {}
    retriever_query_example = "a"

    @pytest.fixture
    def retriever(self, how: str) -> BaseRetriever:
        return trace_retriever(Retriever()) if how == "traced" else Retriever()
