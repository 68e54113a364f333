"""Draws the rows of a waterfall: name, bar, numbers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil

from otel_callbacks import limits
from otel_callbacks.explore.pictures.axis import Axis
from otel_callbacks.explore.pictures.cells import Cells, folded_cells, is_unpriced_inference, span_cells
from otel_callbacks.explore.pictures.colours import (
    AMBER,
    CARD,
    FAINT,
    INK,
    MUTED,
    RED,
    RED_PALE,
    STEP,
    Category,
    category_of,
)
from otel_callbacks.explore.pictures.folding import Row
from otel_callbacks.explore.pictures.markup import cut_text
from otel_callbacks.explore.pictures.recorded import Piece
from otel_callbacks.explore.pictures.svg_elements import clip, element, line, rect, text, width_of
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree

ROW_HEIGHT = 22.0
HEADING_SIZE = 10.0  # font size
_NAME_SIZE, _NUMBER_SIZE, _NOTE_SIZE = 12.0, 11.0, 10.0  # font sizes
_INDENT = 14.0
_THICK, _THIN = 12.0, 5.0  # bars of spans without and with children
_LEAST_BAR = 2.0
_LEAST_NOTE = 45.0  # pixels; a narrower note is only in the tooltip
_LEAST_NAMES, _MOST_NAMES = 150.0, 310.0
_GAP = 6.0
_ENOUGH = 4 * limits.LINE_CHARACTERS  # of a text with many spaces, which are joined


@dataclass(frozen=True, slots=True)
class Layout:
    """The positions of columns: where names and bars begin, and where numbers end; 0 for an empty column."""

    names: float
    bars: float
    duration: float
    tokens_in: float
    tokens_out: float
    cost: float

    @classmethod
    def of(cls, rows: Sequence[Row], cells: Sequence[Cells], left: float, right: float) -> "Layout":
        """Makes the layout between `left` and `right`, with columns no wider than their content."""

        def width(column: Iterable[str], heading: str) -> float:
            needed = max(width_of(number, _NUMBER_SIZE) for number in column)
            return max(needed, width_of(heading, HEADING_SIZE)) + 14 if needed else 0.0

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
        """The pixel where the time axis ends."""
        return self.duration - 66


def cells_of(trace: SpanTree, row: Row) -> Cells:
    """Returns the words of a row."""
    if row.folded or row.hidden:
        return folded_cells(trace, row.spans)
    return span_cells(trace, row.spans[0])


def draw_row(
    trace: SpanTree,
    row: Row,
    cells: Cells,
    axis: Axis,
    layout: Layout,
    y: float,
    pieces: Sequence[Piece] = (),
) -> str:
    """Returns the elements of one row, whose upper edge is at `y`. Its tooltip has the `pieces` that were recorded."""
    failed = any(map(trace.began_failing_at, row.spans))
    bar = _folded_bar(row.spans, axis, y) if row.folded else _bar(trace, row.spans[0], axis, y, failed=failed)
    return element(
        "g",
        _tooltip(cells, pieces),
        *_name(row, cells, layout, y, failed=failed),
        *bar.drawn,
        *_note(cells.note, bar, axis, y),
        *_numbers(cells, layout, y, alarming=any(map(is_unpriced_inference, trace.walk(*row.spans)))),
    )


def guides(rows: Sequence[Row], left: float, top: float, colour: str) -> Iterator[str]:
    """Yields the lines of the tree, from each parent to its children."""
    ends: list[float] = []  # by depth: the y down to which the line below a span of that depth is drawn
    for number, row in enumerate(rows):
        middle = top + ROW_HEIGHT * number + ROW_HEIGHT / 2
        del ends[row.depth :]
        if 0 < row.depth <= limits.INDENTED_LEVELS:
            x = left + _INDENT * (row.depth - 1) + 4
            yield line(x, ends[-1], x, middle, colour)
            yield line(x, middle, x + _INDENT - 6, middle, colour)
            ends[-1] = middle
        ends.append(middle + 7)


def _name_begin(row: Row) -> float:
    """Returns where the name of a row begins in its column; a folded row has no coloured square before it."""
    return _INDENT * (min(row.depth, limits.INDENTED_LEVELS) + (not row.folded))


def _badge(row: Row) -> str:
    return f"+{len(row.hidden):,}" if row.hidden and not row.folded else ""


def _name_width(row: Row, cells: Cells) -> float:
    badge = width_of(_badge(row), _NOTE_SIZE) + _GAP if _badge(row) else 0.0
    return _name_begin(row) + width_of(cells.name, _NAME_SIZE) + badge


def _name(row: Row, cells: Cells, layout: Layout, y: float, *, failed: bool) -> Iterator[str]:
    x, badge = layout.names + _name_begin(row), _badge(row)
    if not row.folded:
        yield rect(x - _INDENT, y + 7, 8, 8, _common_category(row.spans).colour, rx=2)
    room = layout.bars - 2 * _GAP - x - (width_of(badge, _NOTE_SIZE) + _GAP if badge else 0.0)
    shown = clip(cells.name, room, _NAME_SIZE)
    if failed:
        inner = element("tspan", escape(shown), fill=RED)
    elif row.folded:
        inner = element("tspan", escape(shown), fill=MUTED)
    else:
        inner = quiet_verb(row.spans[0], shown)
    if badge:
        inner += element("tspan", escape(badge), fill=FAINT, font_size=_NOTE_SIZE, dx=_GAP)
    yield element("text", inner, x=x, y=y + 15, font_size=_NAME_SIZE, fill=INK)


def quiet_verb(span: SpanRecord, name: str) -> str:
    """Returns `name` escaped, with its operation (`chat` of `chat gpt-4o`) in a quieter colour."""
    verb, space, rest = name.partition(" ")
    if not (span.operation and rest):
        return escape(name)
    return element("tspan", escape(verb + space), fill=MUTED) + escape(rest)


@dataclass(frozen=True, slots=True)
class _Bar:
    """The elements of a bar, its begin and end, and where text within it may begin."""

    drawn: Sequence[str]
    begin: float
    end: float
    words: float


def _bar(trace: SpanTree, span: SpanRecord, axis: Axis, y: float, *, failed: bool) -> _Bar:
    """Returns the bar of one span: thin if the span has children, else thick."""
    category = category_of(span)
    begin, end = axis.bar(span)
    begin = min(begin, axis.right - _LEAST_BAR)
    end = max(end, begin + _LEAST_BAR)
    height = _THIN if trace.children_of(span) else _THICK
    words = end if height == _THIN else begin
    top = y + (ROW_HEIGHT - height) / 2
    colour, pale = (RED, RED_PALE) if failed else (category.colour, category.pale)
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
    """Returns the bar of folded spans: a piece wherever one of them runs, in red if it failed."""
    top = y + (ROW_HEIGHT - _THIN) / 2
    pieces = [(_common_category(spans).pale, piece) for piece in _pieces(spans, axis)]
    begin, end = pieces[0][1][0], pieces[-1][1][1]
    pieces += [(RED, piece) for piece in _pieces([span for span in spans if span.failed], axis)]
    drawn = [rect(left, top, right - left, _THIN, colour) for colour, (left, right) in pieces]
    return _Bar(drawn, begin, end, end)


def _pieces(spans: Sequence[SpanRecord], axis: Axis) -> Iterator[tuple[float, float]]:
    """Yields the stretches of the axis where one of `spans` runs; gaps that are too small to see are closed."""
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


def _note(note: str, bar: _Bar, axis: Axis, y: float) -> Iterator[str]:
    """Yields the note after, within or before its bar, cut off if no place is wide enough."""
    if not note:
        return
    after = axis.right - bar.end - _GAP
    within = bar.end - bar.words - 2 * _GAP
    before = bar.begin - axis.left - _GAP
    need = width_of(note, _NOTE_SIZE)
    room = next((room for room in (after, within, before) if room >= need), max(after, within, before))
    if room < min(need, _LEAST_NOTE):
        return
    shown, colour = clip(note, room, _NOTE_SIZE), RED if "✗" in note else MUTED
    if room == after:
        yield text(shown, bar.end + _GAP, y + 14.5, _NOTE_SIZE, colour)
    elif room == within:
        yield text(shown, bar.end - _GAP, y + 14.5, _NOTE_SIZE, CARD, text_anchor="end")
    else:
        yield text(shown, bar.begin - _GAP, y + 14.5, _NOTE_SIZE, colour, text_anchor="end")


def _numbers(cells: Cells, layout: Layout, y: float, *, alarming: bool) -> Iterator[str]:
    """Yields the numbers of a row; a missing cost stands out if it is that of an inference."""

    def number(content: str, x: float, colour: str = INK) -> str:
        return text(content, x, y + 15, _NUMBER_SIZE, colour, text_anchor="end")

    yield number(cells.duration, layout.duration, MUTED)
    if cells.tokens_in:
        yield number(cells.tokens_in, layout.tokens_in)
    if cells.tokens_out:
        yield number(cells.tokens_out, layout.tokens_out)
    if cells.cost:
        yield number(
            cells.cost, layout.cost, INK if cells.cost != "unpriced" else AMBER if alarming else MUTED
        )


def _tooltip(cells: Cells, pieces: Sequence[Piece]) -> str:
    """Returns the facts of a row, and on a line each, the beginning of what was recorded last."""
    tokens = f"{cells.tokens_in} → {cells.tokens_out or 0} tokens" if cells.tokens_in else ""
    words = " · ".join(filter(None, (cells.name, cells.duration, tokens, cells.cost, cells.note)))
    shown = words[: limits.TOOLTIP_CHARACTERS]
    texts = (f"{what}: {said[:_ENOUGH]}" if said else what for what, said in pieces[-limits.TOOLTIP_TEXTS :])
    lines = map(cut_text, texts)
    return element("title", "\n".join((escape(shown if shown == words else shown + "…"), *lines)))


def _common_category(spans: Sequence[SpanRecord]) -> Category:
    categories = {category_of(span) for span in spans}
    return categories.pop() if len(categories) == 1 else STEP
