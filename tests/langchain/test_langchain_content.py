"""Tests that content is recorded only if the policy allows it, and then word for word in the conventions' form."""

import json
import logging
from base64 import b64decode
from hashlib import sha256
from typing import Any

import pytest
from fakes import ScriptedModel, ScriptedRetriever, call
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from payloads import RECORDED, ReplayedModel

from otel_callbacks.conformance import assert_conformant
from otel_callbacks.langchain import OTelCallbackHandler, inference
from otel_callbacks.operations import Inference
from otel_callbacks.privacy.policy import CAPTURE_VARIABLE, ContentPolicy
from otel_callbacks.testing import Captured

SECRET = "Zürich 🔐 秘密"
INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"


@tool
def look_up(word: str) -> Any:
    """Looks up."""
    return {"found": word}


@tool
def broken(word: str) -> str:
    """Fails."""
    raise ValueError(word)


def run_everything(config: Any) -> None:
    """An agent, a chain with a retriever, a stream and failures, each with the secret in it."""
    agent = create_agent(ScriptedModel(script=[call("look_up", word=SECRET), SECRET]), [look_up], name="a")
    agent.invoke({"messages": [("system", SECRET), ("user", SECRET)]}, config)
    retriever = ScriptedRetriever(documents=[Document(SECRET, id="d1", metadata={"title": SECRET})])
    (retriever | RunnableLambda(str) | ScriptedModel(script=[SECRET])).invoke(SECRET, config)
    list(ScriptedModel(script=[f"{SECRET} {SECRET}"]).stream(SECRET, config))
    FakeListLLM(responses=[SECRET]).invoke(SECRET, config)
    with pytest.raises(ValueError, match=SECRET):
        broken.invoke({"word": SECRET}, config)


def everywhere(captured: Captured) -> str:
    spans = [
        (s.name, s.attributes, s.status.description, [(e.name, e.attributes) for e in s.events])
        for s in captured.spans
    ]
    logs = [(event.attributes, event.body) for event in captured.events]
    return repr([spans, logs, captured.metrics()])


def attribute(captured: Captured, name: str, span: str) -> Any:
    (found,) = (s for s in captured.spans if s.name == span)
    return json.loads(str((found.attributes or {})[name]))


def recording(captured: Captured, content: str = "spans") -> Any:
    return {"callbacks": [OTelCallbackHandler(**captured.providers, content=content)]}


# --- is content recorded -------------------------------------------------------------------------------------------


def test_nothing_is_recorded_by_default(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CAPTURE_VARIABLE, raising=False)
    run_everything({"callbacks": [OTelCallbackHandler(**captured.providers)]})
    assert len(captured.spans) > 10
    for word in SECRET.split():
        assert word not in everywhere(captured)
    assert_conformant(captured.spans)


