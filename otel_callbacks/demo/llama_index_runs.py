"""LlamaIndex jobs worth tracing: query and chat engines, agents, a team of them, an ingestion pipeline.

Each is ordinary LlamaIndex code and knows nothing of telemetry.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.chat_engine import CondensePlusContextChatEngine
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.llms import LLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
from llama_index.core.vector_stores import SimpleVectorStore
from llama_index.embeddings.openai import OpenAIEmbedding  # type: ignore[import-untyped]
from llama_index.llms.openai_like import OpenAILike  # type: ignore[import-untyped]
from llama_index_instrumentation import get_dispatcher
from openai import DefaultAsyncHttpxClient

from otel_callbacks.demo import corpus
from otel_callbacks.demo.corpus import Doc
from otel_callbacks.demo.endpoint import Endpoint
from otel_callbacks.demo.questions import (
    AGENT_QUESTION,
    FOLLOW_UP_QUESTION,
    RAG_QUESTION,
    SUPERVISOR_QUESTION,
)
from otel_callbacks.demo.words import stems

__all__ = [
    "RUNS",
    "Endpoint",
    "LexicalReranker",
    "Rag",
    "agent",
    "async_rag",
    "chat",
    "chat_model",
    "embedding_model",
    "index",
    "ingestion",
    "rag",
    "streamed_rag",
    "team",
]

Tool = Callable[..., str]
_METADATA = ["module", "kind", "source", "line"]

Client = DefaultAsyncHttpxClient
"""The HTTP client that the models of an asynchronous job share; it must be closed before the event loop."""

_dispatcher = get_dispatcher(__name__)


def chat_model(endpoint: Endpoint, client: Client | None = None) -> OpenAILike:
    """Returns the endpoint's chat model at temperature 0; it reports usage also when it streams."""
    return OpenAILike(
        model=endpoint.chat_model,
        api_base=endpoint.base_url,
        api_key=endpoint.api_key,
        temperature=0,
        context_window=16_000,
        is_chat_model=True,
        is_function_calling_model=True,
        additional_kwargs={
            "stream_options": {"include_usage": True}
        },  # not sent with calls that do not stream
        async_http_client=client,
    )


def embedding_model(endpoint: Endpoint, client: Client | None = None) -> OpenAIEmbedding:
    """Returns the endpoint's embedding model, with 512 dimensions."""
    return OpenAIEmbedding(
        model_name=endpoint.embedding_model,
        api_base=endpoint.base_url,
        api_key=endpoint.api_key,
        dimensions=512,
        embed_batch_size=250,
        async_http_client=client,
    )


def index(docs: Sequence[Doc], embeddings: BaseEmbedding, limit: int = 1500) -> VectorStoreIndex:
    """Embeds documents into a vector index, under their own ids.

    Args:
        docs: The documents.
        embeddings: The embedding model, which chooses its own batch size.
        limit: Indexes at most this many: modules first, then functions, classes and methods.
    """
    nodes = [_node(doc) for doc in corpus.most_general(docs, limit)]
    return VectorStoreIndex(nodes, embed_model=embeddings)


def _node(doc: Doc) -> TextNode:
    return TextNode(
        id_=doc.id,
        text=doc.text,
        metadata={name: getattr(doc, name) for name in _METADATA},
        excluded_embed_metadata_keys=_METADATA,
        excluded_llm_metadata_keys=_METADATA,
    )


class LexicalReranker(BaseNodePostprocessor):
    """Keeps the documents that share most words with the question; words in a title count twice.

    Documents with the same score keep their order.
    """

    top_n: int = 4
    model_name: str = "lexical-overlap"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        _dispatcher.event(
            ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=self.top_n, model_name=self.model_name)
        )
        words = set(stems(query_bundle.query_str)) if query_bundle else set()
        scored = [NodeWithScore(node=each.node, score=_overlap(words, each)) for each in nodes]
        best = sorted(scored, key=lambda each: each.score or 0.0, reverse=True)[: self.top_n]
        _dispatcher.event(ReRankEndEvent(nodes=best))
        return best


def _overlap(words: set[str], found: NodeWithScore) -> float:
    title, _, body = found.text.partition("\n")
    hits = [len(words & set(stems(part))) for part in (title, title + body)]
    return sum(hits) / (2 * len(words) or 1)


class Rag(RetrieverQueryEngine):
    """Answers from the documents nearest to a question."""


def rag(endpoint: Endpoint, index: VectorStoreIndex, question: str = RAG_QUESTION) -> str:
    """Answers a question from the four best of the eight documents nearest to it."""
    return str(_engine(endpoint, index).query(question))


def async_rag(endpoint: Endpoint, index: VectorStoreIndex, question: str = RAG_QUESTION) -> str:
    """Answers a question as `rag` does, without blocking the thread."""

    async def ask(client: Client) -> str:
        return str(await _engine(endpoint, index, client).aquery(question))

    return _run(ask)


def streamed_rag(endpoint: Endpoint, index: VectorStoreIndex, question: str = RAG_QUESTION) -> str:
    """Answers a question as `rag` does, but streams the answer."""
    response: Any = _engine(endpoint, index, streaming=True).query(question)
    return "".join(response.response_gen)


