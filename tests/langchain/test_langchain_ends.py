"""Tests that every span ends exactly once, with the right outcome."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from fakes import ScriptedModel, ScriptedRetriever, call
from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from waiting import cut_short, pause, until

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured

Config = dict[str, Any]
ASK: Any = {"messages": [("user", "hi")]}


@pytest.fixture
def handler(captured: Captured) -> OTelCallbackHandler:
    return OTelCallbackHandler(**captured.providers)


@pytest.fixture
def config(handler: OTelCallbackHandler) -> Config:
    return {"callbacks": [handler]}


@pytest.fixture(autouse=True)
def everything_ends(handler: OTelCallbackHandler, captured: Captured) -> Any:
    yield
    gc.collect()
    counts = handler._recorder.counts
    assert handler._recorder.runs == {}
    assert counts.started == counts.ended
    assert not trace.get_current_span().get_span_context().is_valid


def outcome(span: ReadableSpan) -> Any:
    return (span.attributes or {}).get("otel_callbacks.outcome")


def errors(captured: Captured) -> dict[str, Any]:
    return {
        span.name: (span.attributes or {})["error.type"]
        for span in captured.spans
        if span.status.status_code is StatusCode.ERROR
    }


def exception_events(captured: Captured) -> list[str]:
    return [span.name for span in captured.spans for event in span.events if event.name == "exception"]


# --- faults --------------------------------------------------------------------------------------------------------


def fail(*_: Any) -> Any:
    raise ValueError("secret text")


@tool
def broken(word: str) -> str:
    """Fails."""
    raise ValueError("secret text")


FAULTS: dict[str, tuple[Callable[[], Any], Any, str]] = {
    "model": (lambda: ScriptedModel(script=[ValueError("no")]) | StrOutputParser(), "q", "chat scripted-1"),
    "retriever": (lambda: ScriptedRetriever(body=fail) | StrOutputParser(), "q", "retrieval"),
    "tool": (lambda: RunnableLambda(lambda q: {"word": q}) | broken, "q", "execute_tool broken"),
    "lambda": (lambda: RunnableLambda(fail) | StrOutputParser(), "q", "fail"),
    "parser": (lambda: ScriptedModel() | StrictParser(), "q", "invoke_workflow"),
}


class StrictParser(StrOutputParser):
    def parse(self, text: str) -> str:
        raise ValueError("not like this")


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_fault_is_recorded_once_at_its_origin(
    kind: str, mode: str, captured: Captured, config: Config
) -> None:
    make, value, origin = FAULTS[kind]
    chain = make()
    with pytest.raises(Exception):  # noqa: B017 - the application gets its own exception, of any class
        match mode:
            case "invoke":
                chain.invoke(value, config)
            case "ainvoke":
                await chain.ainvoke(value, config)
            case "stream":
                list(chain.stream(value, config))
            case "astream":
                [chunk async for chunk in chain.astream(value, config)]
    assert exception_events(captured) == [origin]
    assert set(errors(captured)) == {origin, "invoke_workflow"}


def test_exception_text_is_content(captured: Captured, config: Config) -> None:
    with pytest.raises(ValueError, match="secret text"):
        (RunnableLambda(fail) | StrOutputParser()).invoke("q", config)
    (event,) = captured.span("fail").events
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "ValueError"
    assert "in fail" in str(event.attributes["exception.stacktrace"])
    assert "secret text" not in repr([(s.attributes, s.events, s.status.description) for s in captured.spans])


def test_exception_text_is_recorded_with_content(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content="spans")
    with pytest.raises(ValueError, match="secret text"):
        broken.invoke({"word": "x"}, {"callbacks": [handler]})
    span = captured.span("execute_tool broken")
    assert span.status.description == "secret text"
    assert (span.events[0].attributes or {})["exception.message"] == "secret text"


def test_a_fault_that_is_handled_stays_where_it_was(captured: Captured, config: Config) -> None:
    model = ScriptedModel(script=[ValueError("no")]).with_fallbacks([ScriptedModel()])
    model.invoke("q", config)
    assert list(errors(captured)) == ["chat scripted-1"]
    assert captured.tree() == "invoke_workflow\n  chat scripted-1\n  chat scripted-1"


def test_a_tool_message_with_an_error_is_a_failed_tool(captured: Captured, config: Config) -> None:
    @tool
    def careful(word: str) -> str:
        """Fails with a message of its own."""
        raise ValueError("no")

    careful.handle_tool_error = True
    model = ScriptedModel(script=[call("careful", word="x"), "done"])
    agent = create_agent(model, [careful], name="librarian", middleware=[tolerate()])
    agent.invoke(ASK, config)
    assert errors(captured) == {"execute_tool careful": "ValueError"}


def tolerate() -> Any:
    from langchain.agents.middleware import wrap_tool_call

    @wrap_tool_call
    def tolerant(request: Any, run: Any) -> Any:
        try:
            return run(request)
        except ValueError as error:
            return ToolMessage(f"Error: {error}", tool_call_id=request.tool_call["id"], status="error")

    return tolerant


def test_a_tool_that_returns_an_error_message(captured: Captured, config: Config) -> None:
    from langchain_core.tools import ToolException

    @tool
    def careful(word: str) -> str:
        """Fails in LangChain's way."""
        raise ToolException("no")

    careful.handle_tool_error = True
    careful.invoke({"name": "careful", "args": {"word": "x"}, "id": "c1", "type": "tool_call"}, config)
    assert errors(captured) == {"execute_tool careful": "tool_error"}


