"""Reads messages in the forms that applications use; called only when content is recorded or a prompt is searched."""

from collections.abc import Mapping
from typing import Any

from otel_callbacks.operations import Media, Message, Text, ToolCallResponse, providers
from otel_callbacks.operations.payload import mapping_or_fields, word

_HOLDS_PARTS = {"content", "parts", "tool_calls", "function_call", "refusal", "audio"}
_OF_ANYBODY = (Text, Media)
_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool"}


def read_messages(value: Any, role: str) -> list[Message] | None:
    """Returns the messages in a text, a message, or a list of either; None without any.

    A message has a role and a content, like the providers' dictionaries and the frameworks' objects. A plain text
    becomes a message by `role`, and an item of OpenAI's Responses API one of its own.
    """
    listed = value if isinstance(value, list | tuple) else [value]
    return [message for each in listed if (message := _message(each, role)) is not None] or None


def input_messages(value: Any) -> list[Message] | None:
    """Returns the messages of a user or the application."""
    return read_messages(value, "user")


def output_messages(value: Any, reason: str | None) -> list[Message] | None:
    """Returns the messages of a model, with the provider's finish reason; without one, the operation's will do."""
    stopped = None if reason is None else providers.message_finish_reason(reason)
    return [
        Message("assistant", message.parts, message.name, stopped)
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
    if not isinstance(author, str):
        return None
    if "role" not in fields and author not in _ROLES and author not in ("user", "system", "tool", "message"):
        return _item(fields, role)
    if not _HOLDS_PARTS & fields.keys():
        return None
    author, name = _ROLES.get(author, author), word(fields.get("name"))
    if author == "tool":
        call_id = word(fields.get("tool_call_id"))
        return Message(author, (providers.tool_response(fields.get("content"), call_id),), name)
    beside = mapping_or_fields(fields.get("additional_kwargs"))  # of LangChain's messages
    if isinstance(parts := fields.get("parts"), list | tuple) and "content" not in fields:  # Google's
        beside = {**beside, "content": parts}
    return Message(author, tuple(providers.content_parts({**beside, **fields})), name)


def _item(fields: Mapping[str, Any], role: str) -> Message | None:
    """Returns the message that an item without a role stands for, such as the call or the result of a tool."""
    parts = tuple(providers.block_parts(fields))
    if not parts:
        return None
    if isinstance(parts[0], ToolCallResponse):
        role = "tool"
    elif not isinstance(parts[0], _OF_ANYBODY):
        role = "assistant"
    return Message(role, parts)


def instructions(value: Any) -> Message:
    """Returns the instructions of an agent, from a text, a message, or a list of either.

    Raises:
        TypeError: `value` is something else.
    """
    parts = tuple(part for message in read_messages(value, "system") or () for part in message.parts)
    if not parts:
        raise TypeError(f"system_instructions={value!r:.100} must be a text, or messages with texts")
    return Message("system", parts)
