"""Reads the recorded content of a span: messages, queries and lists of objects. Damaged JSON reads as empty."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.explore.spans.attributes import json_list, json_value
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.profiles.message_text import message_text


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation as text; a tool call reads `search({"q": "x"})`."""

    role: str
    text: str


def input_messages(span: SpanRecord) -> tuple[Message, ...]:
    """Returns the input messages of a model, agent or workflow; empty if content was not recorded."""
    return _messages(span, semconv.INPUT_MESSAGES)


def output_messages(span: SpanRecord) -> tuple[Message, ...]:
    """Returns the output messages; empty if content was not recorded."""
    return _messages(span, semconv.OUTPUT_MESSAGES)


def instructions(span: SpanRecord) -> tuple[Message, ...]:
    """Returns the system instructions as one message; empty if there are none or content was not recorded."""
    parts = json_objects(span, semconv.SYSTEM_INSTRUCTIONS)
    return (Message("system", message_text({"parts": parts})),) if parts else ()


def query_text(span: SpanRecord) -> str | None:
    """Returns the query of a retrieval or rerank; None if content was not recorded."""
    query = span.attributes.get(semconv.RAG_QUERY) or span.attributes.get(semconv.RETRIEVAL_QUERY_TEXT)
    return query if isinstance(query, str) else None


def json_objects(span: SpanRecord, name: str) -> list[Mapping[str, Any]]:
    """Returns the objects of the JSON list in an attribute; empty if the JSON is damaged."""
    return [item for item in json_list(span.attributes.get(name)) or () if isinstance(item, Mapping)]


def named_json_objects(span: SpanRecord, name: str) -> dict[str, Mapping[str, Any]]:
    """Returns the objects within the JSON object in an attribute, by key; empty if the JSON is damaged."""
    value = json_value(span.attributes.get(name))
    named = value.items() if isinstance(value, Mapping) else ()
    return {key: item for key, item in named if isinstance(item, Mapping)}


def _messages(span: SpanRecord, name: str) -> tuple[Message, ...]:
    return tuple(
        Message(str(message.get("role", "")), message_text(message)) for message in json_objects(span, name)
    )


def asked_text(text: str) -> str:
    """Returns the question in a user message; of a JSON object with one text alone, as a chain has it, that text."""
    value = json_value(text) if text.startswith("{") else None
    only = next(iter(value.values())) if isinstance(value, dict) and len(value) == 1 else None
    return only if isinstance(only, str) else text
