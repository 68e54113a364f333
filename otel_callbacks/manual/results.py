"""What a value tells about an operation: documents, vectors, a provider's response, read by their shape.

Nothing is imported to recognise a value by, and nothing is made up: what has no score gets none.
"""

import json
from collections.abc import Mapping, Sequence, Sized
from dataclasses import asdict, replace
from numbers import Real
from typing import Any

from otel_callbacks.manual import messages
from otel_callbacks.operations import (
    AgentInvocation,
    Document,
    Embedding,
    Inference,
    Operation,
    Rerank,
    Retrieval,
    ToolExecution,
    Usage,
    Workflow,
    providers,
)
from otel_callbacks.operations.payload import mapping_or_fields
from otel_callbacks.runtime.faults import guarded

_IDS = ("id", "id_", "doc_id", "document_id", "_id")
_SCORES = ("score", "relevance_score", "similarity")
_TEXTS = ("page_content", "content", "text", "document")
_METADATA = ("metadata", "payload")
_USAGES = ("usage", "usage_metadata")
_PLAIN = (bool, int, float, list, tuple, dict)


def sequence(name: str, value: Any) -> Sequence[Any]:
    """A list of documents as it was given.

    Raises:
        TypeError: it is none. An iterator is none either: to read it would take it from the application.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name} must be a list of documents, not {type(value).__name__}: {value!r:.100}")
    return value


@guarded
def documents(found: Sequence[Any]) -> list[Document]:
    """Documents, whatever they are: texts, mappings, objects of a framework or a store, or pairs with a score."""
    return [_document(each) for each in found]


def _document(found: Any) -> Document:
    if isinstance(found, Document):
        return found
    if isinstance(found, str):
        return Document(content=found)
    if isinstance(found, tuple) and len(found) == 2 and (score := number(found[1])) is not None:
        return replace(_document(found[0]), score=score)
    known = mapping_or_fields(found)
    if (node := known.get("node")) is not None:  # LlamaIndex's NodeWithScore
        return replace(_document(node), score=number(known.get("score")))
    metadata = next((given for key in _METADATA if isinstance(given := known.get(key), Mapping)), {})
    identity = next((given for key in _IDS if isinstance(given := known.get(key), str | int)), None)
    scores = (number(of.get(key)) for of in (known, metadata) for key in _SCORES)
    texts = (given for of in (known, metadata) for key in _TEXTS if isinstance(given := of.get(key), str))
    return Document(
        id=None if identity is None else str(identity),
        score=next((score for score in scores if score is not None), None),
        content=next(texts, None) or _text_of_node(found),
        metadata=metadata,
    )


def _text_of_node(found: Any) -> str | None:
    """The text of a LlamaIndex node, whose field is the node's own business."""
    read = getattr(found, "get_content", None)
    return text(read()) if callable(read) else None


def usage(reported: Any, known: Usage | None = None) -> Usage | None:
    """A provider's usage report; counts that it does not give stay as they are `known`."""
    read = providers.read_usage(reported)
    return known if read is None else merge(known, asdict(read))


def merge(known: Usage | None, counts: Mapping[str, int | None]) -> Usage:
    """The counts that are `known`, with newer ones in their place."""
    return replace(known or Usage(), **{name: count for name, count in counts.items() if count is not None})


def result(operation: Operation, value: Any, *, with_content: bool) -> None:
    """Completes an operation with its result, as far as that tells something."""
    match operation:
        case Retrieval() | Rerank():
            if isinstance(value, list):
                operation.documents = documents(value)
        case Embedding():
            _vectors(operation, value)
        case ToolExecution():
            if with_content:
                operation.result = value
            operation.result_size = _size(value)
        case Inference():
            response(operation, value, with_content=with_content)
        case Workflow() | AgentInvocation() if with_content:
            operation.output_messages = messages.answered(value, None)


def _size(value: Any) -> int | None:
    if isinstance(value, str):
        return len(value)
    try:
        return len(json.dumps(value, ensure_ascii=False, default=repr)) if isinstance(value, _PLAIN) else None
    except Exception:  # no JSON: other keys than texts, a circle, or an object that fails to describe itself
        return None


def _vectors(operation: Embedding, value: Any) -> None:
    """Counts vectors: a list of them or one, an array, or a provider's response."""
    known = {} if hasattr(value, "shape") else mapping_or_fields(value)
    if known:
        operation.response_model = text(known.get("model")) or operation.response_model
        operation.usage = usage(known.get("usage"), operation.usage)
        value = known.get("data", known.get("embeddings"))
    count, length = _dimensions(value)
    operation.count = operation.count or count
    operation.dimension_count = length or operation.dimension_count


def _dimensions(vectors: Any) -> tuple[int | None, int | None]:
    """How many vectors there are, and how long they are."""
    match getattr(vectors, "shape", None):
        case (count, length):
            return count, length
        case (length,):
            return 1, length
    if not isinstance(vectors, list) or not vectors:
        return None, None
    if isinstance(vectors[0], Real):
        return 1, len(vectors)
    vector = mapping_or_fields(vectors[0]).get("embedding", vectors[0])
    plain = isinstance(vector, Sized) and not isinstance(vector, str)  # a text is the vector encoded
    return len(vectors), len(vector) if plain else None


def response(operation: Inference, value: Any, *, with_content: bool) -> None:
    """Completes a model call with a provider's response, or with a chunk or event of its stream."""
    if isinstance(value, str):
        if with_content:
            operation.output_messages = messages.answered(value, _reason(operation))
        return
    known = mapping_or_fields(value)
    inner = known.get("response") or (known.get("message") if known.get("type") == "message_start" else None)
    if mapping_or_fields(inner):  # an event that holds the response
        return response(operation, inner, with_content=with_content)
    operation.response_model = text(known.get("model")) or operation.response_model
    operation.response_id = text(known.get("id")) or operation.response_id
    if operation.provider == "openai":
        tier, fingerprint = text(known.get("service_tier")), text(known.get("system_fingerprint"))
        operation.response_service_tier = tier or operation.response_service_tier
        operation.system_fingerprint = fingerprint or operation.system_fingerprint
    for key in _USAGES:
        operation.usage = usage(known.get(key), operation.usage)
    choices = [mapping_or_fields(choice) for choice in known.get("choices") or ()]
    delta = mapping_or_fields(known.get("delta"))
    reasons = [choice.get("finish_reason") for choice in choices] or [
        known.get("stop_reason") or delta.get("stop_reason")
    ]
    operation.finish_reasons = providers.read_finish_reasons(reasons) or operation.finish_reasons
    if with_content:
        said = [choice.get("message") for choice in choices] or getattr(value, "output_text", value)
        operation.output_messages = messages.answered(said, _reason(operation)) or operation.output_messages


def _reason(operation: Inference) -> str | None:
    return operation.finish_reasons[0] if operation.finish_reasons else None


def piece(chunk: Any) -> str:
    """The text in a chunk of a stream; empty for a chunk that holds none."""
    if isinstance(chunk, str):
        return chunk
    known = mapping_or_fields(chunk)
    delta = known.get("delta")
    if choices := known.get("choices"):
        delta = mapping_or_fields(choices[0]).get("delta")
    if isinstance(delta, str):
        return delta
    said = mapping_or_fields(delta)
    return text(said.get("content")) or text(said.get("text")) or ""


def number(value: Any) -> float | None:
    """A number as a float, also one of numpy's."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None


def text(value: Any) -> str | None:
    """A text that is not empty."""
    return value if isinstance(value, str) and value else None
