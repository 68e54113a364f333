"""Reads messages in the forms that applications use; called only when content is recorded or a prompt is searched."""

from typing import Any

from otel_callbacks.operations import Message, Text, providers
from otel_callbacks.operations.payload import mapping_or_fields, word

_HOLDS_PARTS = {"content", "tool_calls", "function_call", "refusal", "audio"}
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
    if not isinstance(author, str) or not _HOLDS_PARTS & fields.keys():
        return None
    author, name = _ROLES.get(author, author), word(fields.get("name"))
    if author == "tool":
        call_id = word(fields.get("tool_call_id"))
        return Message(author, (providers.tool_response(fields.get("content"), call_id),), name)
    beside = mapping_or_fields(fields.get("additional_kwargs"))  # of LangChain's messages
    return Message(author, tuple(providers.content_parts({**beside, **fields})), name)
