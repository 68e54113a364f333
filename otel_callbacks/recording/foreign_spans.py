"""Spans of other instrumentations inside ours."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context

from otel_callbacks import operations, semconv
from otel_callbacks.runs.surroundings import enclosing_run

_KINDS: Mapping[Any, type[Any]] = {
    semconv.CHAT: operations.Inference,
    semconv.TEXT_COMPLETION: operations.Inference,
    "generate_content": operations.Inference,
    semconv.EMBEDDINGS: operations.Embedding,
    "LLM": operations.Inference,
    "EMBEDDING": operations.Embedding,
}
"""Operations by the conventions' names and by OpenInference's."""


def note_start(attributes: Mapping[str, Any], context: Context) -> None:
    """Leaves the usage of the model call of ours that `context` is in to somebody's span that starts there.

    Some instrumentations of clients ask nobody whether the call is recorded already.

    Args:
        attributes: those that the span starts with; spans of anything else than a model call change nothing.
        context: the context that it starts in.
    """
    named = attributes.get(semconv.OPERATION_NAME) or attributes.get("openinference.span.kind")
    kind = _KINDS.get(named)
    if kind is not None:
        run = enclosing_run(context)
        operation: Any = run.operation if run is not None else None
        if isinstance(operation, kind):
            operation.deferred = True
