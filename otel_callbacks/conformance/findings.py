"""`Finding`: one violation of a rule, or one piece of advice."""

from dataclasses import dataclass
from typing import Literal

from otel_callbacks.runtime.untrusted_text import printable

Level = Literal["violation", "advice"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found in one place.

    `span` names the place: a span as `chat gpt-4o [00f067aa0ba902b7]`, else a metric, an event or a file.
    A "violation" contradicts the conventions or our telemetry contract. "advice" is something that the conventions
    recommend, or that cannot be judged from the trace alone.
    """

    rule: str
    span: str
    message: str
    level: Level

    def __str__(self) -> str:
        return printable(f"{self.rule}: {self.span}: {self.message}")


def violation(rule: str, span: str, message: str) -> Finding:
    """Makes a finding that fails the check."""
    return Finding(rule, span, message, "violation")


def advice(rule: str, span: str, message: str) -> Finding:
    """Makes a finding that does not fail the check."""
    return Finding(rule, span, message, "advice")
