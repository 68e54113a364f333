"""A failed call says what kind of error it was, also where its message may not be told."""

from collections.abc import Callable
from typing import Any

import fakes
import llama_fakes
import pytest
from ends import run, told
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool
from langgraph.graph import START, StateGraph
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from opentelemetry.trace import StatusCode

from otel_callbacks import ContentPolicy, agent, embedding, inference, rerank, retrieval, tool, workflow
from otel_callbacks.langchain import OTelCallbackHandler, trace_embeddings, trace_reranker
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.testing import Captured

pytestmark = IGNORED

SECRET = "the message, which is content"


class OfOurOwn(Exception):
    """An error of the application's."""


ERRORS: dict[str, tuple[BaseException, str]] = {
    "built in": (ConnectionError(SECRET), "ConnectionError"),
    "of the application": (OfOurOwn(SECRET), f"{OfOurOwn.__module__}.OfOurOwn"),
    "without a message": (TimeoutError(), "TimeoutError"),
}


def fail(error: BaseException) -> Any:
    def body(*_: Any, **__: Any) -> Any:
        raise error

    return body


def failing_tool(error: BaseException) -> StructuredTool:
    def work(word: str) -> str:
        """Fails."""
        raise error

    return StructuredTool.from_function(work)


def failing_graph(error: BaseException) -> Any:
    made = StateGraph(dict)
    made.add_node("work", lambda state: fail(error)())
    made.add_edge(START, "work")
    return made.compile()


CALLED: dict[str, tuple[Callable[[BaseException], Any], Any]] = {
    "model": (lambda error: fakes.ScriptedModel(script=[error]), "q"),
    "chain": (lambda error: fakes.ScriptedModel(script=[error]) | StrOutputParser(), "q"),
    "lambda": (lambda error: RunnableLambda(fail(error)) | StrOutputParser(), "q"),
    "retriever": (lambda error: fakes.ScriptedRetriever(body=fail(error)), "q"),
    "tool": (failing_tool, {"word": "x"}),
    "graph": (failing_graph, {}),
    "agent": (
        lambda error: create_agent(fakes.ScriptedModel(script=[error]), []),
        {"messages": [("user", "q")]},
    ),
}
QUIET: dict[str, Any] = {
    "none": "none",
    "events": "events",
    "other kinds": ContentPolicy("spans", kinds=("prompts", "answers")),
}
"""Policies that keep exceptions' messages out of spans."""


def assert_named(captured: Captured, error_type: str) -> None:
    failed = [span for span in captured.spans if span.status.status_code is StatusCode.ERROR]
    assert failed
    for span in failed:
        assert told(span)["error.type"] == error_type
        assert error_type in (span.status.description or "")
        assert SECRET not in (span.status.description or "")


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("called", CALLED)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream", "batch", "thread"])
async def test_langchain(called: str, error: str, mode: str, captured: Captured) -> None:
    make, value = CALLED[called]
    raised, name = ERRORS[error]
    with pytest.raises(type(raised)):
        await run(make(raised), value, {"callbacks": [OTelCallbackHandler(**captured.providers)]}, mode)
    assert_named(captured, name)


@pytest.mark.parametrize("policy", QUIET)
@pytest.mark.parametrize("called", ["model", "tool", "graph"])
def test_by_policy(called: str, policy: str, captured: Captured) -> None:
    make, value = CALLED[called]
    handler = OTelCallbackHandler(**captured.providers, content=QUIET[policy])
    with pytest.raises(ConnectionError):
        make(ConnectionError(SECRET)).invoke(value, {"callbacks": [handler]})
    assert_named(captured, "ConnectionError")


@pytest.mark.parametrize("called", ["model", "tool"])
def test_with_content_it_is_the_message(called: str, captured: Captured) -> None:
    make, value = CALLED[called]
    handler = OTelCallbackHandler(**captured.providers, content="spans")
    with pytest.raises(ConnectionError):
        make(ConnectionError(SECRET)).invoke(value, {"callbacks": [handler]})
    assert {span.status.description for span in captured.spans} == {SECRET}


@pytest.mark.parametrize("called", ["model", "tool"])
def test_with_content_and_no_message_it_is_the_type(called: str, captured: Captured) -> None:
    make, value = CALLED[called]
    handler = OTelCallbackHandler(**captured.providers, content="spans")
    with pytest.raises(TimeoutError):
        make(TimeoutError()).invoke(value, {"callbacks": [handler]})
    assert {span.status.description for span in captured.spans} == {"TimeoutError"}


def test_a_tool_that_says_itself_that_it_failed(captured: Captured) -> None:
    def work(word: str) -> Any:
        """Fails, in words."""
        return ToolMessage(SECRET, tool_call_id="c1", status="error")

    call = {"name": "work", "args": {"word": "x"}, "id": "c1", "type": "tool_call"}
    handler = OTelCallbackHandler(**captured.providers)
    StructuredTool.from_function(work).invoke(call, {"callbacks": [handler]})
    assert_named(captured, "tool_error")


@pytest.mark.parametrize("what", ["embeddings", "reranker"])
def test_what_langchain_has_no_callback_for(what: str, captured: Captured) -> None:
    handler, error = OTelCallbackHandler(**captured.providers), ConnectionError(SECRET)
    with pytest.raises(ConnectionError):
        if what == "embeddings":
            trace_embeddings(fakes.ScriptedEmbedding(fail(error)), handler=handler).embed_query("q")
        else:
            trace_reranker(fakes.ScriptedReranker(body=fail(error)), handler=handler).compress_documents(
                [], "q"
            )
    assert_named(captured, "ConnectionError")


# --- LlamaIndex --------------------------------------------------------------------------------------------------


async def chat(error: BaseException) -> None:
    llama_fakes.ScriptedModel(script=[error]).chat([ChatMessage(role="user", content="q")])


async def chat_async(error: BaseException) -> None:
    await llama_fakes.ScriptedModel(script=[error]).achat([ChatMessage(role="user", content="q")])


async def stream(error: BaseException) -> None:
    model = llama_fakes.ScriptedModel(breaks_after=1, fault=error)
    list(model.stream_chat([ChatMessage(role="user", content="q")]))


async def query(error: BaseException) -> None:
    retriever = llama_fakes.index(fail(error)).as_retriever()
    RetrieverQueryEngine.from_args(retriever, llm=llama_fakes.ScriptedModel()).query("q")


async def agent_of_llama_index(error: BaseException) -> None:
    await FunctionAgent(llm=llama_fakes.ScriptedModel(script=[error]), tools=[], streaming=False).run("q")


async def workflow_of_llama_index(error: BaseException) -> None:
    class Works(Workflow):
        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            raise error

    await Works().run()


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    "job", [chat, chat_async, stream, query, agent_of_llama_index, workflow_of_llama_index]
)
async def test_llama_index(job: Any, error: str, captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])
    raised, name = ERRORS[error]
    with pytest.raises(type(raised)):
        await job(raised)
    assert_named(captured, name)


# --- by hand -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [workflow, agent, tool, retrieval, embedding, rerank, inference])
@pytest.mark.parametrize("how", ["decorator", "context manager"])
def test_by_hand(kind: Any, how: str, captured: Captured) -> None:
    error = ConnectionError(SECRET)
    with pytest.raises(ConnectionError):
        if how == "decorator":
            kind("named")(fail(error))()
        else:
            with kind("named"):
                raise error
    assert_named(captured, "ConnectionError")
