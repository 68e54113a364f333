"""What a check says: one finding per breach."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["violation", "advice"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach of one rule.

    `span` names the place: a span as `chat gpt-4o [00f067aa0ba902b7]`, else a metric, an event or a file.
    A "violation" contradicts the conventions or our telemetry contract; "advice" is what the conventions
    recommend, or what cannot be judged from the trace alone.
    """

    rule: str
    span: str
    message: str
    level: Level

    def __str__(self) -> str:
        return f"{self.rule}: {self.span}: {self.message}"


def violation(rule: str, span: str, message: str) -> Finding:
    """A finding that makes the check fail."""
    return Finding(rule, span, message, "violation")


def advice(rule: str, span: str, message: str) -> Finding:
    """A finding that does not make the check fail."""
    return Finding(rule, span, message, "advice")
