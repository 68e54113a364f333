"""What OpenAI's own integrations make of its answers, in both frameworks: every part of them is recorded."""

import json
from typing import Any

import pytest
from ends import content, told
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from parts import PIXELS, SOUND, answered, assert_parts, called, image, returned
from scripted_openai import chunks, completion, langchain_model, llama_index_model, response

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.testing import Captured

pytestmark = IGNORED

CHAT = "chat gpt-4o"
REFUSED = {"type": "refusal", "content": "I cannot."}


def said(*parts: Any) -> dict[str, Any]:
    """A message of the Responses API."""
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": list(parts),
    }


RAINS = said({"type": "output_text", "text": "It rains.", "annotations": []})

COMPLETIONS: dict[str, Any] = {
    "refusal": (completion({"content": None, "refusal": "I cannot."}), [REFUSED]),
    "legacy function_call": (
        completion(
            {"content": None, "function_call": {"name": "look_up", "arguments": '{"word": "x"}'}},
            "function_call",
        ),
        [{"type": "tool_call", "name": "look_up", "arguments": {"word": "x"}}],
    ),
    "audio": (
        completion(
            {
                "content": None,
                "audio": {"id": "audio_1", "data": SOUND, "transcript": "Hello there", "expires_at": 1},
            }
        ),
        [{"type": "blob", "modality": "audio", "size": ..., "sha256": ...}, answered("Hello there")],
    ),
    "arguments that are no JSON": (
        completion(
            {
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "word: x"}}
                ],
            },
            "tool_calls",
        ),
        [{"type": "tool_call", "name": "look_up", "id": "c1", "arguments": "word: x"}],
    ),
}
"""Chat completions."""

RESPONSES: dict[str, Any] = {
    "refusal": ([said({"type": "refusal", "refusal": "I cannot."})], [REFUSED]),
    "web search": (
        [
            {
                "type": "web_search_call",
                "id": "ws_1",
                "status": "completed",
                "action": {"type": "search", "query": "weather"},
            },
            RAINS,
        ],
        [called("web_search", "ws_1", "web_search_call", action={"query": "weather"}), answered("It rains.")],
    ),
    "code interpreter": (
        [
            {
                "type": "code_interpreter_call",
                "id": "ci_1",
                "code": "print(1)",
                "container_id": "c",
                "status": "completed",
                "outputs": [{"type": "logs", "logs": "1"}],
            },
            RAINS,
        ],
        [
            called("code_interpreter", "ci_1", "code_interpreter_call", code="print(1)"),
            returned("ci_1", "code_interpreter_call", outputs=[{"logs": "1"}]),
            answered("It rains."),
        ],
    ),
    "mcp": (
        [
            {
                "type": "mcp_call",
                "id": "mcp_1",
                "name": "roll",
                "server_label": "dice",
                "arguments": '{"sides": 6}',
                "output": "4",
            },
            RAINS,
        ],
        [
            called("roll", "mcp_1", "mcp_call", server_label="dice", arguments={"sides": 6}),
            returned("mcp_1", "mcp_call", output="4"),
            answered("It rains."),
        ],
    ),
    "image": (
        [
            {
                "type": "image_generation_call",
                "id": "ig_1",
                "status": "completed",
                "result": PIXELS,
                "output_format": "png",
            },
            RAINS,
        ],
        [called("image_generation", "ig_1", "image_generation_call"), image(), answered("It rains.")],
    ),
}
"""Answers of the Responses API."""


OF_LANGCHAIN: dict[str, Any] = {
    "refusal": [REFUSED],
    "web search": [called("web_search", "ws_1"), returned("ws_1"), answered("It rains.")],
    "code interpreter": [
        called("code_interpreter", "ci_1", args={"code": "print(1)"}),
        returned("ci_1", output=[{"logs": "1"}]),
        answered("It rains."),
    ],
    "mcp": [called(..., "mcp_1", args={"sides": 6}), returned("mcp_1", output="4"), answered("It rains.")],
    "image": [image(), answered("It rains.")],
}
"""The same in LangChain's own blocks, which word it anew."""


def assert_said(captured: Captured, expected: Any, *, in_any_order: bool = False) -> None:
    (message,) = content(captured.span(CHAT), "output.messages")
    found = message["parts"]
    if in_any_order:  # LlamaIndex keeps the provider's tools apart from what was said
        for pattern in expected:
            assert any(_matches([each], [pattern]) for each in found), f"no {pattern} in {found}"
    else:
        assert_parts(found, expected)
    assert message["finish_reason"]


def _matches(found: Any, patterns: Any) -> bool:
    try:
        assert_parts(found, patterns)
    except AssertionError:
        return False
    return True


def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers, content="both")]}


