"""What spans say of agents, answers, failures and streams, in both frameworks alike."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import fakes
import llama_fakes
import pytest
from ends import content, told
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.callbacks import llm_chat_callback
from opentelemetry.trace import StatusCode

from otel_callbacks.conformance import check_spans
from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.manual import agent, inference, step, workflow
from otel_callbacks.testing import Captured

pytestmark = llama_fakes.IGNORED

AGENT = "invoke_agent librarian"
INSTRUCTIONS = [{"type": "text", "content": "Be brief."}]


def look_up(word: str) -> str:
    """Looks a word up."""
    return "found"


def handler(captured: Captured, policy: Any = "both") -> OTelCallbackHandler:
    return OTelCallbackHandler(**captured.providers, content=policy)


async def langchain_agent(captured: Captured, policy: Any = "both") -> None:
    model = fakes.ScriptedModel(script=[fakes.call("look_up", word="x"), "done"])
    made = create_agent(model, [tool(look_up)], system_prompt="Be brief.", name="librarian")
    await made.ainvoke({"messages": [("user", "go")]}, {"callbacks": [handler(captured, policy)]})


async def llama_index_agent(captured: Captured, policy: Any = "both") -> None:
    Settings.callback_manager = CallbackManager([handler(captured, policy)])
    model = llama_fakes.ScriptedModel(script=[llama_fakes.call("look_up", word="x"), "done"])
    made = FunctionAgent(tools=[look_up], llm=model, system_prompt="Be brief.", name="librarian")
    await made.run("go")


AGENTS: dict[str, Callable[..., Any]] = {"langchain": langchain_agent, "llama_index": llama_index_agent}


# --- agents ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", AGENTS)
async def test_the_output_of_an_agent_is_its_answer(framework: str, captured: Captured) -> None:
    await AGENTS[framework](captured)
    (answer,) = content(captured.span(AGENT), "output.messages")
    answer.pop("name", None)
    assert answer == {
        "role": "assistant",
        "parts": [{"type": "text", "content": "done"}],
        "finish_reason": "stop",
    }


@pytest.mark.parametrize("framework", AGENTS)
async def test_an_agent_has_its_instructions_and_its_tools(framework: str, captured: Captured) -> None:
    await AGENTS[framework](captured)
    span = captured.span(AGENT)
    assert content(span, "system_instructions") == INSTRUCTIONS


def test_an_agent_has_the_definitions_of_its_tools(captured: Captured) -> None:
    class Binding(fakes.ScriptedModel):
        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self.bind(tools=[convert_to_openai_tool(each) for each in tools])

    made = create_agent(Binding(script=["done"]), [tool(look_up)], name="librarian")
    made.invoke({"messages": [("user", "go")]}, {"callbacks": [handler(captured)]})
    (found,) = content(captured.span(AGENT), "tool.definitions")
    assert (found["name"], found["description"]) == ("look_up", "Looks a word up.")


@pytest.mark.parametrize("framework", AGENTS)
async def test_without_content_it_has_neither(framework: str, captured: Captured) -> None:
    await AGENTS[framework](captured, "none")
    found = told(captured.span(AGENT)).keys()
    assert not found & {"gen_ai.system_instructions", "gen_ai.tool.definitions", "gen_ai.output.messages"}


@pytest.mark.parametrize("framework", AGENTS)
async def test_the_agents_name_is_on_every_span_below_it(framework: str, captured: Captured) -> None:
    await AGENTS[framework](captured)
    below = [span for span in captured.spans if span.parent is not None]
    assert len(below) >= 3
    assert {told(span).get("gen_ai.agent.name") for span in below} == {"librarian"}


def test_a_tool_that_answers_for_the_agent(captured: Captured) -> None:
    direct = tool(look_up, return_direct=True)
    made = create_agent(
        fakes.ScriptedModel(script=[fakes.call("look_up", word="x")]), [direct], name="librarian"
    )
    made.invoke({"messages": [("user", "go")]}, {"callbacks": [handler(captured)]})
    (answer,) = content(captured.span(AGENT), "output.messages")
    assert (answer["role"], answer["parts"]) == ("assistant", [{"type": "text", "content": "found"}])


async def test_each_agent_of_a_workflow_has_an_output(captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([handler(captured)])
    hand_off = llama_fakes.call("handoff", to_agent="writer", reason="done")
    first = FunctionAgent(
        name="reader",
        description="Reads.",
        llm=llama_fakes.ScriptedModel(script=[hand_off]),
        can_handoff_to=["writer"],
    )
    second = FunctionAgent(
        name="writer", description="Writes.", llm=llama_fakes.ScriptedModel(script=["done"])
    )
    await AgentWorkflow(agents=[first, second], root_agent="reader").run("go")
    (handed,) = content(captured.span("invoke_agent reader"), "output.messages")
    (answer,) = content(captured.span("invoke_agent writer"), "output.messages")
    assert [part["name"] for part in handed["parts"] if part["type"] == "tool_call"] == ["handoff"]
    assert answer["parts"] == [{"type": "text", "content": "done"}]
    assert handed["finish_reason"] and answer["finish_reason"] == "stop"


def test_by_hand_agent_and_conversation_stand_below_too(captured: Captured) -> None:
    with agent("librarian", conversation_id="c1"), step("think"), inference("m", provider="openai"):
        pass
    with workflow("plain"), step("think"):
        pass
    found = [
        (told(span).get("gen_ai.agent.name"), told(span).get("gen_ai.conversation.id"))
        for span in captured.spans
    ]
    assert sorted(found, key=str) == [
        ("librarian", "c1"),
        ("librarian", "c1"),
        ("librarian", "c1"),
        (None, None),
        (None, None),
    ]


# --- output messages ---------------------------------------------------------------------------------------------


def test_an_output_message_that_nobody_gave_a_finish_reason(captured: Captured) -> None:
    chain = fakes.ScriptedModel() | StrOutputParser()
    chain.invoke("q", {"callbacks": [handler(captured)]})
    (answer,) = content(captured.span("invoke_workflow"), "output.messages")
    assert answer["finish_reason"] == "unknown"


def test_a_chains_message_keeps_its_models_finish_reason(captured: Captured) -> None:
    chain = RunnableLambda(lambda value: value) | fakes.ScriptedModel()
    chain.invoke("q", {"callbacks": [handler(captured)]})
    (answer,) = content(captured.span("invoke_workflow"), "output.messages")
    assert answer["finish_reason"] == "stop"


def test_an_output_message_without_a_finish_reason_is_a_violation() -> None:
    message = {"role": "assistant", "parts": []}
    span = {
        "name": "invoke_workflow",
        "scope": "otel_callbacks",
        "traceId": "1" * 32,
        "spanId": "1" * 16,
        "kind": 1,
        "startTimeUnixNano": 1,
        "endTimeUnixNano": 2,
        "attributes": {
            "gen_ai.operation.name": "invoke_workflow",
            "gen_ai.output.messages": json.dumps([message]),
        },
    }
    found = [finding.message for finding in check_spans([span])]
    assert found == ["gen_ai.output.messages: $[0].finish_reason is missing"]


# --- providers ---------------------------------------------------------------------------------------------------


def test_a_model_without_a_provider_names_its_integration(captured: Captured) -> None:
    FakeListLLM(responses=["a"]).invoke("q", {"callbacks": [handler(captured)]})
    (span,) = captured.spans
    assert told(span)["gen_ai.provider.name"].islower()


def test_a_llama_index_model_of_ones_own(captured: Captured) -> None:
    class HomeMade(llama_fakes.ScriptedModel):
        pass

    HomeMade.__module__ = "mine"
    Settings.callback_manager = CallbackManager([handler(captured)])
    HomeMade().chat([ChatMessage("q")])
    assert told(captured.span("chat scripted-1"))["gen_ai.provider.name"]


def test_a_call_by_hand_without_a_provider(captured: Captured) -> None:
    with inference("m"):
        pass
    assert told(captured.span("chat m"))["gen_ai.provider.name"] == "unknown"


# --- failures and streams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["none", "events"])
def test_a_failure_without_content_names_its_type(policy: str, captured: Captured) -> None:
    model = fakes.ScriptedModel(script=[ConnectionError("secret words")])
    with pytest.raises(ConnectionError):
        model.invoke("q", {"callbacks": [handler(captured, policy)]})
    status = captured.span("chat scripted-1").status
    assert (status.status_code, status.description) == (StatusCode.ERROR, "ConnectionError")


@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
async def test_a_stream_says_where_it_stalled(framework: str, captured: Captured) -> None:
    if framework == "langchain":
        model = fakes.ScriptedModel(script=["a b c"])
        stream = model.astream("q", {"callbacks": [handler(captured, "none")]})
    else:
        Settings.callback_manager = CallbackManager([handler(captured, "none")])
        stream = await llama_fakes.ScriptedModel(script=["a b c"]).astream_chat([ChatMessage("q")])
    read = 0
    async for _ in stream:
        read += 1
        if read == 2:
            await asyncio.sleep(0.05)
    found = told(captured.span("chat scripted-1"))
    assert found["otel_callbacks.stream.longest_gap_after_chunk"] == 2
    assert found["otel_callbacks.stream.longest_gap"] > 0.045


def test_one_chunk_has_no_gap(captured: Captured) -> None:
    list(fakes.ScriptedModel(script=["a"]).stream("q", {"callbacks": [handler(captured, "none")]}))
    assert "otel_callbacks.stream.longest_gap" not in told(captured.span("chat scripted-1"))


# --- retrievals, ids, names --------------------------------------------------------------------------------------


class Scored(Document):
    """A document of an integration's own class."""

    score: float = 0.0