@pytest.mark.parametrize(
    ("value", "spans", "events"),
    [
        ("NO_CONTENT", False, False),
        ("SPAN_ONLY", True, False),
        ("EVENT_ONLY", False, True),
        ("SPAN_AND_EVENT", True, True),
        ("span_and_event ", True, True),
        ("", False, False),
    ],
)
def test_the_environment_decides(
    value: str, spans: bool, events: bool, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CAPTURE_VARIABLE, value)
    ScriptedModel(script=[SECRET]).invoke(SECRET, {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    assert (SECRET in str([span.attributes for span in captured.spans])) == spans
    assert (SECRET in str([event.attributes for event in captured.events])) == events


def test_an_unknown_value_is_warned_of_and_means_none(
    captured: Captured, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(CAPTURE_VARIABLE, "true")
    with caplog.at_level(logging.WARNING, "otel_callbacks"):
        handler = OTelCallbackHandler(**captured.providers)
    (record,) = caplog.records
    assert f"{CAPTURE_VARIABLE}='true'" in record.getMessage()
    assert "SPAN_AND_EVENT" in record.getMessage()
    ScriptedModel().invoke(SECRET, {"callbacks": [handler]})
    assert SECRET not in everywhere(captured)


@pytest.mark.parametrize("content", ["none", ContentPolicy()])
def test_the_argument_wins(content: Any, captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPTURE_VARIABLE, "SPAN_AND_EVENT")
    ScriptedModel().invoke(SECRET, recording(captured, content))
    assert SECRET not in everywhere(captured)


def test_recorded_content_conforms(captured: Captured) -> None:
    run_everything(recording(captured, "both"))
    assert_conformant(captured.spans)
    assert everywhere(captured).count(SECRET) > 20
    assert "\\u" not in everywhere(captured)


def test_an_exceptions_text_is_content(captured: Captured) -> None:
    with pytest.raises(ValueError, match=SECRET):
        broken.invoke({"word": SECRET}, recording(captured))
    span = captured.span("execute_tool broken")
    assert span.status.description == SECRET
    assert (span.events[0].attributes or {})["exception.message"] == SECRET


# --- messages ------------------------------------------------------------------------------------------------------

PNG = "iVBORw0KGgo="


def blob(modality: str, base64: str, mime_type: str | None = None) -> dict[str, Any]:
    """Describes data in a message by its size and hash, without the data."""
    data = b64decode(base64)
    recorded = {"type": "blob", "modality": modality, "content": "", "size": len(data)}
    return {**recorded, "sha256": sha256(data).hexdigest(), **({"mime_type": mime_type} if mime_type else {})}


PARTS: dict[str, tuple[Any, list[Any]]] = {
    "text": ("Grüße", [{"type": "text", "content": "Grüße"}]),
    "text blocks": (
        [{"type": "text", "text": "a"}, "b"],
        [{"type": "text", "content": "a"}, {"type": "text", "content": "b"}],
    ),
    "nothing": ("", []),
    "image by address": (
        [{"type": "image", "url": "https://x.example/a.png"}],
        [{"type": "uri", "modality": "image", "uri": "https://x.example/a.png"}],
    ),
    "image inline": (
        [{"type": "image", "base64": PNG, "mime_type": "image/png"}],
        [blob("image", PNG, "image/png")],
    ),
    "image, old form": (
        [{"type": "image", "source_type": "base64", "data": PNG, "mime_type": "image/png"}],
        [blob("image", PNG, "image/png")],
    ),
    "image, openai": (
        [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}],
        [blob("image", PNG, "image/png")],
    ),
    "image, openai responses": (
        [{"type": "input_image", "image_url": "https://x.example/a.png"}],
        [{"type": "uri", "modality": "image", "uri": "https://x.example/a.png"}],
    ),
    "image, anthropic": (
        [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}],
        [blob("image", PNG, "image/png")],
    ),
    "audio": (
        [{"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"}],
        [blob("audio", "UklGRg==", "audio/wav")],
    ),
    "audio, openai": (
        [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}],
        [blob("audio", "UklGRg==")],
    ),
    "audio, google": (
        [{"type": "media", "mime_type": "audio/wav", "data": "UklGRg=="}],
        [blob("audio", "UklGRg==", "audio/wav")],
    ),
    "video": (
        [{"type": "video", "url": "https://x.example/a.mp4"}],
        [{"type": "uri", "modality": "video", "uri": "https://x.example/a.mp4"}],
    ),
    "file by id": (
        [{"type": "file", "file_id": "file-1"}],
        [{"type": "file", "modality": "document", "file_id": "file-1"}],
    ),
    "file inline": (
        [{"type": "file", "base64": "JVBERg==", "mime_type": "application/pdf"}],
        [blob("document", "JVBERg==", "application/pdf")],
    ),
    "file, openai": (
        [
            {
                "type": "file",
                "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"},
            }
        ],
        [blob("document", "JVBERg==", "application/pdf")],
    ),
    "document, anthropic": (
        [{"type": "document", "source": {"type": "url", "url": "https://x.example/a.pdf"}}],
        [{"type": "uri", "modality": "document", "uri": "https://x.example/a.pdf"}],
    ),
    "something unknown": (
        [{"type": "hologram", "data": "x"}, 3, None],
        [{"type": "hologram", "data": "x"}],
    ),
}


