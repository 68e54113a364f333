"""A graph that stops where it was told to stop is interrupted, and the run that goes on links back to it."""

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from ends import MODES, assert_all_ended, errors, outcome, outcomes, run, told
from fakes import ScriptedModel, UserSpans, call
from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import create_react_agent
from langgraph.runtime import RunControl
from langgraph.types import Command, interrupt
from opentelemetry.sdk.trace import ReadableSpan

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured

pytestmark = pytest.mark.filterwarnings(
    "ignore::langgraph.warnings.LangGraphDeprecatedSinceV10",  # of create_react_agent
    "ignore::langchain_core._api.LangChainBetaWarning",
)

ROOT = "invoke_workflow stopping"


class State(TypedDict):
    log: Annotated[list[str], operator.add]


def node(name: str) -> Callable[[Any], Any]:
    return lambda state: {"log": [name]}


def builder() -> Any:
    made = StateGraph(State)
    for name in ("first", "second"):
        made.add_node(name, node(name))
    made.add_edge(START, "first")
    made.add_edge("first", "second")
    made.add_edge("second", END)
    return made


def stopping(**options: Any) -> Any:
    return builder().compile(checkpointer=InMemorySaver(), name="stopping", **options)


@pytest.fixture
def handler(captured: Captured) -> OTelCallbackHandler:
    return OTelCallbackHandler(**captured.providers)


def config(handler: OTelCallbackHandler, thread: str = "t1") -> dict[str, Any]:
    return {"callbacks": [handler], "configurable": {"thread_id": thread}}


def roots(captured: Captured, name: str = ROOT) -> list[ReadableSpan]:
    return [span for span in captured.spans if span.name == name]


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


def assert_resumed(captured: Captured, name: str = ROOT) -> None:
    """Two runs of one conversation: the first waits, the second goes on and ends."""
    first, second = roots(captured, name)
    assert outcome(first) == "interrupted"
    assert outcome(second) is None
    assert linked(first) == []
    assert linked(second) == [first.context.span_id]
    assert second.context.trace_id != first.context.trace_id
    assert told(first)["gen_ai.conversation.id"] == told(second)["gen_ai.conversation.id"] == "t1"
    assert errors(captured) == {}
    assert_all_ended(captured)