def test_the_score_of_a_document_of_its_own_class(captured: Captured) -> None:
    retriever = fakes.ScriptedRetriever(documents=[Scored(page_content="a", score=0.75)])
    retriever.invoke("q", {"callbacks": [handler(captured, "none")]})
    assert told(captured.span("retrieval"))["rag.top_score"] == 0.75


def test_the_embedding_model_that_a_retriever_reports(captured: Captured) -> None:
    config: Any = {"callbacks": [handler(captured, "none")], "metadata": {"ls_embedding_model": "embed-3"}}
    fakes.ScriptedRetriever().invoke("q", config)
    found = told(captured.span("retrieval"))
    assert found["rag.embedding_model"] == "embed-3"
    assert "gen_ai.request.model" not in found


@pytest.mark.parametrize(
    ("identity", "api"), [("chatcmpl-1", "chat_completions"), ("resp_1", "responses"), ("msg_1", None)]
)
def test_openais_api_and_the_response_of_a_stream(identity: str, api: Any, captured: Captured) -> None:
    class Streaming(fakes.ScriptedModel):
        def _chunks(self) -> Any:
            for chunk in super()._chunks():
                chunk.message.id = identity
                chunk.message.response_metadata.pop("id", None)
                yield chunk

    list(Streaming(script=["a b"]).stream("q", {"callbacks": [handler(captured, "none")]}))
    found = told(captured.span("chat scripted-1"))
    assert (found["gen_ai.response.id"], found.get("openai.api.type")) == (identity, api)


