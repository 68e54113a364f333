"""Finish reasons: why an answer stopped, in the providers' words and in those of the conventions' message schema."""

from collections.abc import Sequence

from otel_callbacks.operations.payload import without_repetition

UNKNOWN = "unknown"
"""The reason of a message for which the provider reports none. The schema requires one, and its list is open."""

_FINISH_REASONS = {
    "tool_calls": "tool_call",
    "tool_use": "tool_call",
    "function_call": "tool_call",
    "TOOL_CALL": "tool_call",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "STOP": "stop",
    "STOP_SEQUENCE": "stop",
    "COMPLETE": "stop",
    "eos": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "refusal": "content_filter",
    "ERROR": "error",
}
"""The providers' stop reasons that the conventions' message schema names differently."""


def read_finish_reasons(reasons: Sequence[str | None], *, cut: bool = False) -> tuple[str, ...] | None:
    """Returns the stop reasons in the words of `finish_reasons_in`, one per choice, or None if no choice has one.

    Merging chunks repeats a reason (`stopstop`); the repetition is removed. The conventions want
    `error` for a choice without a reason. That holds for every choice of an answer that was `cut`, and beside a choice
    that has a reason. Where no choice has one, the provider reports none.
    """
    if not reasons or not (cut or any(reasons)):
        return None
    return tuple([without_repetition(reason or "error") for reason in reasons])


def message_finish_reason(reason: str | None) -> str:
    """Returns a stop reason as the conventions' message schema spells it; `unknown` if the provider reports none."""
    return _FINISH_REASONS.get(reason or "", reason) or UNKNOWN
