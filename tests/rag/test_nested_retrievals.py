"""A retrieval inside a retrieval is one retrieval for the totals: what the outermost returned counts."""

from collections.abc import Callable
from typing import Any

import fakes
import llama_fakes
import pytest
from langchain_classic.retrievers import (
    ContextualCompressionRetriever,
    EnsembleRetriever,
    MergerRetriever,
    MultiQueryRetriever,
    ParentDocumentRetriever,
    RePhraseQueryRetriever,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.stores import InMemoryStore
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import CharacterTextSplitter
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings, StorageContext, VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever as LlamaRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.indices.query.query_transform import HyDEQueryTransform
from llama_index.core.node_parser import HierarchicalNodeParser, get_leaf_nodes
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import (
    AutoMergingRetriever,
    QueryFusionRetriever,
    RecursiveRetriever,
    RouterRetriever,
    TransformRetriever,
)
from llama_index.core.schema import Document as LlamaDocument
from llama_index.core.schema import IndexNode, NodeWithScore, TextNode
from llama_index.core.selectors import LLMMultiSelector
from llama_index.core.tools import RetrieverTool
from opentelemetry import context as context_api

from otel_callbacks import (
    OTelCallbackHandler,
    trace_reranker,
    trace_retriever,
)
from otel_callbacks.testing import Captured

pytestmark = llama_fakes.IGNORED

TEXTS = [f"Text number {number} speaks of animals, and of nothing else." for number in range(9)]
NAMES = ("results_count", "reranked_count", "documents_in_prompt", "documents_cited")


def counts(captured: Captured) -> dict[str, Any]:
    """Returns the counts on the root, without those that it does not have."""
    (root,) = (span for span in captured.spans if span.parent is None)
    found = root.attributes or {}
    return {name: found[f"rag.{name}"] for name in NAMES if f"rag.{name}" in found}


def retrievals(captured: Captured) -> int:
    return sum(span.name.startswith("retrieval") for span in captured.spans)


# --- LangChain -------------------------------------------------------------------------------------------------------

DOCUMENTS = [Document(text, id=f"d{number}") for number, text in enumerate(TEXTS)]


def finds(*numbers: int) -> BaseRetriever:
    return fakes.ScriptedRetriever(documents=[DOCUMENTS[number] for number in numbers])


def compressing(*numbers: int, top_n: int = 2) -> BaseRetriever:
    return ContextualCompressionRetriever(
        base_retriever=finds(*numbers), base_compressor=trace_reranker(fakes.ScriptedReranker(top_n=top_n))
    )


def parents() -> BaseRetriever:
    store = InMemoryVectorStore(fakes.ScriptedEmbedding())
    splitter = CharacterTextSplitter(chunk_size=20, chunk_overlap=0, separator=" ")
    made = ParentDocumentRetriever(vectorstore=store, docstore=InMemoryStore(), child_splitter=splitter)
    made.add_documents(DOCUMENTS[:2])
    trace_retriever(store)
    return made


def model(answer: str) -> Any:
    return fakes.ScriptedModel(script=[answer])


LANGCHAIN: dict[str, tuple[Callable[[], BaseRetriever], int, dict[str, int]]] = {
    "ensemble": (
        lambda: EnsembleRetriever(retrievers=[finds(0, 1, 2), finds(2, 3)], weights=[0.5, 0.5]),
        3,
        {"results_count": 4, "documents_in_prompt": 4, "documents_cited": 2},
    ),
    "merger": (
        lambda: MergerRetriever(retrievers=[finds(0, 1), finds(2, 3)]),
        3,
        {"results_count": 4, "documents_in_prompt": 4, "documents_cited": 2},
    ),
    "multi-query": (
        lambda: MultiQueryRetriever.from_llm(finds(0, 1), model("a [1]\nb [2]\nc")),
        4,
        {"results_count": 2, "documents_in_prompt": 2, "documents_cited": 2},
    ),
    "rephrase": (
        lambda: RePhraseQueryRetriever.from_llm(finds(0, 1, 2), model("a [1]")),
        2,
        {"results_count": 3, "documents_in_prompt": 3, "documents_cited": 2},
    ),
    "parents": (parents, 1, {"results_count": 2, "documents_in_prompt": 2, "documents_cited": 2}),
    "compression": (
        lambda: compressing(0, 1, 2, 3),
        2,
        {"results_count": 2, "reranked_count": 2, "documents_in_prompt": 2, "documents_cited": 2},
    ),
    "ensemble of compressions": (
        lambda: EnsembleRetriever(
            retrievers=[compressing(0, 1, 2), compressing(4, 5, 6), finds(7, 8)], weights=[0.3, 0.3, 0.4]
        ),
        6,
        {"results_count": 6, "reranked_count": 4, "documents_in_prompt": 6, "documents_cited": 2},
    ),
}


def rag(retriever: Any) -> Any:
    join = RunnableLambda(lambda found: "\n".join(each.page_content for each in found))
    return (retriever | join | model("It is [1], or [2].")).with_config(run_name="rag")


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        (kind, mode)
        for kind in LANGCHAIN
        for mode in ("sync", "async", "stream")
        if (kind, mode) not in (("rephrase", "async"), ("rephrase", "stream"))  # it has no asynchronous way
    ],
)
async def test_langchain(kind: str, mode: str, captured: Captured) -> None:
    make, spans, expected = LANGCHAIN[kind]
    chain, config = rag(make()), {"callbacks": [OTelCallbackHandler(**captured.providers)]}
    if mode == "sync":
        chain.invoke("q", config)
    elif mode == "async":
        await chain.ainvoke("q", config)
    else:
        [chunk async for chunk in chain.astream("q", config)]
    assert counts(captured) == expected
    assert retrievals(captured) == spans


