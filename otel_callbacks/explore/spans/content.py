"""Reads the recorded content of a span: messages, queries and lists of objects. Damaged JSON reads as empty."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.explore.spans.attributes import json_list, json_value
from otel_callbacks.explore.spans.records import SpanRecord


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
    return (Message("system", "\n".join(map(_part, parts))),) if parts else ()


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
        Message(str(message.get("role", "")), _text(message)) for message in json_objects(span, name)
    )


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
            response = part.get("response", part.get("result", ""))
            return "\n".join(map(_part, response)) if _are_parts(response) else _json(response)
        case "server_tool_call":
            return f"{part.get('name', '')}({_details(part.get('server_tool_call'))})"
        case "server_tool_call_response":
            return _details(part.get("server_tool_call_response"))
        case "reference":
            return f"[a message that is not in this trace: {part.get('hash', '')}]"
        case "blob" | "file" | "uri" as kind:
            return f"[{part.get('modality') or kind}]"
        case kind:
            said = part.get("content")
            return f"[{kind}] {said if isinstance(said, str) else _details(part)}".strip()


def _are_parts(response: Any) -> bool:
    """Tells whether a tool's result is a list of parts, as that of a result with images is."""
    return isinstance(response, list) and all(
        isinstance(part, Mapping) and isinstance(part.get("type"), str) for part in response
    )


def _details(part: Any) -> str:
    """Returns a provider's own block as JSON, without its type."""
    fields = {key: value for key, value in part.items() if key != "type"} if isinstance(part, Mapping) else {}
    return _json(fields) if fields else ""


def _json(value: Any) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "[nested too deep]"
