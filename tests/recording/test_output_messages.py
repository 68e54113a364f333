"""Every message that comes out says why it ended, and what an agent says in the end is its answer."""

import json
from collections.abc import Callable
from typing import Any

import fakes
import llama_fakes
import pytest
from ends import content, run, told
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import create_react_agent
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import Settings
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.callbacks import CallbackManager
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from opentelemetry._logs import LogRecord, SeverityNumber
from pydantic import BaseModel

from otel_callbacks import agent as agent_by_hand
from otel_callbacks import inference
from otel_callbacks import workflow as workflow_by_hand
from otel_callbacks.conformance import assert_conformant, check_events, check_spans
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.testing import Captured

pytestmark = [
    IGNORED,
    pytest.mark.filterwarnings("ignore::langgraph.warnings.LangGraphDeprecatedSinceV10"),
]

ASK: Any = {"messages": [("user", "hi")]}
ANSWER = {"role": "assistant", "parts": [{"type": "text", "content": "done"}], "finish_reason": "stop"}


class Answer(BaseModel):
    """What is asked for."""

    number: int


@tool
def look_up(word: str) -> str:
    """Looks up."""
    return "found"


def look_up_too(word: str) -> str:
    """Looks up."""
    return "found"


@pytest.fixture
def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers, content="both")]}


@pytest.fixture
def settled(captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers, content="both")])


def without_name(message: Any) -> Any:
    return {key: value for key, value in message.items() if key != "name"}


def said(captured: Captured, name: str) -> Any:
    return [without_name(each) for each in content(captured.span(name), "output.messages")]


def assert_every_message_says_why_it_ended(captured: Captured) -> None:
    found = [span for span in captured.spans if "gen_ai.output.messages" in told(span)]
    assert found
    for span in found:
        for message in content(span, "output.messages"):
            assert message.get("finish_reason"), f"{span.name}: {message}"
    findings = [*check_spans(captured.spans), *check_events(captured.events)]
    assert [each for each in findings if each.rule == "genai_content_schema"] == []


# --- LangChain ---------------------------------------------------------------------------------------------------


def graph() -> Any:
    made = StateGraph(MessagesState)
    made.add_node("ask", lambda state: {"messages": [fakes.ScriptedModel().invoke(state["messages"])]})
    made.add_edge(START, "ask")
    return made.compile(name="asking")


def plain_graph() -> Any:
    made = StateGraph(dict)
    made.add_node("ask", lambda state: {"said": "done"})
    made.add_edge(START, "ask")
    return made.compile(name="asking")


CALLED: dict[str, tuple[Callable[[], Any], Any]] = {
    "model": (lambda: fakes.ScriptedModel(), "q"),
    "chain": (lambda: fakes.ScriptedModel() | StrOutputParser(), "q"),
    "chain of a message": (lambda: RunnableLambda(lambda q: q) | fakes.ScriptedModel(), "q"),
    "chain of an object": (lambda: RunnableLambda(lambda q: {"number": 1}) | (lambda q: q), "q"),
    "graph": (graph, ASK),
    "graph without messages": (plain_graph, {}),
    "agent": (
        lambda: create_agent(
            fakes.ScriptedModel(script=[fakes.call("look_up", word="x"), "done"]), [look_up], name="boss"
        ),
        ASK,
    ),
}


@pytest.mark.parametrize("called", CALLED)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream", "abatch"])
async def test_everything_of_langchain(called: str, mode: str, captured: Captured, config: Any) -> None:
    make, value = CALLED[called]
    await run(make(), value, config, mode)
    assert_every_message_says_why_it_ended(captured)


AGENTS: dict[str, Callable[..., Any]] = {
    "create_agent": create_agent,
    "create_react_agent": create_react_agent,
}


@pytest.mark.parametrize("kind", AGENTS)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_an_agents_output_is_its_answer(kind: str, mode: str, captured: Captured, config: Any) -> None:
    model = fakes.ScriptedModel(script=[fakes.call("look_up", word="x"), "done"])
    await run(AGENTS[kind](model, [look_up], name="boss"), ASK, config, mode)
    assert said(captured, "invoke_agent boss") == [ANSWER]


async def test_in_a_long_conversation(captured: Captured, config: Any) -> None:
    before = [each for n in range(20) for each in (HumanMessage(f"q{n}"), AIMessage(f"a{n}"))]
    agent = create_agent(fakes.ScriptedModel(script=["done"]), [], name="boss")
    await agent.ainvoke({"messages": [*before, HumanMessage("last")]}, config)
    assert said(captured, "invoke_agent boss") == [ANSWER]
    assert len(content(captured.span("invoke_agent boss"), "input.messages")) == 41


