"""What content is recorded, and its JSON: the shapes are those of the conventions' message schemas."""

import json
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_callbacks.documents import ranks_before
from otel_callbacks.operations import (
    Document,
    Media,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolCallResponse,
)

logger = logging.getLogger("otel_callbacks")

CAPTURE_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment variable of the official packages; its four values are the keys of `_MODES`."""


@dataclass(frozen=True, slots=True)
class ContentPolicy:
    """Whether prompts, answers, documents, tool arguments and exception messages are recorded, and where.

    Attributes:
        spans: as attributes of the spans.
        events: as log records (`gen_ai.client.inference.operation.details`).
    """

    spans: bool = False
    events: bool = False

    @property
    def captures(self) -> bool:
        """Whether any content is recorded at all; if not, none is even looked at."""
        return self.spans or self.events

    @classmethod
    def parse(cls, value: "ContentPolicy | str | None") -> "ContentPolicy":
        """Makes a policy of the `content` argument; None asks the environment.

        Raises:
            ValueError: the value is none of "none", "spans", "events", "both".
            TypeError: the value is neither a string nor a policy.
        """
        if value is None:
            return cls.from_environment()
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise TypeError(
                f"content must be a ContentPolicy or one of {_words()}, not {type(value).__name__}"
            )
        if value not in _WORDS:
            raise ValueError(f"content={value!r} is not known; use one of {_words()}")
        return _WORDS[value]

    @classmethod
    def from_environment(cls) -> "ContentPolicy":
        """Reads the variable the official packages read; an unknown value is warned of and means none."""
        value = os.environ.get(CAPTURE_VARIABLE, "")
        policy = _MODES.get(value.strip().upper() or "NO_CONTENT")
        if policy is None:
            logger.warning(
                "%s=%r is not known, no content is recorded; use one of %s",
                CAPTURE_VARIABLE,
                value,
                ", ".join(_MODES),
            )
            return ContentPolicy()
        return policy


_MODES = {
    "NO_CONTENT": ContentPolicy(),
    "SPAN_ONLY": ContentPolicy(spans=True),
    "EVENT_ONLY": ContentPolicy(events=True),
    "SPAN_AND_EVENT": ContentPolicy(spans=True, events=True),
}
_WORDS = dict(zip(("none", "spans", "events", "both"), _MODES.values(), strict=True))


def _words() -> str:
    return ", ".join(repr(word) for word in _WORDS)


def to_json(value: Any) -> str:
    """JSON text of a structured content attribute; readable in every script, never failing on a value."""
    return json.dumps(value, ensure_ascii=False, default=_placeholder)


def _placeholder(value: Any) -> str:
    return f"<{type(value).__name__}>"


def messages(conversation: Iterable[Message]) -> list[dict[str, Any]]:
    """A conversation in the shape of `gen_ai.input.messages` and `gen_ai.output.messages`."""
    return [_message(message) for message in conversation]


def _message(message: Message) -> dict[str, Any]:
    shape: dict[str, Any] = {"role": message.role, "parts": [_part(part) for part in message.parts]}
    if message.name:
        shape["name"] = message.name
    if message.finish_reason:
        shape["finish_reason"] = message.finish_reason
    return shape


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text(content):
            return {"type": "text", "content": content}
        case Reasoning(content):
            return {"type": "reasoning", "content": content}
        case ToolCall(name, call_id, arguments):
            shape = {"type": "tool_call", "name": name, "id": call_id, "arguments": arguments}
            return {key: value for key, value in shape.items() if value is not None}
        case ToolCallResponse(response, call_id):
            shape = {"type": "tool_call_response", "response": response}
            return shape if call_id is None else {**shape, "id": call_id}
        case Media():
            return _media(part)


def _media(part: Media) -> dict[str, Any]:
    if part.content is not None:
        shape = {"type": "blob", "modality": part.modality, "content": part.content}
    elif part.uri is not None:
        shape = {"type": "uri", "modality": part.modality, "uri": part.uri}
    else:
        shape = {"type": "file", "modality": part.modality, "file_id": part.file_id or ""}
    return shape if part.mime_type is None else {**shape, "mime_type": part.mime_type}


def documents(found: Sequence[Document], candidates: Sequence[Document] = ()) -> list[dict[str, Any]]:
    """Documents in the shape of `gen_ai.retrieval.documents`, with content and metadata beside id and score.

    `candidates` are what a reranker was given; each document then tells its place among them (from 1).
    """
    return list(map(_document, found, ranks_before(found, candidates)))


def _document(document: Document, rank_before: int | None) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "id": document.id,
        "score": document.score,
        "content": document.content,
        "metadata": document.metadata or None,
        "rank_before": rank_before,
    }
    return {key: value for key, value in shape.items() if value is not None}


def structured(value: Any) -> Any:
    """A tool's arguments or result as the JSON object the conventions expect, where it is one."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value if not isinstance(value, Mapping) else dict(value)
