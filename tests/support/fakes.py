"""Scripted parts of a LangChain application, without a network."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.retrievers import BaseRetriever
from opentelemetry import trace
from opentelemetry.trace import TracerProvider
from waiting import pause

USAGE = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}


def call(name: str, call_id: str = "call_1", **arguments: Any) -> AIMessage:
    """Returns a model's request to run a tool."""
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": call_id}])


class ScriptedModel(BaseChatModel):
    """Returns the answers in `script` in turn, then repeats the last one. An exception in it is raised.

    `body` runs inside every call, as an HTTP client would; `delay` is slept in asynchronous calls, in seconds.
    """

    script: Sequence[Any] = ("hello world",)
    model: str = "scripted-1"
    body: Callable[[], None] = lambda: None
    delay: float = 0.0
    turn: int = 0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_provider": "openai", "ls_model_name": self.model, "ls_model_type": "chat"}

    def _next(self) -> AIMessage:
        self.body()
        answer = self.script[min(self.turn, len(self.script) - 1)]
        self.turn += 1
        if isinstance(answer, BaseException):
            raise answer
        message = answer if isinstance(answer, AIMessage) else AIMessage(answer)
        details = {"model_name": f"{self.model}-0613", "finish_reason": "stop", "id": "chatcmpl-1"}
        return message.model_copy(update={"usage_metadata": USAGE, "response_metadata": details})

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: CallbackManagerForLLMRun | None = None, **_: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next())])

    async def _agenerate(
        self,
        messages: Any,
        stop: Any = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> ChatResult:
        await pause(self.delay)
        return ChatResult(generations=[ChatGeneration(message=self._next())])

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        message = self._next()
        words = str(message.content).split(" ")
        for number, word in enumerate(words):
            last = number == len(words) - 1
            yield ChatGenerationChunk(
                message=AIMessageChunk(
                    word if last else f"{word} ",
                    usage_metadata=USAGE if number == 0 else None,  # type: ignore[arg-type]
                    response_metadata=message.response_metadata if last else {},
                    tool_calls=message.tool_calls,
                )
            )

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: CallbackManagerForLLMRun | None = None, **_: Any
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self._chunks():
            if run_manager:
                run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
            yield chunk
            time.sleep(self.delay)

    async def _astream(
        self,
        messages: Any,
        stop: Any = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **_: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks():
            if run_manager:
                await run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
            yield chunk
            await pause(self.delay)


class ScriptedRetriever(BaseRetriever):
    """Finds `documents`. `body` runs inside; asynchronous calls sleep for `delay` seconds."""

    documents: Sequence[Document] = (Document("one", id="d1"), Document("two", id="d2"))
    body: Callable[[], None] = lambda: None
    delay: float = 0.0

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        self.body()
        return list(self.documents)

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        await pause(self.delay)
        return self._get_relevant_documents(query, run_manager=run_manager)


class ScriptedEmbedding(Embeddings):
    """Returns vectors of eight ones. `body` runs inside for every text."""

    model = "embed-1"

    def __init__(self, body: Callable[[], None] = lambda: None) -> None:
        self.body = body

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        for _ in texts:
            self.body()
        return [[1.0] * 8 for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


# the provider is read from the package of an embedding model or reranker
ScriptedEmbedding.__module__ = "langchain_openai.scripted"


class ScriptedReranker(BaseDocumentCompressor):
    """Keeps copies of the last `top_n` documents, with new scores unless `silent`. LangChain's rerankers copy, too."""

    top_n: int = 1
    model: str = "rerank-1"
    silent: bool = False
    body: Callable[[], None] = lambda: None

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Any = None
    ) -> Sequence[Document]:
        self.body()
        kept = [document.model_copy(deep=True) for document in reversed(documents)][: self.top_n]
        for document in kept if not self.silent else ():
            document.metadata["relevance_score"] = 0.9
        return kept


class UserSpans:
    """Does what an application does in its own bodies: opens a span and writes to the current one."""

    def __init__(self, provider: TracerProvider) -> None:
        self.tracer = provider.get_tracer("application")

    def inside(self, name: str) -> Callable[[], None]:
        """Returns a body that opens a span called `name` and marks the current span."""

        def body() -> None:
            trace.get_current_span().set_attribute("seen_by", name)
            with self.tracer.start_as_current_span(name):
                pass

        return body
