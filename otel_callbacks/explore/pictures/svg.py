"""Draws a trace as an SVG picture: a header, and a waterfall of its spans on one time axis.

The picture looks the same wherever it is embedded. It has presentation attributes only: no script, id, or external font
or image, and a style sheet for dark themes alone. Where a site strips that, its white background keeps it readable.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from otel_callbacks import limits
from otel_callbacks.explore.pictures.axis import Axis
from otel_callbacks.explore.pictures.cells import (
    attribution_labels,
    failure_text,
    is_unpriced_inference,
    summary,
    title,
    unpriced_text,
)
from otel_callbacks.explore.pictures.colours import (
    AMBER,
    BORDER,
    CARD,
    DARK_STYLE,
    FAINT,
    GRID,
    INK,
    MUTED,
    PICTURE_CLASS,
    RED,
    RED_PAPER,
    category_of,
)
from otel_callbacks.explore.pictures.folding import Row, rows
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration, plural
from otel_callbacks.explore.pictures.recorded import Piece, recorded
from otel_callbacks.explore.pictures.svg_elements import FONT, clip, element, line, rect, text, width_of
from otel_callbacks.explore.pictures.waterfall import (
    HEADING_SIZE,
    ROW_HEIGHT,
    Layout,
    cells_of,
    draw_row,
    guides,
    quiet_verb,
)
from otel_callbacks.explore.spans.tree import SpanTree
from otel_callbacks.runtime.untrusted_text import printable

_WIDTH = 900.0
_LEFT, _RIGHT = 20.0, 880.0
_FIGURES = 78.0  # the lower edge of the header without errors
_ERROR_LINE = 22.0


def render_svg(trace: SpanTree) -> str:
    """Returns `trace` as an SVG document, 900 pixels wide and as high as its rows.

    A big trace is folded, not shrunk: `… 38 more chat gpt-4o` stands for siblings, `+14` for hidden spans below.
    """
    shown = rows(trace, limits.PICTURE_ROWS)
    cells = [cells_of(trace, row) for row in shown]
    layout = Layout.of(shown, cells, _LEFT, _RIGHT)
    axis = Axis.of(trace, layout.bars, layout.bars_end)
    errors = _error_lines(trace)
    top = _FIGURES + 36 + _ERROR_LINE * len(errors)
    bottom = top + ROW_HEIGHT * len(shown)
    height = bottom + 38
    said = {span.span_id: pieces for span, pieces in recorded(trace)}
    drawn = [
        element("style", DARK_STYLE),
        rect(0.5, 0.5, _WIDTH - 1, height - 1, CARD, rx=8, stroke=BORDER),
        *_header(trace),
        *_errors(errors),
        *_headings(layout, top - 10),
        *_grid(axis, top, bottom),
        *guides(shown, _LEFT, top, BORDER),
        *(
            draw_row(trace, row, cell, axis, layout, top + ROW_HEIGHT * number, _pieces(row, said))
            for number, (row, cell) in enumerate(zip(shown, cells, strict=True))
        ),
        *_legend(trace, shown, bottom + 24),
    ]
    return element(
        "svg",
        *drawn,
        class_=PICTURE_CLASS,
        xmlns="http://www.w3.org/2000/svg",
        width=_WIDTH,
        height=height,
        viewBox=f"0 0 {_WIDTH:.0f} {height:.0f}",
        font_family=FONT,
        role="img",
        aria_label=" · ".join((title(trace)[: limits.LINE_CHARACTERS], *summary(trace))),
    )


def _pieces(row: Row, said: Mapping[str, Sequence[Piece]]) -> Sequence[Piece]:
    """Returns what was recorded of the span that a row stands for; nothing for several spans."""
    return () if row.folded else said.get(row.spans[0].span_id, ())


def _header(trace: SpanTree) -> Iterator[str]:
    shown_id = f"trace {printable(trace.trace_id)}"
    room = _RIGHT - _LEFT - width_of(shown_id, 10) - 20
    name = quiet_verb(trace.roots[0], clip(title(trace), room, 17))
    yield element("text", name, x=_LEFT, y=32, font_size=17, fill=INK, font_weight="600")
    yield text(shown_id, _RIGHT, 30, 10, FAINT, text_anchor="end")
    x = _LEFT
    for figure, label, colour in _figures(trace):
        yield text(figure, x, 60, 15, colour, font_weight="600")
        yield text(label, x, 75, 10, MUTED)
        x += max(width_of(figure, 15), width_of(label, 10)) + 28
    if labels := attribution_labels(trace):
        words = " · ".join(f"{name} {value}" for name, value in labels)
        yield text(clip(words, _RIGHT - x, 11), _RIGHT, 60, 11, MUTED, text_anchor="end")


def _figures(trace: SpanTree) -> Iterator[tuple[str, str, str]]:
    """Yields the figures of the header, each with its label and colour."""
    yield format_duration(trace.duration), plural(len(trace.spans), "span"), INK
    if trace.total_tokens:
        label = f"tokens: {trace.input_tokens:,} in, {trace.output_tokens:,} out"
        yield f"{trace.total_tokens:,}", label, INK
    if trace.cost is not None:
        yield format_cost(trace.cost), "cost", INK
    if trace.unpriced:
        count, why = unpriced_text(trace)
        colour = AMBER if any(map(is_unpriced_inference, trace.unpriced)) else MUTED
        yield count, f"of {plural(len(trace.model_calls), 'model call')} {why}".rstrip(), colour
    if trace.errors:
        yield f"{len(trace.errors):,}", "error" if len(trace.errors) == 1 else "errors", RED
    for evaluation in trace.evaluations[-limits.PICTURE_EVALUATIONS :]:
        said = " ".join(filter(None, (evaluation.value, evaluation.thumb)))
        yield clip(printable(said), 90, 15), clip(printable(evaluation.name), 90, 10), INK


def _error_lines(trace: SpanTree) -> list[tuple[str, str]]:
    """Returns what failed and where, with like failures counted together; the commonest ones, then how many others."""
    lines = Counter((failure_text(span, at_origin=True), printable(span.name)) for span in trace.errors)
    shown = [
        (what, f"{where} ×{count:,}" if count > 1 else where)
        for (what, where), count in lines.most_common(limits.PICTURE_ERRORS)
    ]
    if more := len(lines) - len(shown):
        shown.append((f"… and {plural(more, 'other failure')}", ""))
    return shown


def _errors(lines: Sequence[tuple[str, str]]) -> Iterator[str]:
    if lines:
        yield rect(_LEFT, _FIGURES + 8, _RIGHT - _LEFT, _ERROR_LINE * len(lines) - 2, RED_PAPER, rx=4)
    for number, (what, where) in enumerate(lines):
        shown_where = clip(where, 300, 11)
        shown = clip(what, _RIGHT - _LEFT - 34 - width_of(shown_where, 11), 11)
        place = element("tspan", escape(shown_where), fill=MUTED, dx=10)
        y = _FIGURES + 22 + _ERROR_LINE * number
        yield element("text", escape(shown), place, x=_LEFT + 10, y=y, font_size=11, fill=RED)


def _headings(layout: Layout, y: float) -> Iterator[str]:
    def heading(words: str, x: float) -> str:
        return text(words, x, y, HEADING_SIZE, FAINT, text_anchor="end")

    yield heading("time", layout.duration)
    if layout.tokens_in:
        yield heading("tokens in", layout.tokens_in)
    if layout.tokens_out:
        yield heading("out", layout.tokens_out)
    if layout.cost:
        yield heading("cost", layout.cost)


def _grid(axis: Axis, top: float, bottom: float) -> Iterator[str]:
    yield line(_LEFT, top - 3, _RIGHT, top - 3, GRID)
    for x, label in axis.ticks():
        yield line(x, top - 3, x, bottom, GRID)
        yield text(label, x, top - 10, 10, FAINT, text_anchor="middle")


def _legend(trace: SpanTree, shown: Sequence[Row], y: float) -> Iterator[str]:
    """Yields the legend: the categories that occur, in order of occurrence, and other marks."""
    spans = [span for row in shown for span in row.spans]
    x = _LEFT
    for category in dict.fromkeys(map(category_of, spans)):
        yield rect(x, y - 8, 8, 8, category.colour, rx=2)
        yield text(category.name, x + 13, y, 10, MUTED)
        x += 13 + width_of(category.name, 10) + 16
    if any(span.time_to_first_chunk is not None for span in spans):
        yield line(x + 4, y - 10, x + 4, y + 2, INK, stroke_width=1.5)
        yield text("first token", x + 12, y, 10, MUTED)
        x += 12 + width_of("first token", 10) + 16
    if any(span.cost_status == "cached" for span in spans):
        yield rect(x, y - 8, 8, 8, CARD, rx=2, stroke=MUTED)
        yield text("from cache", x + 13, y, 10, MUTED)
