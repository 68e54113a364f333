"""Tests that a span which user code opens in a body is the child of that body's run, in every mode."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from fakes import ScriptedModel, ScriptedRetriever, UserSpans, call
from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send
from opentelemetry import trace
from opentelemetry.propagate import inject

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured

Config = dict[str, Any]


class Application:
    """A chain, an agent and a graph whose every body opens a user span named after the run it is in."""

    def __init__(self, provider: Any) -> None:
        spans = UserSpans(provider)
        self.spans = spans

        @tool
        def look_up(word: str) -> str:
            """Looks up."""
            spans.inside("in look_up")()
            return "found"

        def shape(value: Any) -> Any:
            spans.inside("in shape")()
            return "text"

        def route(state: Any) -> list[Send]:
            return [Send("work", state) for _ in range(3)]

        def start(state: Any) -> Any:
            spans.inside("in start")()
            return {}

        def work(state: Any) -> Any:
            spans.inside("in work")()
            return {}

        async def async_work(state: Any) -> Any:
            spans.inside("in async_work")()
            return {}

        self.look_up = look_up
        self.retriever = ScriptedRetriever(body=spans.inside("in retrieval"))
        self.model = ScriptedModel(script=["a b c"], body=spans.inside("in chat scripted-1"))
        self.chain = self.retriever | RunnableLambda(shape) | self.model
        self.parallel = RunnableParallel(one=self.chain, two=self.chain, three=RunnableLambda(shape))
        self.fallback = ScriptedModel(
            script=[ValueError("no")], body=spans.inside("in chat scripted-1")
        ).with_fallbacks([self.model])
        self.retry = RunnableLambda(shape) | ScriptedModel(
            script=[ValueError("no"), "a b"], body=spans.inside("in chat scripted-1")
        ).with_retry(wait_exponential_jitter=False)
        graph = StateGraph(MessagesState)
        graph.add_node("work", work)
        graph.add_node("start", start)
        graph.add_edge(START, "start")
        graph.add_conditional_edges("start", route, ["work"])
        self.graph = graph.compile(name="fan-out")
        outer = StateGraph(MessagesState)
        outer.add_node("sub", self.graph)
        outer.add_node("async_work", async_work)
        outer.add_edge(START, "sub")
        outer.add_edge("sub", "async_work")
        self.nested = outer.compile(name="outer")

    def agent(self) -> Any:
        model = ScriptedModel(
            script=[call("look_up", word="x"), "done"], body=self.spans.inside("in chat scripted-1")
        )
        return create_agent(model, [self.look_up], name="librarian")

    def overriding(self, handler: OTelCallbackHandler) -> Any:
        @tool
        def override(word: str) -> str:
            """Runs a chain with its own callbacks."""
            self.chain.invoke("q", {"callbacks": [handler]})
            return "x"

        return override


def drain(stream: Any) -> None:
    for _ in stream:
        pass


async def adrain(stream: Any) -> None:
    async for _ in stream:
        pass


ASK: Any = {"messages": [("user", "hi")]}

SYNC: dict[str, Callable[[Application, Config], Any]] = {
    "chain invoke": lambda app, config: app.chain.invoke("q", config),
    "chain stream": lambda app, config: drain(app.chain.stream("q", config)),
    "chain batch": lambda app, config: app.chain.batch(["q", "r", "s"], config),
    "parallel invoke": lambda app, config: app.parallel.invoke("q", config),
    "parallel stream": lambda app, config: drain(app.parallel.stream("q", config)),
    "model invoke": lambda app, config: app.model.invoke("q", config),
    "model stream": lambda app, config: drain(app.model.stream("q", config)),
    "model batch": lambda app, config: app.model.batch(["q", "r"], config),
    "retriever invoke": lambda app, config: app.retriever.invoke("q", config),
    "tool invoke": lambda app, config: app.look_up.invoke({"word": "x"}, config),
    "fallbacks invoke": lambda app, config: app.fallback.invoke("q", config),
    "fallbacks stream": lambda app, config: drain(app.fallback.stream("q", config)),
    "retry invoke": lambda app, config: app.retry.invoke("q", config),
    "agent invoke": lambda app, config: app.agent().invoke(ASK, config),
    "agent stream": lambda app, config: drain(app.agent().stream(ASK, config)),
    "agent stream messages": lambda app, config: drain(
        app.agent().stream(ASK, config, stream_mode="messages")
    ),
    "graph invoke": lambda app, config: app.graph.invoke(ASK, config),
    "override in tool": lambda app, config: app.overriding(config["callbacks"][0]).invoke(
        {"word": "x"}, config
    ),
}
ASYNC: dict[str, Callable[[Application, Config], Awaitable[Any]]] = {
    "chain ainvoke": lambda app, config: app.chain.ainvoke("q", config),
    "chain astream": lambda app, config: adrain(app.chain.astream("q", config)),
    "chain astream_events": lambda app, config: adrain(app.chain.astream_events("q", config, version="v2")),
    "chain abatch": lambda app, config: app.chain.abatch(["q", "r", "s"], config),
    "parallel ainvoke": lambda app, config: app.parallel.ainvoke("q", config),
    "model ainvoke": lambda app, config: app.model.ainvoke("q", config),
    "model astream": lambda app, config: adrain(app.model.astream("q", config)),
    "model abatch": lambda app, config: app.model.abatch(["q", "r"], config),
    "retriever ainvoke": lambda app, config: app.retriever.ainvoke("q", config),
    "tool ainvoke": lambda app, config: app.look_up.ainvoke({"word": "x"}, config),
    "fallbacks ainvoke": lambda app, config: app.fallback.ainvoke("q", config),
    "retry ainvoke": lambda app, config: app.retry.ainvoke("q", config),
    "agent ainvoke": lambda app, config: app.agent().ainvoke(ASK, config),
    "agent astream": lambda app, config: adrain(app.agent().astream(ASK, config)),
    "agent astream_events": lambda app, config: adrain(app.agent().astream_events(ASK, config, version="v2")),
    "graph ainvoke": lambda app, config: app.nested.ainvoke(ASK, config),
    "graph astream": lambda app, config: adrain(app.nested.astream(ASK, config, subgraphs=True)),
}
ROOTS = {"chain batch": 3, "chain abatch": 3, "model batch": 2, "model abatch": 2}


@pytest.fixture
def application(captured: Captured) -> Application:
    return Application(captured.tracer_provider)


@pytest.fixture
def handler(captured: Captured) -> OTelCallbackHandler:
    return OTelCallbackHandler(**captured.providers)


def assert_right(captured: Captured, handler: OTelCallbackHandler, roots: int) -> None:
    """Asserts one trace per call, every user span below its run, and no open runs."""
    spans = {span.context.span_id: span for span in captured.spans}
    user_spans = [span for span in captured.spans if span.name.startswith("in ")]
    assert user_spans
    for span in user_spans:
        assert span.parent is not None, f"{span.name} is a root"
        parent = spans[span.parent.span_id].name.removeprefix("execute_tool ")
        assert span.name == f"in {parent}"
        assert (spans[span.parent.span_id].attributes or {})["seen_by"] == span.name
    assert len({span.context.trace_id for span in captured.spans}) == roots
    assert len([span for span in captured.spans if span.parent is None]) == roots
    assert handler._recorder.runs == {}
    assert handler._recorder.counts.started == handler._recorder.counts.ended


@pytest.mark.parametrize("mode", SYNC)
def test_sync(mode: str, captured: Captured, application: Application, handler: OTelCallbackHandler) -> None:
    SYNC[mode](application, {"callbacks": [handler]})
    assert_right(captured, handler, ROOTS.get(mode, 1))
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize("mode", ASYNC)
async def test_async(
    mode: str, captured: Captured, application: Application, handler: OTelCallbackHandler
) -> None:
    await ASYNC[mode](application, {"callbacks": [handler]})
    assert_right(captured, handler, ROOTS.get(mode, 1))
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("mode", SYNC)
def test_sync_in_a_user_span(
    mode: str, captured: Captured, application: Application, handler: OTelCallbackHandler
) -> None:
    with application.spans.tracer.start_as_current_span("request") as request:
        SYNC[mode](application, {"callbacks": [handler]})
        assert trace.get_current_span() is request
    assert_right(captured, handler, 1)


@pytest.mark.parametrize("mode", ASYNC)
async def test_async_in_a_user_span(
    mode: str, captured: Captured, application: Application, handler: OTelCallbackHandler
) -> None:
    with application.spans.tracer.start_as_current_span("request") as request:
        await ASYNC[mode](application, {"callbacks": [handler]})
        assert trace.get_current_span().get_span_context() == request.get_span_context()
    assert_right(captured, handler, 1)
    roots = [span for span in captured.spans if span.parent == request.get_span_context()]
    assert len(roots) == ROOTS.get(mode, 1)


async def test_a_hundred_at_once(
    captured: Captured, application: Application, handler: OTelCallbackHandler
) -> None:
    await asyncio.gather(*(application.chain.ainvoke("q", {"callbacks": [handler]}) for _ in range(100)))
    assert_right(captured, handler, 100)


def test_thread_pools(captured: Captured, application: Application, handler: OTelCallbackHandler) -> None:
    def work(number: int) -> None:
        with application.spans.tracer.start_as_current_span("request"):
            application.agent().invoke(ASK, {"callbacks": [handler]})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(24)))
    assert_right(captured, handler, 24)


def test_thread_of_a_tool(captured: Captured, application: Application, handler: OTelCallbackHandler) -> None:
    @tool
    def look_up(word: str) -> str:
        """Works in another thread."""
        thread = threading.Thread(target=copy_context().run, args=(application.spans.inside("in look_up"),))
        thread.start()
        thread.join()
        return "x"

    look_up.invoke({"word": "x"}, {"callbacks": [handler]})
    assert_right(captured, handler, 1)


async def test_fifty_in_a_row_are_fifty_traces(
    captured: Captured, application: Application, handler: OTelCallbackHandler
) -> None:
    for _ in range(50):
        await application.chain.ainvoke("q", {"callbacks": [handler]})
        assert not trace.get_current_span().get_span_context().is_valid
    assert_right(captured, handler, 50)


def test_span_between_two_runs(
    captured: Captured, application: Application, handler: OTelCallbackHandler
) -> None:
    def outer(value: Any) -> Any:
        with application.spans.tracer.start_as_current_span("mine"):
            return application.chain.invoke("q")

    RunnableLambda(outer).invoke("q", {"callbacks": [handler]})
    mine, inner = captured.span("mine"), captured.span("shape")
    assert mine.parent == captured.span("invoke_workflow outer").context
    sequence = [span for span in captured.spans if span.parent == mine.context]
    assert inner in sequence and captured.span("retrieval") in sequence


async def test_span_between_two_runs_after_another_run(
    captured: Captured, application: Application, handler: OTelCallbackHandler
) -> None:
    async def outer(value: Any) -> Any:
        await application.chain.ainvoke("first")
        with application.spans.tracer.start_as_current_span("mine"):
            return await application.model.ainvoke("second")

    await RunnableLambda(outer).ainvoke("q", {"callbacks": [handler]})
    mine = captured.span("mine")
    assert mine.parent == captured.span("invoke_workflow outer").context
    assert [span.name for span in captured.spans if span.parent == mine.context] == ["chat scripted-1"]


def test_consumer_of_a_stream_is_outside(
    captured: Captured, application: Application, handler: OTelCallbackHandler
) -> None:
    with application.spans.tracer.start_as_current_span("request") as request:
        for stream in (application.chain.stream, application.model.stream):
            for _ in stream("q", {"callbacks": [handler]}):
                assert trace.get_current_span().get_span_context() == request.get_span_context()


async def test_consumer_of_an_async_stream_is_outside(
    captured: Captured, application: Application, handler: OTelCallbackHandler
) -> None:
    with application.spans.tracer.start_as_current_span("request") as request:
        for stream in (application.chain.astream, application.model.astream):
            async for _ in stream("q", {"callbacks": [handler]}):
                assert trace.get_current_span().get_span_context() == request.get_span_context()
        async for _ in application.agent().astream(ASK, {"callbacks": [handler]}):
            assert trace.get_current_span().get_span_context() == request.get_span_context()


def test_inject_in_a_tool_carries_the_tools_span(captured: Captured, handler: OTelCallbackHandler) -> None:
    headers: dict[str, str] = {}

    @tool
    def fetch(url: str) -> str:
        """Fetches."""
        inject(headers)
        return "ok"

    fetch.invoke({"url": "x"}, {"callbacks": [handler]})
    span = captured.span("execute_tool fetch")
    assert headers["traceparent"] == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


async def test_background_work_stays_in_the_trace(captured: Captured, handler: OTelCallbackHandler) -> None:
    background: list[asyncio.Task[Any]] = []
    model = ScriptedModel(delay=0.02)

    async def node(state: Any) -> Any:
        background.append(asyncio.create_task(model.ainvoke("later")))
        await asyncio.sleep(0)
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    await graph.compile().ainvoke(ASK, {"callbacks": [handler]})
    await asyncio.gather(*background)
    assert captured.tree() == "invoke_workflow\n  node\n    chat scripted-1"


def test_nothing_is_patched() -> None:
    from langchain_core.callbacks import BaseCallbackManager
    from langchain_core.tools import BaseTool

    import otel_callbacks.langchain

    otel_callbacks.langchain.instrument()
    otel_callbacks.langchain.uninstrument()
    for method in (BaseCallbackManager.__init__, BaseTool.run, ScriptedModel.invoke, RunnableLambda.invoke):
        assert method.__module__.startswith("langchain_core")
        assert not hasattr(method, "__wrapped__")