def test_an_answer_that_is_cut(captured: Captured, config: Any) -> None:
    class Cut(fakes.ScriptedModel):
        def _next(self) -> AIMessage:
            made = super()._next()
            details = {**made.response_metadata, "finish_reason": "length"}
            return made.model_copy(update={"response_metadata": details})

    create_agent(Cut(script=["done"]), [], name="boss").invoke(ASK, config)
    assert said(captured, "invoke_agent boss") == [{**ANSWER, "finish_reason": "length"}]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_a_structured_answer(captured: Captured, config: Any) -> None:
    model = fakes.ScriptedModel(script=[fakes.call("Answer", number=1)])
    create_agent(model, [], response_format=ToolStrategy(Answer), name="boss").invoke(ASK, config)
    (message,) = said(captured, "invoke_agent boss")
    assert message["role"] == "assistant"
    assert message["finish_reason"]
    assert '"number":1' in json.dumps(message["parts"]).replace("\\", "").replace(" ", "")


def test_an_agent_that_fails_has_no_answer(captured: Captured, config: Any) -> None:
    with pytest.raises(ConnectionError):
        create_agent(fakes.ScriptedModel(script=[ConnectionError("no")]), [], name="boss").invoke(ASK, config)
    assert "gen_ai.output.messages" not in told(captured.span("invoke_agent boss"))


def test_each_agent_below_another_has_its_own(captured: Captured, config: Any) -> None:
    inner = create_agent(fakes.ScriptedModel(script=["inner is done"]), [], name="helper")

    @tool
    def ask_helper(word: str) -> str:
        """Asks another agent."""
        return str(inner.invoke({"messages": [("user", word)]})["messages"][-1].content)

    model = fakes.ScriptedModel(script=[fakes.call("ask_helper", word="x"), "done"])
    create_agent(model, [ask_helper], name="boss").invoke(ASK, config)
    assert said(captured, "invoke_agent boss") == [ANSWER]
    assert said(captured, "invoke_agent helper")[0]["parts"] == [{"type": "text", "content": "inner is done"}]
    assert_every_message_says_why_it_ended(captured)


# --- LlamaIndex --------------------------------------------------------------------------------------------------


def function_agent(**options: Any) -> FunctionAgent:
    script = [llama_fakes.call("look_up_too", word="x"), "done"]
    model = llama_fakes.ScriptedModel(script=options.pop("script", script))
    return FunctionAgent(
        **{"name": "boss", "description": "Does it.", "tools": [look_up_too], "llm": model, **options}
    )


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.usefixtures("settled")
async def test_the_same_in_llama_index(streaming: bool, captured: Captured) -> None:
    await function_agent(streaming=streaming).run("hi")
    assert said(captured, "invoke_agent boss") == [ANSWER]
    assert_every_message_says_why_it_ended(captured)


@pytest.mark.usefixtures("settled")
async def test_a_reasoning_agent(captured: Captured) -> None:
    model = llama_fakes.ScriptedModel(script=["Thought: I know.\nAnswer: done"])
    await ReActAgent(name="boss", tools=[look_up_too], llm=model, streaming=False).run("hi")
    assert said(captured, "invoke_agent boss") == [ANSWER]


def two_agents() -> AgentWorkflow:
    handoff = llama_fakes.call("handoff", to_agent="second", reason="It knows better.")
    first = function_agent(
        name="first", script=[handoff], tools=[], can_handoff_to=["second"], streaming=False
    )
    second = function_agent(name="second", script=["done"], tools=[], streaming=False)
    return AgentWorkflow(agents=[first, second], root_agent="first")


@pytest.mark.usefixtures("settled")
async def test_each_agent_of_a_workflow_has_one(captured: Captured) -> None:
    await two_agents().run("hi")
    assert said(captured, "invoke_agent second") == [ANSWER]
    (handed_over,) = said(captured, "invoke_agent first")
    assert handed_over["role"] == "assistant"
    assert handed_over["finish_reason"]
    assert "handoff" in json.dumps(handed_over["parts"])
    assert said(captured, "invoke_workflow") == [ANSWER]
    assert_every_message_says_why_it_ended(captured)


@pytest.mark.usefixtures("settled")
async def test_a_structured_answer_in_llama_index(captured: Captured) -> None:
    script = [llama_fakes.call("Answer", number=1)]
    agent = function_agent(
        script=["done", *script], tools=[], streaming=False, output_cls=Answer, name="boss"
    )
    await agent.run("hi")
    (message,) = said(captured, "invoke_agent boss")
    assert message["finish_reason"]