# --- cancellation --------------------------------------------------------------------------------------------------


@tool
async def slow(word: str) -> str:
    """Waits."""
    await pause(5)
    return "never"


SLOW: dict[str, Callable[[], Any]] = {
    "chat": lambda: ScriptedModel(delay=5),
    "tool": lambda: slow,
    "retriever": lambda: ScriptedRetriever(delay=5),
    "chat in a chain": lambda: ScriptedModel(delay=5) | StrOutputParser(),
    "retriever in a chain": lambda: ScriptedRetriever(delay=5) | StrOutputParser(),
    "tool in a chain": lambda: RunnableLambda(lambda q: q) | slow,
    "agent in its tool": lambda: create_agent(ScriptedModel(script=[call("slow", word="x")]), [slow]),
    "agent in its model": lambda: create_agent(ScriptedModel(delay=5), [slow]),
}


def slow_input(kind: str) -> Any:
    return ASK if "agent" in kind else {"word": "x"} if "tool" in kind else "q"


@pytest.mark.parametrize("kind", SLOW)
async def test_cancelled(kind: str, captured: Captured, config: Config) -> None:
    with pytest.raises(TimeoutError):
        async with cut_short():
            await asyncio.create_task(SLOW[kind]().ainvoke(slow_input(kind), config))
    await asyncio.sleep(0)
    assert captured.spans
    assert {outcome(span) for span in captured.spans if outcome(span)} == {"cancelled"}
    assert not errors(captured)
    assert outcome(captured.spans[-1]) == "cancelled"


@pytest.mark.parametrize("kind", SLOW)
async def test_cancelled_in_a_task_that_lives_on(kind: str, captured: Captured, config: Config) -> None:
    with pytest.raises(TimeoutError):
        async with cut_short():
            await SLOW[kind]().ainvoke(slow_input(kind), config)
    await asyncio.sleep(0)
    assert not trace.get_current_span().get_span_context().is_valid
    before = len({span.context.trace_id for span in captured.spans})
    await ScriptedModel().ainvoke("next", config)
    assert len({span.context.trace_id for span in captured.spans}) in (before + 1, before + 2)
    assert captured.spans[-1].parent is None
    assert not errors(captured)


async def test_cancelled_stream_keeps_what_came(captured: Captured, config: Config) -> None:
    async def consume() -> None:
        async for _ in ScriptedModel(script=["a b c d"], delay=5).astream("q", config):
            pass

    with pytest.raises(TimeoutError):
        async with cut_short():
            await asyncio.create_task(consume())
    span = captured.span("chat scripted-1")
    assert outcome(span) == "cancelled"
    assert (span.attributes or {})["gen_ai.usage.input_tokens"] == 100


