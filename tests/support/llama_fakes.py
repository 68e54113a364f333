"""Scripted parts of a LlamaIndex application, without a network."""

import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest
from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from waiting import pause

from otel_callbacks.llama_index import OTelCallbackHandler
from otel_callbacks.llama_index.dispatcher_reports import reports
from otel_callbacks.runtime.faults import faults
from otel_callbacks.testing import Captured

USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
IGNORED = pytest.mark.filterwarnings(
    "ignore::pydantic.PydanticDeprecationWarning",  # from the workflows package, for any agent
    "ignore:.*Connection.__del__:pytest.PytestUnraisableExceptionWarning",  # from a chat engine's memory
    "ignore:.*(BaseEventLoop|socket):pytest.PytestUnraisableExceptionWarning",  # from a synchronous call
    "ignore:is_running called:DeprecationWarning",  # from the ReAct agent
    "ignore:There is no current event loop:DeprecationWarning",  # from a memory, since Python 3.12
    "ignore::workflows.context.state_store.UnserializableKeyWarning",  # from a reused workflow context
)
DOCUMENTS = [Document(text="Paris is in France.", id_="d1"), Document(text="Rome is in Italy.", id_="d2")]


def call(name: str, call_id: str = "call_1", **arguments: Any) -> ChatMessage:
    """Returns a model's request to run a tool."""
    block = ToolCallBlock(tool_call_id=call_id, tool_name=name, tool_kwargs=arguments)
    return ChatMessage(role="assistant", blocks=[block])


def raw(usage: Any, reason: str | None) -> dict[str, Any]:
    """Returns a provider's raw response in OpenAI's form."""
    return {
        "id": "chatcmpl-1",
        "model": "scripted-1-0613",
        "usage": usage,
        "choices": [{"index": 0, "finish_reason": reason}],
    }