@pytest.mark.usefixtures("settled")
async def test_workflows_and_engines_of_llama_index(captured: Captured) -> None:
    class Works(Workflow):
        @step
        async def work(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result={"number": 1})

    await Works().run()
    llama_fakes.index().as_query_engine(llm=llama_fakes.ScriptedModel()).query("q")
    llama_fakes.index().as_chat_engine(chat_mode="context", llm=llama_fakes.ScriptedModel()).chat("q")
    list(
        llama_fakes.index()
        .as_query_engine(llm=llama_fakes.ScriptedModel(), streaming=True)
        .query("q")
        .response_gen
    )
    assert len([span for span in captured.spans if span.name.startswith("invoke_workflow")]) == 4
    assert_every_message_says_why_it_ended(captured)


# --- by hand -----------------------------------------------------------------------------------------------------


def test_operations_by_hand(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content="both")

    @workflow_by_hand
    def work(question: str) -> str:
        return ask(question)

    @agent_by_hand("boss")
    def ask(question: str) -> str:
        with inference("scripted-1", provider="openai") as span:
            span.messages(input=question, output="done")
        return "done"

    RunnableLambda(lambda question: work(question)).invoke("q", {"callbacks": [handler]})
    # nobody said why the model stopped
    assert said(captured, "invoke_agent boss") == [{**ANSWER, "finish_reason": "unknown"}]
    assert_every_message_says_why_it_ended(captured)


# --- the check ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["chat", "text_completion", "invoke_agent", "invoke_workflow"])
@pytest.mark.parametrize("structured", [False, True])
def test_the_check_reports_a_message_without_one(operation: str, structured: bool) -> None:
    messages = [{"role": "assistant", "parts": [{"type": "text", "content": "x"}]}]
    span = {
        "name": operation,
        "kind": 3 if operation in ("chat", "text_completion") else 1,
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "00f067aa0ba902b7",
        "startTimeUnixNano": "100",
        "endTimeUnixNano": "200",
        "attributes": {
            "gen_ai.operation.name": operation,
            "gen_ai.output.messages": messages if structured else json.dumps(messages),
        },
    }
    found = [each for each in check_spans([span]) if each.rule == "genai_content_schema"]
    assert len(found) == 1
    assert "finish_reason" in found[0].message


@pytest.mark.parametrize("mapping", [False, True], ids=["a log record of the SDK", "one of OTLP's JSON"])
def test_the_check_reports_it_in_an_event(mapping: bool) -> None:
    messages = [{"role": "assistant", "parts": [{"type": "text", "content": "x"}]}]
    given = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.output.messages": messages,
    }
    event = "gen_ai.client.inference.operation.details"
    record: Any = LogRecord(severity_number=SeverityNumber.DEBUG, event_name=event, attributes=given)
    if mapping:
        record = {"eventName": event, "severityNumber": 5, "attributes": given}
    (found,) = [each for each in check_events([record]) if each.level == "violation"]
    assert (found.rule, "finish_reason" in found.message) == ("genai_content_schema", True)
    messages[0]["finish_reason"] = "stop"
    assert [each for each in check_events([record]) if each.level == "violation"] == []


def test_the_check_of_a_test_reads_events_too(captured: Captured) -> None:
    wrong = {"eventName": "gen_ai.client.inference.operation.details", "severityNumber": 9, "attributes": {}}
    span = {"name": "step", "kind": 1, "traceId": "1" * 32, "spanId": "1" * 16, "scope": "otel_callbacks"}
    times = {"startTimeUnixNano": "100", "endTimeUnixNano": "200"}
    with pytest.raises(AssertionError, match="severity is 9"):
        assert_conformant([span | times], events=[wrong])
    with pytest.raises(TypeError, match="neither a finished log record nor"):
        check_events([5])


@pytest.mark.parametrize("framework", ["LangChain", "LlamaIndex"])
def test_events_say_what_spans_say(framework: str, captured: Captured, config: Any, settled: None) -> None:
    if framework == "LangChain":
        fakes.ScriptedModel().invoke("q", config)
    else:
        llama_fakes.ScriptedModel().complete("q")
    (event,) = captured.events
    span = captured.spans[0]
    for name in ("input.messages", "output.messages"):
        said = json.dumps(event.attributes[f"gen_ai.{name}"], sort_keys=True)
        assert said == json.dumps(content(span, name), sort_keys=True)
