"""The rows of a waterfall: name, bar, numbers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil

from otel_callbacks.explore.pictures.axis import Axis
from otel_callbacks.explore.pictures.cells import Cells, folded_cells, span_cells
from otel_callbacks.explore.pictures.colours import (
    AMBER,
    CARD,
    FAINT,
    INK,
    MUTED,
    RED,
    RED_PALE,
    STEP,
    Kind,
    kind_of,
)
from otel_callbacks.explore.pictures.drawing import clip, element, line, rect, text, width_of
from otel_callbacks.explore.pictures.folding import Row
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree

ROW_HEIGHT = 22.0
HEADING = 10.0  # font size
_NAME, _NUMBER, _NOTE = 12.0, 11.0, 10.0  # font sizes
_INDENT = 14.0
_DEEPEST = 9  # levels that are indented; what is deeper stays in line with them
_THICK, _THIN = 12.0, 5.0  # bars of work, and of what only holds other work
_LEAST_BAR = 2.0
_LEAST_NOTE = 45.0  # pixels below which a remark is left to the tooltip
_TOOLTIP = 400  # characters
_LEAST_NAMES, _MOST_NAMES = 150.0, 310.0
_GAP = 6.0


@dataclass(frozen=True, slots=True)
class Columns:
    """Where columns are: `names` and `bars` begin there, numbers end there; 0 for a column without numbers."""

    names: float
    bars: float
    duration: float
    tokens_in: float
    tokens_out: float
    cost: float

    @classmethod
    def of(cls, rows: Sequence[Row], cells: Sequence[Cells], left: float, right: float) -> "Columns":
        """Columns between `left` and `right`, no wider than what stands in them needs."""

        def width(column: Iterable[str], heading: str) -> float:
            needed = max(width_of(number, _NUMBER) for number in column)
            return max(needed, width_of(heading, HEADING)) + 14 if needed else 0.0

        names = ceil(max(_name_width(row, cell) for row, cell in zip(rows, cells, strict=True)))
        cost = width((cell.cost for cell in cells), "cost")
        tokens_out = width((cell.tokens_out for cell in cells), "out")
        tokens_in = width((cell.tokens_in for cell in cells), "tokens in")
        duration = right - cost - tokens_out - tokens_in
        return cls(
            names=left,
            bars=left + min(max(names, _LEAST_NAMES), _MOST_NAMES) + 2 * _GAP,
            duration=duration,
            tokens_in=duration + tokens_in if tokens_in else 0.0,
            tokens_out=duration + tokens_in + tokens_out if tokens_out else 0.0,
            cost=right if cost else 0.0,
        )

    @property
    def bars_end(self) -> float:
        """Where the time axis ends."""
        return self.duration - 66


def cells_of(trace: SpanTree, row: Row) -> Cells:
    """What a row says."""
    if row.folded or row.hidden:
        return folded_cells(trace, row.spans)
    return span_cells(trace, row.spans[0])


def draw_row(trace: SpanTree, row: Row, cells: Cells, axis: Axis, columns: Columns, y: float) -> str:
    """The elements of one row whose upper edge is at `y`."""
    failed = any(map(trace.began_failing_at, row.spans))
    bar = _folded_bar(row.spans, axis, y) if row.folded else _bar(trace, row.spans[0], axis, y, failed=failed)
    return element(
        "g",
        _tooltip(cells),
        *_name(row, cells, columns, y, failed=failed),
        *bar.drawn,
        *_remark(cells.note, bar, axis, y),
        *_numbers(cells, columns, y),
    )


def guides(rows: Sequence[Row], left: float, top: float, colour: str) -> Iterator[str]:
    """The lines of the tree that lead from each parent to its children."""
    ends: list[float] = []  # by depth: how far down the line below a span of that depth is drawn
    for number, row in enumerate(rows):
        middle = top + ROW_HEIGHT * number + ROW_HEIGHT / 2
        del ends[row.depth :]
        if 0 < row.depth <= _DEEPEST:
            x = left + _INDENT * (row.depth - 1) + 4
            yield line(x, ends[-1], x, middle, colour)
            yield line(x, middle, x + _INDENT - 6, middle, colour)
            ends[-1] = middle
        ends.append(middle + 7)


def _name_begin(row: Row) -> float:
    """How far right of the column the name of a row begins; a folded row has no square before it."""
    return _INDENT * (min(row.depth, _DEEPEST) + (not row.folded))


def _badge(row: Row) -> str:
    return f"+{len(row.hidden):,}" if row.hidden and not row.folded else ""


def _name_width(row: Row, cells: Cells) -> float:
    badge = width_of(_badge(row), _NOTE) + _GAP if _badge(row) else 0.0
    return _name_begin(row) + width_of(cells.name, _NAME) + badge


def _name(row: Row, cells: Cells, columns: Columns, y: float, *, failed: bool) -> Iterator[str]:
    x, badge = columns.names + _name_begin(row), _badge(row)
    if not row.folded:
        yield rect(x - _INDENT, y + 7, 8, 8, _common_kind(row.spans).colour, rx=2)
    room = columns.bars - 2 * _GAP - x - (width_of(badge, _NOTE) + _GAP if badge else 0.0)
    shown = clip(cells.name, room, _NAME)
    if failed:
        inner = element("tspan", escape(shown), fill=RED)
    elif row.folded:
        inner = element("tspan", escape(shown), fill=MUTED)
    else:
        inner = quiet_verb(row.spans[0], shown)
    if badge:
        inner += element("tspan", escape(badge), fill=FAINT, font_size=_NOTE, dx=_GAP)
    yield element("text", inner, x=x, y=y + 15, font_size=_NAME, fill=INK)


def quiet_verb(span: SpanRecord, name: str) -> str:
    """`name` escaped, its operation stepping back behind what it is done with."""
    verb, space, rest = name.partition(" ")
    if not (span.operation and rest):
        return escape(name)
    return element("tspan", escape(verb + space), fill=MUTED) + escape(rest)


@dataclass(frozen=True, slots=True)
class _Bar:
    """The elements of a bar, where it begins and ends, and from where on words can stand in it."""

    drawn: Sequence[str]
    begin: float
    end: float
    words: float


def _bar(trace: SpanTree, span: SpanRecord, axis: Axis, y: float, *, failed: bool) -> _Bar:
    """The bar of one span: thick where work was done, thin where it only holds other work."""
    kind = kind_of(span)
    begin, end = axis.bar(span)
    begin = min(begin, axis.right - _LEAST_BAR)
    end = max(end, begin + _LEAST_BAR)
    height = _THIN if trace.children_of(span) else _THICK
    words = end if height == _THIN else begin
    top = y + (ROW_HEIGHT - height) / 2
    colour, pale = (RED, RED_PALE) if failed else (kind.colour, kind.pale)
    if span.cost_status == "cached":
        return _Bar([rect(begin, top, end - begin, height, pale, rx=2, stroke=colour)], begin, end, end)
    inherited = {"stroke": RED} if span.failed and not failed else {}
    drawn = [rect(begin, top, end - begin, height, colour, rx=2, **inherited)]
    if span.time_to_first_chunk is not None:
        words = min(end, begin + axis.x(span.time_to_first_chunk) - axis.left)
        drawn.append(rect(begin + 1, top + 1, max(0.0, words - begin - 1), height - 2, pale))
        drawn.append(line(words, top - 2, words, top + height + 2, INK, stroke_width=1.5))
    return _Bar(drawn, begin, end, words)


def _folded_bar(spans: Sequence[SpanRecord], axis: Axis, y: float) -> _Bar:
    """Where on the axis the folded spans are, those that failed in red; as many pieces as can be seen."""
    top = y + (ROW_HEIGHT - _THIN) / 2
    pieces = [(_common_kind(spans).pale, piece) for piece in _pieces(spans, axis)]
    begin, end = pieces[0][1][0], pieces[-1][1][1]
    pieces += [(RED, piece) for piece in _pieces([span for span in spans if span.failed], axis)]
    drawn = [rect(left, top, right - left, _THIN, colour) for colour, (left, right) in pieces]
    return _Bar(drawn, begin, end, end)


def _pieces(spans: Sequence[SpanRecord], axis: Axis) -> Iterator[tuple[float, float]]:
    """The stretches of the axis in which one of `spans` runs; what nobody could see apart is one."""
    bars = sorted(map(axis.bar, spans))
    if not bars:
        return
    begin, end = bars[0]
    for left, right in bars[1:]:
        if left > end + 1.5:
            yield begin, max(end, begin + 1)
            begin = left
        end = max(end, right)
    yield begin, max(end, begin + 1)


def _remark(note: str, bar: _Bar, axis: Axis, y: float) -> Iterator[str]:
    """The note beside its bar, or within; cut off where no place is wide enough."""
    if not note:
        return
    after = axis.right - bar.end - _GAP
    within = bar.end - bar.words - 2 * _GAP
    before = bar.begin - axis.left - _GAP
    need = width_of(note, _NOTE)
    room = next((room for room in (after, within, before) if room >= need), max(after, within, before))
    if room < min(need, _LEAST_NOTE):
        return
    shown, colour = clip(note, room, _NOTE), RED if "✗" in note else MUTED
    if room == after:
        yield text(shown, bar.end + _GAP, y + 14.5, _NOTE, colour)
    elif room == within:
        yield text(shown, bar.end - _GAP, y + 14.5, _NOTE, CARD, text_anchor="end")
    else:
        yield text(shown, bar.begin - _GAP, y + 14.5, _NOTE, colour, text_anchor="end")


def _numbers(cells: Cells, columns: Columns, y: float) -> Iterator[str]:
    def number(content: str, x: float, colour: str = INK) -> str:
        return text(content, x, y + 15, _NUMBER, colour, text_anchor="end")

    yield number(cells.duration, columns.duration, MUTED)
    if cells.tokens_in:
        yield number(cells.tokens_in, columns.tokens_in)
    if cells.tokens_out:
        yield number(cells.tokens_out, columns.tokens_out)
    if cells.cost:
        yield number(cells.cost, columns.cost, AMBER if cells.cost == "unpriced" else INK)


def _tooltip(cells: Cells) -> str:
    tokens = f"{cells.tokens_in} → {cells.tokens_out or 0} tokens" if cells.tokens_in else ""
    words = " · ".join(filter(None, (cells.name, cells.duration, tokens, cells.cost, cells.note)))
    return element("title", escape(words if len(words) <= _TOOLTIP else words[:_TOOLTIP] + "…"))


def _common_kind(spans: Sequence[SpanRecord]) -> Kind:
    kinds = {kind_of(span) for span in spans}
    return kinds.pop() if len(kinds) == 1 else STEP
