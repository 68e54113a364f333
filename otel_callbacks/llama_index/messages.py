"""LlamaIndex's messages in the shape of the conventions, when content is recorded; and what they weigh."""

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from otel_callbacks import providers
from otel_callbacks.cost.prompts import PromptWeights
from otel_callbacks.operations import (
    Data,
    Media,
    Message,
    Part,
    PromptPart,
    Reasoning,
    Text,
    ToolCall,
    ToolCallResponse,
)

_ROLES = {"chatbot": "assistant", "model": "assistant", "function": "tool"}


def conversation(chat: Any) -> list[Message] | None:
    """The messages of a chat."""
    if not isinstance(chat, Iterable):
        return None
    return [_message(message) for message in chat if isinstance(message, ChatMessage)]


def prompt_parts(chat: Iterable[ChatMessage], tools: Any, weights: PromptWeights) -> list[PromptPart]:
    """What an agent sends to its model: the definitions of its tools, then the messages."""
    return weights.parts(chat, tools, _key, _message)


def _key(message: ChatMessage) -> int:
    """What tells that a message was sent before: who said what, and the ids of the calls in it."""
    said = tuple(map(_block_key, message.blocks))
    beside = message.additional_kwargs
    if not beside:
        return hash((message.role, said))
    return hash((message.role, said, beside.get("tool_call_id"), str(beside.get("tool_calls"))))


def _block_key(block: Any) -> Hashable:
    match block:
        case TextBlock():
            return block.text
        case ToolCallBlock():
            return block.tool_call_id or str(block.tool_kwargs)
        case ThinkingBlock():
            return block.content
    return str(block.block_type)


def text(role: str, value: Any) -> list[Message] | None:
    """One message of a text or another value; None where there is nothing to show."""
    if value is None or (isinstance(value, str) and not value):
        return None
    if isinstance(value, ChatMessage):
        return [_message(value)]
    return [Message(role, (Text(value) if isinstance(value, str) else Data(value),))]


def answer(response: Any, finish_reason: str | None, streamed: str) -> list[Message]:
    """What the model said, with why it stopped in the conventions' words.

    `streamed` is what came in pieces, for a model whose last chunk does not repeat the whole.
    """
    reason = providers.finish_reason(finish_reason)
    message = getattr(response, "message", None)
    if not isinstance(message, ChatMessage):
        said = getattr(response, "text", None) or ""
        return [Message("assistant", (Text(max(said, streamed, key=len)),), finish_reason=reason)]
    parts = tuple(_parts(message))
    said = "".join(part.content for part in parts if isinstance(part, Text))
    if len(streamed) > len(said):
        parts = (Text(streamed), *(part for part in parts if not isinstance(part, Text)))
    return [Message("assistant", parts, finish_reason=reason)]


def _message(message: ChatMessage) -> Message:
    role = str(getattr(message.role, "value", message.role))
    role = _ROLES.get(role, role)
    if role == "tool":
        call_id = message.additional_kwargs.get("tool_call_id")
        return Message(role, (ToolCallResponse(message.content, call_id),))
    return Message(role, tuple(_parts(message)))


def _parts(message: ChatMessage) -> Iterator[Part]:
    called = False
    for block in message.blocks:
        part = _part(block)
        if part is not None:
            called = called or isinstance(part, ToolCall)
            yield part
    if not called:
        yield from _older_tool_calls(message.additional_kwargs.get("tool_calls"))


def _part(block: Any) -> Part | None:
    match block:
        case TextBlock():
            return Text(block.text) if block.text else None
        case ThinkingBlock():
            return Reasoning(block.content or "")
        case ToolCallBlock():
            return ToolCall(block.tool_name, block.tool_call_id, block.tool_kwargs)
        case ImageBlock():
            return _media("image", block.image_mimetype, block.image, block)
        case AudioBlock():
            return _media("audio", block.format and f"audio/{block.format}", block.audio, block)
        case VideoBlock():
            return _media("video", block.video_mimetype, block.video, block)
        case DocumentBlock():
            return _media("document", block.document_mimetype, block.data, block)
    return None


def _media(modality: str, mime_type: str | None, data: Any, block: Any) -> Media:
    """Where the content of a block is; LlamaIndex keeps bytes in base64."""
    if isinstance(data, bytes):
        return Media(modality, mime_type, content=data.decode("ascii", "replace"))
    place = getattr(block, "url", None) or getattr(block, "path", None)
    return Media(modality, mime_type, uri=str(place) if place is not None else None)


def _older_tool_calls(calls: Any) -> Iterator[ToolCall]:
    """Tool calls as integrations put them beside the content: OpenAI's objects, or mappings like them."""
    for call in calls if isinstance(calls, list | tuple) else ():
        function = _field(call, "function") or call
        name = _field(function, "name")
        if isinstance(name, str):
            arguments = _field(function, "arguments") or _field(function, "input")
            yield ToolCall(name, _field(call, "id"), arguments)


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
