"""The applications that the benchmarks run. Their parts are scripted, so only the framework and tracing take time.

A workload is a function that takes the callback handlers and makes one call.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import cycle
from typing import Any
from uuid import UUID

import llama_index.core
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.tools import tool
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata
from llama_index.core.callbacks import CallbackManager
from llama_index.core.callbacks.base_handler import BaseCallbackHandler as LlamaIndexHandler
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.llms.callbacks import llm_chat_callback
from opentelemetry import trace
from opentelemetry.trace import Span, Tracer

Workload = Callable[[list[Any]], Any]


class Empty(BaseCallbackHandler, LlamaIndexHandler):
    """A handler of both frameworks that does nothing."""

    run_inline = True

    def __init__(self) -> None:
        LlamaIndexHandler.__init__(self, [], [])

    def on_event_start(self, *args: Any, **kwargs: Any) -> str:
        return ""

    def on_event_end(self, *args: Any, **kwargs: Any) -> None:
        pass

    def start_trace(self, trace_id: str | None = None) -> None:
        pass

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
        pass


EMPTY = Empty()

ATTRIBUTES = {f"bench.attribute_{number}": value for number, value in enumerate([17, "text", 0.5, True] * 3)}


class SdkOnly(BaseCallbackHandler):
    """A minimal handler: makes a span with 12 attributes for every LangChain run."""

    run_inline = True

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._spans: dict[UUID, Span] = {}

    def on_chain_start(self, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **__: Any) -> None:
        above = self._spans.get(parent_run_id) if parent_run_id else None
        context = trace.set_span_in_context(above) if above is not None else None
        self._spans[run_id] = self._tracer.start_span("span", context)

    on_chat_model_start = on_tool_start = on_retriever_start = on_chain_start  # type: ignore[assignment]

    def on_chain_end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        span = self._spans.pop(run_id, None)
        if span is not None:
            span.set_attributes(ATTRIBUTES)
            span.end()

    on_llm_end = on_tool_end = on_retriever_end = on_chain_end  # type: ignore[assignment]


class LangChainModel(BaseChatModel):
    """Answers with scripted messages in turn, and reports usage as a provider would."""

    script: Any
    model: str = "scripted-1"

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self

    def _generate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        content, calls = next(self.script)
        message = AIMessage(
            content=content,
            tool_calls=calls,
            usage_metadata={"input_tokens": 900, "output_tokens": 60, "total_tokens": 960},
            response_metadata={"model_name": "scripted-1", "finish_reason": "stop", "id": "chatcmpl-1"},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


class FixedRetriever(BaseRetriever):
    """Returns the same four documents for every question."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [Document(page_content="a passage of text " * 20, id=str(n)) for n in range(4)]


@tool
def look_up(word: str) -> str:
    """Looks a word up."""
    return f"{word}: a word"


def chain_workload() -> Workload:
    model = LangChainModel(script=cycle([("an answer", [])]))
    prompt = ChatPromptTemplate.from_template("Answer {question} from {context}")
    chain = (
        {"context": FixedRetriever(), "question": RunnablePassthrough()} | prompt | model | StrOutputParser()
    ).with_config(run_name="rag")
    return lambda callbacks: chain.invoke("what?", {"callbacks": callbacks})


def agent_workload(turns: int = 4) -> Workload:
    call = [{"name": "look_up", "args": {"word": "x"}, "id": "call_1"}]
    script = cycle([("", call)] * turns + [("done", [])])
    agent = create_agent(LangChainModel(script=script), [look_up], name="librarian")
    limit = {"recursion_limit": max(25, 3 * turns)}
    return lambda callbacks: agent.invoke({"messages": [("user", "go")]}, {"callbacks": callbacks, **limit})


class StreamingModel(LangChainModel):
    """Streams an answer of so many tokens, with the usage in the last one."""

    tokens: int
    script: Any = None

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        usage = {"input_tokens": 900, "output_tokens": self.tokens, "total_tokens": 900 + self.tokens}
        for left in reversed(range(self.tokens)):
            chunk = AIMessageChunk(content="word ", usage_metadata=None if left else usage)
            made = ChatGenerationChunk(message=chunk)
            if run_manager is not None:
                run_manager.on_llm_new_token("word ", chunk=made)
            yield made


