"""All that an answer holds is recorded when content is: whatever the part is, it is never nothing."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from ends import content, told
from fakes import ScriptedModel, call
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda
from parts import ANSWERS, assert_parts

from otel_callbacks import ContentPolicy
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured

CHAT = "chat scripted-1"


class Whole(ScriptedModel):
    """Streams its answer in one piece, with everything in it."""

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        message = self._next()
        pieces = [
            {"name": each["name"], "args": each["args"], "id": each["id"], "index": 0}
            for each in message.invalid_tool_calls
        ]
        chunk = AIMessageChunk(
            message.content,
            additional_kwargs=message.additional_kwargs,
            response_metadata=message.response_metadata,
            usage_metadata=message.usage_metadata,
            tool_call_chunks=pieces,
        )
        yield ChatGenerationChunk(message=chunk)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream():
            yield chunk


def config(captured: Captured, policy: Any = "both") -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers, content=policy)]}


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_in_an_answer(case: str, mode: str, captured: Captured) -> None:
    given, expected = ANSWERS[case]
    model = Whole(script=[AIMessage(**given)])
    match mode:
        case "invoke":
            model.invoke("q", config(captured))
        case "ainvoke":
            await model.ainvoke("q", config(captured))
        case "stream":
            list(model.stream("q", config(captured)))
        case "astream":
            [_ async for _ in model.astream("q", config(captured))]
    (message,) = content(captured.span(CHAT), "output.messages")
    assert message["role"] == "assistant"
    assert_parts(message["parts"], expected)


@pytest.mark.parametrize("case", ANSWERS)
def test_in_the_history(case: str, captured: Captured) -> None:
    given, expected = ANSWERS[case]
    said = [HumanMessage("first"), AIMessage(**given), HumanMessage("second")]
    ScriptedModel().invoke(said, config(captured))
    first, answer, second = content(captured.span(CHAT), "input.messages")
    assert [first["role"], answer["role"], second["role"]] == ["user", "assistant", "user"]
    assert_parts(answer["parts"], expected)


@pytest.mark.parametrize("case", [case for case in ANSWERS if case != "invalid_tool_calls"])
def test_in_a_history_of_mappings(case: str, captured: Captured) -> None:
    """As states and stores of conversations have it: what LangChain keeps beside the content is in the message."""
    given, expected = ANSWERS[case]
    said = {"role": "assistant", "content": given["content"], **given.get("additional_kwargs", {})}
    chain = RunnableLambda(lambda state: "q") | ScriptedModel()
    chain.invoke({"messages": [{"role": "user", "content": "first"}, said]}, config(captured))
    _, answer = content(captured.span("invoke_workflow"), "input.messages")
    assert_parts(answer["parts"], expected)


@pytest.mark.parametrize("case", ["refusal", "web_search_call", "unknown", "audio with transcript"])
def test_on_events(case: str, captured: Captured) -> None:
    given, expected = ANSWERS[case]
    Whole(script=[AIMessage(**given)]).invoke("q", config(captured, "events"))
    (event,) = [
        each for each in captured.events if each.event_name == "gen_ai.client.inference.operation.details"
    ]
    (message,) = event.attributes["gen_ai.output.messages"]
    assert_parts(message["parts"], expected)


@pytest.mark.parametrize("case", ["refusal", "unknown", "server_tool_use"])
def test_in_the_answer_of_a_chain(case: str, captured: Captured) -> None:
    given, expected = ANSWERS[case]
    chain = RunnableLambda(lambda value: value) | Whole(script=[AIMessage(**given)])
    chain.invoke("q", config(captured))
    (message,) = content(captured.span("invoke_workflow"), "output.messages")
    assert_parts(message["parts"], expected)


def test_a_call_is_told_once(captured: Captured) -> None:
    """Where the content repeats it, or the older form does, too."""
    message = AIMessage(
        [
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "call_1", "name": "look_up", "input": {"word": "x"}},
        ],
        tool_calls=call("look_up", word="x").tool_calls,
        additional_kwargs={"function_call": {"name": "look_up", "arguments": '{"word": "x"}'}},
    )
    ScriptedModel(script=[message]).invoke("q", config(captured))
    (found,) = content(captured.span(CHAT), "output.messages")
    assert_parts(
        found["parts"],
        [
            {"type": "text", "content": "Let me see."},
            {"type": "tool_call", "id": "call_1", "name": "look_up", "arguments": {"word": "x"}},
        ],
    )


def test_a_call_that_is_only_in_the_content(captured: Captured) -> None:
    message = AIMessage([{"type": "tool_use", "id": "call_1", "name": "look_up", "input": {"word": "x"}}])
    ScriptedModel().invoke([message], config(captured))
    (found,) = content(captured.span(CHAT), "input.messages")
    assert_parts(
        found["parts"],
        [{"type": "tool_call", "id": "call_1", "name": "look_up", "arguments": {"word": "x"}}],
    )


def test_a_tool_that_answers_with_an_image(captured: Captured) -> None:
    image = {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}
    said = [call("look_up", word="x"), ToolMessage([image], tool_call_id="call_1")]
    ScriptedModel().invoke(said, config(captured))
    _, answer = content(captured.span(CHAT), "input.messages")
    assert answer["role"] == "tool"
    assert answer["parts"][0]["type"] == "tool_call_response"
    assert "aGVsbG8" not in str(answer)


# --- what must not come out --------------------------------------------------------------------------------------


SECRET = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"
HOLDERS: dict[str, Any] = {
    "unknown": [{"type": "hologram", "note": f"{SECRET} of ann@example.com"}],
    "server tool": [{"type": "web_search_call", "id": "w", "action": {"query": f"{SECRET} ann@example.com"}}],
    "refusal": [{"type": "refusal", "refusal": f"Not with {SECRET}, ann@example.com."}],
    "key": [{"type": "hologram", "api_key": SECRET, "to": "ann@example.com"}],
    "result": [
        {"type": "web_search_tool_result", "tool_use_id": "t", "content": f"{SECRET} ann@example.com"}
    ],
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_secrets_and_addresses_are_removed_from_them(holder: str, captured: Captured) -> None:
    policy = ContentPolicy("spans", redact=("emails",))
    ScriptedModel(script=[AIMessage(HOLDERS[holder])]).invoke("q", config(captured, policy))
    found = str(told(captured.span(CHAT))["gen_ai.output.messages"])
    assert SECRET not in found
    assert "ann@example.com" not in found
    assert content(captured.span(CHAT), "output.messages")[0]["parts"]


@pytest.mark.parametrize("holder", HOLDERS)
def test_hashed_they_cannot_be_read(holder: str, captured: Captured) -> None:
    policy = ContentPolicy("spans", hashed=True, hash_key="a key of sixteen or more")
    ScriptedModel(script=[AIMessage(HOLDERS[holder])]).invoke("q", config(captured, policy))
    found = str(told(captured.span(CHAT))["gen_ai.output.messages"])
    assert "example.com" not in found
    assert content(captured.span(CHAT), "output.messages")[0]["parts"]


@pytest.mark.parametrize("holder", HOLDERS)
def test_without_content_there_is_nothing_of_them(holder: str, captured: Captured) -> None:
    (ScriptedModel(script=[AIMessage(HOLDERS[holder])]) | StrOutputParser()).invoke(
        "q", config(captured, "none")
    )
    assert "example.com" not in str([dict(told(span)) for span in captured.spans])


def test_they_are_cut_as_everything_is(captured: Captured) -> None:
    long = AIMessage([{"type": "hologram", "note": "x" * 200_000}, {"type": "refusal", "refusal": "y" * 9}])
    ScriptedModel(script=[long]).invoke("q", config(captured, ContentPolicy("spans", cap=2_000)))
    assert len(str(told(captured.span(CHAT))["gen_ai.output.messages"])) < 2_500
