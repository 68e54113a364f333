"""The same for LlamaIndex's messages: every block, and what integrations put beside the blocks."""

from typing import Any

import pytest
from ends import content, told
from llama_fakes import IGNORED, ScriptedModel, call, no_faults, untouched_settings  # noqa: F401
from llama_index.core import Settings
from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.callbacks import CallbackManager
from parts import answered, assert_parts

from otel_callbacks.llama_index import OTelCallbackHandler
from otel_callbacks.testing import Captured

pytestmark = IGNORED

CHAT = "chat scripted-1"
ASK = [ChatMessage(role="user", content="q")]


def message(*blocks: Any, **beside: Any) -> ChatMessage:
    return ChatMessage(role="assistant", blocks=list(blocks), additional_kwargs=beside)


class Call:
    """An object of a provider's client, such as LlamaIndex keeps beside a message."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


CASES: dict[str, tuple[ChatMessage, Any]] = {
    "legacy function_call": (
        message(function_call={"name": "look_up", "arguments": '{"word": "x"}'}),
        [{"type": "tool_call", "name": "look_up", "arguments": {"word": "x"}}],
    ),
    "legacy function_call, an object": (
        message(function_call=Call(name="look_up", arguments='{"word": "x"}')),
        [{"type": "tool_call", "name": "look_up", "arguments": {"word": "x"}}],
    ),
    "refusal": (message(refusal="I cannot."), [{"type": "refusal", "content": "I cannot."}]),
    "reasoning_content": (
        message(TextBlock(text="42"), reasoning_content="six by nine"),
        [{"type": "reasoning", "content": "six by nine"}, answered("42")],
    ),
    "citation": (
        message(
            CitationBlock(
                cited_content=TextBlock(text="It rains."),
                source="report",
                title="Weather",
                additional_location_info={},
            )
        ),
        [{"type": "citation", "source": "report", "title": "Weather"}],
    ),
    "citable": (
        message(CitableBlock(title="Weather", source="report", content=[TextBlock(text="It rains.")])),
        [{"type": "citable", "title": "Weather", "source": "report"}],
    ),
    "thoughts that are not told": (
        message(ThinkingBlock(num_tokens=7), TextBlock(text="42")),
        [{"type": "reasoning"}, answered("42")],
    ),
    "a mark for the cache": (
        message(TextBlock(text="42"), CachePoint(cache_control={"type": "ephemeral"})),
        [answered("42"), {"type": "cache"}],
    ),
    "sound": (
        message(AudioBlock(audio=b"RIFF not much", format="wav")),
        [{"type": "blob", "modality": "audio", "mime_type": "audio/wav", "size": ..., "sha256": ...}],
    ),
    "calls without ids": (
        message(ToolCallBlock(tool_name="look_up", tool_kwargs='{"word": "x"}')),
        [{"type": "tool_call", "name": "look_up", "arguments": {"word": "x"}}],
    ),
    "arguments that are no JSON": (
        message(ToolCallBlock(tool_call_id="c1", tool_name="look_up", tool_kwargs="word: x")),
        [{"type": "tool_call", "name": "look_up", "id": "c1", "arguments": "word: x"}],
    ),
}


@pytest.fixture(autouse=True)
def traced(captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers, content="both")])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", ["chat", "achat", "stream_chat", "astream_chat"])
async def test_in_an_answer(case: str, mode: str, captured: Captured) -> None:
    given, expected = CASES[case]
    model = ScriptedModel(script=[given])
    match mode:
        case "chat":
            model.chat(ASK)
        case "achat":
            await model.achat(ASK)
        case "stream_chat":
            list(model.stream_chat(ASK))
        case "astream_chat":
            [_ async for _ in await model.astream_chat(ASK)]
    (found,) = content(captured.span(CHAT), "output.messages")
    if "stream" in mode and given.content:  # the scripted stream has its text only
        assert found["parts"]
        return
    assert_parts(found["parts"], expected)


@pytest.mark.parametrize("case", CASES)
def test_in_the_history(case: str, captured: Captured) -> None:
    given, expected = CASES[case]
    ScriptedModel().chat([*ASK, given, *ASK])
    _, found, _ = content(captured.span(CHAT), "input.messages")
    assert found["role"] == "assistant"
    assert_parts(found["parts"], expected)


def test_a_call_is_told_once(captured: Captured) -> None:
    beside = {"name": "look_up", "arguments": '{"word": "x"}'}
    given = call("look_up", word="x")
    given.additional_kwargs["function_call"] = beside
    given.additional_kwargs["tool_calls"] = [{"id": "call_1", "function": beside}]
    ScriptedModel(script=[given]).chat(ASK)
    (found,) = content(captured.span(CHAT), "output.messages")
    assert_parts(
        found["parts"],
        [{"type": "tool_call", "id": "call_1", "name": "look_up", "arguments": {"word": "x"}}],
    )


def test_a_tool_that_answers_with_an_image(captured: Captured) -> None:
    pixels = b"\x89PNG not much of an image"
    shown = ChatMessage(
        role="tool",
        blocks=[TextBlock(text="See:"), ImageBlock(image=pixels, image_mimetype="image/png")],
        additional_kwargs={"tool_call_id": "call_1"},
    )
    ScriptedModel().chat([*ASK, call("look_up", word="x"), shown])
    *_, found = content(captured.span(CHAT), "input.messages")
    assert found["role"] == "tool"
    assert_parts(found["parts"][:1], [{"type": "tool_call_response", "id": "call_1", "response": ...}])
    assert "See:" in str(found)
    assert "image" in str(found)
    assert "iVBOR" not in str(found)
    assert "not much" not in str(told(captured.span(CHAT)))
