"""Reads results by their shape: documents, vectors, a provider's response or usage report.

No library is imported to recognise its objects, and no score is made up.
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
    Message,
    Operation,
    Rerank,
    Retrieval,
    ToolExecution,
    Usage,
    Workflow,
    providers,
)
from otel_callbacks.operations.payload import items, mapping_or_fields
from otel_callbacks.runtime.faults import guarded

_IDS = ("id", "id_", "doc_id", "document_id", "_id")
_SCORES = ("score", "relevance_score", "similarity")
_TEXTS = ("page_content", "content", "text", "document")
_METADATA = ("metadata", "payload")
_PLAIN = (bool, int, float, list, tuple, dict)


def check_sequence(name: str, value: Any) -> Sequence[Any]:
    """Returns a list of documents unchanged.

    Raises:
        TypeError: `value` is not a list. Iterators are refused: reading one would consume the application's documents.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name} must be a list of documents, not {type(value).__name__}: {value!r:.100}")
    return value


@guarded
def read_documents(found: Sequence[Any]) -> list[Document]:
    """Reads texts, mappings, objects of a framework or a store, and (document, score) pairs."""
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
    metadata = next((value for key in _METADATA if isinstance(value := known.get(key), Mapping)), {})
    identity = next((value for key in _IDS if isinstance(value := known.get(key), str | int)), None)
    scores = (number(fields.get(key)) for fields in (known, metadata) for key in _SCORES)
    texts = (
        value for fields in (known, metadata) for key in _TEXTS if isinstance(value := fields.get(key), str)
    )
    return Document(
        id=None if identity is None else str(identity),
        score=next((score for score in scores if score is not None), None),
        content=next(texts, None) or _text_of_node(found),
        metadata=metadata,
    )


def _text_of_node(found: Any) -> str | None:
    """Returns the text of a LlamaIndex node, whose field depends on the kind of node."""
    read = getattr(found, "get_content", None)
    return text(read()) if callable(read) else None


def read_embedding_usage(reported: Any, known: Usage | None) -> Usage | None:
    """Reads the usage report of an embedding. Counts that it lacks stay as in `known`."""
    read = providers.read_embedding_usage(reported)
    return known if read is None else merge_usage(known, asdict(read))


def merge_usage(known: Usage | None, counts: Mapping[str, Any]) -> Usage:
    """Returns the `known` counts, replaced by newer ones."""
    return replace(known or Usage(), **{name: count for name, count in counts.items() if count is not None})


def read_result(operation: Operation, value: Any, *, with_content: bool) -> None:
    """Adds what can be read from the result to the operation."""
    match operation:
        case Retrieval() | Rerank():
            if isinstance(value, list):
                operation.documents = read_documents(value)
        case Embedding():
            _read_vectors(operation, value)
        case ToolExecution():
            if with_content:
                operation.result = value
            operation.result_size = _size(value)
        case Inference():
            read_response(operation, value, with_content=with_content)
        case Workflow() | AgentInvocation() if with_content:
            operation.output_messages = messages.output_messages(value, None)


def _size(value: Any) -> int | None:
    if isinstance(value, str):
        return len(value)
    try:
        return len(json.dumps(value, ensure_ascii=False, default=repr)) if isinstance(value, _PLAIN) else None
    except Exception:  # not JSON: keys that are no text, a circle, or an object whose repr fails
        return None


def _read_vectors(operation: Embedding, value: Any) -> None:
    """Counts and measures vectors: one, a list, an array, or a provider's response."""
    known = {} if hasattr(value, "shape") else mapping_or_fields(value)
    if known:
        operation.response_model = text(known.get("model")) or operation.response_model
        operation.usage = read_embedding_usage(known.get("usage"), operation.usage)
        value = known.get("data", known.get("embeddings"))
    count, length = _dimensions(value)
    operation.count = operation.count or count
    operation.dimension_count = length or operation.dimension_count


def _dimensions(vectors: Any) -> tuple[int | None, int | None]:
    """Returns the number of vectors and their length."""
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
    plain = isinstance(vector, Sized) and not isinstance(vector, str)  # a text is an encoded vector
    return len(vectors), len(vector) if plain else None


def read_response(operation: Inference, value: Any, *, with_content: bool) -> None:
    """Adds a provider's response, or a chunk or event of its stream, to a model call."""
    if isinstance(value, str):
        if with_content:
            operation.output_messages = messages.output_messages(value, _reason(operation))
        return
    known = mapping_or_fields(value)
    inner = known.get("response") or (known.get("message") if known.get("type") == "message_start" else None)
    if mapping_or_fields(inner):  # an event that carries the response
        return read_response(operation, inner, with_content=with_content)
    _read_report(operation, known)
    if with_content:
        answers = messages.output_messages(_answers(known) or value, _reason(operation))
        reasons = operation.finish_reasons or ()
        if answers is not None and len(answers) == len(reasons) > 1:  # each of several choices has its own
            stopped = map(providers.message_finish_reason, reasons)
            answers = [replace(each, finish_reason=why) for each, why in zip(answers, stopped, strict=True)]
        operation.output_messages = answers or operation.output_messages


def _read_report(operation: Inference, known: Mapping[str, Any]) -> None:
    """Adds what a response, chunk or event reports beside its text. Earlier chunks may have told something else."""
    before, operation.usage = operation.usage, None
    reasons = operation.finish_reasons
    providers.read_answer(
        operation, [known], blocks=items(known.get("output")) or items(known.get("content"))
    )
    operation.finish_reasons = operation.finish_reasons or reasons
    if before is not None:
        operation.usage = before if operation.usage is None else merge_usage(before, asdict(operation.usage))


def _answers(known: Mapping[str, Any]) -> Any:
    """Returns the answers in a provider's response; nothing if it is a message itself."""
    if choices := items(known.get("choices")):
        return [mapping_or_fields(choice).get("message") for choice in choices]
    if mapping_or_fields(message := known.get("message")):  # Cohere's and Ollama's
        return message
    holders = items(known.get("candidates")) or (
        (known,) if known.get("output") else ()
    )  # Google's; the others'
    found = (tuple(providers.answer_parts(holder)) for holder in holders)
    return [Message("assistant", parts) for parts in found if parts]


def _reason(operation: Inference) -> str | None:
    return operation.finish_reasons[0] if operation.finish_reasons else None


def number(value: Any) -> float | None:
    """Returns a number as a float, numpy's numbers included; None for anything else."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else None


def text(value: Any) -> str | None:
    """Returns a text that is not empty; None for anything else."""
    return value if isinstance(value, str) and value else None