def test_rerankers_in_a_row_count_once_and_both_have_their_score(captured: Captured) -> None:
    first, second = (trace_reranker(fakes.ScriptedReranker(top_n=top_n)) for top_n in (3, 2))
    chain = (
        finds(0, 1, 2, 3)
        | RunnableLambda(lambda found: first.compress_documents(found, "q"))
        | RunnableLambda(lambda found: second.compress_documents(found, "q"))
    )
    rag(chain).invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    assert counts(captured) == {
        "results_count": 4,
        "reranked_count": 2,
        "documents_in_prompt": 2,
        "documents_cited": 2,
    }
    scores = [
        (span.attributes or {}).get("rag.top_score") for span in captured.spans if "rerank" in span.name
    ]
    assert scores == [0.9, 0.9]


def test_a_retrieval_on_its_own_has_its_own_count_only(captured: Captured) -> None:
    retriever = EnsembleRetriever(retrievers=[finds(0, 1, 2), finds(2, 3)], weights=[0.5, 0.5])
    retriever.invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    assert counts(captured) == {"results_count": 4}


# --- LlamaIndex ------------------------------------------------------------------------------------------------------

NODES = [TextNode(id_=f"n{number}", text=text) for number, text in enumerate(TEXTS)]


class Finds(LlamaRetriever):
    def __init__(self, *found: Any) -> None:
        self.found = [NODES[each] if isinstance(each, int) else each for each in found]
        super().__init__()

    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        return [NodeWithScore(node=node, score=0.5) for node in self.found]


def merging() -> LlamaRetriever:
    token = context_api.attach(context_api.set_value("suppress_instrumentation", True))
    parser = HierarchicalNodeParser.from_defaults(chunk_sizes=[512, 128], chunk_overlap=0)
    nodes = parser.get_nodes_from_documents([LlamaDocument(text=" ".join(TEXTS * 2))])
    storage = StorageContext.from_defaults()
    storage.docstore.add_documents(nodes)
    leaves = get_leaf_nodes(nodes)
    assert len(leaves) > 1
    made = VectorStoreIndex(leaves, storage_context=storage, embed_model=llama_fakes.ScriptedEmbedding())
    context_api.detach(token)
    return AutoMergingRetriever(made.as_retriever(similarity_top_k=len(leaves)), storage)


def routing(llm: Any) -> LlamaRetriever:
    tools = [RetrieverTool.from_defaults(Finds(*found), description="x") for found in ((0, 1), (2,))]
    return RouterRetriever(LLMMultiSelector.from_defaults(llm=llm), tools, llm=llm)


