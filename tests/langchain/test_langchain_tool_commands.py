"""A tool that says within a `Command` that it failed has failed, and tells its size."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from ends import MODES, assert_all_ended, errors, in_thread, run, told
from fakes import ScriptedModel, call
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, StructuredTool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, Overwrite
from opentelemetry.trace import StatusCode

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured

TOOL = "execute_tool worker"
SAID = "no luck"


def message(call_id: str, status: Any = "error", said: Any = SAID) -> ToolMessage:
    return ToolMessage(said, tool_call_id=call_id, status=status)


@dataclass
class State:
    """A state that is no mapping."""

    messages: list[Any] = field(default_factory=list)


FAILED: dict[str, Callable[[str], Any]] = {
    "command": lambda call_id: Command(update={"messages": [message(call_id)]}),
    "one message": lambda call_id: Command(update={"messages": message(call_id)}),
    "among others": lambda call_id: Command(
        update={
            "messages": [RemoveMessage("1"), HumanMessage("look"), message(call_id)],
            "number": 1,
            "other": ["x"],
        }
    ),
    "under another key": lambda call_id: Command(update={"chat": [message(call_id)]}),
    "pairs": lambda call_id: Command(update=[("number", 1), ("messages", [message(call_id)])]),
    "messages alone": lambda call_id: Command(update=[message(call_id)]),
    "object": lambda call_id: Command(update=State([message(call_id)])),
    "overwriting": lambda call_id: Command(update={"messages": Overwrite([message(call_id)])}),
    "going somewhere": lambda call_id: Command(goto="model", update={"messages": [message(call_id)]}),
    "list of a command": lambda call_id: [Command(update={"messages": [message(call_id)]})],
    "list of commands": lambda call_id: [
        Command(update={"number": 1}),
        Command(update={"messages": [message(call_id)]}),
    ],
    "list of a message": lambda call_id: [message(call_id)],
    "message and command": lambda call_id: [message(call_id), Command(update={"number": 1})],
    "plain message": lambda call_id: message(call_id),
}

FINE: dict[str, Callable[[str], Any]] = {
    "command": lambda call_id: Command(update={"messages": [message(call_id, "success")]}),
    "list of a command": lambda call_id: [Command(update={"messages": [message(call_id, "success")]})],
    "another call's failure": lambda call_id: Command(
        update={"messages": [message("another"), message(call_id, "success")]}
    ),
}


def worker(answer: Callable[[str], Any], *, asynchronous: bool = False) -> StructuredTool:
    """A tool that answers with what `answer` makes of its call's id."""

    def work(word: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """Works."""
        return answer(tool_call_id)

    async def work_async(word: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Any:
        """Works."""
        return answer(tool_call_id)

    if asynchronous:
        return StructuredTool.from_function(coroutine=work_async, name="worker", description="Works.")
    return StructuredTool.from_function(work, name="worker", description="Works.")


CALL: Any = {"name": "worker", "args": {"word": "x"}, "id": "call_1", "type": "tool_call"}


@pytest.fixture
def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


def assert_failed(captured: Captured) -> None:
    span = captured.span(TOOL)
    assert span.status.status_code is StatusCode.ERROR
    assert told(span)["error.type"] == "tool_error"
    assert told(span)["otel_callbacks.tool.result_size"] == len(SAID)
    assert told(span)["gen_ai.tool.call.id"] == "call_1"
    assert [event for event in span.events if event.name == "exception"] == []
    assert set(errors(captured)) == {TOOL}
    assert_all_ended(captured)


@pytest.mark.parametrize("kind", FAILED)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_on_its_own(kind: str, mode: str, captured: Captured, config: Any) -> None:
    await run(worker(FAILED[kind], asynchronous=mode == "ainvoke"), CALL, config, mode)
    assert_failed(captured)


@pytest.mark.parametrize("kind", ["command", "list of a command", "list of a message"])
@pytest.mark.parametrize("mode", MODES)
async def test_in_every_mode(kind: str, mode: str, captured: Captured, config: Any) -> None:
    await run(worker(FAILED[kind]), CALL, config, mode)
    assert_failed(captured)


@pytest.mark.parametrize("kind", ["command", "list of a command", "plain message"])
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_the_tool_of_an_agent(kind: str, mode: str, captured: Captured, config: Any) -> None:
    model = ScriptedModel(script=[call("worker", word="x"), "done"])
    agent = create_agent(model, [worker(FAILED[kind])], name="boss")
    await run(agent, {"messages": [("user", "go")]}, config, mode)
    assert_failed(captured)


@pytest.mark.parametrize("kind", ["command", "list of a command"])
def test_the_tool_of_a_graph(kind: str, captured: Captured, config: Any) -> None:
    made = StateGraph(MessagesState)
    made.add_node("tools", ToolNode([worker(FAILED[kind])]))
    made.add_edge(START, "tools")
    asked = AIMessage("", tool_calls=[{"name": "worker", "args": {"word": "x"}, "id": "call_1"}])
    in_thread(made.compile().invoke, {"messages": [asked]}, config)
    assert_failed(captured)


@pytest.mark.parametrize("kind", FINE)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_one_that_did_not_fail(kind: str, mode: str, captured: Captured, config: Any) -> None:
    await run(worker(FINE[kind]), CALL, config, mode)
    assert errors(captured) == {}
    assert told(captured.span(TOOL))["otel_callbacks.tool.result_size"] == len(SAID)


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("", 0),
        ("twelve chars", 12),
        ([{"type": "text", "text": "four"}, {"type": "text", "text": "five5"}], 9),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_its_size(said: Any, size: int, many: bool, captured: Captured, config: Any) -> None:
    def answer(call_id: str) -> Any:
        made = Command(update={"messages": [message(call_id, "success", said)]})
        return [made] if many else made

    worker(answer).invoke(CALL, config)
    assert told(captured.span(TOOL))["otel_callbacks.tool.result_size"] == size


@pytest.mark.parametrize("kind", FAILED)
def test_what_it_said_with_content(kind: str, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content="spans")
    worker(FAILED[kind]).invoke(CALL, {"callbacks": [handler]})
    span = captured.span(TOOL)
    assert span.status.description == SAID
    assert SAID in str(told(span)["gen_ai.tool.call.result"])


def test_a_command_that_says_nothing_has_no_size(captured: Captured, config: Any) -> None:
    worker(lambda call_id: Command(goto="elsewhere")).invoke(CALL, config)
    assert errors(captured) == {}
    assert "otel_callbacks.tool.result_size" not in told(captured.span(TOOL))
