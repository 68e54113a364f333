"""Tests the wrappers of embedding models, vector stores, retrievers and rerankers."""

import asyncio
import copy
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from fakes import ScriptedEmbedding, ScriptedReranker, ScriptedRetriever, UserSpans
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_classic.retrievers.document_compressors import DocumentCompressorPipeline
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.load import dumps
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.stores import InMemoryByteStore
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_openai import OpenAIEmbeddings
from opentelemetry.context import get_current
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from pydantic import BaseModel, ConfigDict

import otel_callbacks
from otel_callbacks.demo.extractive import EMBEDDING_MODEL
from otel_callbacks.demo.server import LocalModelServer
from otel_callbacks.langchain import (
    OTelCallbackHandler,
    instrument,
    trace_embeddings,
    trace_reranker,
    trace_retriever,
    uninstrument,
)
from otel_callbacks.langchain.retrieval import add_usage, start_embedding
from otel_callbacks.operations import Billing, Rerank, Usage
from otel_callbacks.runs.surroundings import enclosing_run
from otel_callbacks.testing import Captured, capture

DOCUMENTS = [Document("one", id="d1", metadata={"source": "a.txt"}), Document("two", id="d2")]


@pytest.fixture
def handler(captured: Captured) -> Iterator[OTelCallbackHandler]:
    made = OTelCallbackHandler(**captured.providers)
    yield made
    uninstrument()
    assert made._recorder.runs == {}


def attributes(captured: Captured, name: str) -> dict[str, Any]:
    found = dict(captured.span(name).attributes or {})
    return {key: value for key, value in found.items() if not key.startswith("otel_callbacks.rollup")}


def documents(captured: Captured, name: str = "retrieval") -> list[dict[str, Any]]:
    recorded: list[dict[str, Any]] = json.loads(attributes(captured, name)["rag.documents"])
    return recorded


def filled(store: Any) -> Any:
    store.add_documents(DOCUMENTS)
    return store


class Store(InMemoryVectorStore):
    """An application's own store, with relevance scores."""

    def _select_relevance_score_fn(self) -> Any:
        return lambda score: score / 2


def store(kind: type[InMemoryVectorStore] = InMemoryVectorStore) -> Any:
    return filled(kind(ScriptedEmbedding()))


# --- embedding models ----------------------------------------------------------------------------------------------


async def test_what_an_embedding_call_tells(captured: Captured, handler: OTelCallbackHandler) -> None:
    model = trace_embeddings(ScriptedEmbedding(), handler=handler)
    assert await model.aembed_documents(["a", "b", "c"]) == [[1.0] * 8] * 3
    assert attributes(captured, "embeddings embed-1") == {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "embed-1",
        "gen_ai.embeddings.dimension.count": 8,
        "rag.embedding_model": "embed-1",
        "rag.embedding_dim": 8,
        "rag.embedding_count": 3,
        "server.address": "api.openai.com",
        "server.port": 443,
        "otel_callbacks.cost.status": "unpriced",
        "otel_callbacks.cost.unpriced_reason": "no_usage",
    }


@pytest.mark.parametrize("method", ["embed_query", "aembed_query", "embed_documents", "aembed_documents"])
def test_a_call_that_makes_others_is_one(
    method: str, captured: Captured, handler: OTelCallbackHandler
) -> None:
    model = trace_embeddings(
        ScriptedEmbedding(UserSpans(captured.tracer_provider).inside("request")), handler=handler
    )
    result = getattr(model, method)(text="q") if "query" in method else getattr(model, method)(texts=["q"])
    if asyncio.iscoroutine(result):
        asyncio.run(result)
    assert captured.tree() == "embeddings embed-1\n  request"
    assert attributes(captured, "embeddings embed-1")["rag.embedding_count"] == 1


@contextmanager
def openai(**options: Any) -> Iterator[OpenAIEmbeddings]:
    """OpenAI's embedding model, with a local server that speaks its protocol."""
    with LocalModelServer() as server, httpx.Client() as client:
        yield OpenAIEmbeddings(
            model=EMBEDDING_MODEL,
            base_url=server.base_url,
            api_key="local",
            check_embedding_ctx_length=False,
            http_client=client,
            **options,
        )


def test_the_tokens_that_the_client_reports(captured: Captured, handler: OTelCallbackHandler) -> None:
    with openai(chunk_size=1) as model:
        trace_embeddings(model, handler=handler).embed_documents(["one two", "three"])
    recorded = captured.spans[0].attributes or {}
    assert (recorded["gen_ai.usage.input_tokens"], recorded["server.address"]) == (3, "127.0.0.1")
    assert recorded["gen_ai.provider.name"] == "openai"