BOTH = '[{"choice": 1, "reason": "[1]"}, {"choice": 2, "reason": "[2]"}]'
ANSWER = "It is [1], or [2]."
LLAMA: dict[str, tuple[Callable[[Any], LlamaRetriever], list[str], int, int]] = {
    "fusion": (
        lambda llm: QueryFusionRetriever(
            [Finds(0, 1, 2), Finds(2, 3)], llm=llm, num_queries=3, similarity_top_k=2, use_async=False
        ),
        ["a [1]\nb [2]", ANSWER],
        7,
        2,
    ),
    "recursive": (
        lambda llm: RecursiveRetriever(
            "root", {"root": Finds(IndexNode(text="i", index_id="a"), 5), "a": Finds(0, 1, 2)}
        ),
        [ANSWER],
        3,
        4,
    ),
    "router": (routing, [BOTH, ANSWER], 3, 3),
    "transform": (
        lambda llm: TransformRetriever(Finds(0, 1), HyDEQueryTransform(llm=llm)),
        ["as in [1]", ANSWER],
        2,
        2,
    ),
    "auto-merging": (lambda llm: merging(), [ANSWER], 2, 1),
}


@pytest.mark.parametrize("mode", ["sync", "async", "stream"])
@pytest.mark.parametrize("kind", LLAMA)
async def test_llama_index(
    kind: str,
    mode: str,
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    make, script, spans, returned = LLAMA[kind]
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers)])
    llm = llama_fakes.ScriptedModel(script=script)
    engine = RetrieverQueryEngine.from_args(make(llm), llm=llm, streaming=mode == "stream")
    if mode == "sync":
        engine.query("q")
    elif mode == "async":
        await engine.aquery("q")
    else:
        await llama_fakes.adrain((await engine.aquery("q")).response_gen)
    found = counts(captured)
    assert found == {
        "results_count": returned,
        "documents_in_prompt": returned,
        "documents_cited": min(2, returned),
    }
    assert retrievals(captured) == spans
    asked = [span for span in captured.spans if "rag.documents_in_prompt" in (span.attributes or {})]
    assert [span.name for span in asked] == ["invoke_workflow query_engine", "chat scripted-1"]


class PassingOn(llama_fakes.ScriptedReranker):
    """Puts the documents in another order and leaves their scores as they are."""

    def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
        return list(reversed(nodes))[: self.top_n]


@pytest.mark.parametrize(
    ("rerankers", "scores"),
    [
        ((llama_fakes.ScriptedReranker(top_n=2), llama_fakes.ScriptedReranker(top_n=1)), [0.9, 0.9]),
        ((PassingOn(top_n=2), llama_fakes.ScriptedReranker(top_n=1)), [None, 0.9]),
    ],
)
async def test_llama_index_rerankers_in_a_row(
    rerankers: Any,
    scores: Any,
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers)])
    llm = llama_fakes.ScriptedModel(script=[ANSWER])
    engine = RetrieverQueryEngine.from_args(Finds(0, 1, 2), llm=llm, node_postprocessors=list(rerankers))
    engine.query("q")
    assert counts(captured) == {
        "results_count": 3,
        "reranked_count": 1,
        "documents_in_prompt": 1,
        "documents_cited": 1,
    }
    told = [(span.attributes or {}).get("rag.top_score") for span in captured.spans if "rerank" in span.name]
    assert told == scores


# --- more than are read ----------------------------------------------------------------------------------------------


async def test_more_documents_than_are_read_are_counted(
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    many = [Document(f"text {number}", id=str(number)) for number in range(1_500)]
    reranker = trace_reranker(fakes.ScriptedReranker(top_n=1_200))
    compression = ContextualCompressionRetriever(
        base_retriever=fakes.ScriptedRetriever(documents=many), base_compressor=reranker
    )
    rag(compression).invoke("q", {"callbacks": [handler]})
    Settings.callback_manager = CallbackManager([handler])
    nodes = [TextNode(id_=str(number), text=f"text {number}") for number in range(1_500)]
    engine = RetrieverQueryEngine.from_args(
        Finds(*nodes),
        llm=llama_fakes.ScriptedModel(),
        node_postprocessors=[llama_fakes.ScriptedReranker(top_n=1_200)],
    )
    await engine.aquery("q")
    found = [
        {
            name: (span.attributes or {})[f"rag.{name}"]
            for name in ("results_count", "candidate_count", "reranked_count")
            if f"rag.{name}" in (span.attributes or {})
        }
        for span in captured.spans
        if span.name in ("retrieval", "rerank rerank-1")
    ]
    assert found == [
        {"results_count": 1_200},
        {"results_count": 1_500},
        {"candidate_count": 1_500, "reranked_count": 1_200},
        {"results_count": 1_500},
        {"candidate_count": 1_500, "reranked_count": 1_200},
    ]
    roots = [span.attributes or {} for span in captured.spans if span.parent is None]
    assert [root["rag.results_count"] for root in roots] == [1_200, 1_500]