# --- abandoned streams ---------------------------------------------------------------------------------------------


def streams() -> dict[str, Any]:
    model = ScriptedModel(script=["a b c d e"])
    return {
        "model": (model, "q"),
        "chain": (model | StrOutputParser(), "q"),
        "agent": (create_agent(ScriptedModel(script=["a b c d e"]), []), ASK),
    }


@pytest.mark.parametrize("kind", ["model", "chain", "agent"])
@pytest.mark.parametrize("leave", ["break", "close", "del"])
def test_abandoned_stream(kind: str, leave: str, captured: Captured, config: Config) -> None:
    runnable, value = streams()[kind]
    stream = runnable.stream(value, config, **({"stream_mode": "messages"} if kind == "agent" else {}))
    for _ in stream:
        break
    if leave == "close":
        stream.close()
    del stream
    gc.collect()
    assert not errors(captured)
    chat = captured.span("chat scripted-1")
    if kind == "model":  # a chain and a graph let the model finish anyway
        assert outcome(chat) == "abandoned"
    assert (chat.attributes or {})["gen_ai.usage.input_tokens"] == 100


@pytest.mark.parametrize("kind", ["model", "chain", "agent"])
@pytest.mark.parametrize("leave", ["break", "aclose", "del"])
async def test_abandoned_async_stream(
    kind: str, leave: str, captured: Captured, config: Config, handler: OTelCallbackHandler
) -> None:
    runnable, value = streams()[kind]
    stream = runnable.astream(value, config, **({"stream_mode": "messages"} if kind == "agent" else {}))
    async for _ in stream:
        break
    if leave == "aclose":
        await stream.aclose()
    del stream
    await until(lambda: not handler._recorder.runs)
    assert not errors(captured)
    assert {outcome(span) for span in captured.spans} - {None} <= {"abandoned", "cancelled"}
    assert captured.spans


def test_generator_never_iterated(captured: Captured, config: Config) -> None:
    for runnable, value in streams().values():
        runnable.stream(value, config)
        runnable.astream(value, config)
    assert captured.spans == []


