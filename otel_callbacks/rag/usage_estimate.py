"""Estimates the usage of a model call that nobody counted, if the application asks for it."""

from collections.abc import Iterable

from otel_callbacks.operations import Inference, Usage
from otel_callbacks.rag.token_estimate import estimate


def estimate_prompt(operation: Inference, texts: Iterable[str]) -> None:
    """Notes about how many tokens the texts of a prompt have."""
    operation.estimated_input_tokens = round(sum(map(estimate, texts)))


def estimate_usage(operation: Inference, answer: str, *, cut: bool) -> None:
    """Gives a call without usage an estimated one. A call that failed before its answer began gets none."""
    if operation.usage is None and operation.estimated_input_tokens is not None and (answer or not cut):
        operation.usage = Usage(
            operation.estimated_input_tokens, round(estimate(answer)), is_final=not cut, estimated=True
        )
