"""Calls that are more than one call read to its end."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from clients import CLIENTS
from table import METHODS, Row, call, given

Do = Callable[[Any, Row, Any], None]


def twice(model: Any, row: Row, handler: Any) -> None:
    """The same call again, which a cache of the framework answers."""
    call(model, row, handler)
    call(model, row, handler)


def failing_call(model: Any, row: Row, handler: Any) -> None:
    """One call that raises."""
    with pytest.raises(Exception):  # noqa: B017 each SDK has its own
        call(model, row, handler)


def left_after_one(model: Any, row: Row, handler: Any) -> None:
    """A stream of which one chunk is read."""
    if row.mode == "astream":
        asyncio.run(_left(model, row, handler))
        return
    stream = _stream(model, row, handler)
    next(iter(stream))
    stream.close()


async def _left(model: Any, row: Row, handler: Any) -> None:
    stream = _stream(model, row, handler)
    if not hasattr(stream, "__aiter__"):
        stream = await stream
    async for _ in stream:
        break
    await stream.aclose()


def _stream(model: Any, row: Row, handler: Any) -> Any:
    if CLIENTS[row.client].framework == "langchain":
        return getattr(model, row.mode)("what is 2 + 2?", {"callbacks": [handler]}, **given(row))
    from llama_index.core.llms import ChatMessage

    return getattr(model, METHODS[row.mode, False])([ChatMessage("what is 2 + 2?")], **given(row))


def generate(*prompts: Any) -> Do:
    """LangChain's call with several prompts, which may be one request."""

    def do(model: Any, row: Row, handler: Any) -> None:
        if row.mode == "ainvoke":
            asyncio.run(model.agenerate(list(prompts), callbacks=[handler]))
        else:
            model.generate(list(prompts), callbacks=[handler])

    return do


def embed(*texts: str, query: bool = False, times: int = 1) -> Do:
    """Embeds texts, or one query."""

    def do(model: Any, row: Row, handler: Any) -> None:
        if CLIENTS[row.client].framework == "langchain":
            from otel_callbacks.langchain import trace_embeddings

            trace_embeddings(model, handler=handler)
            names = ("embed_query", "aembed_query") if query else ("embed_documents", "aembed_documents")
        else:
            names = ("get_query_embedding", "aget_query_embedding")
            if not query:
                names = ("get_text_embedding_batch", "aget_text_embedding_batch")
        for _ in range(times):
            made = getattr(model, names[row.mode == "ainvoke"])(texts[0] if query else list(texts))
            if row.mode == "ainvoke":
                asyncio.run(_await(made))

    return do


async def _await(made: Any) -> Any:
    return await made


def rerank(model: Any, row: Row, handler: Any) -> None:
    """Ranks two documents."""
    if CLIENTS[row.client].framework == "langchain":
        from langchain_core.documents import Document

        from otel_callbacks.langchain import trace_reranker

        trace_reranker(model, handler=handler).compress_documents([Document("a"), Document("b")], "q")
        return
    from llama_index.core.schema import NodeWithScore, TextNode

    model.postprocess_nodes(
        [NodeWithScore(node=TextNode(text=each), score=0.1) for each in "ab"], query_str="q"
    )
