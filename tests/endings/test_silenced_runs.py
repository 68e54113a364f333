"""A runnable that the application silences (`{"callbacks": []}`) has no span, and what happens in it is where it is.

LangChain makes such a run the ambient one, and nobody has heard of it. That says nothing about the runs around it.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from ends import MODES, assert_all_ended, edges, outcomes, run, told
from fakes import ScriptedEmbedding, ScriptedModel, ScriptedRetriever, UserSpans, call
from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.tools import StructuredTool
from langgraph.graph import START, StateGraph

from otel_callbacks.langchain import OTelCallbackHandler, trace_embeddings
from otel_callbacks.manual import step
from otel_callbacks.testing import Captured

SILENT: Any = {"callbacks": []}


@pytest.fixture
def spans(captured: Captured) -> UserSpans:
    return UserSpans(captured.tracer_provider)


@pytest.fixture
def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


def graph(body: Callable[[], None]) -> Any:
    made = StateGraph(dict)
    made.add_node("quiet", lambda state: body() or {})
    made.add_edge(START, "quiet")
    return made.compile()


SILENCED: dict[str, Callable[[Callable[[], None]], tuple[Any, Any]]] = {
    "lambda": lambda body: (RunnableLambda(lambda _: body() or "x"), "q"),
    "chain": lambda body: (ScriptedModel(body=body) | StrOutputParser(), "q"),
    "model": lambda body: (ScriptedModel(body=body), "q"),
    "retriever": lambda body: (ScriptedRetriever(body=body), "q"),
    "tool": lambda body: (
        StructuredTool.from_function(lambda word: body() or word, name="quiet", description="Quiet."),
        {"word": "x"},
    ),
    "lambda in a lambda": lambda body: (
        RunnableLambda(lambda _: RunnableLambda(lambda _: body() or "x").invoke("q")),
        "q",
    ),
}
"""What is silenced, and its input; `body` runs in it. Not LangGraph, which takes an empty list for none given."""


class Around:
    """The run around the silenced one, and what it is called. `work` is the body."""

    @staticmethod
    def tool(work: Callable[[Any], Any]) -> tuple[Any, Any, str]:
        def outer(word: str) -> str:
            """Works."""
            work(word)
            return "done"

        made = StructuredTool.from_function(outer, name="outer")
        return made, {"word": "x"}, "execute_tool outer"

    @staticmethod
    def step_of_a_chain(work: Callable[[Any], Any]) -> tuple[Any, Any, str]:
        def outer(value: Any) -> str:
            work(value)
            return "done"

        return RunnablePassthrough() | RunnableLambda(outer) | StrOutputParser(), "q", "outer"

    @staticmethod
    def chain_without_a_name(work: Callable[[Any], Any]) -> tuple[Any, Any, str]:
        return RunnablePassthrough() | RunnableLambda(lambda _: work(_) or "done"), "q", "invoke_workflow"

    @staticmethod
    def node(work: Callable[[Any], Any]) -> tuple[Any, Any, str]:
        def outer(state: Any) -> Any:
            work(state)
            return {"done": True}

        made = StateGraph(dict)
        made.add_node("outer", outer)
        made.add_edge(START, "outer")
        return made.compile(), {}, "outer"

    @staticmethod
    def tool_of_an_agent(work: Callable[[Any], Any]) -> tuple[Any, Any, str]:
        made, _, name = Around.tool(work)
        model = ScriptedModel(script=[call("outer", word="x"), "done"], model="agent-1")
        return create_agent(model, [made]), {"messages": [("user", "go")]}, name


AROUND = [name for name in vars(Around) if not name.startswith("_")]


# --- the application's spans -------------------------------------------------------------------------------------


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("silenced", SILENCED)
async def test_the_applications_span_is_in_the_run_around(
    around: str, silenced: str, captured: Captured, config: Any, spans: UserSpans
) -> None:
    quiet, value = SILENCED[silenced](spans.inside("mine"))
    runnable, given, name = getattr(Around, around)(lambda _: quiet.invoke(value, SILENT))
    await run(runnable, given, config, "invoke")
    assert edges(captured)[name, "mine"] == 1
    assert told(captured.span(name))["seen_by"] == "mine"
    assert outcomes(captured) == {}
    assert_all_ended(captured)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("mode", MODES)
async def test_in_every_mode(
    around: str, mode: str, captured: Captured, config: Any, spans: UserSpans
) -> None:
    quiet, value = SILENCED["lambda"](spans.inside("mine"))
    runnable, given, name = getattr(Around, around)(lambda _: quiet.invoke(value, SILENT))
    await run(runnable, given, config, mode)
    assert edges(captured)[name, "mine"] == 1
    assert outcomes(captured) == {}
    assert_all_ended(captured)


@pytest.mark.parametrize("silenced", SILENCED)
@pytest.mark.parametrize("mode", MODES)
async def test_however_the_silenced_one_is_run(
    silenced: str, mode: str, captured: Captured, config: Any, spans: UserSpans
) -> None:
    quiet, value = SILENCED[silenced](spans.inside("mine"))

    async def outer(word: str) -> str:
        """Works."""
        await run(quiet, value, SILENT, mode)
        return "done"

    await StructuredTool.from_function(coroutine=outer).ainvoke({"word": "x"}, config)
    assert captured.tree() == "execute_tool outer\n  mine"
    assert outcomes(captured) == {}
    assert_all_ended(captured)


# --- calls that are traced, in what is not -----------------------------------------------------------------------


def _decorated(config: Any) -> None:
    step("by hand")(lambda: None)()


def _embedded(config: Any) -> None:
    trace_embeddings(ScriptedEmbedding()).embed_query("q")


TRACED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "model": (lambda config: ScriptedModel().invoke("q", config), "chat scripted-1"),
    "chain": (lambda config: (ScriptedModel() | StrOutputParser()).invoke("q", config), "chat scripted-1"),
    "retriever": (lambda config: ScriptedRetriever().invoke("q", config), "retrieval"),
    "by hand": (_decorated, "by hand"),
    "embeddings": (_embedded, "embeddings embed-1"),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("traced", TRACED)
async def test_a_call_with_a_handler_of_its_own(
    around: str, traced: str, captured: Captured, config: Any
) -> None:
    work, traced_name = TRACED[traced]
    quiet = RunnableLambda(lambda _: work(config) or "x")
    runnable, given, name = getattr(Around, around)(lambda _: quiet.invoke("q", SILENT))
    await run(runnable, given, config, "ainvoke")
    assert edges(captured)[name, traced_name] == 1
    assert outcomes(captured) == {}
    assert_all_ended(captured)


async def test_what_comes_after_it(captured: Captured, config: Any) -> None:
    """The tool goes on: two calls in silence, one that is traced, two more."""

    async def outer(word: str) -> str:
        """Works."""
        for _ in range(2):
            await RunnableLambda(lambda _: ScriptedModel().invoke("q", config)).ainvoke("q", SILENT)
            await ScriptedModel(model="loud-1").ainvoke("q")
        return "done"

    await StructuredTool.from_function(coroutine=outer).ainvoke({"word": "x"}, config)
    above = "execute_tool outer"
    assert edges(captured) == Counter(
        {(None, above): 1, (above, "chat scripted-1"): 2, (above, "chat loud-1"): 2}
    )
    assert outcomes(captured) == {}
    assert told(captured.span(above))["otel_callbacks.rollup.inference_calls"] == 4
    assert_all_ended(captured)


@pytest.mark.parametrize("where", ["threads", "tasks"])
async def test_work_elsewhere_in_it(where: str, captured: Captured, config: Any, spans: UserSpans) -> None:
    async def body(_: Any) -> str:
        if where == "threads":
            await asyncio.to_thread(spans.inside("mine"))
        else:
            await asyncio.gather(*(asyncio.create_task(_in_task(spans.inside("mine"))) for _ in range(2)))
        return "x"

    async def outer(word: str) -> str:
        """Works."""
        return str(await RunnableLambda(body).ainvoke("q", SILENT))

    await StructuredTool.from_function(coroutine=outer).ainvoke({"word": "x"}, config)
    assert set(edges(captured)) == {(None, "execute_tool outer"), ("execute_tool outer", "mine")}
    assert outcomes(captured) == {}


async def _in_task(body: Callable[[], None]) -> None:
    body()


# --- but a reader stays outside ----------------------------------------------------------------------------------


STREAMS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "chain": lambda: (ScriptedModel(script=["a b c"]) | StrOutputParser(), "q"),
    "model": lambda: (ScriptedModel(script=["a b c"]), "q"),
    "graph": lambda: (graph(lambda: None), {}),
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("mode", ["stream", "astream"])
async def test_the_reader_of_a_stream_who_is_silent(
    stream: str, mode: str, captured: Captured, config: Any, spans: UserSpans
) -> None:
    """It is run between two chunks, and not in the run that streams."""
    runnable, value = STREAMS[stream]()
    quiet = RunnableLambda(lambda _: spans.inside("mine")() or "x")
    if mode == "stream":
        for _ in runnable.stream(value, config):
            quiet.invoke("q", SILENT)
    else:
        async for _ in runnable.astream(value, config):
            quiet.invoke("q", SILENT)
    assert {above for above, name in edges(captured) if name == "mine"} == {None}
    assert outcomes(captured) == {}


async def test_a_silent_run_around_everything(captured: Captured, config: Any, spans: UserSpans) -> None:
    """The reader of a traced stream may itself be in a run that nobody has heard of."""

    def outer(_: Any) -> str:
        for _ in (ScriptedModel(script=["a b c"]) | StrOutputParser()).stream("q", config):
            spans.inside("mine")()
        return "done"

    work: Callable[[Any, Any], Awaitable[Any]] = RunnableLambda(outer).ainvoke
    await work("q", SILENT)
    assert set(edges(captured)) == {
        (None, "invoke_workflow"),
        ("invoke_workflow", "chat scripted-1"),
        (None, "mine"),
    }
    assert outcomes(captured) == {}


async def test_a_batch_in_silence_is_not_one_in_another(captured: Captured, config: Any) -> None:
    """Its items all start before the first one's body runs."""

    async def outer(word: str) -> str:
        """Works."""
        chain = ScriptedModel() | StrOutputParser()
        await RunnableLambda(lambda _: chain.batch(["a", "b", "c"], config)).ainvoke("q", SILENT)
        return "done"

    await StructuredTool.from_function(coroutine=outer).ainvoke({"word": "x"}, config)
    assert edges(captured) == Counter(
        {(None, "execute_tool outer"): 1, ("execute_tool outer", "chat scripted-1"): 3}
    )
    assert outcomes(captured) == {}
    assert_all_ended(captured)