@pytest.mark.parametrize("kind", PARTS)
def test_parts_of_a_message(kind: str, captured: Captured) -> None:
    sent, expected = PARTS[kind]
    ScriptedModel().invoke([HumanMessage.model_construct(content=sent, type="human")], recording(captured))
    assert attribute(captured, INPUT, "chat scripted-1") == [{"role": "user", "parts": expected}]
    assert_conformant(captured.spans)


THOUGHTS: dict[str, Any] = {
    "langchain": {"type": "reasoning", "reasoning": "hm"},
    "anthropic": {"type": "thinking", "thinking": "hm", "signature": "x"},
    "openai": {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
    "bedrock": {"type": "reasoning_content", "reasoning_content": {"text": "hm", "signature": "x"}},
}


@pytest.mark.parametrize("kind", THOUGHTS)
def test_reasoning(kind: str, captured: Captured) -> None:
    ScriptedModel(script=[AIMessage([THOUGHTS[kind], {"type": "text", "text": "yes"}])]).invoke(
        "q", recording(captured)
    )
    (message,) = attribute(captured, OUTPUT, "chat scripted-1")
    assert message["parts"] == [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "yes"}]


@pytest.mark.parametrize(
    ("thought", "part"),
    [
        ({"type": "reasoning", "summary": []}, {"type": "reasoning", "content": ""}),
        ({"type": "redacted_thinking", "data": "x"}, {"type": "redacted_thinking", "data": "x"}),
    ],
)
def test_reasoning_that_is_kept_back(thought: Any, part: Any, captured: Captured) -> None:
    ScriptedModel(script=[AIMessage([thought])]).invoke("q", recording(captured))
    assert attribute(captured, OUTPUT, "chat scripted-1")[0]["parts"] == [part]


def test_a_conversation_with_a_tool(captured: Captured) -> None:
    talk = [
        SystemMessage("Be kind."),
        HumanMessage("Wetter in Zürich?", name="ann"),
        AIMessage("", tool_calls=[{"name": "weather", "args": {"city": "Zürich"}, "id": "call_1"}]),
        ToolMessage("14 °C", tool_call_id="call_1", name="weather"),
    ]
    ScriptedModel(script=["14 °C."]).invoke(talk, recording(captured))
    assert attribute(captured, INPUT, "chat scripted-1") == [
        {"role": "system", "parts": [{"type": "text", "content": "Be kind."}]},
        {"role": "user", "parts": [{"type": "text", "content": "Wetter in Zürich?"}], "name": "ann"},
        {
            "role": "assistant",
            "parts": [
                {"type": "tool_call", "name": "weather", "id": "call_1", "arguments": {"city": "Zürich"}}
            ],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "response": "14 °C", "id": "call_1"}],
            "name": "weather",
        },
    ]
    answer = {"role": "assistant", "parts": [{"type": "text", "content": "14 °C."}], "finish_reason": "stop"}
    assert attribute(captured, OUTPUT, "chat scripted-1") == [answer]
    assert_conformant(captured.spans)


def test_tool_calls_are_recorded_once(captured: Captured) -> None:
    arguments = {"name": "f", "id": "c1", "input": {"a": 1}}
    answer = AIMessage(
        [{"type": "tool_use", **arguments}], tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c1"}]
    )
    ScriptedModel(script=[answer]).invoke("q", recording(captured))
    (message,) = attribute(captured, OUTPUT, "chat scripted-1")
    assert message["parts"] == [{"type": "tool_call", "name": "f", "id": "c1", "arguments": {"a": 1}}]


