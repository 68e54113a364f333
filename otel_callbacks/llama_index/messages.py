"""Translates LlamaIndex's messages into the conventions' form."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from otel_callbacks.limits import MESSAGE_BLOCKS_READ, first
from otel_callbacks.operations import (
    Data,
    Media,
    Message,
    OtherPart,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolCallResponse,
    first_and_newest,
    providers,
)
from otel_callbacks.operations.payload import (
    attribute,
    is_a,
    is_list,
    items,
    mapping,
    mapping_or_fields,
    text,
    word,
)
from otel_callbacks.rag.prompt_weights import weight
from otel_callbacks.rag.weighed_prompt import MessageForm

_MEDIA: tuple[tuple[type, str, str, str], ...] = (
    (ImageBlock, "image", "image_mimetype", "image"),
    (AudioBlock, "audio", "format", "audio"),
    (VideoBlock, "video", "video_mimetype", "video"),
    (DocumentBlock, "document", "document_mimetype", "data"),
)
_ROLES = {"chatbot": "assistant", "model": "assistant", "function": "tool"}


def conversation(chat: Any) -> list[Message] | None:
    """Returns the messages of a chat; of a very long chat the first and the newest ones."""
    if not is_list(chat):
        return None
    return first_and_newest(
        items(chat), lambda message: _message(message) if is_a(message, ChatMessage) else None
    )


def _key(message: ChatMessage) -> int:
    """Returns a key that is the same when a message is sent again: a hash of its role, text and tool call ids."""
    known = mapping(attribute(message, "__dict__"))
    written = tuple(map(_block_key, items(known.get("blocks"))[:MESSAGE_BLOCKS_READ]))
    role, beside = known.get("role"), mapping(known.get("additional_kwargs"))
    if type(role) is not MessageRole:
        role = _role(message)
    if not beside:
        return hash((role, written))
    calls = tuple(call.id or (call.name, weight(call.arguments)) for call in providers.tool_calls(beside))
    return hash((role, written, text(beside.get("tool_call_id")), calls))


def _block_key(block: Any) -> Hashable:
    known = mapping(attribute(block, "__dict__"))
    if is_a(block, TextBlock):
        return text(known.get("text"))
    if is_a(block, ToolCallBlock):
        return text(known.get("tool_call_id")) or text(known.get("tool_name"))
    part = _part(block)
    return part.content if isinstance(part, Text | Reasoning) else type(block).__name__


def text_message(role: str, value: Any) -> list[Message] | None:
    """Returns one message by `role` that holds a text or another value; None for an empty one."""
    if value is None:
        return None
    if is_a(value, ChatMessage):
        return [_message(value)]
    if not is_a(value, str):
        return [Message(role, (Data(value),))]
    return [Message(role, (Text(found),))] if (found := text(value)) else None


def answer(response: Any, finish_reason: str | None, streamed: str) -> list[Message]:
    """Returns a model's answer as a message, with the finish reason in the conventions' words.

    Args:
        response: the response, or the last chunk of a stream.
        finish_reason: the provider's.
        streamed: the text of all chunks, for a model whose last chunk does not repeat the whole.
    """
    reason = providers.message_finish_reason(finish_reason)
    message = attribute(response, "message")
    if not is_a(message, ChatMessage):
        whole = text(attribute(response, "text")) or ""
        return [Message("assistant", (Text(max(whole, streamed, key=len)),), finish_reason=reason)]
    additional = mapping(attribute(message, "additional_kwargs"))
    # the provider's own tools, refusals and transcripts are only in its answer
    parts = _joined(list(_parts(message)), providers.answer_parts(attribute(response, "raw")))
    whole = "".join(part.content for part in parts if isinstance(part, Text))
    if len(streamed) > len(whole):
        parts = [Text(streamed), *(part for part in parts if not isinstance(part, Text))]
    return [Message("assistant", parts, word(additional.get("name")), reason)]


def text_in(holder: Any) -> str | None:
    """Returns the text in the blocks of a message or a tool's output."""
    blocks = first(items(attribute(holder, "blocks")), MESSAGE_BLOCKS_READ, "blocks of a message")
    if len(blocks) == 1:  # nearly always
        return text(attribute(blocks[0], "text")) if is_a(blocks[0], TextBlock) else None
    texts = [text(attribute(block, "text")) for block in blocks if is_a(block, TextBlock)]
    return "\n".join(filter(None, texts)) or None