def test_the_name_of_a_message(captured: Captured) -> None:
    model = fakes.ScriptedModel(script=[AIMessage("yes", name="bob")])
    model.invoke([AIMessage("hi", name="ann")], {"callbacks": [handler(captured)]})
    span = captured.span("chat scripted-1")
    assert content(span, "input.messages")[0]["name"] == "ann"
    assert content(span, "output.messages")[0]["name"] == "bob"


# --- summaries ---------------------------------------------------------------------------------------------------


COMPACTED = "gen_ai.conversation.compacted"
USAGE = {
    "input_tokens": 120,
    "output_tokens": 20,
    "iterations": [
        {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500, "cache_read_input_tokens": 5},
        {"type": "message", "input_tokens": 23_000, "output_tokens": 20},
    ],
}


def test_a_summary_in_place_of_a_conversation(captured: Captured) -> None:
    summary = HumanMessage("So far: nothing.", additional_kwargs={"lc_source": "summarization"})
    config: Any = {"callbacks": [handler(captured, "none")]}
    fakes.ScriptedModel(model="after").invoke([summary, HumanMessage("q")], config)
    fakes.ScriptedModel(model="plain").invoke([HumanMessage("q")], config)
    config["metadata"] = {"lc_source": "summarization"}
    fakes.ScriptedModel(model="summarising").invoke([HumanMessage("q")], config)
    found = {span.name: told(span).get(COMPACTED) for span in captured.spans}
    assert found == {"chat after": True, "chat plain": None, "chat summarising": None}


class Compacting(fakes.ScriptedModel):
    """Answers with the raw usage report of a provider."""

    def _next(self) -> AIMessage:
        message = super()._next()
        message.response_metadata["usage"] = USAGE
        return message


@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
def test_a_compaction_of_the_providers(framework: str, captured: Captured) -> None:
    if framework == "langchain":
        Compacting().invoke("q", {"callbacks": [handler(captured, "none")]})
    else:
        Settings.callback_manager = CallbackManager([handler(captured, "none")])
        raw = {"usage": USAGE, "content": [{"type": "compaction", "content": "So far: nothing."}]}

        class Model(llama_fakes.ScriptedModel):
            @llm_chat_callback()
            def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
                return ChatResponse(message=ChatMessage("yes", role="assistant"), raw=raw)

        Model().chat([ChatMessage("q")])
    found = told(captured.span("chat scripted-1"))
    assert found[COMPACTED] is True
    assert found["otel_callbacks.compaction.tokens_before"] == 180_005
    assert found["otel_callbacks.compaction.tokens_after"] == 23_000


def test_a_compaction_that_nobody_counted(captured: Captured) -> None:
    answer = AIMessage([{"type": "compaction", "content": "So far: nothing."}])
    fakes.ScriptedModel(script=[answer]).invoke("q", {"callbacks": [handler(captured, "none")]})
    found = told(captured.span("chat scripted-1"))
    assert found[COMPACTED] is True
    assert not [name for name in found if name.startswith("otel_callbacks.compaction.")]