@pytest.mark.parametrize(
    ("case", "reason"), [("openai", "stop"), ("anthropic", "stop"), ("google genai with thoughts", "stop")]
)
def test_finish_reason_of_a_message_is_the_conventions_word(
    case: str, reason: str, captured: Captured
) -> None:
    payload = RECORDED[case]
    ReplayedModel(payload=payload).invoke("q", recording(captured))
    (message,) = attribute(captured, OUTPUT, captured.spans[0].name)
    assert message["finish_reason"] == reason


def test_a_cut_answer_is_kept_as_far_as_it_came(captured: Captured) -> None:
    stream = ScriptedModel(script=["a b c"]).stream("q", recording(captured))
    next(stream)
    stream.close()
    (message,) = attribute(captured, OUTPUT, "chat scripted-1")
    assert message == {
        "role": "assistant",
        "parts": [{"type": "text", "content": "a "}],
        "finish_reason": "error",
    }


def test_text_model(captured: Captured) -> None:
    FakeListLLM(responses=["ja"], metadata={"ls_model_name": "m"}).invoke("nein?", recording(captured))
    assert attribute(captured, INPUT, "text_completion m") == [
        {"role": "user", "parts": [{"type": "text", "content": "nein?"}]}
    ]
    assert attribute(captured, OUTPUT, "text_completion m")[0]["parts"] == [{"type": "text", "content": "ja"}]


# --- tools ---------------------------------------------------------------------------------------------------------

PARAMETERS = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
FLAT = {"type": "function", "name": "look_up", "description": "Looks up.", "parameters": PARAMETERS}
OFFERED: dict[str, Any] = {
    "openai": {
        "type": "function",
        "function": {"name": "look_up", "description": "Looks up.", "parameters": PARAMETERS},
    },
    "openai responses": FLAT,
    "anthropic": {"name": "look_up", "description": "Looks up.", "input_schema": PARAMETERS},
}


@pytest.mark.parametrize("kind", OFFERED)
def test_tool_definitions_are_flat(kind: str, captured: Captured) -> None:
    ReplayedModel(payload=RECORDED["openai"]).invoke("q", recording(captured), tools=[OFFERED[kind]])
    assert attribute(captured, "gen_ai.tool.definitions", "chat gpt-4o") == [FLAT]
    assert_conformant(captured.spans)


def test_a_tool_of_the_provider(captured: Captured) -> None:
    tools = [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        {"type": "code_interpreter"},
    ]
    ReplayedModel(payload=RECORDED["openai"]).invoke("q", recording(captured), tools=tools)
    assert attribute(captured, "gen_ai.tool.definitions", "chat gpt-4o") == [
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "code_interpreter", "name": "code_interpreter"},
    ]


def test_arguments_and_result(captured: Captured) -> None:
    look_up.invoke({"word": "Grüße"}, recording(captured))
    assert attribute(captured, "gen_ai.tool.call.arguments", "execute_tool look_up") == {"word": "Grüße"}
    assert attribute(captured, "gen_ai.tool.call.result", "execute_tool look_up") == {"found": "Grüße"}
    assert "Grüße" in str((captured.spans[0].attributes or {})["gen_ai.tool.call.arguments"])


def test_the_result_of_a_called_tool_is_parsed(captured: Captured) -> None:
    request = {"name": "look_up", "args": {"word": "x"}, "id": "c1", "type": "tool_call"}
    look_up.invoke(request, recording(captured))
    assert attribute(captured, "gen_ai.tool.call.result", "execute_tool look_up") == {"found": "x"}


def test_what_cannot_be_written_as_json(captured: Captured) -> None:
    @tool
    def odd(word: str) -> Any:
        """Answers oddly."""
        return {"object": object(), "set": {1}, 3: "three"}

    odd.invoke({"word": "x"}, recording(captured))
    assert attribute(captured, "gen_ai.tool.call.result", "execute_tool odd") == {
        "object": "<object>",
        "set": [1],
        "3": "three",
    }


