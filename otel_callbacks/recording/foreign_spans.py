"""Spans of other instrumentations inside ours."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.context import Context

from otel_callbacks import operations, semconv
from otel_callbacks.runs.surroundings import enclosing_run

_INFERENCES = frozenset((semconv.CHAT, semconv.TEXT_COMPLETION, "generate_content"))


def note_start(attributes: Mapping[str, Any], context: Context) -> None:
    """Leaves the usage of the model call of ours that `context` is in to somebody's span that starts there.

    Some instrumentations of clients ask nobody whether the call is recorded already.

    Args:
        attributes: those that the span starts with; spans of anything else than a model call change nothing.
        context: the context that it starts in.
    """
    is_inference = attributes.get(semconv.OPERATION_NAME) in _INFERENCES
    if is_inference or attributes.get("openinference.span.kind") == "LLM":
        run = enclosing_run(context)
        if run is not None and isinstance(run.operation, operations.Inference):
            run.operation.deferred = True
