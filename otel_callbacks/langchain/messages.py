"""LangChain's messages in the shape of the conventions; used only when content is recorded."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import Generation

from otel_callbacks.operations import Media, Message, Part, Reasoning, Text, ToolCall, ToolCallResponse

_ROLES = {"human": "user", "ai": "assistant"}
_FINISH_REASONS = {"tool_calls": "tool_call", "tool_use": "tool_call", "end_turn": "stop", "STOP": "stop"}
_MODALITIES = ("image", "audio", "video", "document")


def conversation(chat: Iterable[Any]) -> list[Message]:
    """The messages of a chat."""
    return [_message(message) for message in chat if isinstance(message, BaseMessage)]


def prompts(texts: Iterable[Any]) -> list[Message]:
    """The prompts of a text model, each as a user's message."""
    return [Message("user", (Text(str(text)),)) for text in texts]


def answer(choice: Generation, finish_reason: str | None) -> Message:
    """What the model said, with why it stopped in the conventions' words."""
    reason = _FINISH_REASONS.get(finish_reason or "", finish_reason) or "stop"
    message = getattr(choice, "message", None)
    if isinstance(message, BaseMessage):
        return Message("assistant", tuple(_parts(message)), finish_reason=reason)
    return Message("assistant", (Text(choice.text),), finish_reason=reason)


def state(value: Any, role: str) -> list[Message] | None:
    """What goes into or comes out of a chain or graph, as messages; None where there is nothing to show."""
    if isinstance(value, Mapping) and isinstance(value.get("messages"), Sequence):
        chat = value["messages"]
        return conversation([chat] if isinstance(chat, BaseMessage) else _coerced(chat)) or None
    if isinstance(value, BaseMessage):
        return [_message(value)]
    if value is None or value == "" or value == {"input": ""}:  # what a stream has before its input
        return None
    return [Message(role, (Text(value if isinstance(value, str) else str(plain(value))),))]


def _coerced(chat: Sequence[Any]) -> Iterator[BaseMessage]:
    """Messages given in LangChain's short forms: pairs of role and text, and mappings."""
    from langchain_core.messages import convert_to_messages

    yield from convert_to_messages(list(chat) if not isinstance(chat, str) else [chat])


def plain(value: Any) -> Any:
    """A value without framework objects: messages and documents become their text."""
    if isinstance(value, BaseMessage):
        return value.content
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return getattr(value, "page_content", value)


def _message(message: BaseMessage) -> Message:
    role = getattr(message, "role", None) or _ROLES.get(message.type, message.type)
    if isinstance(message, ToolMessage):
        return Message(role, (ToolCallResponse(plain(message.content), message.tool_call_id),), message.name)
    return Message(role, tuple(_parts(message)), message.name)


def _parts(message: BaseMessage) -> Iterator[Part]:
    blocks = [message.content] if isinstance(message.content, str) else message.content
    for block in blocks:
        part = _part(block)
        if part is not None:
            yield part
    if isinstance(message, AIMessage):
        for call in message.tool_calls:
            yield ToolCall(call["name"], call.get("id"), call.get("args"))


def _part(block: Any) -> Part | None:
    if isinstance(block, str):
        return Text(block) if block else None
    if not isinstance(block, Mapping):
        return None
    kind = block.get("type")
    if kind == "text":
        return Text(str(block.get("text", "")))
    if kind in ("reasoning", "thinking"):
        return Reasoning(str(block.get("reasoning") or block.get("thinking") or ""))
    if kind in ("tool_call", "tool_use", "function_call", "input_json_delta"):
        return None  # the message's tool_calls have them, parsed
    return _media(block)


def _media(block: Mapping[str, Any]) -> Media | None:
    kind = str(block.get("type", ""))
    modality = next((known for known in _MODALITIES if known in kind), "document" if "file" in kind else "")
    if not modality:
        return None
    url: Any = block.get("image_url", block.get("url"))
    url = url.get("url") if isinstance(url, Mapping) else url
    if isinstance(url, str) and url.startswith("data:"):
        head, _, encoded = url.partition(",")
        return Media(modality, head[5:].partition(";")[0] or None, content=encoded)
    if isinstance(url, str):
        return Media(modality, block.get("mime_type"), uri=url)
    data = block.get("base64") or block.get("data")
    if isinstance(data, str):
        return Media(modality, block.get("mime_type"), content=data)
    return Media(modality, block.get("mime_type"), file_id=str(block.get("file_id", "")))