# --- retrieval, chains, agents -------------------------------------------------------------------------------------


def test_query_and_documents(captured: Captured) -> None:
    documents = [Document("Grüße", id="d1", metadata={"score": 0.5, "source": "a.txt"}), Document("zwei")]
    ScriptedRetriever(documents=documents).invoke("Wer?", recording(captured))
    attributes = captured.span("retrieval").attributes or {}
    assert attributes["gen_ai.retrieval.query.text"] == attributes["rag.query"] == "Wer?"
    assert attribute(captured, "gen_ai.retrieval.documents", "retrieval") == [
        {"id": "d1", "score": 0.5, "content": "Grüße", "metadata": {"score": 0.5, "source": "a.txt"}},
        {"content": "zwei"},
    ]
    assert_conformant(captured.spans)


def test_an_agents_output_is_its_answer(captured: Captured) -> None:
    agent = create_agent(ScriptedModel(script=[call("look_up", word="x"), "done"]), [look_up], name="a")
    agent.invoke({"messages": [("user", "before"), ("ai", "yes"), ("user", "now")]}, recording(captured))
    asked, answered = (attribute(captured, name, "invoke_agent a") for name in (INPUT, OUTPUT))
    assert [message["role"] for message in asked] == ["user", "assistant", "user"]
    assert answered == [
        {
            "role": "assistant",
            "parts": [{"type": "text", "content": "done"}],
            "name": "a",
            "finish_reason": "stop",
        }
    ]


def test_a_chain_and_a_state_without_messages(captured: Captured) -> None:
    chain = RunnableLambda(lambda text: {"text": text}).with_config(run_name="wrap") | RunnableLambda(dict)
    chain.invoke("Grüße", recording(captured))
    assert attribute(captured, INPUT, "invoke_workflow")[0]["parts"][0]["content"] == "Grüße"
    assert attribute(captured, OUTPUT, "invoke_workflow")[0]["parts"][0]["content"] == '{"text": "Grüße"}'


async def test_a_streamed_chain_learns_its_input_at_the_end(captured: Captured) -> None:
    chain = RunnableLambda(str.upper) | ScriptedModel(script=["a b"])
    [chunk async for chunk in chain.astream("q", recording(captured))]
    assert attribute(captured, INPUT, "invoke_workflow")[0]["parts"] == [{"type": "text", "content": "q"}]
    assert attribute(captured, OUTPUT, "invoke_workflow")[0]["parts"] == [{"type": "text", "content": "a b"}]


def test_nodes_have_no_content(captured: Captured) -> None:
    graph = StateGraph(MessagesState)
    graph.add_node("work", lambda state: {"messages": [("ai", SECRET)]})
    graph.add_edge(START, "work")
    graph.compile().invoke({"messages": [("user", "q")]}, recording(captured))
    assert SECRET not in str(captured.span("work").attributes)
    assert SECRET in str(captured.span("invoke_workflow").attributes)


def test_the_first_and_newest_messages_are_read_if_there_are_very_many_parts(captured: Captured) -> None:
    talk = [HumanMessage([{"type": "text", "text": str(turn)}] * 100) for turn in range(50)]
    ScriptedModel(script=["yes"]).invoke(
        talk, {"callbacks": [OTelCallbackHandler(**captured.providers, content="spans")]}
    )
    attributes = captured.span("chat scripted-1").attributes or {}
    shown = json.loads(str(attributes["gen_ai.input.messages"]))
    assert shown[-1]["parts"][0]["content"] == "49"
    assert len(shown) + int(str(attributes["otel_callbacks.content.messages_left_out"])) == 50


def test_the_first_answers_are_read_if_there_are_very_many() -> None:
    choices = [[ChatGeneration(message=AIMessage("yes"))] * 100] * 100
    operation = Inference()
    inference.finish_inference(operation, LLMResult(generations=choices), with_content=True, streamed=False)
    assert operation.output_messages is not None
    assert len(operation.output_messages) == 128