async def test_the_tokens_that_an_asynchronous_client_reports(
    captured: Captured, handler: OTelCallbackHandler
) -> None:
    async with httpx.AsyncClient() as client:
        with openai(http_async_client=client) as model:
            await trace_embeddings(model, handler=handler).aembed_query("one two")
    assert (captured.spans[0].attributes or {})["gen_ai.usage.input_tokens"] == 2


@pytest.mark.parametrize("process", [True, False])
def test_a_cache_tells_what_it_lacks(process: bool, captured: Captured, handler: OTelCallbackHandler) -> None:
    cache = CacheBackedEmbeddings.from_bytes_store(
        ScriptedEmbedding(), InMemoryByteStore(), namespace="n", key_encoder="sha256"
    )
    if process:
        instrument(handler, embeddings=True)
    else:
        assert trace_embeddings(cache, handler=handler) is cache
    cache.embed_documents(["a"])
    cache.embed_documents(["a", "b", "c"])
    counts = [(span.attributes or {})["rag.embedding_count"] for span in captured.spans]
    assert (captured.tree(), counts) == ("embeddings embed-1\nembeddings embed-1", [1, 2])


def test_a_failing_model(captured: Captured, handler: OTelCallbackHandler) -> None:
    def fail() -> None:
        raise ConnectionError("no")

    with pytest.raises(ConnectionError):
        trace_embeddings(ScriptedEmbedding(fail), handler=handler).embed_query("q")
    assert attributes(captured, "embeddings embed-1")["error.type"] == "ConnectionError"


@pytest.mark.parametrize(("texts", "cached"), [([], True), (["a"], False), (None, False)])
def test_no_texts_reach_no_provider(texts: Any, cached: bool) -> None:
    assert start_embedding(ScriptedEmbedding(), None if texts is None else len(texts)).cached is cached


def test_no_vectors(captured: Captured, handler: OTelCallbackHandler) -> None:
    model = trace_embeddings(DeterministicFakeEmbedding(size=3072), handler=handler)
    model.embed_documents(["text"] * 1000)
    assert len(encode_spans(captured.spans).SerializeToString()) < 4096


# --- vector stores -------------------------------------------------------------------------------------------------


def test_a_retriever_of_a_store_has_its_scores(captured: Captured, handler: OTelCallbackHandler) -> None:
    retriever = trace_retriever(store()).as_retriever(search_kwargs={"k": 1})
    retriever.invoke("q", {"callbacks": [handler]})
    assert attributes(captured, "retrieval") == {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.provider.name": "InMemoryVectorStore",
        "gen_ai.retrieval.top_k": 1,
        "rag.embedding_model": "embed-1",
        "rag.results_count": 1,
        "rag.score_kind": "similarity",
        "rag.top_score": pytest.approx(1),
        "rag.documents": captured.span("retrieval").attributes["rag.documents"],
    }
    assert documents(captured) == [
        {"rank": 1, "id": "d2", "score": pytest.approx(1), "score_kind": "similarity", "size": 3}
    ]


SEARCHES = {
    "similarity_search": ("q", "similarity"),
    "similarity_search_with_score": ("q", "similarity"),
    "similarity_search_with_relevance_scores": ("q", "relevance"),
    "similarity_search_by_vector": ([1.0] * 8, "similarity"),
    "max_marginal_relevance_search": ("q", None),
}


@pytest.mark.parametrize("prefix", ["", "a"])
@pytest.mark.parametrize("name", SEARCHES)
def test_a_direct_search_is_a_retrieval(
    prefix: str, name: str, captured: Captured, handler: OTelCallbackHandler
) -> None:
    given, kind = SEARCHES[name]
    found = getattr(trace_retriever(store(Store), handler=handler), prefix + name)(given)
    if asyncio.iscoroutine(found):
        found = asyncio.run(found)
    assert captured.tree() == "retrieval"
    recorded = attributes(captured, "retrieval")
    assert (recorded["gen_ai.retrieval.top_k"], recorded["rag.results_count"]) == (4, 2)
    assert recorded.get("rag.score_kind") == kind
    scores = [entry.get("score") for entry in documents(captured)]
    assert scores == [pytest.approx({"similarity": 1, "relevance": 0.5}[kind]) if kind else None] * 2