def test_broken_stream_keeps_what_came(captured: Captured) -> None:
    class Breaking(ScriptedModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            for number, chunk in enumerate(super()._stream(*args, **kwargs)):
                if number == 2:
                    raise ConnectionError("gone")
                yield chunk

    handler = OTelCallbackHandler(**captured.providers, content="spans")
    with pytest.raises(ConnectionError):
        list(Breaking(script=["a b c d"]).stream("q", {"callbacks": [handler]}))
    attributes = captured.span("chat scripted-1").attributes or {}
    assert attributes["error.type"] == "ConnectionError"
    assert attributes["gen_ai.usage.output_tokens"] == 20
    assert '"a b "' in str(attributes["gen_ai.output.messages"])


# --- interruptions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["tool", "retriever", "model"])
def test_the_user_stops_it(
    fault: type[BaseException], where: str, captured: Captured, config: Config
) -> None:
    def stop() -> None:
        raise fault

    @tool
    def stopping(word: str) -> str:
        """Is interrupted."""
        raise fault

    runnable: Any = {
        "tool": RunnableLambda(lambda q: {"word": q}) | stopping,
        "retriever": ScriptedRetriever(body=stop) | StrOutputParser(),
        "model": ScriptedModel(body=stop) | StrOutputParser(),
    }[where]
    with pytest.raises(fault):
        runnable.invoke("q", config)
    assert not errors(captured)
    assert {outcome(span) for span in captured.spans} == {"cancelled"}


def test_a_retriever_stopped_on_its_own_ends_at_the_next_run(captured: Captured, config: Config) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ScriptedRetriever(body=stop).invoke("q", config)
    assert not trace.get_current_span().get_span_context().is_valid
    ScriptedModel().invoke("next", config)
    assert outcome(captured.span("retrieval")) == "cancelled"
    assert captured.span("chat scripted-1").parent is None


def ask_human(state: Any) -> Any:
    return {"messages": [("ai", str(interrupt("secret question")))]}


def human_graph(**options: Any) -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("human", ask_human)
    graph.add_edge(START, "human")
    return graph.compile(checkpointer=InMemorySaver(), name="approval", **options)


async def test_interrupt_and_resume(captured: Captured, config: Config) -> None:
    graph = human_graph()
    threaded = {**config, "configurable": {"thread_id": "t-1"}}
    graph.invoke(ASK, threaded)
    interrupted = captured.span("invoke_workflow approval")
    assert outcome(interrupted) == outcome(captured.span("human")) == "interrupted"
    assert [event.name for event in captured.span("human").events] == ["interrupt"]
    captured.clear()
    await graph.ainvoke(Command(resume="yes"), threaded)
    resumed = captured.span("invoke_workflow approval")
    assert outcome(resumed) is None
    assert [link.context for link in resumed.links] == [interrupted.context]
    assert (resumed.attributes or {})["gen_ai.conversation.id"] == "t-1"
    assert not errors(captured)


def test_the_newest_interrupted_runs_are_remembered(
    captured: Captured, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_callbacks.limits.INTERRUPTED_CONVERSATIONS", 1)
    graph = human_graph()
    threads = [{**config, "configurable": {"thread_id": name}} for name in ("t-1", "t-2")]
    for threaded in threads:
        graph.invoke(ASK, threaded)
    captured.clear()
    for threaded in threads:
        graph.invoke(Command(resume="yes"), threaded)
    assert [len(span.links) for span in captured.spans if span.parent is None] == [0, 1]


def test_interrupt_in_a_sub_graph_and_in_a_tool(captured: Captured, config: Config) -> None:
    outer = StateGraph(MessagesState)
    outer.add_node("sub", human_graph_without_memory())
    outer.add_edge(START, "sub")
    outer.compile(checkpointer=InMemorySaver(), name="outer").invoke(
        ASK, {**config, "configurable": {"thread_id": "t-2"}}
    )

    @tool
    def ask(word: str) -> str:
        """Asks a human."""
        return str(interrupt("secret question"))

    agent = create_agent(ScriptedModel(script=[call("ask", word="x")]), [ask], checkpointer=InMemorySaver())
    agent.invoke(ASK, {**config, "configurable": {"thread_id": "t-3"}})
    assert not errors(captured)
    assert not exception_events(captured)
    for name in ("invoke_workflow outer", "invoke_workflow approval", "execute_tool ask", "invoke_agent"):
        assert outcome(captured.span(name)) == "interrupted"


def human_graph_without_memory() -> Any:
    graph = StateGraph(MessagesState)
    graph.add_node("human", ask_human)
    graph.add_edge(START, "human")
    return graph.compile(name="approval")


def test_command_to_the_parent_graph_is_not_an_error(captured: Captured, config: Config) -> None:
    inner = StateGraph(MessagesState)
    inner.add_node("jump", lambda state: Command(goto="after", graph=Command.PARENT))
    inner.add_edge(START, "jump")
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner.compile(name="inner"), destinations=("after",))
    outer.add_node("after", lambda state: {})
    outer.add_edge(START, "inner")
    outer.compile().invoke(ASK, config)
    assert not errors(captured)
    assert not exception_events(captured)


def test_an_exception_that_only_sounds_like_an_interrupt(captured: Captured, config: Config) -> None:
    class GraphInterrupt(Exception):
        pass

    def node(value: Any) -> Any:
        raise GraphInterrupt

    with pytest.raises(GraphInterrupt):
        RunnableLambda(node).invoke("q", config)
    assert len(errors(captured)) == 1


# --- ends without a callback ---------------------------------------------------------------------------------------


def test_what_never_ends_is_unfinished(captured: Captured, handler: OTelCallbackHandler) -> None:
    for name in ("one", "two", "three"):
        handler.on_chain_start({}, {}, run_id=uuid4(), name=name)
    assert captured.spans == []
    handler._recorder.sweep()  # as at the end of the process
    assert [outcome(span) for span in captured.spans] == ["unfinished"] * 3
    assert captured.metrics()["otel_callbacks.spans.swept"][0].value == 3
