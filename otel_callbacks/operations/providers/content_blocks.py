"""Content blocks of messages: from the forms of providers and frameworks to the parts of the conventions.

A message's content is a text or a list of blocks, and older forms keep some parts beside the content. Every block
becomes a part: one whose type is unknown keeps its type and its fields.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Any

from otel_callbacks.limits import (
    ITEMS_READ,
    MESSAGE_BLOCKS_READ,
    MESSAGE_TOOL_CALLS_READ,
    first,
)
from otel_callbacks.operations.messages import (
    Media,
    OtherPart,
    Part,
    Reasoning,
    ServerToolCall,
    ServerToolCallResponse,
    Text,
    ToolCall,
    ToolCallResponse,
)
from otel_callbacks.operations.payload import is_a, is_list, items, mapping_or_fields, text, word
from otel_callbacks.operations.providers.media_blocks import media_part

_TEXTS = ("text", "input_text", "output_text", "text-plain")
_REASONING = ("reasoning", "thinking", "reasoning_content")
_TOOL_CALLS = ("tool_call", "tool_use", "function_call", "custom_tool_call", "invalid_tool_call")
_TOOL_RESULTS = ("tool_result", "function_call_output", "custom_tool_call_output", "function_response")
_PIECES_OF_CALLS = ("input_json_delta", "tool_call_chunk")
_SERVER_TOOLS = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
    "image_generation_call": "image_generation",
    "computer_call": "computer",
    "local_shell_call": "local_shell",
    "shell_call": "shell",
    "apply_patch_call": "apply_patch",
    "tool_search_call": "tool_search",
    "mcp_call": "mcp",
    "server_tool_use": "tool",
    "mcp_tool_use": "tool",
    "server_tool_call": "tool",
    "executable_code": "code_execution",
}
"""The blocks in which a provider reports a call that it made itself: OpenAI's, Anthropic's, LangChain's and Google's.
With the name of the tool, if the block has none."""
_OUTPUTS = ("output", "outputs", "results")
_CALL_IDS = ("tool_use_id", "tool_call_id", "call_id", "id")
_WITHOUT_TYPE = ("executable_code", "code_execution_result", "function_call", "function_response")
"""The keys of Google's blocks, which have no type."""


def content_parts(fields: Mapping[str, Any]) -> Iterator[Part]:
    """Yields the parts of a message: its reasoning, its content, then what stands beside the content.

    Args:
        fields: of the message. Has `content`, and perhaps `tool_calls`, `invalid_tool_calls`, `function_call`,
            `refusal`, `audio`, `reasoning_content`, `tool_outputs`: OpenAI's form and LangChain's.
    """
    content = fields.get("content")
    blocks = (
        (content,)
        if is_a(content, str)
        else first(items(content), MESSAGE_BLOCKS_READ, "blocks of a message")
    )
    calls = tool_calls(fields)
    seen = {call.id or call.name for call in calls}
    read = [part for block in blocks for part in block_parts(block, seen)]
    types = {part_type(part) for part in read}
    if "reasoning" not in types:
        yield from _reasoning_beside(fields)
    yield from read
    for block in first(items(fields.get("tool_outputs")), MESSAGE_BLOCKS_READ, "blocks of a message"):
        yield from block_parts(block, seen)
    for tool in map(mapping_or_fields, items(fields.get("executed_tools"))[:MESSAGE_BLOCKS_READ]):  # Groq
        yield from _server_tool_parts("server_tool_call", {**tool, "name": tool.get("type")})
    yield from _beside(fields, types)
    yield from calls


def answer_parts(answer: Any) -> list[Part]:
    """Returns the parts of a provider's own answer, a mapping or an object of its client.

    Reads the answer of OpenAI's two APIs, of Anthropic, Google and Bedrock, and the last event of a Responses stream.
    """
    fields = mapping_or_fields(answer)
    fields = mapping_or_fields(fields.get("response")) or fields
    choice = next(iter(items(fields.get("choices"))), None)
    if message := mapping_or_fields(mapping_or_fields(choice).get("message")):
        return list(content_parts(message))
    output = fields.get("output")
    content = fields.get("content") or mapping_or_fields(mapping_or_fields(output).get("message")).get(
        "content"
    )
    blocks = output if is_list(output) else mapping_or_fields(content).get("parts") or content
    return list(content_parts({"content": blocks}))


def part_type(part: Part) -> str:
    """Returns what a part is, to tell whether a message has one of the kind."""
    return part.type if isinstance(part, OtherPart) else type(part).__name__.lower()


def tool_calls(fields: Mapping[str, Any]) -> list[ToolCall]:
    """Returns the tool calls beside a message's content, also those whose arguments are no JSON."""
    calls = first(items(fields.get("tool_calls")), MESSAGE_TOOL_CALLS_READ, "tool calls of a message")
    invalid = first(
        items(fields.get("invalid_tool_calls")), MESSAGE_TOOL_CALLS_READ, "tool calls of a message"
    )
    found = [tool_call(mapping_or_fields(call)) for call in (*calls, *invalid)]
    legacy = mapping_or_fields(fields.get("function_call"))
    return found or ([tool_call(legacy)] if legacy else [])


def tool_call(call: Mapping[str, Any]) -> ToolCall:
    """Returns a tool call, in the form of LangChain, OpenAI, Anthropic or Google."""
    called = mapping_or_fields(call.get("function")) or call
    arguments = next(
        (called[key] for key in ("args", "arguments", "input") if called.get(key) is not None), None
    )
    return ToolCall(
        word(called.get("name")) or "", word(call.get("call_id")) or word(call.get("id")), arguments
    )


