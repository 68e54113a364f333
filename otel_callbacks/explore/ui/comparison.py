"""What changed from one trace to another, step by step, and what sets slow runs apart from usual ones."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from otel_callbacks.explore.answers.answer import Answer
from otel_callbacks.explore.answers.said import named
from otel_callbacks.explore.answers.text import sections, title
from otel_callbacks.explore.answers.why import why
from otel_callbacks.explore.diff import Diff, StepDiff, totals
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.trace import Trace
from otel_callbacks.explore.ui.waterfall import kind_of
from otel_callbacks.limits import DIFF_STEPS, INDENTED_LEVELS
from otel_callbacks.runtime.untrusted_text import printable

__all__ = ["Bars", "Figure", "Reasons", "Step", "reasons", "steps", "totals"]

_ID_DIGITS = 8  # of the ids that answers name
_ID = re.compile(rf"\b[0-9a-f]{{{_ID_DIGITS}}}\b")


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


@dataclass(frozen=True, slots=True)
class Bars:
    """The time of one step on the critical path: seconds per run in the slow and in the usual runs, and in percent."""

    name: str
    slow: str
    usual: str
    slow_width: float
    usual_width: float


@dataclass(frozen=True, slots=True)
class Reasons:
    """What `why` says of one workflow: each part of a sentence is text and the trace that it names, or empty."""

    title: str
    bars: Sequence[Bars]
    sections: Sequence[tuple[str, Sequence[Sequence[tuple[str, str]]]]]


@lru_cache(maxsize=1)  # it reads every trace, which takes seconds; only what is said is kept
def reasons(
    index: Index, at: str, trace_ids: tuple[str, ...], slow: str, expensive: str
) -> tuple[Sequence[Reasons], Sequence[str]]:
    """Says why traces are slow, expensive and failing, by workflow, and what is to be noted; `at` is the version.

    Names of traces are linked, which are the first digits of one of `trace_ids`.

    Raises:
        TypeError, ValueError: `slow` or `expensive` is no tail.
        LookupError: There are no traces.
    """
    said = why((Trace.of(index.spans(each)) for each in trace_ids), slow=slow, expensive=expensive)
    known = {each[:_ID_DIGITS]: each for each in trace_ids}
    found = [
        Reasons(
            title(answer),
            list(_bars(answer)),
            [(head, [list(_linked(line, known)) for line in lines]) for head, lines in sections(answer)],
        )
        for answer in said.answers
    ]
    return found, said.notes


def _bars(answer: Answer) -> Iterator[Bars]:
    slow = answer.slow
    if slow is None or not slow.steps or not (slow.difference.stands_out or slow.too_few):
        return
    times = [
        (named(each.contribution.step), each.contribution.tail, each.contribution.usual)
        for each in slow.steps
    ]
    longest = max(max(tail, usual) for _, tail, usual in times) or 1.0
    for name, tail, usual in times:
        yield Bars(
            name, format_duration(tail), format_duration(usual), 100 * tail / longest, 100 * usual / longest
        )


def _linked(line: str, known: dict[str, str]) -> Iterator[tuple[str, str]]:
    end = 0
    for found in _ID.finditer(line):
        if found[0] in known:
            yield line[end : found.start()], ""
            yield found[0], known[found[0]]
            end = found.end()
    yield line[end:], ""
