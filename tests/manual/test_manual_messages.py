"""Messages by hand, in the forms of the providers: none of them, and no part of one, vanishes."""

import json
from typing import Any

import pytest

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
