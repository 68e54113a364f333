"""A trace as text: one header, one row per span, columns that line up.

```
invoke_workflow rag · 1.42 s · 2,310 tokens · $0.0054 · trace 4bf92f3577b34da6a3ce929d0e0e4736
├─ retrieval product-docs   43 ms  4 docs, best 0.91
└─ chat gpt-4o             1.28 s  2,184 → 126 tok  $0.0054  1,024 cached · TTFT 180 ms
```
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import fsum

from otel_callbacks.explore.model import SpanRecord
from otel_callbacks.explore.trace import Trace

_FOLD = 5  # More like siblings in a row than this are cut to one fewer and a line that counts the rest.
_LEAST_NAME = 24  # Columns names keep when there is too little room.
_GAP = "  "
_ORDINARY_ENDS = {"stop", "end_turn"}
_ID_DIGITS = 8


def render_text(trace: Trace, width: int = 100) -> str:
    """`trace` as a tree of lines, none wider than `width` columns.

    The header stands for the root and sums up the trace; rows show what each span adds. Plain text without
    escape codes: control characters in names and messages are spelled out.
    """
    top = trace.children_of(trace.roots[0]) if len(trace.roots) == 1 else trace.roots
    rows = list(_rows(trace, top))
    return "\n".join((_header(trace, width), *_lines(rows, width)))


def format_duration(seconds: float) -> str:
    """`820 µs`, `31 ms`, `1.42 s`, `2 min 05 s` or `3 h 07 min`."""
    if seconds < 0.0009995:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def format_cost(usd: float) -> str:
    """`$12.34`, `$0.0121`, `<$0.0001` or, when it was free, `$0`."""
    if usd >= 1:
        return f"${usd:,.2f}"
    if 0 < usd < 0.00005:
        return "<$0.0001"
    return f"${usd:.4f}" if usd else "$0"


def printable(text: str) -> str:
    r"""`text` on one line, white space collapsed and every other control character as `\x1b` and the like."""
    text = " ".join(text.split())
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, slots=True)
class _Row:
    branch: str
    name: str
    duration: str
    tokens_in: str
    tokens_out: str
    cost: str
    note: str


def _header(trace: Trace, width: int) -> str:
    parts = [format_duration(trace.duration)]
    if trace.total_tokens:
        parts.append(f"{trace.total_tokens:,} tokens")
    if trace.cost is not None:
        parts.append(format_cost(trace.cost))
    if trace.unpriced:
        parts.append(f"{len(trace.unpriced)} unpriced")
    if trace.errors:
        parts.append(_plural(len(trace.errors), "error"))
    name = printable(trace.name)
    if len(trace.roots) > 1:
        name += f" + {_plural(len(trace.roots) - 1, 'more root')}"
    elif note := _note(trace, trace.roots[0]):
        parts.append(_fit(note, width // 2))
    return _fit_header(name, parts, trace.trace_id, width)


def _fit_header(name: str, parts: Sequence[str], trace_id: str, width: int) -> str:
    """The header with as much of the trace id, and then of the name, as there is room for."""
    for shown_id in (f"trace {trace_id}", trace_id, f"{trace_id[:_ID_DIGITS]}…"):
        rest = " · ".join(("", *parts, shown_id))
        if _columns(name + rest) <= width:
            return name + rest
    return _fit(_fit(name, max(_LEAST_NAME, width - _columns(rest))) + rest, width)


def _rows(trace: Trace, top: Sequence[SpanRecord]) -> Iterator[_Row]:
    stack = [_siblings("", top)]
    while stack:  # not recursion: a trace may be deeper than Python's limit
        for branch, below, group in stack[-1]:
            if len(group) > 1:
                yield _folded_row(trace, branch, group)
                continue
            yield _span_row(trace, branch, group[0])
            stack.append(_siblings(below, trace.children_of(group[0])))
            break
        else:
            stack.pop()


def _siblings(prefix: str, spans: Sequence[SpanRecord]) -> Iterator[tuple[str, str, list[SpanRecord]]]:
    """Each row among siblings: its branch, the prefix of what is below it, and the spans it stands for."""
    groups = list(_fold(spans))
    for index, group in enumerate(groups):
        last = index == len(groups) - 1
        yield prefix + ("└─ " if last else "├─ "), prefix + ("   " if last else "│  "), group


def _fold(spans: Sequence[SpanRecord]) -> Iterator[list[SpanRecord]]:
    """Single spans, and the tails of long runs of alike ones."""

    def kin(span: SpanRecord) -> tuple[str, str | None, str | None]:
        return span.name, span.error_type, span.outcome

    for _, run in groupby(spans, key=kin):
        alike = list(run)
        shown = len(alike) if len(alike) <= _FOLD else _FOLD - 1
        yield from ([span] for span in alike[:shown])
        if alike[shown:]:
            yield alike[shown:]


def _span_row(trace: Trace, branch: str, span: SpanRecord) -> _Row:
    calls = [span] if span.is_model_call else []
    return _row(branch, printable(span.name), span.duration, calls, _note(trace, span))


def _folded_row(trace: Trace, branch: str, spans: Sequence[SpanRecord]) -> _Row:
    """One row for many spans: what they and all below them add up to."""
    below = {span.span_id for span in trace.walk(*spans)}
    calls = [span for span in trace.model_calls if span.span_id in below]
    errors = sum(span.span_id in below for span in trace.errors)
    unpriced = sum(span.span_id in below for span in trace.unpriced)
    notes = (f"✗ {_plural(errors, 'error')}" if errors else "", f"{unpriced:,} unpriced" if unpriced else "")
    name = f"… {len(spans):,} more {printable(spans[0].name)}"
    return _row(branch, name, Trace.of(spans).duration, calls, " · ".join(filter(None, notes)))


def _row(branch: str, name: str, seconds: float, calls: Sequence[SpanRecord], note: str) -> _Row:
    """A row with the tokens and the cost of `calls` together; what none of them reports stays blank."""
    inputs = [span.input_tokens for span in calls if span.input_tokens is not None]
    outputs = [span.output_tokens for span in calls if span.output_tokens is not None]
    return _Row(
        branch,
        name,
        format_duration(seconds),
        tokens_in=f"{sum(inputs):,}" if inputs or outputs else "",
        tokens_out=f"{sum(outputs):,}" if outputs else "",
        cost=_cost(calls),
        note=note,
    )


def _cost(calls: Sequence[SpanRecord]) -> str:
    costs = [span.cost for span in calls if span.cost is not None]
    if costs:
        return format_cost(fsum(costs))
    return "unpriced" if any(span.cost_status == "unpriced" for span in calls) else ""


def _note(trace: Trace, span: SpanRecord) -> str:
    """What is out of the ordinary about a span."""
    parts = []
    if span.failed:
        parts.append(_failure(span, at_origin=trace.began_failing_at(span)))
    if span.documents_count is not None:
        parts.append(_documents(span, span.documents_count))
    if span.outcome:
        parts.append(printable(span.outcome))
    if span.cost_status == "unpriced" and span.unpriced_reason:
        parts.append(f"({printable(span.unpriced_reason)})")
    if span.cost_status == "cached":
        parts.append("from cache")
    if reasons := [reason for reason in span.finish_reasons if reason.lower() not in _ORDINARY_ENDS]:
        parts.append(printable(", ".join(reasons)))
    if span.cache_read_tokens:
        parts.append(f"{span.cache_read_tokens:,} cached")
    if span.time_to_first_chunk is not None:
        parts.append(f"TTFT {format_duration(span.time_to_first_chunk)}")
    return " · ".join(parts)


def _documents(span: SpanRecord, count: int) -> str:
    """`4 docs`, `20 → 4 docs`, `4 docs, best 0.91`."""
    candidates = "" if span.candidates_count is None else f"{span.candidates_count:,} → "
    score = "" if span.top_score is None else f", best {span.top_score:.3g}"
    return f"{candidates}{_plural(count, 'doc')}{score}"


def _failure(span: SpanRecord, *, at_origin: bool) -> str:
    """`✗ ValueError: message`; the message is said once, where it comes from."""
    error_type = (span.error_type or "").rpartition(".")[2]
    message = span.error_message if at_origin else ""
    return "✗ " + printable(": ".join(filter(None, (error_type, message))) or "failed")


def _lines(rows: Sequence[_Row], width: int) -> Iterator[str]:
    """`rows` in columns; names and notes give way to `width`."""
    if not rows:
        return
    durations = _column([row.duration for row in rows], right=True)
    first = max(len(row.tokens_in) for row in rows)
    second = max(len(row.tokens_out) for row in rows)
    tokens = _column([_tokens(row, first, second) for row in rows])
    costs = _column([row.cost for row in rows], right=True)
    measures = [_join(*cells) for cells in zip(durations, tokens, costs, strict=True)]
    rights = [
        # The note of a row without tokens stands where they would.
        _join(measure if row.tokens_in or row.cost else duration, row.note).rstrip()
        for row, duration, measure in zip(rows, durations, measures, strict=True)
    ]
    names = [len(row.branch) + _columns(row.name) for row in rows]
    most = max(_LEAST_NAME, width - len(_GAP) - len(measures[0]))  # names never push numbers out
    name = _name_width(names, [_columns(text) for text in rights], min(max(names), most), width)
    for row, text in zip(rows, rights, strict=True):
        yield _fit(_join(_pad(_branch_and_name(row, name), name), text), width)


def _name_width(names: Sequence[int], rights: Sequence[int], most: int, width: int) -> int:
    """How wide names may be, up to `most`, for the fewest rows to be cut off, and those by the least.

    `names` and `rights` are the columns each row wants for its name and for what follows.
    """

    def loss(chosen: int) -> tuple[int, int]:
        free = width - len(_GAP) - chosen
        cuts = [
            max(0, name - chosen) + max(0, right - free) for name, right in zip(names, rights, strict=True)
        ]
        return sum(map(bool, cuts)), sum(cuts)

    return min(range(min(_LEAST_NAME, most), most + 1), key=loss)


def _join(*cells: str) -> str:
    return _GAP.join(filter(None, cells))


def _tokens(row: _Row, first: int, second: int) -> str:
    """`1,204 → 87 tok` with the numbers that wide, so that they and the arrows stand under each other."""
    if not row.tokens_in:
        return ""
    tokens_out = f" → {row.tokens_out.rjust(second)}" if row.tokens_out else ""
    return f"{row.tokens_in.rjust(first)}{tokens_out} tok"


def _column(cells: Sequence[str], *, right: bool = False) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) if right else cell.ljust(width) for cell in cells]


def _branch_and_name(row: _Row, width: int) -> str:
    """Branch and name in at most `width` columns; of a branch too deep for that its near end is kept."""
    branch, room = row.branch, width - min(_columns(row.name), _LEAST_NAME // 2)
    if len(branch) > room:
        branch = "…" + branch[len(branch) - room + 1 :]
    return _fit(branch + row.name, width)


def _columns(text: str) -> int:
    """How many columns a terminal gives `text`."""
    if text.isascii():
        return len(text)
    return sum(map(_character_columns, text))


def _character_columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fit(text: str, width: int) -> str:
    """`text`, cut off with `…` when it is wider than `width` columns."""
    if _columns(text) <= width:
        return text
    used, kept = 1, []
    for character in text:
        used += _character_columns(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _columns(text))


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