def _reasoning_beside(fields: Mapping[str, Any]) -> Iterator[Part]:
    """Yields the reasoning beside the content: a text (DeepSeek, Groq) or a block of OpenAI's Responses API."""
    beside = fields.get("reasoning_content") or fields.get("reasoning")
    thought = text(beside) or _thought(mapping_or_fields(beside))
    if thought:
        yield Reasoning(thought)


def _beside(fields: Mapping[str, Any], types: Set[str]) -> Iterator[Part]:
    audio = mapping_or_fields(fields.get("audio"))
    if audio and "media" not in types:
        data, identity = text(audio.get("data")), word(audio.get("id"))
        yield Media("audio", content=data, file_id=identity if data is None else None)
        if transcript := text(audio.get("transcript")):
            yield Text(transcript)
    refusal = text(fields.get("refusal"))
    if refusal and "refusal" not in types:
        yield OtherPart("refusal", {"content": refusal})


def block_parts(block: Any, seen: Set[str] = frozenset()) -> Iterator[Part]:
    """Yields the parts in a block: most often one; the call and the result of a provider's own tool are two.

    Args:
        block: a text, a mapping, or an object of a provider's client.
        seen: ids, or else names, of the tool calls that the message has beside its content.
    """
    if is_a(block, str):
        if found := text(block):
            yield Text(found)
        return
    fields = mapping_or_fields(block)
    if not fields:
        return
    kind = word(fields.get("type"))
    if kind is None:
        kind, fields = _with_type(fields)
    if kind == "non_standard":
        yield from block_parts(fields.get("value"), seen)
    elif kind == "message":  # an item of OpenAI's Responses API
        for inner in items(fields.get("content"))[:MESSAGE_BLOCKS_READ]:
            yield from block_parts(inner, seen)
    elif kind in _TOOL_CALLS:
        call = tool_call(fields)
        identities = {call.id, call.name, word(fields.get("id"))}
        if not seen & identities:
            yield call
    elif kind in _SERVER_TOOLS:
        yield from _server_tool_parts(kind, fields)
    elif kind not in _PIECES_OF_CALLS:
        yield _simple_part(kind, fields)


def _with_type(fields: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Returns the type of a block that names none, as Google's and Bedrock's do not, and its fields."""
    for key in _WITHOUT_TYPE:
        if inner := mapping_or_fields(fields.get(key)):
            return key, inner
    if text(fields.get("text")):
        return (
            ("thinking", {"thinking": fields["text"]}) if fields.get("thought") is True else ("text", fields)
        )
    return "", fields


def _simple_part(kind: str, fields: Mapping[str, Any]) -> Part:
    if kind in _TEXTS:
        return Text(text(fields.get("text")) or text(fields.get("content")) or "")
    if kind in _REASONING:
        return Reasoning(_thought(fields) or "")
    if kind in _TOOL_RESULTS:
        result = next(
            (fields[key] for key in ("content", "output", "response") if fields.get(key) is not None), None
        )
        return tool_response(result, _call_id(fields))
    if kind == "refusal":
        return OtherPart(kind, {"content": text(fields.get("refusal")) or text(fields.get("content")) or ""})
    if kind.endswith("_tool_result") or kind in ("server_tool_result", "code_execution_result"):
        kept = {key: value for key, value in fields.items() if key not in ("type", "index", *_CALL_IDS)}
        return ServerToolCallResponse(kind, kept, _call_id(fields))
    media = media_part(fields, kind)
    if media is not None:
        return media
    return OtherPart(kind or "unknown", _without(fields, "type", "index"))


def tool_response(result: Any, call_id: str | None) -> ToolCallResponse:
    """Returns the result of a tool; with the parts of a result that holds more than texts."""
    blocks = items(result)[:MESSAGE_BLOCKS_READ] if is_list(result) else ()
    parts = tuple(part for block in blocks for part in block_parts(block))
    if all(isinstance(part, Text) for part in parts):
        return ToolCallResponse(result, call_id)
    return ToolCallResponse(result, call_id, parts)


def _server_tool_parts(kind: str, fields: Mapping[str, Any]) -> Iterator[Part]:
    """Yields the call of a provider's own tool and, if the block has it, the result; an image is a part of its own."""
    identity = word(fields.get("id")) or _call_id(fields)
    name = word(fields.get("name")) or _SERVER_TOOLS[kind]
    outputs = {key: fields[key] for key in _OUTPUTS if fields.get(key)}
    image = text(fields.get("result")) if kind == "image_generation_call" else None
    if image is not None:
        outputs["result"] = image
    yield ServerToolCall(name, kind, _without(fields, "type", "index", "id", "name", *outputs), identity)
    if image is not None:
        yield Media("image", f"image/{word(fields.get('output_format')) or 'png'}", content=image)
    elif outputs:
        yield ServerToolCallResponse(kind, outputs, identity)


def _without(fields: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Returns the fields but those of these names, and those that are not set."""
    return {key: value for key, value in fields.items() if value is not None and key not in names}


def _call_id(fields: Mapping[str, Any]) -> str | None:
    return next((found for key in _CALL_IDS if (found := word(fields.get(key)))), None)


def _thought(block: Mapping[str, Any]) -> str | None:
    """Returns the text of a reasoning block in Anthropic's, Bedrock's, OpenAI's or LangChain's own form."""
    thought = (
        text(block.get("reasoning")) or text(block.get("thinking")) or text(block.get("reasoning_content"))
    )
    inner = mapping_or_fields(block.get("reasoning_content"))
    summaries = (*items(block.get("summary")), *items(block.get("content")))[:ITEMS_READ]
    written = (text(mapping_or_fields(part).get("text")) for part in summaries)
    thought = (
        thought or text(inner.get("text")) or text(block.get("content"))
    )  # the last is the conventions' own
    return thought or "\n".join(filter(None, written)) or None
