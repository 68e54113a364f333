"""The rows of one trace on a common time axis, as the picture in a notebook has them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from otel_callbacks.explore.pictures.axis import Axis
from otel_callbacks.explore.pictures.cells import Cells, folded_cells, is_unpriced_inference, span_cells
from otel_callbacks.explore.pictures.colours import STEP, category_of
from otel_callbacks.explore.pictures.folding import Row, rows
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.trace import Trace
from otel_callbacks.explore.ui.state import paged
from otel_callbacks.limits import INDENTED_LEVELS, UI_ROWS

_WIDTH = 1_000.0
_LEAST_BAR = 3.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """One row: a span, or several folded siblings, which stand one by one on a `page` of all rows.

    `left` and `width` are thousandths of the time axis, and so is `first_chunk`, where a stream began (None if it did
    not). `alarming` says that an inference has no price.
    """

    span_id: str
    page: int
    level: int
    kind: str
    verb: str
    name: str
    cells: Cells
    left: float
    width: float
    first_chunk: float | None
    failed: bool
    inherits_failure: bool
    cached: bool
    parent: bool
    folded: bool
    hidden: int
    alarming: bool


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The rows of a trace, the ticks of its time axis, and the categories that occur.

    With `pages` above 1, the rows are one page of all.
    """

    rows: Sequence[Drawn]
    ticks: Sequence[tuple[float, str]]
    kinds: Sequence[str]
    page: int
    pages: int
    is_folded: bool


def waterfall(trace: Trace, *, every: bool, page: int = 1) -> Waterfall:
    """Returns the rows of a trace: about `UI_ROWS` that sum up the others, or with `every` a page of all of them."""
    axis = Axis.of(trace, 0.0, _WIDTH)
    places = {span.span_id: place for place, span in enumerate(trace.walk())}
    if every:
        ordered = list(_all_rows(trace))
        page, pages = paged(page, len(ordered), UI_ROWS)
        shown = ordered[(page - 1) * UI_ROWS : page * UI_ROWS]
    else:
        shown, page, pages = rows(trace, UI_ROWS), 1, 1
    drawn = [_drawn(trace, row, axis, places) for row in shown]
    kinds = list(dict.fromkeys(row.kind for row in drawn))
    is_folded = any(row.folded or row.hidden for row in drawn)
    return Waterfall(drawn, list(axis.ticks()), kinds, page, pages, is_folded)


def _all_rows(trace: Trace) -> Iterator[Row]:
    depths: dict[str, int] = {}
    for span in trace.walk():
        depths.setdefault(span.span_id, 0)
        depths.update((child.span_id, depths[span.span_id] + 1) for child in trace.children_of(span))
        yield Row(depths[span.span_id], (span,), ())


def _drawn(trace: Trace, row: Row, axis: Axis, places: dict[str, int]) -> Drawn:
    span = row.spans[0]
    sums = row.folded or row.hidden
    cells = folded_cells(trace, row.spans) if sums else span_cells(trace, span)
    left, right = _ends(row.spans, axis)
    verb, space, rest = cells.name.partition(" ")
    has_verb = bool(span.operation and rest and not row.folded)
    failed = any(map(trace.began_failing_at, row.spans))
    first = span.time_to_first_chunk
    return Drawn(
        span_id=span.span_id,
        page=places[span.span_id] // UI_ROWS + 1,
        level=min(row.depth, INDENTED_LEVELS),
        kind=kind_of(row.spans),
        verb=verb + space if has_verb else "",
        name=rest if has_verb else cells.name,
        cells=cells,
        left=left,
        width=right - left,
        first_chunk=None if first is None or row.folded else min(right, left + axis.x(first)),
        failed=failed,
        inherits_failure=not failed and any(each.failed for each in row.spans),
        cached=not row.folded and span.cost_status == "cached",
        parent=bool(trace.children_of(span)) or row.folded,
        folded=row.folded,
        hidden=len(row.hidden),
        alarming=any(map(is_unpriced_inference, trace.walk(*row.spans) if sums else row.spans)),
    )


def _ends(spans: Sequence[SpanRecord], axis: Axis) -> tuple[float, float]:
    """Returns the left and right end of a bar, which is wide enough to be seen."""
    bars = [axis.bar(span) for span in spans]
    left = min(min(begin for begin, _ in bars), axis.right - _LEAST_BAR)
    return left, max(max(end for _, end in bars), left + _LEAST_BAR)


def kind_of(spans: Sequence[SpanRecord]) -> str:
    """Returns the name of the category that all of the spans have; `step` if they have several."""
    names = {category_of(span).name for span in spans}
    return names.pop() if len(names) == 1 else STEP.name
