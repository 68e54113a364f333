"""Compares two traces of the same application, step by step."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from otel_callbacks import limits
from otel_callbacks.explore.pictures import markup, monospace
from otel_callbacks.explore.pictures.cells import title
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration, plural
from otel_callbacks.explore.pictures.monospace import fit
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree
from otel_callbacks.runtime.untrusted_text import printable

_STEP_WIDTH = 36
_HEADS = ("", "step", "time", "prompt", "output", "cost")

_Keyed: TypeAlias = dict[Hashable, SpanRecord]
_Format: TypeAlias = Callable[[float], str]
_Pair: TypeAlias = tuple[SpanRecord | None, SpanRecord | None]


@dataclass(frozen=True, slots=True)
class StepDiff:
    """A pair of corresponding steps; `a` or `b` is None if that trace lacks the step.

    `gained` and `lost` are the documents, by id or `#rank`, that the step found only in `b` or only in `a`.
    """

    depth: int
    a: SpanRecord | None
    b: SpanRecord | None
    gained: tuple[str, ...]
    lost: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the step, or `old → new` if it differs."""
        names = dict.fromkeys(span.name for span in (self.a, self.b) if span)
        return " → ".join(names)

    @property
    def change(self) -> str:
        """`added`, `removed`, or empty if both traces have the step."""
        if self.a is None:
            return "added"
        return "removed" if self.b is None else ""


@dataclass(frozen=True, slots=True)
class Diff:
    """The differences between trace `a` and trace `b`, with the steps of both in tree order, parents first."""

    a: SpanTree
    b: SpanTree
    steps: tuple[StepDiff, ...]

    def __str__(self) -> str:
        sides = (f"{side}: {title(trace)} · {trace.trace_id}" for side, trace in self._sides())
        documents = ("documents", *map(_documents_cell, self.steps[: limits.DIFF_STEPS]))
        rows = [(*row, cell) for row, cell in zip(_step_rows(self), documents, strict=True)]
        figures, below = monospace.table(totals(self)), monospace.table(rows)
        return "\n".join((*sides, "", *figures, "", *below, *_more(self)))

    def __repr__(self) -> str:
        return f"<Diff of {self.a!r} and {self.b!r}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        sides = [
            markup.line(
                f"<b>{side}</b> {markup.cut_text(title(trace))} · <code>{markup.cut_text(trace.trace_id)}</code>"
            )
            for side, trace in self._sides()
        ]
        # Documents stand below their step, because a column of them would make lines wrap.
        below = list(map(_documents_cell, self.steps[: limits.DIFF_STEPS]))
        tables = markup.table(totals(self)), markup.table(_step_rows(self), below)
        parts = (*sides, *tables, *map(markup.line, _more(self)))
        return {"text/html": "<div>\n" + "\n".join(parts) + "\n</div>\n", "text/plain": str(self)}

    def _sides(self) -> tuple[tuple[str, SpanTree], ...]:
        return ("a", self.a), ("b", self.b)


def diff(a: SpanTree, b: SpanTree) -> Diff:
    """Compares two traces. Steps correspond if they have the same operation, name and number among like siblings.

    Of the remaining siblings, those with the same operation correspond, such as calls of different models. If each
    trace has a single root, the roots correspond.
    """
    found_a, found_b = _documents_by_span(a), _documents_by_span(b)
    steps = []
    for depth, (one, other) in _aligned(a, b):
        before, now = found_a[one.span_id if one else ""], found_b[other.span_id if other else ""]
        gained = tuple(key for key in now if key not in before)
        lost = tuple(key for key in before if key not in now)
        steps.append(StepDiff(depth, one, other, gained, lost))
    return Diff(a, b, tuple(steps))