def test_a_threshold_search_tells_relevance(captured: Captured, handler: OTelCallbackHandler) -> None:
    search = {"search_type": "similarity_score_threshold", "search_kwargs": {"score_threshold": 0.1}}
    trace_retriever(store(Store)).as_retriever(**search).invoke("q", {"callbacks": [handler]})
    recorded = attributes(captured, "retrieval")
    assert (recorded["rag.score_kind"], recorded["rag.top_score"]) == ("relevance", pytest.approx(0.5))


class Foreign(VectorStore):
    """A store that otel-callbacks does not know, with numpy scores."""

    collection_name = "books"

    def similarity_search(self, query: str, k: int = 4, **kwargs: Any) -> list[Document]:
        return [document for document, _ in self.similarity_search_with_score(query, k)]

    def similarity_search_with_score(self, query: str, k: int = 4) -> Any:
        return [(document, np.float32(0.25 * at)) for at, document in enumerate(DOCUMENTS)][:k]

    @classmethod
    def from_texts(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(("kind", "top"), [(None, 0.25), ("distance", 0.0), ("similarity", 0.25)])
def test_the_application_names_the_kind_of_unknown_scores(
    kind: Any, top: float, captured: Captured, handler: OTelCallbackHandler
) -> None:
    trace_retriever(Foreign(), handler=handler, score_kind=kind).similarity_search("q")
    recorded = attributes(captured, "retrieval books")
    assert (recorded.get("rag.score_kind"), recorded["rag.top_score"]) == (kind, top)
    assert [entry.get("score_kind") for entry in documents(captured, "retrieval books")] == [kind, kind]


def integration(name: str, **fields: Any) -> Any:
    """Returns a store with the class name and fields of a LangChain integration."""

    def search(self: Any, query: str, k: int = 4) -> Any:
        return Foreign.similarity_search_with_score(self, query, k)

    search.__module__, search.__qualname__ = f"langchain_{name.lower()}.vectorstores", f"{name}.search"
    return type(name, (Foreign,), {**fields, "similarity_search_with_score": search})()


class Value:
    """Returns an object with one attribute, such as an enum member."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


OWN = Foreign.similarity_search_with_score
DENSE = Value(value="dense")


@pytest.mark.parametrize(
    ("searched", "kind"),
    [
        (integration("Chroma"), "distance"),
        (integration("PGVector"), "distance"),
        (integration("FAISS", index=Value(metric_type=0)), "similarity"),
        (integration("FAISS", index=Value(metric_type=1)), "distance"),
        (integration("FAISS", index=Value(metric_type=20)), None),
        (integration("QdrantVectorStore", retrieval_mode=DENSE, distance=Value(value="Dot")), "similarity"),
        (integration("QdrantVectorStore", retrieval_mode=DENSE, distance=Value(value="Euclid")), "distance"),
        (integration("QdrantVectorStore", retrieval_mode=Value(value="hybrid")), None),
        (integration("Unheard"), None),
        (type("Chroma", (Foreign,), {})(), None),
        (type("Mine", (type(integration("Chroma")),), {})(), "distance"),
        (type("Mine", (type(integration("Chroma")),), {"similarity_search_with_score": OWN})(), None),
    ],
)
def test_the_kind_of_known_scores(
    searched: Any, kind: str | None, captured: Captured, handler: OTelCallbackHandler
) -> None:
    trace_retriever(searched, handler=handler).similarity_search_with_score("q")
    assert attributes(captured, "retrieval books").get("rag.score_kind") == kind


# --- retrievers ----------------------------------------------------------------------------------------------------


class Searching(BaseRetriever):
    """An application's own retriever, which searches its own store."""

    store: Any

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [document for document, _ in self.store.similarity_search_with_score(query)]


@pytest.mark.parametrize("callbacks", [True, False])
@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_retriever_is_one_span_with_callbacks_or_without(
    callbacks: bool, asynchronous: bool, captured: Captured, handler: OTelCallbackHandler
) -> None:
    retriever = trace_retriever(Searching(store=trace_retriever(Foreign())), handler=handler)
    config: Any = {"callbacks": [handler]} if callbacks else {}
    if asynchronous:
        asyncio.run(retriever.ainvoke("q", config))
    else:
        retriever.invoke("q", config)
    (span,) = captured.spans
    assert (span.attributes or {})["gen_ai.provider.name"] == "Foreign"
    assert documents(captured, span.name) == [
        {"rank": 1, "id": "d1", "score": 0.0, "source": "a.txt", "size": 3},
        {"rank": 2, "id": "d2", "score": 0.25, "size": 3},
    ]


def test_a_retriever_without_a_run_manager(captured: Captured, handler: OTelCallbackHandler) -> None:
    class Old(BaseRetriever):
        def _get_relevant_documents(self, query: str) -> list[Document]:  # type: ignore[override]
            return DOCUMENTS

    retriever = trace_retriever(Old(), handler=handler)
    retriever.invoke("q", {"callbacks": [handler]})
    retriever.invoke("q")
    assert captured.tree() == "retrieval\nretrieval"


# --- rerankers -----------------------------------------------------------------------------------------------------


def compressing(reranker: Any) -> Any:
    retriever = trace_retriever(Foreign(), score_kind="distance").as_retriever()
    return ContextualCompressionRetriever(base_retriever=retriever, base_compressor=reranker)


def test_candidates_and_what_was_kept(captured: Captured, handler: OTelCallbackHandler) -> None:
    compressing(trace_reranker(ScriptedReranker(top_n=2))).invoke("q", {"callbacks": [handler]})
    assert captured.tree() == "retrieval\n  retrieval books\n  rerank rerank-1"
    recorded = attributes(captured, "rerank rerank-1")
    counts = (
        recorded["rag.candidate_count"],
        recorded["rag.reranked_count"],
        recorded["gen_ai.retrieval.top_k"],
    )
    assert (counts, recorded["rag.top_score"]) == ((2, 2, 2), 0.9)
    new = {"score": 0.9, "score_kind": "relevance"}
    d2 = {"id": "d2", **new, "size": 3, "rank_before": 2, "score_before": 0.25}
    d1 = {"id": "d1", **new, "source": "a.txt", "size": 3, "rank_before": 1, "score_before": 0.0}
    assert documents(captured, "rerank rerank-1") == [{"rank": 1, **d2}, {"rank": 2, **d1}]
    assert [entry["score_kind"] for entry in documents(captured, "retrieval books")] == ["distance"] * 2
    assert attributes(captured, "retrieval")["rag.score_kind"] == "relevance"


def test_what_the_client_of_a_reranker_reports(handler: OTelCallbackHandler) -> None:
    class Client:
        def rerank(self, query: str) -> Any:
            return SimpleNamespace(meta=SimpleNamespace(billed_units=SimpleNamespace(search_units=2.0)))

    class Asking(ScriptedReranker):
        client: Any = Client()

        def compress_documents(self, documents: Any, query: str, callbacks: Any = None) -> Any:
            self.client.rerank(query)
            run = enclosing_run(get_current())
            billed.append(run and run.operation.billing)
            return documents

    billed: list[Any] = []
    trace_reranker(Asking(), handler=handler).compress_documents([Document("a")], "q")
    assert billed == [Billing(units={"rerank_searches": 2})]


@pytest.mark.parametrize(
    ("response", "sent"),
    [
        (SimpleNamespace(total_tokens=9), 9),  # Voyage
        (SimpleNamespace(usage=SimpleNamespace(total_tokens=9)), 9),  # Jina
        ({"meta": {"billed_units": {"search_units": 1}}}, None),
    ],
)
def test_tokens_of_a_reranker(response: Any, sent: int | None) -> None:
    call = Rerank(name="rerank-1")
    add_usage(call, response)
    assert call.usage == (None if sent is None else Usage(sent))


def test_a_reranker_that_gives_no_scores(captured: Captured, handler: OTelCallbackHandler) -> None:
    compressing(trace_reranker(ScriptedReranker(silent=True))).invoke("q", {"callbacks": [handler]})
    assert documents(captured, "rerank rerank-1") == [
        {"rank": 1, "id": "d2", "size": 3, "rank_before": 2, "score_before": 0.25}
    ]
    assert "rag.top_score" not in attributes(captured, "rerank rerank-1")


def test_a_pipeline_is_one_rerank(captured: Captured, handler: OTelCallbackHandler) -> None:
    pipeline = DocumentCompressorPipeline(transformers=[trace_reranker(ScriptedReranker())])
    asyncio.run(trace_reranker(pipeline, handler=handler).acompress_documents(DOCUMENTS, "q"))
    recorded = attributes(captured, "rerank rerank-1")
    assert (recorded["rag.rerank_model"], recorded["rag.reranked_count"]) == ("rerank-1", 1)


def test_text_is_recorded_by_policy_alone(captured: Captured) -> None:
    for content in ("none", "spans"):
        handler = OTelCallbackHandler(**captured.providers, content=content)
        trace_reranker(ScriptedReranker(), handler=handler).compress_documents(DOCUMENTS, query="Who?")
        trace_retriever(Foreign(), handler=handler).similarity_search(query="Who?")
    silent, telling = captured.spans[:2], captured.spans[2:]
    assert not {"rag.query", "gen_ai.retrieval.documents"} & {
        key for span in silent for key in span.attributes
    }
    assert "Who?" not in str([span.attributes for span in silent])
    assert [span.attributes["rag.query"] for span in telling] == ["Who?", "Who?"]
    rerank, retrieval = (json.loads(span.attributes["gen_ai.retrieval.documents"]) for span in telling)
    assert (rerank[0]["content"], rerank[0]["rank_before"], len(retrieval)) == ("two", 2, 2)


# --- who records ---------------------------------------------------------------------------------------------------


def test_the_run_around_records_else_the_given_handler_else_the_process(captured: Captured) -> None:
    with capture() as given, capture() as process:
        model = trace_embeddings(ScriptedEmbedding(), handler=OTelCallbackHandler(**given.providers))
        other = trace_embeddings(ScriptedEmbedding())
        both = RunnableLambda(lambda _: (model.embed_query("q"), other.embed_query("q")))
        instrument(OTelCallbackHandler(**process.providers))
        both.invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
        model.embed_query("q")
        other.embed_query("q")
        uninstrument()
        assert captured.tree() == "invoke_workflow\n  embeddings embed-1\n  embeddings embed-1"
        assert given.tree() == process.tree() == "embeddings embed-1"


def test_a_user_span_lies_between(captured: Captured, handler: OTelCallbackHandler) -> None:
    model, tracer = trace_embeddings(ScriptedEmbedding()), captured.tracer_provider.get_tracer("application")

    def embed(_: Any) -> None:
        with tracer.start_as_current_span("mine"):
            model.embed_query("q")

    RunnableLambda(embed).invoke("q", {"callbacks": [handler]})
    assert captured.tree() == "invoke_workflow embed\n  mine\n    embeddings embed-1"


def test_unsampled() -> None:
    with capture(ALWAYS_OFF) as captured:
        handler = OTelCallbackHandler(**captured.providers)
        trace_retriever(store(), handler=handler).similarity_search("q")
        assert captured.spans == []
        assert handler._recorder.runs == {}


@pytest.mark.parametrize(
    ("trace", "given", "message"),
    [
        (trace_embeddings, Foreign(), "trace_embeddings takes Embeddings, not Foreign"),
        (trace_retriever, ScriptedEmbedding(), "takes BaseRetriever or VectorStore, not ScriptedEmbedding"),
        (trace_reranker, None, "trace_reranker takes BaseDocumentCompressor, not NoneType"),
    ],
)
def test_what_cannot_be_traced(trace: Any, given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        trace(given)
    with pytest.raises(TypeError, match="handler must be an OTelCallbackHandler or None, not str: 'me'"):
        trace_embeddings(ScriptedEmbedding(), handler="me")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="score_kind='high' is not known; use one of 'similarity', "):
        trace_retriever(Foreign(), score_kind="high")  # type: ignore[type-var]


# --- the object does not change ------------------------------------------------------------------------------------


class Slotted(Embeddings):
    """A class with slots, whose objects cannot hold anything new."""

    __slots__ = ("length",)

    def __init__(self, length: int) -> None:
        self.length = length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and self.length == other.length

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return [0.0] * self.length


class Strict(BaseModel, Embeddings):
    """A frozen pydantic model."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    length: int = 3
    embed_documents = Slotted.embed_documents
    embed_query = Slotted.embed_query


@pytest.mark.parametrize(
    "made", [Slotted(3), Strict(), DeterministicFakeEmbedding(size=3)], ids=lambda made: type(made).__name__
)
def test_copies_are_traced_as_the_original(made: Any, captured: Captured) -> None:
    kind, plain = type(made), copy.copy(made)
    handler = OTelCallbackHandler(**captured.providers)
    traced = trace_embeddings(made, handler=handler)
    assert traced is made
    assert isinstance(traced, kind)
    assert (type(traced).__name__, type(traced).__qualname__, type(traced).__module__) == (
        *(kind.__name__, kind.__qualname__),
        kind.__module__,
    )
    assert json.loads(dumps(traced))["id"] == json.loads(dumps(plain))["id"]
    copies = [copy.copy(traced), copy.deepcopy(traced)]
    assert copies == [traced, traced]
    assert {type(each) for each in copies} == {type(traced)}
    copies[1].embed_query("q")
    assert captured.tree() == "embeddings"


def test_pickling(captured: Captured, handler: OTelCallbackHandler) -> None:
    embeddings = trace_embeddings(DeterministicFakeEmbedding(size=3))
    traced = trace_retriever(filled(InMemoryVectorStore(embeddings)), handler=handler)
    there = pickle.loads(pickle.dumps(traced))
    assert (there.store, there.embedding.size) == (traced.store, 3)
    captured.clear()
    with capture() as elsewhere:
        there.similarity_search("q")  # the handler was not pickled
        assert elsewhere.tree() == "retrieval\n  embeddings"
    assert captured.spans == []


def test_names_and_tags_of_a_retriever(captured: Captured) -> None:
    plain = InMemoryVectorStore(ScriptedEmbedding())
    traced = trace_retriever(InMemoryVectorStore(trace_embeddings(ScriptedEmbedding())))
    one, other = (
        trace_retriever(each.as_retriever()) if each is traced else each.as_retriever()
        for each in (plain, traced)
    )
    assert other._get_ls_params() == one._get_ls_params()
    assert (other.tags, other.get_name(), other.lc_id()) == (one.tags, one.get_name(), one.lc_id())
    assert other.model_dump(exclude={"vectorstore"}) == one.model_dump(exclude={"vectorstore"})
    assert other.batch(["q", "r"]) == [[], []]


def test_tracing_twice_is_tracing_once(captured: Captured, handler: OTelCallbackHandler) -> None:
    model = trace_embeddings(ScriptedEmbedding(), handler=handler)
    kind = type(model)
    assert type(trace_embeddings(model)) is kind
    instrument(handler, embeddings=True)
    trace_embeddings(model, handler=handler).embed_query("q")
    assert captured.tree() == "embeddings embed-1"


# --- the whole process ---------------------------------------------------------------------------------------------


def methods(base: Any) -> dict[Any, Any]:
    """Returns everything that a class and its subclasses define."""
    kinds, found = [base], {}
    while kinds:
        kind = kinds.pop()
        found[kind] = {key: value for key, value in vars(kind).items() if not key.startswith("_abc_")}
        kinds.extend(kind.__subclasses__())
    return found


def test_every_class_of_the_process_and_back(captured: Captured, handler: OTelCallbackHandler) -> None:
    before = methods(Embeddings), methods(BaseDocumentCompressor)
    for _ in range(2):
        instrument(handler, embeddings=True, rerankers=True)
    ScriptedEmbedding().embed_documents(["a"])
    ScriptedReranker().compress_documents(DOCUMENTS, "q")

    class Later(BaseModel, Embeddings):
        model: str = "later"

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [self.embed_query(text) for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return [0.0]

    Later().embed_documents(["a", "b"])
    assert captured.tree() == "embeddings embed-1\nrerank rerank-1\nembeddings later"
    uninstrument()
    Later().embed_query("q")
    assert len(captured.spans) == 3
    after = methods(Embeddings), methods(BaseDocumentCompressor)
    del after[0][Later]
    assert after == before


def test_the_switch_of_both_frameworks(captured: Captured) -> None:
    otel_callbacks.instrument(**captured.providers, embeddings=True, rerankers=True)
    ScriptedEmbedding().embed_query("q")
    otel_callbacks.uninstrument()
    ScriptedEmbedding().embed_query("q")
    assert captured.tree() == "embeddings embed-1"


def test_clients_are_let_go_of(captured: Captured, handler: OTelCallbackHandler) -> None:
    with openai() as model:
        kind = type(model.client)
        instrument(handler, embeddings=True)
        model.embed_query("one two")
        uninstrument()
        assert type(model.client) is kind
    assert (captured.spans[0].attributes or {})["gen_ai.usage.input_tokens"] == 2


def test_only_the_requested_kinds_are_traced(captured: Captured, handler: OTelCallbackHandler) -> None:
    instrument(handler, embeddings=True)
    instrument(handler, rerankers=True)
    ScriptedEmbedding().embed_query("q")
    chain = ScriptedRetriever() | RunnableLambda(
        lambda found: ScriptedReranker().compress_documents(found, "q")
    )
    chain.invoke("q")
    assert captured.tree() == "invoke_workflow\n  retrieval\n  rerank rerank-1"