def stream_workload(tokens: int) -> Workload:
    """Returns a model call that streams so many tokens."""
    model = StreamingModel(tokens=tokens)
    return lambda callbacks: deque(model.stream("what?", {"callbacks": callbacks}), maxlen=0)


def trace_workload(calls: int) -> Workload:
    """Returns a chain that calls a model so often, all in one trace."""
    model = LangChainModel(script=cycle([("an answer", [])]))

    def ask(question: str) -> None:
        for _ in range(calls):
            model.invoke(question)

    chain: Any = RunnableLambda(ask).with_config(run_name="many")
    return lambda callbacks: chain.invoke("what?", {"callbacks": callbacks})


class Meeting(LangChainModel):
    """Answers when so many calls are under way as shall meet."""

    expected: int

    async def _agenerate(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        here = _meeting.get()
        here.append(None)
        while len(here) < self.expected:
            await asyncio.sleep(0)
        return self._generate(messages)


_meeting: ContextVar[list[None]] = ContextVar("meeting")


def concurrent_workload(runs: int) -> Workload:
    """Returns so many asynchronous runs of a chain, all of which are open at once."""
    prompt = ChatPromptTemplate.from_template("Answer {question}")
    model = Meeting(script=cycle([("an answer", [])]), expected=runs)
    chain = (prompt | model | StrOutputParser()).with_config(run_name="rag")

    async def all_at_once(callbacks: list[Any]) -> None:
        _meeting.set([])
        config: Any = {"callbacks": callbacks}
        await asyncio.gather(*(chain.ainvoke({"question": "what?"}, config) for _ in range(runs)))

    return lambda callbacks: asyncio.run(all_at_once(callbacks))


RAW = {
    "id": "chatcmpl-1",
    "model": "scripted-1",
    "usage": {"prompt_tokens": 900, "completion_tokens": 60},
    "choices": [{"finish_reason": "stop"}],
}


class LlamaIndexModel(MockLLM):
    """Answers at once, and reports usage as a provider would."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="scripted-1", is_chat_model=True)

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return ChatResponse(message=ChatMessage(role="assistant", content="an answer"), raw=RAW)

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Iterator[ChatResponse]:
        def chunks() -> Iterator[ChatResponse]:
            for number in range(1, self.max_tokens + 1):
                message = ChatMessage(role="assistant", content="word " * number)
                yield ChatResponse(
                    message=message, delta="word ", raw=RAW if number == self.max_tokens else None
                )

        return chunks()


def llama_index_stream_workload(tokens: int) -> Workload:
    """Returns a chat that streams so many tokens."""
    model = LlamaIndexModel(max_tokens=tokens)
    messages = [ChatMessage(role="user", content="what?")]
    without = CallbackManager([])

    def chat(handlers: list[Any]) -> Any:
        Settings.callback_manager = CallbackManager([*handlers]) if handlers else without
        return deque(model.stream_chat(messages), maxlen=0)

    return chat


def llama_index_workload() -> Workload:
    """Returns a query over four documents that puts the handlers into `Settings`."""
    Settings.callback_manager = None  # type: ignore[assignment]  # components keep those they are made with
    documents = [
        llama_index.core.Document(text="a passage of text " * 20, id_=str(number)) for number in range(4)
    ]
    index = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=8))
    engine = index.as_query_engine(llm=LlamaIndexModel())
    without = CallbackManager([])

    def query(handlers: list[Any]) -> Any:
        Settings.callback_manager = CallbackManager([*handlers]) if handlers else without
        return engine.query("what?")

    return query


WORKLOADS: dict[str, Callable[..., Workload]] = {
    "chain": chain_workload,
    "agent": agent_workload,
    "llama_index": llama_index_workload,
    "stream": stream_workload,
    "llama_index_stream": llama_index_stream_workload,
    "concurrent": concurrent_workload,
    "trace": trace_workload,
}
"""The workloads by name; those from `stream` on take a number, and so may the agent."""
