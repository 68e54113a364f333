"""Answers in every form that integrations give them, and the parts that each is to be recorded as."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

PIXELS = base64.b64encode(b"\x89PNG not much of an image").decode()
SOUND = base64.b64encode(b"RIFF not much of a sound").decode()

Pattern = Mapping[str, Any]


def matches(found: Any, pattern: Any) -> bool:
    """Whether a value holds what a pattern asks for: mappings may hold more, an ellipsis is anything that is there."""
    if pattern is ...:
        return found not in (None, "", [], {})
    if isinstance(pattern, Mapping):
        return isinstance(found, Mapping) and all(
            key in found and matches(found[key], wanted) for key, wanted in pattern.items()
        )
    if isinstance(pattern, Sequence) and not isinstance(pattern, str):
        return (
            isinstance(found, Sequence) and len(found) == len(pattern) and all(map(matches, found, pattern))
        )
    return bool(found == pattern)


def assert_parts(found: Any, patterns: Sequence[Pattern]) -> None:
    assert matches(found, patterns), f"{found} is not {patterns}"


def answered(text: str) -> Pattern:
    return {"type": "text", "content": text}


def image(mime_type: str = "image/png") -> Pattern:
    return {"type": "blob", "modality": "image", "mime_type": mime_type, "size": ..., "sha256": ...}


def called(name: Any, call_id: str | None = None, kind: Any = ..., **held: Any) -> Pattern:
    """A tool that the provider ran itself."""
    of = {"id": call_id} if call_id is not None else {}
    return {"type": "server_tool_call", "name": name, **of, "server_tool_call": {"type": kind, **held}}


def returned(call_id: str | None = None, kind: Any = ..., **held: Any) -> Pattern:
    of = {"id": call_id} if call_id is not None else {}
    return {
        "type": "server_tool_call_response",
        **of,
        "server_tool_call_response": {"type": kind, **held},
    }


Case = tuple[dict[str, Any], Sequence[Pattern]]

ANSWERS: dict[str, Case] = {
    # --- beside the content
    "legacy function_call": (
        {
            "content": "",
            "additional_kwargs": {"function_call": {"name": "look_up", "arguments": '{"word": "x"}'}},
        },
        [{"type": "tool_call", "name": "look_up", "arguments": {"word": "x"}}],
    ),
    "invalid_tool_calls": (
        {
            "content": "",
            "invalid_tool_calls": [
                {
                    "type": "invalid_tool_call",
                    "name": "look_up",
                    "args": "word: x",
                    "id": "c1",
                    "error": "bad",
                }
            ],
        },
        [{"type": "tool_call", "name": "look_up", "id": "c1", "arguments": "word: x"}],
    ),
    "refusal beside": (
        {"content": "", "additional_kwargs": {"refusal": "I cannot."}},
        [{"type": "refusal", "content": "I cannot."}],
    ),
    "audio with transcript": (
        {
            "content": "",
            "additional_kwargs": {
                "audio": {"id": "audio_1", "data": SOUND, "transcript": "Hello there", "expires_at": 1}
            },
        },
        [
            {"type": "blob", "modality": "audio", "size": ..., "sha256": ...},
            answered("Hello there"),
        ],
    ),
    "reasoning_content beside": (
        {"content": "42", "additional_kwargs": {"reasoning_content": "six by nine"}},
        [{"type": "reasoning", "content": "six by nine"}, answered("42")],
    ),
    # --- OpenAI's Responses API
    "refusal": (
        {"content": [{"type": "refusal", "refusal": "I cannot."}]},
        [{"type": "refusal", "content": "I cannot."}],
    ),
    "web_search_call": (
        {
            "content": [
                {
                    "type": "web_search_call",
                    "id": "ws_1",
                    "status": "completed",
                    "action": {"type": "search", "query": "weather"},
                },
                {"type": "text", "text": "It rains."},
            ]
        },
        [called("web_search", "ws_1", "web_search_call", action={"query": "weather"}), answered("It rains.")],
    ),
    "file_search_call": (
        {"content": [{"type": "file_search_call", "id": "fs_1", "queries": ["a"], "results": None}]},
        [called("file_search", "fs_1", "file_search_call", queries=["a"])],
    ),
    "code_interpreter_call": (
        {
            "content": [
                {
                    "type": "code_interpreter_call",
                    "id": "ci_1",
                    "code": "print(1)",
                    "container_id": "c",
                    "status": "completed",
                    "outputs": [{"type": "logs", "logs": "1"}],
                }
            ]
        },
        [
            called("code_interpreter", "ci_1", "code_interpreter_call", code="print(1)"),
            returned("ci_1", "code_interpreter_call", outputs=[{"type": "logs", "logs": "1"}]),
        ],
    ),
    "mcp_call": (
        {
            "content": [
                {
                    "type": "mcp_call",
                    "id": "mcp_1",
                    "name": "roll",
                    "server_label": "dice",
                    "arguments": '{"sides": 6}',
                    "output": "4",
                    "error": None,
                }
            ]
        },
        [
            called("roll", "mcp_1", "mcp_call", server_label="dice", arguments={"sides": 6}),
            returned("mcp_1", "mcp_call", output="4"),
        ],
    ),
    "image_generation_call": (
        {
            "content": [
                {
                    "type": "image_generation_call",
                    "id": "ig_1",
                    "status": "completed",
                    "result": PIXELS,
                    "output_format": "png",
                    "revised_prompt": "a cat",
                }
            ]
        },
        [called("image_generation", "ig_1", "image_generation_call", revised_prompt="a cat"), image()],
    ),
    "computer_call": (
        {"content": [{"type": "computer_call", "id": "cc_1", "call_id": "c", "action": {"type": "click"}}]},
        [called("computer", "cc_1", "computer_call", action={"type": "click"})],
    ),
    "mcp_approval_request": (
        {"content": [{"type": "mcp_approval_request", "id": "a1", "name": "roll", "arguments": "{}"}]},
        [{"type": "mcp_approval_request", "id": "a1", "name": "roll"}],
    ),
    "mcp_list_tools": (
        {"content": [{"type": "mcp_list_tools", "id": "l1", "server_label": "dice", "tools": []}]},
        [{"type": "mcp_list_tools", "id": "l1", "server_label": "dice"}],
    ),
    "compaction": (
        {"content": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"}]},
        [{"type": "compaction", "id": "cmp_1"}],
    ),
    # --- Anthropic
    "server_tool_use": (
        {
            "content": [
                {
                    "type": "server_tool_use",
                    "id": "srv_1",
                    "name": "web_search",
                    "input": {"query": "weather"},
                },
                {
                    "type": "web_search_tool_result",
                    "tool_use_id": "srv_1",
                    "content": [{"type": "web_search_result", "url": "https://example.com", "title": "Rain"}],
                },
                {"type": "text", "text": "It rains."},
            ]
        },
        [
            called("web_search", "srv_1", "server_tool_use", input={"query": "weather"}),
            returned("srv_1", "web_search_tool_result", content=[{"title": "Rain"}]),
            answered("It rains."),
        ],
    ),
    "code_execution_tool_result": (
        {
            "content": [
                {
                    "type": "code_execution_tool_result",
                    "tool_use_id": "srv_2",
                    "content": {"type": "code_execution_result", "stdout": "1", "return_code": 0},
                }
            ]
        },
        [returned("srv_2", "code_execution_tool_result", content={"stdout": "1"})],
    ),
    "mcp_tool_use": (
        {
            "content": [
                {
                    "type": "mcp_tool_use",
                    "id": "m1",
                    "name": "roll",
                    "server_name": "dice",
                    "input": {"sides": 6},
                },
                {
                    "type": "mcp_tool_result",
                    "tool_use_id": "m1",
                    "is_error": False,
                    "content": [{"type": "text", "text": "4"}],
                },
            ]
        },
        [
            called("roll", "m1", "mcp_tool_use", input={"sides": 6}),
            returned("m1", "mcp_tool_result", content=[{"text": "4"}]),
        ],
    ),
    "compaction with a summary": (
        {"content": [{"type": "compaction", "content": "So far: nothing."}]},
        [{"type": "compaction", "content": "So far: nothing."}],
    ),
    "redacted_thinking": (
        {"content": [{"type": "redacted_thinking", "data": "EmwK"}, {"type": "text", "text": "42"}]},
        [{"type": "redacted_thinking"}, answered("42")],
    ),
    # --- Google
    "executable_code": (
        {
            "content": [
                {"type": "executable_code", "executable_code": "print(1)", "language": "python", "id": "e1"},
                {"type": "code_execution_result", "code_execution_result": "1", "outcome": 1},
            ]
        },
        [
            called("code_execution", "e1", "executable_code", executable_code="print(1)"),
            returned(None, "code_execution_result", code_execution_result="1"),
        ],
    ),
    # --- LangChain's own blocks
    "server_tool_call": (
        {
            "content": [
                {"type": "server_tool_call", "id": "s1", "name": "web_search", "args": {"query": "weather"}},
                {"type": "server_tool_result", "tool_call_id": "s1", "status": "success", "output": "rain"},
            ]
        },
        [called("web_search", "s1", args={"query": "weather"}), returned("s1", output="rain")],
    ),
    "non_standard": (
        {"content": [{"type": "non_standard", "value": {"type": "hologram", "shape": "cube"}}]},
        [{"type": "hologram", "shape": "cube"}],
    ),
    "text-plain": (
        {"content": [{"type": "text-plain", "text": "a file's text", "mime_type": "text/plain"}]},
        [{"type": ..., "content": "a file's text"}],
    ),
    # --- whatever comes next
    "unknown": (
        {"content": [{"type": "hologram", "shape": "cube", "sides": 6}, {"type": "text", "text": "See?"}]},
        [{"type": "hologram", "shape": "cube", "sides": 6}, answered("See?")],
    ),
    "unknown alone": (
        {"content": [{"type": "hologram", "shape": "cube"}]},
        [{"type": "hologram", "shape": "cube"}],
    ),
    "without a type": (
        {"content": [{"shape": "cube"}]},
        [{"type": ..., "shape": "cube"}],
    ),
}
"""What an AIMessage holds, and its parts."""
