"""A framework's inner functions are no steps of the application, and a class's name is no name of its chains."""

from collections.abc import Callable
from typing import Any

import pytest
from ends import assert_all_ended, run, told
from fakes import ScriptedModel, UserSpans, call
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from langgraph.types import Send
from pydantic import BaseModel
from scripted_openai import chunks, completion, langchain_model

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured

pytestmark = pytest.mark.filterwarnings(
    "ignore::langgraph.warnings.LangGraphDeprecatedSinceV10",  # create_react_agent
    "ignore:RunnableWithMessageHistory is deprecated",
    "ignore:Pydantic serializer warnings",  # a structured answer, streamed
)

CHAT = "chat scripted-1"
ASK: Any = {"messages": [("user", "hi")]}
FOUR = ["invoke", "ainvoke", "stream", "astream"]


@pytest.fixture
def config(captured: Captured) -> dict[str, Any]:
    handler = OTelCallbackHandler(**captured.providers)
    return {"callbacks": [handler], "configurable": {"session_id": "s1", "thread_id": "s1"}}


def everything(captured: Captured) -> dict[str, Any]:
    handler = OTelCallbackHandler(**captured.providers, detail="everything")
    return {"callbacks": [handler], "configurable": {"session_id": "s1", "thread_id": "s1"}}


@tool
def look_up(word: str) -> str:
    """Looks up."""
    return "found"


# --- a chain with a memory ---------------------------------------------------------------------------------------


class History(BaseChatMessageHistory):
    """What was said, in memory."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def add_messages(self, messages: Any) -> None:
        self.messages.extend(messages)

    def clear(self) -> None:
        self.messages.clear()


def with_history(*between: Any) -> RunnableWithMessageHistory:
    kept: dict[str, History] = {}
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
    chain: Any = prompt
    for each in between:
        chain = chain | each
    return RunnableWithMessageHistory(
        chain | ScriptedModel(),
        lambda session_id: kept.setdefault(session_id, History()),
        input_messages_key="question",
        history_messages_key="history",
    )


@pytest.mark.parametrize("mode", FOUR)
async def test_a_chain_with_a_memory(mode: str, captured: Captured, config: Any) -> None:
    await run(with_history(), {"question": "q"}, config, mode)
    assert captured.tree() == f"invoke_workflow\n  {CHAT}"
    assert_all_ended(captured)


async def test_the_applications_steps_in_it_stay(captured: Captured, config: Any) -> None:
    def load_history(value: Any) -> Any:
        """Has a name of LangChain's, and is not LangChain's."""
        return value

    await run(with_history(RunnableLambda(load_history)), {"question": "q"}, config, "ainvoke")
    assert captured.tree() == f"invoke_workflow\n  load_history\n  {CHAT}"


def test_everything_still_shows_everything(captured: Captured) -> None:
    with_history().invoke({"question": "q"}, everything(captured))
    names = {span.name for span in captured.spans}
    assert {"insert_history", "load_history", "check_sync_or_async", CHAT} <= names


# --- models that are wrapped -------------------------------------------------------------------------------------


WRAPPED: dict[str, Callable[[], Any]] = {
    "retry": lambda: ScriptedModel().with_retry(),
    "retry in a chain": lambda: ChatPromptTemplate.from_template("{question}") | ScriptedModel().with_retry(),
    "retry in fallbacks": lambda: ScriptedModel().with_retry().with_fallbacks([ScriptedModel()]),
    "retry of a bound one": lambda: ScriptedModel().bind(stop=["x"]).with_retry(),
}


@pytest.mark.parametrize("kind", WRAPPED)
@pytest.mark.parametrize("mode", FOUR)
async def test_a_model_that_is_wrapped(kind: str, mode: str, captured: Captured, config: Any) -> None:
    await run(WRAPPED[kind](), {"question": "q"} if "chain" in kind else "q", config, mode)
    if "stream" in mode and kind in ("retry", "retry of a bound one"):
        assert captured.tree() == CHAT  # a stream is not tried again, and has no run for it
        return
    assert captured.tree() == f"invoke_workflow\n  {CHAT}"
    assert "gen_ai.workflow.name" not in told(captured.spans[0])


def test_a_name_that_was_given_stays(captured: Captured, config: Any) -> None:
    chain = RunnableLambda(lambda value: value) | ScriptedModel().with_retry().with_config(run_name="mine")
    chain.invoke("q", config)
    assert captured.tree() == f"invoke_workflow\n  mine\n    {CHAT}"


@pytest.mark.parametrize("mode", FOUR)
async def test_a_summarising_model(mode: str, captured: Captured, config: Any) -> None:
    """The middleware retries its model, which makes it a step that is called like the model's class."""
    summariser = ScriptedModel(model="summary-1", script=["in short"])
    agent = create_agent(
        ScriptedModel(),
        [look_up],
        middleware=[SummarizationMiddleware(model=summariser, trigger=("messages", 5), keep=("messages", 2))],
        name="long",
    )
    said = [each for n in range(6) for each in (HumanMessage(f"question {n}"), AIMessage(f"answer {n}"))]
    await run(agent, {"messages": [*said, HumanMessage("last")]}, config, mode)
    assert captured.tree() == (
        f"invoke_agent long\n  SummarizationMiddleware.before_model\n    chat summary-1\n  model\n    {CHAT}"
    )


class Answer(BaseModel):
    """What is asked for."""

    number: int