# --- LangChain ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", COMPLETIONS)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_completions_in_langchain(case: str, mode: str, captured: Captured) -> None:
    answer, expected = COMPLETIONS[case]
    model = langchain_model(answer)
    if mode == "invoke":
        model.invoke("q", config(captured))
    else:
        await model.ainvoke("q", config(captured))
    assert_said(captured, expected)


@pytest.mark.parametrize("case", RESPONSES)
@pytest.mark.parametrize("version", ["responses/v1", "v1", "v0"])
def test_responses_in_langchain(case: str, version: str, captured: Captured) -> None:
    output, expected = RESPONSES[case]
    model = langchain_model(response(*output), use_responses_api=True, output_version=version)
    model.invoke("q", config(captured))
    expected = OF_LANGCHAIN[case] if version == "v1" else expected
    assert_said(captured, expected, in_any_order=version == "v0")


def test_a_streamed_function_call_of_the_older_form(captured: Captured) -> None:
    deltas = chunks(
        {"role": "assistant", "content": None, "function_call": {"name": "look_up", "arguments": ""}},
        {"function_call": {"arguments": '{"word":'}},
        {"function_call": {"arguments": ' "x"}'}},
        finish_reason="function_call",
    )
    list(langchain_model(deltas).stream("q", config(captured)))
    assert_said(captured, [{"type": "tool_call", "name": "look_up", "arguments": {"word": "x"}}])


def streamed(output: list[Any]) -> list[Any]:
    """The events of a streamed answer of the Responses API."""
    whole = response(*output)
    events: list[Any] = [
        {"type": "response.created", "sequence_number": 0, "response": {**whole, "output": [], "usage": None}}
    ]
    for at, item in enumerate(output):
        of = {"output_index": at, "sequence_number": len(events)}
        if item["type"] == "message":
            part = item["content"][0]
            at_part = {**of, "item_id": item["id"], "content_index": 0}
            text = part.get("text") or part.get("refusal")
            kind = "refusal" if part["type"] == "refusal" else "output_text"
            events += [
                {"type": "response.output_item.added", **of, "item": {**item, "content": []}},
                {"type": "response.content_part.added", **at_part, "part": part},
                {"type": f"response.{kind}.delta", **at_part, "delta": text, "logprobs": []},
                {
                    "type": f"response.{kind}.done",
                    **at_part,
                    "text" if kind == "output_text" else "refusal": text,
                    "logprobs": [],
                },
            ]
        events.append({"type": "response.output_item.done", **of, "item": item})
    return [*events, {"type": "response.completed", "sequence_number": len(events), "response": whole}]


@pytest.mark.parametrize("case", RESPONSES)
@pytest.mark.parametrize("mode", ["stream", "astream"])
async def test_streamed_responses_in_langchain(case: str, mode: str, captured: Captured) -> None:
    output, expected = RESPONSES[case]
    model = langchain_model(streamed(output), use_responses_api=True, output_version="responses/v1")
    if mode == "stream":
        list(model.stream("q", config(captured)))
    else:
        [_ async for _ in model.astream("q", config(captured))]
    assert_said(captured, expected)


# --- LlamaIndex --------------------------------------------------------------------------------------------------


@pytest.fixture
def traced(captured: Captured) -> None:
    handler = LlamaHandler(**captured.providers, content="both")
    Settings.callback_manager = CallbackManager([handler])


ASK = [ChatMessage(role="user", content="q")]


@pytest.mark.parametrize("case", COMPLETIONS)
@pytest.mark.parametrize("mode", ["chat", "achat"])
@pytest.mark.usefixtures("traced")
async def test_completions_in_llama_index(case: str, mode: str, captured: Captured) -> None:
    answer, expected = COMPLETIONS[case]
    model = llama_index_model(answer)
    if mode == "chat":
        model.chat(ASK)
    else:
        await model.achat(ASK)
    assert_said(captured, expected, in_any_order=True)


@pytest.mark.parametrize("case", RESPONSES)
@pytest.mark.parametrize("mode", ["chat", "achat"])
@pytest.mark.usefixtures("traced")
async def test_responses_in_llama_index(case: str, mode: str, captured: Captured) -> None:
    output, expected = RESPONSES[case]
    model = llama_index_model(response(*output), responses=True)
    if mode == "chat":
        model.chat(ASK)
    else:
        await model.achat(ASK)
    if case == "image":  # LlamaIndex tells no type of it
        expected = [expected[0], {**expected[1], "mime_type": ...}, expected[2]]
    assert_said(captured, expected, in_any_order=True)


@pytest.mark.usefixtures("traced")
def test_nothing_of_an_image_or_a_sound_is_in_it(captured: Captured) -> None:
    llama_index_model(COMPLETIONS["audio"][0]).chat(ASK)
    llama_index_model(response(*RESPONSES["image"][0]), responses=True).chat(ASK)
    found = json.dumps([dict(told(span)) for span in captured.spans], default=str)
    assert SOUND not in found
    assert PIXELS not in found
