"""What changed from one trace to another, step by step, with each figure beside the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otel_callbacks.explore.diff import Diff, StepDiff, totals
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.ui.waterfall import kind_of
from otel_callbacks.limits import DIFF_STEPS, INDENTED_LEVELS
from otel_callbacks.runtime.untrusted_text import printable

__all__ = ["Figure", "Step", "steps", "totals"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a step in `a` and in `b`, as it is shown; `change` is `more`, `less` or empty."""

    a: str
    b: str
    change: str


@dataclass(frozen=True, slots=True)
class Step:
    """A pair of corresponding steps; `a` or `b` is empty if that trace lacks the step."""

    name: str
    level: int
    kind: str
    a: str
    b: str
    change: str
    figures: Sequence[Figure]
    gained: Sequence[str]
    lost: Sequence[str]


def _tokens_in(span: SpanRecord) -> float | None:
    return span.input_tokens if span.has_own_cost else None


def _tokens_out(span: SpanRecord) -> float | None:
    return span.output_tokens if span.has_own_cost else None


def _cost(span: SpanRecord) -> float | None:
    return span.cost if span.has_own_cost else None


_FIGURES: Sequence[tuple[Callable[[SpanRecord], float | None], Callable[[float], str]]] = (
    (lambda span: span.duration, format_duration),
    (_tokens_in, "{:,}".format),
    (_tokens_out, "{:,}".format),
    (_cost, format_cost),
)
"""The figures of a step; tokens and costs are those of model calls and of what was recorded, not sums."""


def steps(difference: Diff) -> list[Step]:
    """Returns the first steps of a difference; `difference.steps` has all."""
    return [_step(each) for each in difference.steps[:DIFF_STEPS]]


def _step(step: StepDiff) -> Step:
    spans = [span for span in (step.a, step.b) if span]
    return Step(
        name=printable(step.name),
        level=min(step.depth, INDENTED_LEVELS),
        kind=kind_of(spans),
        a=step.a.span_id if step.a else "",
        b=step.b.span_id if step.b else "",
        change=step.change,
        figures=[_figure(read, write, step) for read, write in _FIGURES],
        gained=list(map(printable, step.gained)),
        lost=list(map(printable, step.lost)),
    )


def _figure(
    read: Callable[[SpanRecord], float | None], write: Callable[[float], str], step: StepDiff
) -> Figure:
    a, b = (read(span) if span else None for span in (step.a, step.b))
    words = ["" if value is None else write(value) for value in (a, b)]
    change = "" if a is None or b is None or words[0] == words[1] else "more" if b > a else "less"
    return Figure(words[0], words[1], change)