@pytest.mark.parametrize("mode", FOUR)
async def test_a_structured_answer_of_openai(mode: str, captured: Captured, config: Any) -> None:
    said = '{"number": 1}'
    streamed = chunks({"role": "assistant", "content": said})
    model = langchain_model(streamed if "stream" in mode else completion({"content": said, "refusal": None}))
    await run(model.with_structured_output(Answer), "q", config, mode)
    assert captured.tree() == "invoke_workflow\n  chat gpt-4o"


# --- edges and nodes of LangGraph --------------------------------------------------------------------------------


def branching(route: Any, first: str = "first") -> Any:
    made = StateGraph(MessagesState)
    made.add_node("second", lambda state: {})
    if first:
        made.add_node("first", lambda state: {})
        made.add_edge(START, "first")
        made.add_conditional_edges("first", route)
    else:
        made.add_conditional_edges(START, route)
    made.add_edge("second", END)
    return made.compile(name="branching")


def choose(state: Any) -> str:
    return "second"


async def choose_async(state: Any) -> str:
    return "second"


def send(state: Any) -> list[Send]:
    return [Send("second", state)]


class Chooser:
    """An edge that is a method."""

    def choose(self, state: Any) -> str:
        return "second"

    def __call__(self, state: Any) -> str:
        return "second"


EDGES: dict[str, Any] = {
    "function": choose,
    "asynchronous function": choose_async,
    "sends": send,
    "method": Chooser().choose,
    "object": Chooser(),
    "lambda": lambda state: "second",
    "runnable": RunnableLambda(choose),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("first", ["first", ""])
async def test_an_edge_is_no_step(edge: str, first: str, captured: Captured, config: Any) -> None:
    graph = branching(EDGES[edge], first)
    for mode in ["astream", "ainvoke"] if "async" in edge else FOUR:
        await run(graph, ASK, config, mode)
        above = "  first\n" if first else ""
        assert captured.tree() == f"invoke_workflow branching\n{above}  second"
        captured.clear()


@pytest.mark.parametrize("mode", FOUR)
async def test_a_model_in_an_edge_stays(mode: str, captured: Captured, config: Any) -> None:
    spans = UserSpans(captured.tracer_provider)

    def ask(state: Any) -> str:
        spans.inside("mine")()
        ScriptedModel().invoke("q")
        return "second"

    await run(branching(ask), ASK, config, mode)
    assert captured.tree() == f"invoke_workflow branching\n  first\n    mine\n    {CHAT}\n  second"


@pytest.mark.parametrize("mode", FOUR)
async def test_a_graph_with_langgraphs_own_edge(mode: str, captured: Captured, config: Any) -> None:
    model = ScriptedModel(script=[call("look_up", word="x"), "done"])
    made = StateGraph(MessagesState)
    made.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    made.add_node("tools", ToolNode([look_up]))
    made.add_edge(START, "model")
    made.add_conditional_edges("model", tools_condition)
    made.add_edge("tools", "model")
    await run(made.compile(name="loop"), ASK, config, mode)
    turn = f"  model\n    {CHAT}"
    assert captured.tree() == f"invoke_workflow loop\n{turn}\n  tools\n    execute_tool look_up\n{turn}"


@pytest.mark.parametrize("mode", FOUR)
async def test_the_older_agent(mode: str, captured: Captured, config: Any) -> None:
    agent = create_react_agent(
        ScriptedModel(script=[call("look_up", word="x"), "done"]),
        [look_up],
        name="older",
        post_model_hook=lambda state: {},
    )
    await run(agent, ASK, config, mode)
    turn = f"  agent\n    {CHAT}\n  post_model_hook"
    assert captured.tree() == f"invoke_agent older\n{turn}\n  tools\n    execute_tool look_up\n{turn}"


# --- functions as graphs -----------------------------------------------------------------------------------------


@task
def double(number: int) -> int:
    return 2 * number


@task
async def double_async(number: int) -> int:
    return 2 * number


@entrypoint()
def doubled(number: int) -> int:
    return double(number).result()


@entrypoint(checkpointer=InMemorySaver())
async def doubled_async(number: int) -> int:
    return await double_async(number)


def root(captured: Captured) -> str:
    return captured.tree().split("\n")[0]


@pytest.mark.parametrize("mode", FOUR)
async def test_an_entrypoints_name(mode: str, captured: Captured, config: Any) -> None:
    await run(doubled, 1, config, mode)
    assert root(captured) == "invoke_workflow doubled"
    assert told(captured.span("invoke_workflow doubled"))["gen_ai.workflow.name"] == "doubled"
    assert captured.span("double").parent is not None
    assert_all_ended(captured)


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
async def test_an_asynchronous_entrypoints_name(mode: str, captured: Captured, config: Any) -> None:
    await run(doubled_async, 1, config, mode)
    assert root(captured) == "invoke_workflow doubled_async"


async def test_an_entrypoint_in_another_graph(captured: Captured, config: Any) -> None:
    made = StateGraph(dict)
    made.add_node("work", lambda state: {"number": doubled.invoke(1)})
    made.add_edge(START, "work")
    made.compile(name="outer").invoke({}, config)
    assert "invoke_workflow doubled" in {span.name for span in captured.spans}


def test_a_name_given_to_the_run_counts_more(captured: Captured, config: Any) -> None:
    doubled.invoke(1, {**config, "run_name": "given"})
    assert root(captured) == "invoke_workflow given"
