"""Reads messages in the forms that applications use; called only when content is recorded or a prompt is searched."""

from collections.abc import Iterator, Mapping
from typing import Any

from otel_callbacks.operations import Message, Part, Text, ToolCall, ToolCallResponse, providers
from otel_callbacks.operations.payload import mapping_or_fields
from otel_callbacks.privacy.json_values import parse_json

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool"}


def read_messages(value: Any, role: str) -> list[Message] | None:
    """Returns the messages in a text, a message, or a list of either; None without any.

    A message has a role and a content, like the providers' dictionaries and the frameworks' objects. A plain text
    becomes a message by `role`.
    """
    listed = value if isinstance(value, list | tuple) else [value]
    return [message for each in listed if (message := _message(each, role)) is not None] or None


def input_messages(value: Any) -> list[Message] | None:
    """Returns the messages of a user or the application."""
    return read_messages(value, "user")


def output_messages(value: Any, reason: str | None) -> list[Message] | None:
    """Returns the messages of a model, with the provider's finish reason."""
    return [
        Message("assistant", message.parts, message.name, providers.message_finish_reason(reason))
        for message in read_messages(value, "assistant") or ()
    ] or None


def _message(value: Any, role: str) -> Message | None:
    if isinstance(value, Message):
        return value
    if isinstance(value, str):
        return Message(role, (Text(value),)) if value else None
    fields = mapping_or_fields(value)
    author = fields.get("role") or fields.get("type")
    author = getattr(author, "value", author)
    if not isinstance(author, str) or not {"content", "tool_calls"} & fields.keys():
        return None
    author = _ROLES.get(author, author)
    if author == "tool":
        return Message(author, (ToolCallResponse(fields["content"], fields.get("tool_call_id")),))
    return Message(author, tuple(_parts(fields)))


def _parts(fields: Mapping[str, Any]) -> Iterator[Part]:
    content = fields.get("content")
    for block in content if isinstance(content, list | tuple) else [content]:
        if isinstance(block, str):
            yield Text(block)
            continue
        shape = mapping_or_fields(block)
        if isinstance(text := shape.get("text"), str):
            yield Text(text)
        elif shape.get("type") == "tool_use":
            yield ToolCall(str(shape.get("name")), shape.get("id"), shape.get("input"))
        elif shape.get("type") == "tool_result":
            yield ToolCallResponse(shape.get("content"), shape.get("tool_use_id"))
    for call in fields.get("tool_calls") or ():
        shape = mapping_or_fields(call)
        called = mapping_or_fields(shape.get("function")) or shape
        arguments = called.get("arguments", called.get("args"))
        yield ToolCall(str(called.get("name")), shape.get("id"), parse_json(arguments))
