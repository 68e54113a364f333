"""The conversation's id is what the application calls it, in `configurable` as well as in `metadata`."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from ends import MODES, run, told
from fakes import ScriptedModel, ScriptedRetriever, call
from langchain.agents import create_agent
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import ConfigurableFieldSpec, RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured

pytestmark = pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")

ID = "gen_ai.conversation.id"
KEYS = ["thread_id", "session_id", "conversation_id"]
ASK: Any = {"messages": [("user", "hi")]}


@pytest.fixture
def handler(captured: Captured) -> OTelCallbackHandler:
    return OTelCallbackHandler(**captured.providers)


@tool
def look_up(word: str) -> str:
    """Looks up."""
    return "found"


def graph() -> Any:
    made = StateGraph(dict)
    made.add_node("ask", lambda state: {"said": ScriptedModel().invoke("q").content})
    made.add_edge(START, "ask")
    return made.compile(name="asking")


@entrypoint()
def function(question: str) -> str:
    return str(ScriptedModel().invoke(question).content)


CALLED: dict[str, tuple[Callable[[], Any], Any]] = {
    "model": (lambda: ScriptedModel(), "q"),
    "chain": (lambda: ScriptedModel() | StrOutputParser(), "q"),
    "chain with a prompt": (
        lambda: ChatPromptTemplate.from_template("{question}") | ScriptedModel(),
        {"question": "q"},
    ),
    "lambda": (lambda: RunnableLambda(lambda question: ScriptedModel().invoke(question)), "q"),
    "tool": (lambda: look_up, {"word": "x"}),
    "graph": (graph, {}),
    "function": (lambda: function, "q"),
    "agent": (
        lambda: create_agent(ScriptedModel(script=[call("look_up", word="x"), "done"]), [look_up]),
        ASK,
    ),
    "fallbacks": (lambda: ScriptedModel(script=[ValueError("no")]).with_fallbacks([ScriptedModel()]), "q"),
    "bound model": (lambda: ScriptedModel().bind(stop=["x"]), "q"),
    "retriever in a chain": (
        lambda: ScriptedRetriever() | RunnableLambda(lambda found: str(found)) | ScriptedModel(),
        "q",
    ),
}
CARRIES = ("invoke_workflow", "invoke_agent", "chat", "execute_tool")
"""The operations whose spans have an id of the conversation."""


def ids(captured: Captured) -> dict[str, Any]:
    """The id on every span that is to have one."""
    return {span.name: told(span).get(ID) for span in captured.spans if span.name.split(" ")[0] in CARRIES}


def assert_all_have(captured: Captured, expected: str | None) -> None:
    found = ids(captured)
    assert found
    assert set(found.values()) == {expected}


@pytest.mark.parametrize("called", CALLED)
@pytest.mark.parametrize("mode", MODES)
async def test_in_configurable(
    called: str, mode: str, captured: Captured, handler: OTelCallbackHandler
) -> None:
    make, value = CALLED[called]
    await run(make(), value, {"callbacks": [handler], "configurable": {"session_id": "s1"}}, mode)
    assert_all_have(captured, "s1")


@pytest.mark.parametrize("called", CALLED)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("where", ["configurable", "metadata"])
def test_by_every_key(
    called: str, key: str, where: str, captured: Captured, handler: OTelCallbackHandler
) -> None:
    make, value = CALLED[called]
    make().invoke(value, {"callbacks": [handler], where: {key: "s1"}})
    assert_all_have(captured, "s1")


@pytest.mark.parametrize("called", ["model", "chain", "agent", "graph"])
def test_what_the_metadata_says_counts_more(
    called: str, captured: Captured, handler: OTelCallbackHandler
) -> None:
    make, value = CALLED[called]
    config = {
        "callbacks": [handler],
        "configurable": {"session_id": "there"},
        "metadata": {"session_id": "here"},
    }
    make().invoke(value, config)
    assert_all_have(captured, "here")


@pytest.mark.parametrize("called", ["model", "chain", "graph"])
@pytest.mark.parametrize("identity", [42, uuid.UUID(int=7)])
def test_an_id_that_is_no_text(
    called: str, identity: Any, captured: Captured, handler: OTelCallbackHandler
) -> None:
    make, value = CALLED[called]
    make().invoke(value, {"callbacks": [handler], "configurable": {"thread_id": identity}})
    assert_all_have(captured, str(identity))


@pytest.mark.parametrize("called", ["model", "chain", "agent", "graph"])
@pytest.mark.parametrize(
    "configurable", [{}, {"user_id": "u1"}, {"session_id": ""}, {"session_id": None}, {"model": "x"}]
)
def test_none_is_made_up(
    called: str, configurable: Any, captured: Captured, handler: OTelCallbackHandler
) -> None:
    make, value = CALLED[called]
    make().invoke(value, {"callbacks": [handler], "configurable": configurable})
    assert_all_have(captured, None)


def test_bound_to_a_chain(captured: Captured, handler: OTelCallbackHandler) -> None:
    chain = (ScriptedModel() | StrOutputParser()).with_config(configurable={"session_id": "s1"})
    chain.invoke("q", {"callbacks": [handler]})
    assert_all_have(captured, "s1")


async def test_each_of_a_batch_has_its_own(captured: Captured, handler: OTelCallbackHandler) -> None:
    chain = ScriptedModel() | StrOutputParser()
    configs: Any = [{"callbacks": [handler], "configurable": {"session_id": f"s{n}"}} for n in range(3)]
    chain.batch(["a", "b", "c"], configs)
    roots = [told(span)[ID] for span in captured.spans if span.parent is None]
    assert sorted(roots) == ["s0", "s1", "s2"]
    of = {span.context.trace_id: told(span)[ID] for span in captured.spans if span.parent is None}
    chats = [span for span in captured.spans if span.name.startswith("chat")]
    assert [told(span)[ID] for span in chats] == [of[span.context.trace_id] for span in chats]


def test_a_call_within_that_has_an_id_of_its_own(captured: Captured, handler: OTelCallbackHandler) -> None:
    inner = ScriptedModel(model="inner-1") | StrOutputParser()

    def work(question: str) -> str:
        return str(inner.invoke(question, {"configurable": {"session_id": "inner"}}))

    (RunnableLambda(work) | ScriptedModel()).invoke(
        "q", {"callbacks": [handler], "configurable": {"session_id": "outer"}}
    )
    assert ids(captured) == {
        "invoke_workflow": "outer",
        "chat inner-1": "inner",
        "chat scripted-1": "outer",
    }


def test_the_next_call_has_none_of_it(captured: Captured, handler: OTelCallbackHandler) -> None:
    chain = ScriptedModel() | StrOutputParser()
    chain.invoke("q", {"callbacks": [handler], "configurable": {"session_id": "s1"}})
    captured.clear()
    chain.invoke("q", {"callbacks": [handler]})
    assert_all_have(captured, None)


def test_a_graph_with_a_memory(captured: Captured, handler: OTelCallbackHandler) -> None:
    made = StateGraph(dict)
    made.add_node("ask", lambda state: {"said": ScriptedModel().invoke("q").content})
    made.add_edge(START, "ask")
    kept = made.compile(checkpointer=InMemorySaver(), name="asking")
    kept.invoke({}, {"callbacks": [handler], "configurable": {"thread_id": "t1"}})
    assert_all_have(captured, "t1")


# --- chains with a memory ----------------------------------------------------------------------------------------


class History(BaseChatMessageHistory):
    """What was said, in memory."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def add_messages(self, messages: Any) -> None:
        self.messages.extend(messages)

    def clear(self) -> None:
        self.messages.clear()


def with_history(factory: Any, **options: Any) -> RunnableWithMessageHistory:
    prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
    return RunnableWithMessageHistory(
        prompt | ScriptedModel(),
        factory,
        input_messages_key="question",
        history_messages_key="history",
        **options,
    )


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_chain_with_a_memory(mode: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    chain = with_history(lambda session_id: History())
    await run(chain, {"question": "q"}, {"callbacks": [handler], "configurable": {"session_id": "s1"}}, mode)
    assert_all_have(captured, "s1")


def test_a_memory_with_keys_of_its_own(captured: Captured, handler: OTelCallbackHandler) -> None:
    fields = [
        ConfigurableFieldSpec(id=name, annotation=str, name=name, is_shared=True)
        for name in ("user_id", "conversation_id")
    ]
    chain = with_history(lambda user_id, conversation_id: History(), history_factory_config=fields)
    config: Any = {"callbacks": [handler], "configurable": {"user_id": "u1", "conversation_id": "c1"}}
    chain.invoke({"question": "q"}, config)
    assert_all_have(captured, "c1")