def _role(message: ChatMessage) -> str:
    given = attribute(message, "role")
    role = word(given.value if is_a(given, MessageRole) else given) or "unknown"
    return _ROLES.get(role, role)


def _message(message: ChatMessage) -> Message:
    role, additional = _role(message), mapping(attribute(message, "additional_kwargs"))
    name = word(additional.get("name"))
    if role == "tool":
        parts = tuple(_block_parts(message))
        only_texts = all(isinstance(part, Text) for part in parts)
        call_id = word(additional.get("tool_call_id"))
        return Message(
            role, (ToolCallResponse(text_in(message), call_id, () if only_texts else parts),), name
        )
    return Message(role, tuple(_parts(message)), name)


FORM = MessageForm("blocks", _key, _message)
"""How an agent's messages are read."""


def _parts(message: ChatMessage) -> Iterator[Part]:
    """Yields the parts of the blocks, then what integrations put beside them."""
    additional = mapping(attribute(message, "additional_kwargs"))
    blocks = list(_block_parts(message))
    return iter(_joined(blocks, list(providers.content_parts(additional))) if additional else blocks)


def _joined(blocks: Sequence[Part], beside: Sequence[Part]) -> list[Part]:
    """Returns the parts of a message's blocks, and those of another form of it whose kind the blocks lack."""
    kinds = {providers.part_type(part) for part in blocks}
    others = [part for part in beside if providers.part_type(part) not in kinds]
    thoughts = [part for part in others if isinstance(part, Reasoning)]
    return [*thoughts, *blocks, *(part for part in others if not isinstance(part, Reasoning))]


def _block_parts(message: ChatMessage) -> Iterator[Part]:
    for block in first(items(attribute(message, "blocks")), MESSAGE_BLOCKS_READ, "blocks of a message"):
        part = _part(block)
        if part is not None:
            yield part


def _part(block: Any) -> Part | None:
    kind = type(block)
    if issubclass(kind, TextBlock):
        return Text(found) if (found := text(attribute(block, "text"))) else None
    if issubclass(kind, ThinkingBlock):
        return Reasoning(text(attribute(block, "content")) or "")
    if issubclass(kind, ToolCallBlock):
        name, call_id = word(attribute(block, "tool_name")), word(attribute(block, "tool_call_id"))
        return ToolCall(name or "", call_id, attribute(block, "tool_kwargs"))
    for each, modality, mime_type, data in _MEDIA:
        if issubclass(kind, each):
            return _media(modality, word(attribute(block, mime_type)), attribute(block, data), block)
    fields = mapping_or_fields(block)
    kept = {key: value for key, value in fields.items() if key != "block_type" and value is not None}
    return OtherPart(word(fields.get("block_type")) or "unknown", kept) if fields else None


def _media(modality: str, mime_type: str | None, data: Any, block: Any) -> Media:
    """Returns the content of a block, or its address. LlamaIndex keeps bytes in base64."""
    if mime_type is not None and "/" not in mime_type:
        mime_type = f"{modality}/{mime_type}"
    if is_a(data, bytes):
        return Media(modality, mime_type, content=bytes.decode(data, "ascii", "replace"))
    url, path = attribute(block, "url"), attribute(block, "path")
    return Media(modality, mime_type, uri=_address(url) or _address(path))


def _address(address: Any) -> str | None:
    """Returns a pydantic URL or a path as text."""
    if type(address).__module__.partition(".")[0] in ("pydantic", "pydantic_core", "pathlib"):
        return str(address)
    return text(address)
