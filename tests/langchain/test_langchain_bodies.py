"""Tests that a run whose body is not where it started goes on until its end is reported, and takes that end."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from ends import assert_all_ended, edges, in_task, in_thread, outcomes, told
from fakes import ScriptedModel, ScriptedRetriever, UserSpans
from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableLambda

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured

ANSWER = AIMessage("a", usage_metadata={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7})


class Helpers:
    """An application that reports runs itself. Each method starts one and returns before its body runs."""

    def __init__(self, handler: OTelCallbackHandler) -> None:
        self.manager = CallbackManager([handler])
        self.asynchronous = AsyncCallbackManager([handler])

    def tool(self) -> Callable[[], Any]:
        run = self.manager.on_tool_start({"name": "mine"}, "q")
        return lambda: run.on_tool_end("four")

    def retriever(self) -> Callable[[], Any]:
        run = self.manager.on_retriever_start({}, "q")
        return lambda: run.on_retriever_end([])

    def model(self) -> Callable[[], Any]:
        (run,) = self.manager.on_chat_model_start({}, [[HumanMessage("q")]], invocation_params={"model": "m"})
        return lambda: run.on_llm_end(LLMResult(generations=[[ChatGeneration(message=ANSWER)]]))

    def chain(self) -> Callable[[], Any]:
        run = self.manager.on_chain_start(None, {}, name="mine")
        return lambda: run.on_chain_end({})

    async def async_tool(self) -> Callable[[], Any]:
        run = await self.asynchronous.on_tool_start({"name": "mine"}, "q")
        return lambda: run.get_sync().on_tool_end("four")


KINDS = {
    "tool": "execute_tool mine",
    "retriever": "retrieval",
    "model": "chat m",
    "chain": "invoke_workflow mine",
}


@pytest.fixture
def handler(captured: Captured) -> OTelCallbackHandler:
    return OTelCallbackHandler(**captured.providers)


@pytest.fixture
def config(handler: OTelCallbackHandler) -> dict[str, Any]:
    return {"callbacks": [handler]}


@pytest.fixture
def spans(captured: Captured) -> UserSpans:
    return UserSpans(captured.tracer_provider)


def assert_took_its_end(captured: Captured, name: str) -> None:
    assert outcomes(captured) == {}
    assert_all_ended(captured)
    attributes = told(captured.span(name))
    if name == "execute_tool mine":
        assert attributes["otel_callbacks.tool.result_size"] == 4
    if name == "chat m":
        assert attributes["gen_ai.usage.input_tokens"] == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_a_helper_starts(
    kind: str, captured: Captured, handler: OTelCallbackHandler, config: Any, spans: UserSpans
) -> None:
    end = getattr(Helpers(handler), kind)()
    spans.inside("mine")()
    ScriptedModel(model="other-1").invoke("q", config)
    end()
    assert edges(captured)[KINDS[kind], "mine"] == 1
    assert_took_its_end(captured, KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_that_starts_in_a_task_which_ends_first(
    kind: str, captured: Captured, handler: OTelCallbackHandler, config: Any
) -> None:
    async def start() -> Any:
        return getattr(Helpers(handler), kind)()

    end = await in_task(start())
    await ScriptedModel(model="other-1").ainvoke("q", config)
    end()
    assert_took_its_end(captured, KINDS[kind])


async def test_an_asynchronous_run_that_starts_in_a_task_which_ends_first(
    captured: Captured, handler: OTelCallbackHandler, config: Any
) -> None:
    end = await in_task(Helpers(handler).async_tool())
    await ScriptedModel(model="other-1").ainvoke("q", config)
    end()
    assert_took_its_end(captured, "execute_tool mine")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_starts_and_ends_in_other_threads(
    kind: str, captured: Captured, handler: OTelCallbackHandler, config: Any
) -> None:
    end = in_thread(getattr(Helpers(handler), kind))
    ScriptedModel(model="other-1").invoke("q", config)
    in_thread(end)
    assert_took_its_end(captured, KINDS[kind])


@pytest.mark.parametrize("kind", ["tool", "retriever", "model"])
def test_a_run_that_is_handed_out_of_the_run_above(
    kind: str, captured: Captured, handler: OTelCallbackHandler, config: Any
) -> None:
    ends: list[Callable[[], Any]] = []
    RunnableLambda(lambda _: ends.append(getattr(Helpers(handler), kind)()) or "x").invoke("q", config)
    ScriptedModel(model="other-1").invoke("q", config)
    ends[0]()
    assert_took_its_end(captured, KINDS[kind])


@pytest.mark.parametrize("traced", [False, True], ids=["span", "call"])
async def test_a_greenlet_in_a_body_is_in_it(
    traced: bool, captured: Captured, config: Any, spans: UserSpans
) -> None:
    """SQLAlchemy runs asynchronous drivers so. A greenlet has a call stack of its own."""
    greenlet = pytest.importorskip("greenlet")

    def query() -> None:
        ScriptedModel(model="other-1").invoke("q", config) if traced else spans.inside("SELECT")()

    def switch() -> None:
        other = greenlet.greenlet(query)
        other.gr_context = contextvars.copy_context()
        other.switch()

    await ScriptedRetriever(body=switch).ainvoke("q", config)
    assert captured.tree() == f"retrieval\n  {'chat other-1' if traced else 'SELECT'}"
    assert outcomes(captured) == {}


@pytest.mark.parametrize("how", ["task", "thread"])
async def test_a_reader_elsewhere_is_beside_the_chain_that_streams(
    how: str, captured: Captured, config: Any
) -> None:
    chain = ScriptedModel(script=["a b c"]) | StrOutputParser()
    other = ScriptedModel(model="other-1")
    async for _ in chain.astream("q", config):
        if how == "task":
            await asyncio.gather(other.ainvoke("r", config))
        else:
            in_thread(other.invoke, "r", config)
    assert {above for above, name in edges(captured) if name == "chat other-1"} == {None}
    assert outcomes(captured) == {}


# --- streams of protocol events ----------------------------------------------------------------------------------


class SyncOnly(ScriptedModel):
    """Has no asynchronous stream of its own, so LangChain runs the other one in threads."""

    script: Any = ("a b c",)
    each: Callable[[], None] = lambda: None

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        self.each()
        for chunk in super()._stream(*args, **kwargs):
            self.each()
            yield chunk

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async for chunk in BaseChatModel._astream(self, *args, **kwargs):
            yield chunk


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("how", ["task", "thread", "sync stream, thread"])
async def test_a_reader_elsewhere_is_beside_a_stream_of_events(
    how: str, captured: Captured, config: Any, spans: UserSpans
) -> None:
    """But threads and tasks that the body starts are in it."""
    model, other = SyncOnly(each=spans.inside("chunk")), ScriptedModel(model="other-1")
    if how == "sync stream, thread":
        for _ in model.stream_events("q", config, version="v3"):
            in_thread(other.invoke, "r", config)
    else:
        stream = await model.astream_events("q", config, version="v3")
        async for _ in stream:
            if how == "task":
                await asyncio.gather(other.ainvoke("r", config))
            else:
                in_thread(other.invoke, "r", config)
        await stream
    assert {above for above, name in edges(captured) if name == "chat other-1"} == {None}
    assert {above for above, name in edges(captured) if name == "chunk"} == {"chat scripted-1"}
    assert edges(captured)["chat scripted-1", "chunk"] == 4
    assert outcomes(captured) == {}
