"""The applications that the benchmarks run. Their parts are scripted, so only the framework and tracing take time.

A workload is a function that takes the callback handlers and makes one call.
"""

from collections.abc import Callable
from itertools import cycle
from typing import Any
from uuid import UUID

import llama_index.core
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
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
    """A minimal handler: makes a span with 12 attributes for every LangChain run that our handler would show."""

    run_inline = True

    def __init__(self, tracer: Tracer, is_shown: Callable[[UUID | None, bool], bool]) -> None:
        self._tracer = tracer
        self._is_shown = is_shown
        self._spans: dict[UUID, Span] = {}

    def _start(self, run_id: UUID, parent_run_id: UUID | None, *, leaf: bool) -> None:
        if self._is_shown(parent_run_id, leaf):
            above = self._spans.get(parent_run_id) if parent_run_id else None
            context = trace.set_span_in_context(above) if above is not None else None
            self._spans[run_id] = self._tracer.start_span("span", context)

    def on_chain_start(self, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **__: Any) -> None:
        self._start(run_id, parent_run_id, leaf=False)

    def on_chat_model_start(
        self, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **__: Any
    ) -> None:
        self._start(run_id, parent_run_id, leaf=True)

    on_tool_start = on_retriever_start = on_chat_model_start  # type: ignore[assignment]

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


def agent_workload() -> Workload:
    call = [{"name": "look_up", "args": {"word": "x"}, "id": "call_1"}]
    script = cycle([("", call)] * 4 + [("done", [])])
    agent = create_agent(LangChainModel(script=script), [look_up], name="librarian")
    return lambda callbacks: agent.invoke({"messages": [("user", "go")]}, {"callbacks": callbacks})


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


def llama_index_workload() -> Workload:
    """Returns a query over four documents that puts the handlers into `Settings`."""
    documents = [
        llama_index.core.Document(text="a passage of text " * 20, id_=str(number)) for number in range(4)
    ]
    index = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=8))
    engine = index.as_query_engine(llm=LlamaIndexModel())
    without = CallbackManager([])

    def query(handlers: list[Any]) -> Any:
        Settings.callback_manager = CallbackManager(handlers) if handlers else without
        return engine.query("what?")

    return query