STOPS: dict[str, dict[str, Any]] = {
    "before": {"interrupt_before": ["second"]},
    "after": {"interrupt_after": ["first"]},
    "before all": {"interrupt_before": "*"},
    "after all": {"interrupt_after": "*"},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stop", ["before", "after"])
async def test_told_when_it_was_built(
    stop: str, mode: str, captured: Captured, handler: OTelCallbackHandler
) -> None:
    graph = stopping(**STOPS[stop])
    await run(graph, {"log": []}, config(handler), mode)
    await run(graph, None, config(handler), mode)
    assert captured.tree() == f"{ROOT}\n  first\n{ROOT}\n  second"
    assert_resumed(captured)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("stop", ["before", "after"])
async def test_told_when_it_is_called(
    stop: str, mode: str, captured: Captured, handler: OTelCallbackHandler
) -> None:
    graph, given = stopping(), STOPS[stop]
    match mode:
        case "invoke":
            graph.invoke({"log": []}, config(handler), **given)
        case "ainvoke":
            await graph.ainvoke({"log": []}, config(handler), **given)
        case "stream":
            list(graph.stream({"log": []}, config(handler), **given))
        case "astream":
            [_ async for _ in graph.astream({"log": []}, config(handler), **given)]
    await run(graph, None, config(handler), mode)
    assert_resumed(captured)


@pytest.mark.parametrize("stop", ["before all", "after all"])
def test_at_every_node(stop: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    graph = stopping(**STOPS[stop])
    graph.invoke({"log": []}, config(handler))
    while graph.get_state(config(handler)).next:
        graph.invoke(None, config(handler))
    *before, last = roots(captured)
    assert [outcome(span) for span in before] == ["interrupted"] * len(before)
    assert len(before) >= 1
    assert stop == "after all" or outcome(last) is None  # which stops after the last node, too
    pairs = zip(roots(captured), roots(captured)[1:], strict=False)
    assert all(linked(later) == [earlier.context.span_id] for earlier, later in pairs)


RESUMED: dict[str, Callable[[Any, Any], Any]] = {
    "nothing": lambda graph, given: graph.invoke(None, given),
    "a command": lambda graph, given: graph.invoke(Command(resume="go on"), given),
    "a changed state": lambda graph, given: graph.invoke(
        None, {**given, **graph.update_state(given, {"log": ["changed"]})}
    ),
    "events": lambda graph, given: list(graph.stream(None, given, stream_mode="debug")),
}


@pytest.mark.parametrize("how", RESUMED)
def test_however_it_goes_on(how: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    graph = stopping(interrupt_before=["second"])
    graph.invoke({"log": []}, config(handler))
    given = config(handler)
    if how == "a changed state":
        graph.update_state(given, {"log": ["changed"]})
        graph.invoke(None, given)
    else:
        RESUMED[how](graph, given)
    assert_resumed(captured)


@pytest.mark.parametrize("detail", ["operations", "standard", "everything"])
def test_in_every_detail(detail: Any, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, detail=detail)
    graph = stopping(interrupt_before=["second"])
    graph.invoke({"log": []}, config(handler))
    graph.invoke(None, config(handler))
    assert_resumed(captured)


def test_two_conversations_at_once(captured: Captured, handler: OTelCallbackHandler) -> None:
    graph = stopping(interrupt_before=["second"])
    for thread in ("t1", "t2"):
        graph.invoke({"log": []}, config(handler, thread))
    for thread in ("t2", "t1"):
        graph.invoke(None, config(handler, thread))
    one, two, two_again, one_again = roots(captured)
    assert linked(one_again) == [one.context.span_id]
    assert linked(two_again) == [two.context.span_id]


def test_what_ended_is_no_longer_waiting(captured: Captured, handler: OTelCallbackHandler) -> None:
    graph = stopping(interrupt_before=["second"])
    graph.invoke({"log": []}, config(handler))
    graph.invoke(None, config(handler))
    graph.invoke(None, config(handler))  # there is nothing left to do
    assert [outcome(span) for span in roots(captured)] == ["interrupted", None, None]
    assert linked(roots(captured)[2]) == []


def test_a_graph_that_runs_to_its_end_is_not_interrupted(
    captured: Captured, handler: OTelCallbackHandler
) -> None:
    """It never comes to the node before which it is to stop."""
    made = builder()
    made.add_node("elsewhere", node("elsewhere"))
    made.add_edge("elsewhere", END)
    graph = made.compile(checkpointer=InMemorySaver(), interrupt_before=["elsewhere"])
    graph.invoke({"log": []}, config(handler))
    assert outcomes(captured) == {}


# --- agents ------------------------------------------------------------------------------------------------------


@tool
def look_up(word: str) -> str:
    """Looks up."""
    return "found"


AGENTS: dict[str, Callable[[], Any]] = {
    "create_agent": lambda: create_agent(
        ScriptedModel(script=[call("look_up", word="x"), "done"]),
        [look_up],
        checkpointer=InMemorySaver(),
        interrupt_before=["tools"],
        name="asker",
    ),
    "create_react_agent": lambda: create_react_agent(
        ScriptedModel(script=[call("look_up", word="x"), "done"]),
        [look_up],
        checkpointer=InMemorySaver(),
        interrupt_before=["tools"],
        name="asker",
    ),
}


@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_an_agent(kind: str, mode: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    agent = AGENTS[kind]()
    await run(agent, {"messages": [("user", "go")]}, config(handler), mode)
    await run(agent, None, config(handler), mode)
    assert_resumed(captured, "invoke_agent asker")


# --- in other runs -----------------------------------------------------------------------------------------------


def outer(inner: Any) -> Any:
    made = StateGraph(State)
    made.add_node("inner", inner)
    made.add_edge(START, "inner")
    return made.compile(checkpointer=InMemorySaver(), name="stopping")


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
async def test_a_graph_in_a_graph(mode: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    graph = outer(builder().compile(name="inner graph", interrupt_before=["second"]))
    await run(graph, {"log": []}, config(handler), mode)
    await run(graph, None, config(handler), mode)
    assert_resumed(captured)
    inner = roots(captured, "invoke_workflow inner graph")
    assert [outcome(span) for span in inner] == ["interrupted", None]


@pytest.mark.parametrize("how", ["breakpoint", "interrupt()"])
@pytest.mark.parametrize("around", ["chain", "user's span", "lambda in a chain"])
def test_below_something_else(
    around: str, how: str, captured: Captured, handler: OTelCallbackHandler
) -> None:
    """The trace that goes on links to the trace that waits, wherever in them the graph is."""
    if how == "breakpoint":
        graph = stopping(interrupt_before=["second"])
    else:
        made = StateGraph(State)
        made.add_node("ask", lambda state: {"log": [str(interrupt("well?"))]})
        made.add_edge(START, "ask")
        graph = made.compile(checkpointer=InMemorySaver(), name="stopping")
    given, answer = config(handler), None if how == "breakpoint" else Command(resume="yes")

    def ask(value: Any) -> None:
        match around:
            case "chain":
                (RunnableLambda(lambda value: value) | graph).invoke(value, given)
            case "lambda in a chain":
                (RunnableLambda(lambda value: graph.invoke(value)) | (lambda value: value)).invoke(
                    value, given
                )
            case _:
                with UserSpans(captured.tracer_provider).tracer.start_as_current_span("request"):
                    graph.invoke(value, given)

    ask({"log": []})
    ask(answer)
    first, second = roots(captured)
    assert [outcome(first), outcome(second)] == ["interrupted", None]
    links = [(span.context.trace_id, link.context.trace_id) for span in captured.spans for link in span.links]
    assert links == [(second.context.trace_id, first.context.trace_id)]


# --- a graph that is asked to stop -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_a_drained_graph_waits_too(mode: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    """Before a shutdown LangGraph ends a run at its next step; it can go on later, as one that was interrupted can."""
    control = RunControl()

    def first(state: Any) -> Any:
        control.request_drain()
        return {"log": ["first"]}

    made = StateGraph(State)
    made.add_node("first", first)
    made.add_node("second", node("second"))
    made.add_edge(START, "first")
    made.add_edge("first", "second")
    graph = made.compile(checkpointer=InMemorySaver(), name="stopping")
    with pytest.raises(GraphDrained):
        if mode == "invoke":
            graph.invoke({"log": []}, config(handler), control=control)
        else:
            await graph.ainvoke({"log": []}, config(handler), control=control)
    await run(graph, None, config(handler), mode)
    assert_resumed(captured)