class ScriptedModel(FunctionCallingLLM):
    """Returns the answers in `script` in turn, then repeats the last one. An exception in it is raised.

    `body` runs inside every call, as an HTTP client would; `delay` is slept in asynchronous calls and between
    chunks, in seconds; a stream breaks with `fault` after `breaks_after` chunks.
    """

    script: Any = ("hello big world",)
    model: str = "scripted-1"
    temperature: float = 0.5
    max_tokens: int = 64
    body: Callable[[], Any] = lambda: None
    delay: float = 0.0
    turn: int = 0
    breaks_after: int | None = None
    fault: Any = ConnectionError("gone")

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self.model, is_function_calling_model=True, is_chat_model=True)

    def _next(self) -> ChatMessage:
        self.body()
        answer = self.script[min(self.turn, len(self.script) - 1)]
        self.turn += 1
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, ChatMessage) else ChatMessage(role="assistant", content=answer)

    def _chunks(self) -> Iterator[ChatResponse]:
        message = self._next()
        words = (message.content or "").split(" ")
        said = ""
        for number, word in enumerate(words):
            if number == self.breaks_after:
                raise self.fault
            last = number == len(words) - 1
            delta = word if last else f"{word} "
            said += delta
            so_far = ChatMessage(role="assistant", content=said) if message.content else message
            yield ChatResponse(message=so_far, delta=delta, raw=raw(None, "stop" if last else None))
        yield ChatResponse(message=so_far, delta="", raw={**raw(USAGE, None), "choices": []})

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return ChatResponse(message=self._next(), raw=raw(USAGE, "stop"))

    @llm_chat_callback()
    async def achat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        await pause(self.delay)
        return ChatResponse(message=self._next(), raw=raw(USAGE, "stop"))

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        def chunks() -> Iterator[ChatResponse]:
            for chunk in self._chunks():
                time.sleep(self.delay)
                yield chunk

        return chunks()

    @llm_chat_callback()
    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        async def chunks() -> AsyncIterator[ChatResponse]:
            for chunk in self._chunks():
                await pause(self.delay)
                yield chunk

        return chunks()

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=str(self._next().content), raw=raw(USAGE, "stop"))

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return self.complete(prompt, formatted=formatted, **kwargs)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        return (
            CompletionResponse(text=str(chunk.message.content), delta=chunk.delta, raw=chunk.raw)
            for chunk in self._chunks()
        )

    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _prepare_chat_with_tools(
        self, tools: Any, user_msg: Any = None, chat_history: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        asked = [ChatMessage(role="user", content=str(user_msg))] if user_msg else []
        offered = [tool.metadata.to_openai_tool() for tool in tools]
        return {"messages": [*(chat_history or ()), *asked], "tools": offered}

    def get_tool_calls_from_response(self, response: Any, **kwargs: Any) -> list[ToolSelection]:
        return [
            ToolSelection(
                tool_id=block.tool_call_id, tool_name=block.tool_name, tool_kwargs=block.tool_kwargs
            )
            for block in response.message.blocks
            if isinstance(block, ToolCallBlock)
        ]


# the provider is read from the package of a model
ScriptedModel.__module__ = "llama_index.llms.openai.scripted"


class ScriptedEmbedding(MockEmbedding):
    """Returns vectors of eight ones. `body` runs inside every call."""

    body: Callable[[], Any] = lambda: None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(embed_dim=8, model_name="embed-1", **kwargs)

    def _get_query_embedding(self, query: str) -> list[float]:
        self.body()
        return super()._get_query_embedding(query)

    async def _aget_query_embedding(self, query: str) -> list[float]:
        self.body()
        return await super()._aget_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        self.body()
        return super()._get_text_embedding(text)


ScriptedEmbedding.__module__ = "llama_index.embeddings.openai.scripted"


class ScriptedReranker(BaseNodePostprocessor):
    """Keeps the last `top_n` documents, with new scores. `body` runs inside."""

    top_n: int = 1
    model: str = "rerank-1"
    body: Callable[[], Any] = lambda: None

    def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
        self.body()
        kept = list(reversed(nodes))[: self.top_n]
        for node in kept:
            node.score = 0.9
        return kept


def nothing() -> None:
    """Does nothing."""


def index(body: Callable[[], Any] = nothing) -> VectorStoreIndex:
    """Makes a vector index of two documents, untraced."""
    model = ScriptedEmbedding()
    token = context_api.attach(context_api.set_value("suppress_instrumentation", True))
    made = VectorStoreIndex.from_documents(DOCUMENTS, embed_model=model)
    context_api.detach(token)
    model.body = body
    return made


def outcome(span: ReadableSpan) -> Any:
    return (span.attributes or {}).get("otel_callbacks.outcome")


def outcomes(captured: Captured) -> dict[str, Any]:
    """Returns the outcomes of the spans that have one, by span name."""
    return {span.name: outcome(span) for span in captured.spans if outcome(span)}


def errors(captured: Captured) -> dict[str, Any]:
    return {
        span.name: (span.attributes or {})["error.type"]
        for span in captured.spans
        if span.status.status_code is StatusCode.ERROR
    }


def exception_events(captured: Captured) -> list[str]:
    return [span.name for span in captured.spans for event in span.events if event.name == "exception"]


def parents(captured: Captured) -> dict[str, str | None]:
    """Returns the name of each span's parent, by the span's name."""
    names = {span.context.span_id: span.name for span in captured.spans}
    return {span.name: names.get(span.parent.span_id) if span.parent else None for span in captured.spans}


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    """Fails on a fault of ours. LlamaIndex's dispatcher swallows exceptions, so the faults are counted."""
    before = faults.count
    yield
    assert faults.count == before


@pytest.fixture(autouse=True)
def untouched_settings() -> Iterator[None]:
    """Resets the settings, and fails if a test leaves an open report or a current span."""
    import llama_index.core

    yield
    Settings._callback_manager = None
    Settings._llm = None
    llama_index.core.global_handler = None
    left, reports.open = reports.open, {}
    assert left == {}
    assert reports._streaming == set()
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.fixture
def handler(captured: Captured) -> Iterator[OTelCallbackHandler]:
    """A handler that traces everything; fails if a run is left open."""
    made = OTelCallbackHandler(**captured.providers)
    Settings.callback_manager = CallbackManager([made])
    yield made
    gc.collect()
    counts = made._recorder.counts
    assert made._recorder.runs == {}
    assert counts.started == counts.ended


def drain(stream: Any) -> list[Any]:
    return list(stream)


async def adrain(stream: Any) -> list[Any]:
    return [item async for item in stream]


def words(script: Sequence[Any]) -> ScriptedModel:
    return ScriptedModel(script=list(script))