def _documents_by_span(trace: SpanTree) -> Mapping[str, Mapping[str, None]]:
    """Returns the keys of the documents of each span, in order; empty for other span ids."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for document in trace.documents():
        found[document.span_id][document.key] = None
    return found


def _aligned(a: SpanTree, b: SpanTree) -> Iterator[tuple[int, _Pair]]:
    only_roots = len(a.roots) == len(b.roots) == 1
    roots = [(a.roots[0], b.roots[0])] if only_roots else list(_pairs(a.roots, b.roots))
    stack = [iter(roots)]
    while stack:  # no recursion, because a trace may be deeper than Python's limit
        pair = next(stack[-1], None)
        if pair is None:
            stack.pop()
            continue
        yield len(stack) - 1, pair
        one, other = pair
        stack.append(_pairs(a.children_of(one) if one else (), b.children_of(other) if other else ()))


def _pairs(siblings_a: Sequence[SpanRecord], siblings_b: Sequence[SpanRecord]) -> Iterator[_Pair]:
    """Yields pairs of corresponding siblings in the order of `a`; a span that only `b` has follows its predecessor."""
    keyed_a = _by_likeness(siblings_a, lambda span: (span.operation, span.name))
    keyed_b = _by_likeness(siblings_b, lambda span: (span.operation, span.name))
    keyed_b = _renamed(keyed_a, keyed_b)
    following: dict[Hashable, list[SpanRecord]] = defaultdict(list)
    last: Hashable = None
    for key, span in keyed_b.items():
        if key in keyed_a:
            last = key
        else:
            following[last].append(span)
    yield from ((None, span) for span in following[None])
    for key, span in keyed_a.items():
        yield span, keyed_b.get(key)
        yield from ((None, added) for added in following[key])


def _by_likeness(spans: Sequence[SpanRecord], likeness: Callable[[SpanRecord], Hashable]) -> _Keyed:
    """Keys spans by their likeness and by how many like spans come before."""
    occurrences: Counter[Hashable] = Counter()
    keyed: _Keyed = {}
    for span in spans:
        keyed[(likeness(span), occurrences[likeness(span)])] = span
        occurrences[likeness(span)] += 1
    return keyed


def _renamed(keyed_a: _Keyed, keyed_b: _Keyed) -> _Keyed:
    """Returns `keyed_b`, where unmatched spans take the key of an unmatched span of `a` with the same operation."""
    left_a = [span for key, span in keyed_a.items() if key not in keyed_b and span.operation]
    left_b = [span for key, span in keyed_b.items() if key not in keyed_a and span.operation]
    keys = {span.span_id: key for key, span in keyed_a.items()}
    partners = _by_likeness(left_a, lambda span: span.operation)
    same = {
        span.span_id: keys[partners[key].span_id]
        for key, span in _by_likeness(left_b, lambda span: span.operation).items()
        if key in partners
    }
    return {same.get(span.span_id, key): span for key, span in keyed_b.items()}


def totals(difference: Diff) -> list[tuple[str, ...]]:
    """Returns the rows of the table of totals, its head first: figure, `a`, `b`, change."""
    a, b = difference.a, difference.b
    number = "{:,}".format
    figures: list[tuple[str, float | None, float | None, _Format]] = [
        ("time", a.duration, b.duration, format_duration),
        ("prompt tokens", a.input_tokens, b.input_tokens, number),
        ("output tokens", a.output_tokens, b.output_tokens, number),
        ("cost", a.cost, b.cost, format_cost),
        ("unpriced", len(a.unpriced), len(b.unpriced), number),
        ("model calls", len(a.model_calls), len(b.model_calls), number),
        ("errors", len(a.errors), len(b.errors), number),
    ]
    shown = [row for row in figures if row[1] or row[2]]
    rows = [
        (
            name,
            _formatted(one, format_value),
            _formatted(other, format_value),
            _change(one, other, format_value),
        )
        for name, one, other, format_value in shown
    ]
    return [("", "a", "b", "change"), *rows]


def _step_rows(difference: Diff) -> list[tuple[str, ...]]:
    signs = {"added": "+", "removed": "−"}
    shown = difference.steps[: limits.DIFF_STEPS]
    return [_HEADS, *((signs.get(step.change, ""), *_step_cells(step)) for step in shown)]


def _step_cells(step: StepDiff) -> Iterator[str]:
    """Yields the cells of a step; model calls have tokens and a cost of their own, other spans perhaps a cost."""

    def both(read: Callable[[SpanRecord], float | None], format_value: _Format, *, own: bool) -> str:
        values = [
            read(span) if span and (span.has_own_cost or not own) else None for span in (step.a, step.b)
        ]
        words = [_formatted(value, format_value) for value in values]
        return words[0] if words[0] == words[1] else " → ".join(words).strip()

    yield fit("  " * step.depth + printable(step.name), _STEP_WIDTH)
    yield both(lambda span: span.duration, format_duration, own=False)
    yield both(lambda span: span.input_tokens, "{:,}".format, own=True)
    yield both(lambda span: span.output_tokens, "{:,}".format, own=True)
    yield both(lambda span: span.cost, format_cost, own=True)


def _documents_cell(step: StepDiff) -> str:
    return "  ".join(filter(None, (_ids("+", step.gained), _ids("−", step.lost))))


def _formatted(value: float | None, format_value: _Format) -> str:
    return "" if value is None else format_value(value)


def _change(a: float | None, b: float | None, format_value: _Format) -> str:
    """Returns `+80 ms` and the like; empty if both look the same or one is unknown."""
    if a is None or b is None or format_value(a) == format_value(b):
        return ""
    return ("+" if b > a else "−") + format_value(abs(b - a))


def _ids(sign: str, ids: Sequence[str]) -> str:
    more = f" and {len(ids) - limits.DIFF_DOCUMENTS:,} more" if len(ids) > limits.DIFF_DOCUMENTS else ""
    return f"{sign} {', '.join(map(printable, ids[: limits.DIFF_DOCUMENTS]))}{more}" if ids else ""


def _more(difference: Diff) -> list[str]:
    hidden = len(difference.steps) - limits.DIFF_STEPS
    return [f"… {plural(hidden, 'more step')}"] if hidden > 0 else []
