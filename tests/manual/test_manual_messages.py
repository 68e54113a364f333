"""Messages by hand, in the forms of the providers: none of them, and no part of one, vanishes."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from scripted_openai import chunks, completion, response

from otel_callbacks import agent, content, inference
from otel_callbacks.testing import Captured

TEXT = {"type": "text", "content": "hi"}
CALL = {"type": "tool_call", "name": "look_up", "id": "call_1", "arguments": {"word": "x"}}
RESULT = {"type": "tool_call_response", "id": "call_1", "response": "found"}
THOUGHT = {"type": "reasoning", "content": "let me see"}
IMAGE = {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"}

ITEMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "a text": ("hi", {"role": "user", "parts": [TEXT]}),
    "a message": ({"role": "system", "content": "hi"}, {"role": "system", "parts": [TEXT]}),
    "a message of LangChain's": ({"type": "ai", "content": "hi"}, {"role": "assistant", "parts": [TEXT]}),
    "a message of the conventions": (
        {"role": "assistant", "parts": [TEXT, THOUGHT]},
        {"role": "assistant", "parts": [TEXT, THOUGHT]},
    ),
    "Google's contents": (
        {
            "role": "model",
            "parts": [
                {"text": "hi"},
                {"function_call": {"id": "call_1", "name": "look_up", "args": {"word": "x"}}},
            ],
        },
        {"role": "assistant", "parts": [TEXT, CALL]},
    ),
    "Bedrock's contents": ({"role": "user", "content": [{"text": "hi"}]}, {"role": "user", "parts": [TEXT]}),
    # --- items of OpenAI's Responses API, which have no role
    "an item with a message": (
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
        {"role": "assistant", "parts": [TEXT]},
    ),
    "a call": (
        {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": '{"word": "x"}'},
        {"role": "assistant", "parts": [CALL]},
    ),
    "its result": (
        {"type": "function_call_output", "call_id": "call_1", "output": "found"},
        {"role": "tool", "parts": [RESULT]},
    ),
    "a thought": (
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "let me see"}]},
        {"role": "assistant", "parts": [THOUGHT]},
    ),
    "a search": (
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}},
        {
            "role": "assistant",
            "parts": [
                {
                    "type": "server_tool_call",
                    "id": "ws_1",
                    "name": "web_search",
                    "server_tool_call": {"type": "web_search_call", "action": {"type": "search"}},
                }
            ],
        },
    ),
    "what stands for a conversation": (
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
        {"role": "assistant", "parts": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}]},
    ),
    "an image": (
        {"type": "input_image", "image_url": "https://example.com/a.png"},
        {"role": "user", "parts": [IMAGE]},
    ),
    "what nobody knows yet": (
        {"type": "dream", "about": "sheep"},
        {"role": "assistant", "parts": [{"type": "dream", "about": "sheep"}]},
    ),
}


def told(captured: Captured, attribute: str) -> Any:
    return json.loads(str((captured.spans[0].attributes or {})[attribute]))


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("alone", [True, False])
def test_an_item_of_the_input(item: str, alone: bool, captured: Captured) -> None:
    given, expected = ITEMS[item]
    with content("spans"), inference("m") as span:
        span.messages(input=given if alone else [{"role": "user", "content": "hi"}, given])
    first = [] if alone else [{"role": "user", "parts": [TEXT]}]
    assert told(captured, "gen_ai.input.messages") == [*first, expected]


def test_what_has_neither_role_nor_type_is_no_message(captured: Captured) -> None:
    with content("spans"), inference("m") as span:
        span.messages(input={"question": "hi"})
    assert "gen_ai.input.messages" not in (captured.spans[0].attributes or {})


# --- what an agent is told ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "instructions",
    [
        "hi",
        ["hi"],
        {"role": "system", "content": "hi"},
        [{"role": "developer", "content": [{"type": "text", "text": "hi"}]}],
    ],
)
def test_the_instructions_of_an_agent(instructions: Any, captured: Captured) -> None:
    tools = [
        {"type": "function", "function": {"name": "look_up", "description": "Looks up.", "parameters": {}}}
    ]
    with content("spans"), agent("helper", system_instructions=instructions, tool_definitions=tools):
        pass
    assert told(captured, "gen_ai.system_instructions") == [TEXT]
    flat = {"type": "function", "name": "look_up", "description": "Looks up.", "parameters": {}}
    assert told(captured, "gen_ai.tool.definitions") == [flat]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"system_instructions": 5}, "system_instructions=5 must be a text, or messages with texts"),
        ({"system_instructions": {"a": 1}}, "must be a text, or messages"),
        ({"tool_definitions": "look_up"}, r"tool_definitions='look_up'\) must be list or tuple, not str"),
        ({"tool_definitions": ["look_up"]}, "must be a list of Mapping"),
        ({"finish_reasons": "stop"}, "must be list or tuple, not str"),
        ({"finish_reasons": [1]}, "must be a list of str"),
    ],
)
def test_what_is_no_list_of_the_kind(fields: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        agent("helper", **fields)


# --- an answer in chunks -----------------------------------------------------------------------------------------

QUOTED = '{"word": "x"}'


def anthropic(*blocks: tuple[dict[str, Any], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {"id": "msg_1", "content": []}}]
    for index, (begun, pieces) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events += ({"type": "content_block_delta", "index": index, "delta": piece} for piece in pieces)
        events.append({"type": "content_block_stop", "index": index})
    return [
        *events,
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    ]


def google(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"candidates": [{"content": {"role": "model", "parts": [part]}}]} for part in parts]


def openai_calls(*pieces: dict[str, Any]) -> list[Any]:
    calls = [{"index": 0, "id": "call_1", "function": {"name": "look_up", "arguments": ""}}, *pieces]
    return chunks(*({"tool_calls": [call]} for call in calls))


STREAMS: dict[str, tuple[list[Any], list[dict[str, Any]]]] = {
    "texts": (["h", "i"], [TEXT]),
    "OpenAI's text": (chunks({"content": "h"}, {"content": "i"}), [TEXT]),
    "its call": (
        openai_calls(
            {"index": 0, "function": {"arguments": QUOTED[:5]}},
            {"index": 0, "function": {"arguments": QUOTED[5:]}},
        ),
        [CALL],
    ),
    "its refusal": (
        chunks({"refusal": "I can"}, {"refusal": "not"}),
        [{"type": "refusal", "content": "I cannot"}],
    ),
    "reasoning beside the content": (
        chunks({"reasoning_content": "let me "}, {"reasoning_content": "see"}, {"content": "hi"}),
        [THOUGHT, TEXT],
    ),
    "the end of a stream of the Responses API": (
        [
            {"type": "response.output_text.delta", "delta": "h"},
            {
                "type": "response.completed",
                "response": response(
                    {
                        "type": "message",
                        "role": "assistant",
                        "content": [{"type": "output_text", "text": "hi"}],
                    },
                    {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": QUOTED},
                ),
            },
        ],
        [TEXT, CALL],
    ),
    "one that breaks off": ([{"type": "response.output_text.delta", "delta": each} for each in "hi"], [TEXT]),
    "Anthropic's blocks": (
        anthropic(
            (
                {"type": "thinking", "thinking": ""},
                [{"type": "thinking_delta", "thinking": each} for each in ("let me ", "see")],
            ),
            ({"type": "text", "text": ""}, [{"type": "text_delta", "text": each} for each in "hi"]),
            (
                {"type": "tool_use", "id": "call_1", "name": "look_up", "input": {}},
                [{"type": "input_json_delta", "partial_json": each} for each in (QUOTED[:5], QUOTED[5:])],
            ),
        ),
        [THOUGHT, TEXT, CALL],
    ),
    "Google's parts": (
        google(
            {"text": "let me ", "thought": True},
            {"text": "see", "thought": True},
            {"text": "h"},
            {"text": "i"},
            {"function_call": {"id": "call_1", "name": "look_up", "args": {"word": "x"}}},
        ),
        [THOUGHT, TEXT, CALL],
    ),
    "Ollama's": ([{"message": {"role": "assistant", "content": each}} for each in "hi"], [TEXT]),
    "chunks of LangChain": ([AIMessageChunk("h"), AIMessageChunk("i")], [TEXT]),
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_streamed_answer(stream: str, mode: str, captured: Captured) -> None:
    given, expected = STREAMS[stream]

    @inference("m")
    def answer() -> Iterator[Any]:
        yield from given

    @inference("m")
    async def answer_later() -> AsyncIterator[Any]:
        for chunk in given:
            yield chunk

    with content("spans"):
        read = list(answer()) if mode == "sync" else [chunk async for chunk in answer_later()]
    assert read == given
    (message,) = told(captured, "gen_ai.output.messages")
    assert (message["role"], message["parts"]) == ("assistant", expected)
    assert message["finish_reason"]


def test_nothing_is_kept_of_a_stream_without_content(captured: Captured) -> None:
    @inference("m")
    def answer() -> Iterator[Any]:
        yield from chunks({"content": "hi"})

    assert len(list(answer())) == 3
    assert "gen_ai.output.messages" not in (captured.spans[0].attributes or {})


# --- a response in one -------------------------------------------------------------------------------------------

RESPONSES: dict[str, dict[str, Any]] = {
    "OpenAI's": completion({"content": "hi"}),
    "of OpenAI's Responses API": response(
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}
    ),
    "Anthropic's": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "hi"}]},
    "Google's": {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}}]},
    "Bedrock's": {"output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}}},
    "Cohere's": {"message": {"role": "assistant", "content": [{"type": "text", "text": "hi"}]}},
    "Ollama's": {"message": {"role": "assistant", "content": "hi"}},
}


@pytest.mark.parametrize("provider", RESPONSES)
@pytest.mark.parametrize("how", ["returned", "usage", "result"])
def test_the_answer_in_a_response(provider: str, how: str, captured: Captured) -> None:
    given = RESPONSES[provider]
    with content("spans"):
        if how == "returned":
            assert inference("m")(lambda: given)() is given
        else:
            with inference("m") as span:
                getattr(span, how)(given)
    (message,) = told(captured, "gen_ai.output.messages")
    assert (message["role"], message["parts"]) == ("assistant", [TEXT])


def test_each_of_several_choices_has_its_own_reason(captured: Captured) -> None:
    several = completion({"content": "hi"})
    cut = {"index": 1, "finish_reason": "length", "message": {"role": "assistant", "content": "hi"}}
    several["choices"].append(cut)
    with content("spans"), inference("m") as span:
        span.usage(several)
    said = [each["finish_reason"] for each in told(captured, "gen_ai.output.messages")]
    assert said == ["stop", "length"]
