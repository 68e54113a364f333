"""Reads a finished span by its attributes: what it is, its input and output, its documents, who pays.

Only the content that the policy let onto the span can be read. What is damaged reads as absent.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from otel_callbacks import semconv
from otel_callbacks.limits import PROFILE_DOCUMENTS
from otel_callbacks.profiles.message_text import as_text, message_text

Attributes = Mapping[str, Any]
Kind = Literal[
    "chat",
    "text_completion",
    "embeddings",
    "retrieval",
    "rerank",
    "execute_tool",
    "invoke_agent",
    "invoke_workflow",
    "step",
    "evaluation",
]

_KINDS: Mapping[str, Kind] = {
    semconv.CHAT: "chat",
    semconv.GENERATE_CONTENT: "chat",
    semconv.TEXT_COMPLETION: "text_completion",
    semconv.EMBEDDINGS: "embeddings",
    semconv.RETRIEVAL: "retrieval",
    semconv.RERANK: "rerank",
    semconv.EXECUTE_TOOL: "execute_tool",
    semconv.INVOKE_AGENT: "invoke_agent",
    "create_agent": "invoke_agent",
    semconv.INVOKE_WORKFLOW: "invoke_workflow",
}
MODEL_CALLS = ("chat", "text_completion", "embeddings")
_OTHER_DIALECTS = ("openinference.", "traceloop.", "langfuse.", "langsmith.", "mlflow.", "llm.", "ai.")
_INSTRUCTING = ("system", "developer")

_LABELS = {
    semconv.APP_TENANT_ID: "tenant_id",
    semconv.APP_FEATURE: "feature",
    semconv.APP_USER_TIER: "user_tier",
}


class Message(NamedTuple):
    """One message of a conversation, as text."""

    role: str
    text: str


class Document(NamedTuple):
    """A retrieved or reranked document; what the content policy left out is None or empty."""

    id: str | None
    score: float | None
    content: str | None
    metadata: Mapping[str, Any]
    rank_before: int | None


def kind_of(attributes: Attributes) -> Kind | None:
    """Returns what a span is; None for one of another instrumentation, which says so in its own words."""
    operation = attributes.get(semconv.OPERATION_NAME)
    if isinstance(operation, str) and operation in _KINDS:
        return _KINDS[operation]
    if semconv.EVALUATION_NAME in attributes:
        return "evaluation"
    if any(name.startswith(_OTHER_DIALECTS) for name in attributes):
        return None
    if semconv.USAGE_SOURCE in attributes:
        return "chat"  # a model call that `record_usage` put on a span of the application
    return "step"


def input_messages(attributes: Attributes) -> Sequence[Message]:
    """Returns the instructions of an agent and the input messages."""
    instructions = {"parts": _objects(attributes, semconv.SYSTEM_INSTRUCTIONS)}
    first = [Message("system", message_text(instructions))] if instructions["parts"] else []
    return [*first, *_messages(attributes, semconv.INPUT_MESSAGES)]


def output_messages(attributes: Attributes) -> Sequence[Message]:
    """Returns the output messages."""
    return _messages(attributes, semconv.OUTPUT_MESSAGES)


def input_text(attributes: Attributes, kind: Kind) -> str | None:
    """Returns the input for people: the messages, the query, or a tool's arguments (JSON).

    Lists show the beginning alone, so instructions, which `input_messages` has, are left out if there is anything else.
    """
    match kind:
        case "retrieval" | "rerank":
            return _text(attributes, semconv.RETRIEVAL_QUERY_TEXT) or _text(attributes, semconv.RAG_QUERY)
        case "execute_tool":
            return _text(attributes, semconv.TOOL_CALL_ARGUMENTS)
    messages = input_messages(attributes)
    return _conversation([each for each in messages if each.role not in _INSTRUCTING] or messages)


def output_text(attributes: Attributes, kind: Kind) -> str | None:
    """Returns the output for people: the answer, or a tool's result; documents are read by `documents`."""
    if kind == "execute_tool":
        return _text(attributes, semconv.TOOL_CALL_RESULT)
    return _conversation(output_messages(attributes))


def documents(attributes: Attributes) -> Sequence[Document]:
    """Returns the documents that a span found or kept, in their order; without content, what names them."""
    found = _objects(attributes, semconv.RETRIEVAL_DOCUMENTS)
    if found:
        return [_document(each, each.get("metadata")) for each in found[:PROFILE_DOCUMENTS]]
    named = _objects(attributes, semconv.RAG_DOCUMENTS)[:PROFILE_DOCUMENTS]
    origin = ("source", "page", "chunk")
    return [_document(each, {name: each[name] for name in origin if name in each}) for each in named]


def labels(attributes: Attributes) -> dict[str, str]:
    """Returns who pays, by the short name of the label; without user and session."""
    found = {}
    for name, value in attributes.items():
        if name.startswith(semconv.APP_PREFIX) and isinstance(value, str):
            found[_LABELS.get(name) or name.removeprefix(semconv.APP_PREFIX)] = value
    return found


def session(attributes: Attributes) -> str | None:
    """Returns the session, else the conversation."""
    return _text(attributes, semconv.SESSION_ID) or _text(attributes, semconv.CONVERSATION_ID)


def tokens(attributes: Attributes, name: str) -> int | None:
    """Returns a token count; None if nobody reported it."""
    value = attributes.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def usd(attributes: Attributes, name: str = semconv.USAGE_COST_USD) -> float | None:
    """Returns an amount in USD; None if it is not known."""
    value = attributes.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def is_json(text: str) -> bool:
    """Tells whether a text is a JSON object or list, and not just text."""
    return parsed(text) is not None


def to_json(value: Any) -> str:
    """Returns a value as JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _conversation(messages: Sequence[Message]) -> str | None:
    """Returns one message as its text, and several with their roles."""
    if len(messages) == 1:
        return messages[0].text
    return "\n\n".join(f"{role}: {text}" for role, text in messages) or None


def _messages(attributes: Attributes, name: str) -> list[Message]:
    return [Message(str(each.get("role", "")), message_text(each)) for each in _objects(attributes, name)]


def _document(found: Mapping[str, Any], metadata: Any) -> Document:
    score, identity, rank_before = found.get("score"), found.get("id"), found.get("rank_before")
    content = found.get("content")
    return Document(
        None if identity is None else str(identity),
        float(score) if isinstance(score, int | float) else None,
        None if content is None else as_text(content),
        metadata if isinstance(metadata, Mapping) else {},
        rank_before if isinstance(rank_before, int) else None,
    )


def _objects(attributes: Attributes, name: str) -> list[Mapping[str, Any]]:
    """Returns the objects of a JSON list in an attribute."""
    found = parsed(attributes.get(name))
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def parsed(value: Any) -> Any:
    """Returns the object or list that a JSON text holds; None for anything else."""
    if not isinstance(value, str) or not value.startswith(("[", "{")):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # cut off by an attribute length limit, or nested too deep
        return None


def _text(attributes: Attributes, name: str) -> str | None:
    value = attributes.get(name)
    return value if isinstance(value, str) and value else None
