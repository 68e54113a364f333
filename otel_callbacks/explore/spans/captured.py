"""Content that spans carry when it was recorded: messages and documents, read leniently from JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.explore.spans.attributes import items, parsed
from otel_callbacks.explore.spans.records import SpanRecord


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a conversation as text; tool calls read `search({"q": "x"})`."""

    role: str
    text: str


def input_messages(span: SpanRecord) -> tuple[Said, ...]:
    """What a model, an agent or a workflow was given; empty when it was not captured."""
    return _messages(span, semconv.INPUT_MESSAGES)


def output_messages(span: SpanRecord) -> tuple[Said, ...]:
    """What came back; empty when it was not captured."""
    return _messages(span, semconv.OUTPUT_MESSAGES)


def query_of(span: SpanRecord) -> str | None:
    """What a retrieval or a rerank was asked."""
    query = span.attributes.get(semconv.RAG_QUERY) or span.attributes.get(semconv.RETRIEVAL_QUERY_TEXT)
    return query if isinstance(query, str) else None


def objects(span: SpanRecord, name: str) -> list[Mapping[str, Any]]:
    """The objects of a JSON list in an attribute; none of damaged JSON."""
    return [item for item in items(span.attributes.get(name)) or () if isinstance(item, Mapping)]


def named_objects(span: SpanRecord, name: str) -> dict[str, Mapping[str, Any]]:
    """The objects of a JSON object in an attribute, by their keys; none of damaged JSON."""
    value = parsed(span.attributes.get(name))
    named = value.items() if isinstance(value, Mapping) else ()
    return {key: item for key, item in named if isinstance(item, Mapping)}


def _messages(span: SpanRecord, name: str) -> tuple[Said, ...]:
    return tuple(Said(str(message.get("role", "")), _text(message)) for message in objects(span, name))


def _text(message: Mapping[str, Any]) -> str:
    parts = message.get("parts")
    return "\n".join(_part(part) for part in parts if isinstance(part, Mapping)) if parts else ""


def _part(part: Mapping[str, Any]) -> str:
    match part.get("type"):
        case "text" | "reasoning":
            return str(part.get("content", ""))
        case "tool_call":
            return f"{part.get('name', '')}({_json(part.get('arguments', ''))})"
        case "tool_call_response":
            return _json(part.get("response", part.get("result", "")))
        case kind:
            return f"[{part.get('modality') or kind}]"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