def _engine(
    endpoint: Endpoint, index: VectorStoreIndex, client: Client | None = None, *, streaming: bool = False
) -> RetrieverQueryEngine:
    embeddings = embedding_model(endpoint, client) if client else None  # else the index's own
    return Rag.from_args(
        index.as_retriever(similarity_top_k=8, embed_model=embeddings),
        llm=chat_model(endpoint, client),
        node_postprocessors=[LexicalReranker(top_n=4)],
        streaming=streaming,
    )


def _run(job: Callable[[Client], Awaitable[str]]) -> str:
    async def with_client() -> str:
        async with Client() as client:
            return await job(client)

    return asyncio.run(with_client())


def chat(endpoint: Endpoint, index: VectorStoreIndex, question: str = RAG_QUESTION) -> str:
    """Answers a question, then a follow-up question."""
    engine = CondensePlusContextChatEngine.from_defaults(
        index.as_retriever(similarity_top_k=8),
        llm=chat_model(endpoint),
        memory=ChatMemoryBuffer.from_defaults(chat_store_key="demo-chat", token_limit=8000),
        context_prompt="Answer from these documents alone, or say that they do not.\n\n{context_str}",
        node_postprocessors=[LexicalReranker(top_n=4)],
    )
    return f"{engine.chat(question)}\n> {FOLLOW_UP_QUESTION}\n{engine.chat(FOLLOW_UP_QUESTION)}"


def agent(endpoint: Endpoint, index: VectorStoreIndex, question: str = AGENT_QUESTION) -> str:
    """Lets an agent answer with three tools, one of which fails on its first call."""
    tools = [_search_tool(index), _summary_tool(index), _counting_tool(index)]

    async def ask(client: Client) -> str:
        librarian = _agent(chat_model(endpoint, client), "librarian", "Knows the library.", tools)
        return str(await librarian.run(user_msg=question))

    return _run(ask)


def team(endpoint: Endpoint, index: VectorStoreIndex, question: str = SUPERVISOR_QUESTION) -> str:
    """Lets an agent hand the question over to another agent, which searches."""

    async def ask(client: Client) -> str:
        llm = chat_model(endpoint, client)
        receptionist = _agent(llm, "receptionist", "Knows who can answer.", [], ["researcher"])
        researcher = _agent(
            llm, "researcher", "Looks up how to do things with the standard library.", [_search_tool(index)]
        )
        workflow = AgentWorkflow(
            [receptionist, researcher], root_agent=receptionist.name, workflow_name="team"
        )
        return str(await workflow.run(user_msg=question))

    return _run(ask)


def _agent(
    llm: LLM, name: str, description: str, tools: Sequence[Tool], colleagues: Sequence[str] = ()
) -> FunctionAgent:
    return FunctionAgent(
        name=name,
        description=description,
        tools=list(tools),
        llm=llm,
        system_prompt="Answer questions on Python's standard library. Use the tools; they know, you do not.",
        can_handoff_to=list(colleagues),
    )


def _search_tool(index: VectorStoreIndex) -> Tool:
    def search_docs(query: str) -> str:
        """Search the documentation of the standard library."""
        found = index.as_retriever(similarity_top_k=4).retrieve(query)
        return "\n\n".join(f"[{number}] {each.text}" for number, each in enumerate(found, 1))

    return search_docs


def _summary_tool(index: VectorStoreIndex) -> Tool:
    def module_summary(module: str) -> str:
        """Summarise what a module is for."""
        found = index.docstore.get_document(module, raise_error=False)
        return found.get_content() if found else f"There is no documentation of {module}."

    return module_summary


def _counting_tool(index: VectorStoreIndex) -> Tool:
    ready = iter([False])

    def count_functions(module: str) -> str:
        """Count the public functions that a module documents."""
        if not next(ready, True):
            raise TimeoutError("error: the index of functions is still being built")  # the model sees no type
        kinds = [(node.metadata["module"], node.metadata["kind"]) for node in index.docstore.docs.values()]
        return f"The module {module} documents {kinds.count((module, 'function'))} functions."

    return count_functions


def ingestion(endpoint: Endpoint, index: VectorStoreIndex) -> str:
    """Splits and embeds the first fifty documents of the index into a new store."""
    documents = [Document(id_=node.node_id, text=node.get_content()) for node in index.docstore.docs.values()]
    store = SimpleVectorStore()
    pipeline = IngestionPipeline(
        name="ingestion",
        transformations=[SentenceSplitter(chunk_size=128, chunk_overlap=16), embedding_model(endpoint)],
        vector_store=store,
    )
    nodes = pipeline.run(documents=documents[:50])
    return f"{len(documents[:50])} documents were split and embedded as {len(nodes)} chunks."


RUNS: dict[str, Callable[[Endpoint, VectorStoreIndex], str]] = {
    "rag": rag,
    "async_rag": async_rag,
    "streamed_rag": streamed_rag,
    "chat": chat,
    "agent": agent,
    "team": team,
    "ingestion": ingestion,
}
"""The jobs by name; each has its own question."""
