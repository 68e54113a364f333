"""Draws a trace as text: a header, then one row per span in aligned columns.

```
invoke_workflow rag · 1.42 s · 2,310 tokens · $0.0054 · trace 4bf92f3577b34da6a3ce929d0e0e4736
├─ retrieval product-docs   43 ms  4 docs, best 0.91
└─ chat gpt-4o             1.28 s  2,184 → 126 tok  $0.0054  1,024 cached · TTFT 180 ms
```
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from otel_callbacks.explore.pictures.cells import (
    Cells,
    folded_cells,
    note,
    span_cells,
    summary,
    title,
    unpriced_text,
)
from otel_callbacks.explore.pictures.folding import fold_siblings
from otel_callbacks.explore.pictures.monospace import fit, pad
from otel_callbacks.explore.pictures.monospace import width as width_of
from otel_callbacks.explore.spans.documents import RetrievedDocument
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree
from otel_callbacks.runtime.untrusted_text import printable

_LEAST_NAME = 24  # columns that names keep if there is too little room
_GAP = "  "
_ID_DIGITS = 8

_Row: TypeAlias = tuple[str, Cells]  # the branch of the tree, and the words after it


def render_text(trace: SpanTree, width: int = 100) -> str:
    """Returns `trace` as a tree of lines, none wider than `width` columns.

    The header stands for the root and has the totals; each row shows one span. The text has no escape codes:
    control characters in names and messages are spelled out.
    """
    top = trace.children_of(trace.roots[0]) if len(trace.roots) == 1 else trace.roots
    rows = list(_rows(trace, top))
    return "\n".join((_header(trace, width), *_lines(rows, width)))


def documents_text(found: Iterable[RetrievedDocument]) -> str:
    """Returns documents as lines: rank, score, id, source, and whether kept, in the prompt and cited."""
    return "\n".join(map(_document, found))


def _document(document: RetrievedDocument) -> str:
    score = "" if document.score is None else f"{document.score:.3g}"
    flags = (("kept", document.kept), ("in the prompt", document.in_prompt), ("cited", document.cited))
    marks = ", ".join(name for name, is_set in flags if is_set)
    words = (f"{document.operation} {document.rank}.", score, document.id, document.source, marks)
    return printable("  ".join(filter(None, words)))


def _header(trace: SpanTree, width: int) -> str:
    """Returns name and totals. If room is short, it drops reasons first, then shortens the id, then the name."""
    name, trace_id = title(trace), printable(trace.trace_id)
    root_note = note(trace, trace.roots[0]) if len(trace.roots) == 1 else ""
    root_note = root_note.removesuffix(unpriced_text(trace)[1]).removesuffix(" · ")  # the totals have it
    notes = [fit(root_note, width // 2)] if root_note else []
    whole_id, short_id = f"trace {trace_id}", f"{trace_id[:_ID_DIGITS]}…"
    for shown_id, reasons in ((whole_id, True), (whole_id, False), (trace_id, False), (short_id, False)):
        rest = " · ".join(("", *summary(trace, reasons=reasons), *notes, shown_id))
        if width_of(name + rest) <= width:
            return name + rest
    return fit(fit(name, max(_LEAST_NAME, width - width_of(rest))) + rest, width)


def _rows(trace: SpanTree, top: Sequence[SpanRecord]) -> Iterator[_Row]:
    stack = [_siblings("", top)]
    while stack:  # no recursion, because a trace may be deeper than Python's limit
        for branch, below, group in stack[-1]:
            if len(group) > 1:
                yield branch, folded_cells(trace, group)
                continue
            yield branch, span_cells(trace, group[0])
            stack.append(_siblings(below, trace.children_of(group[0])))
            break
        else:
            stack.pop()


def _siblings(prefix: str, spans: Sequence[SpanRecord]) -> Iterator[tuple[str, str, list[SpanRecord]]]:
    """Yields the rows of siblings: the branch, the prefix for rows below, and the spans that the row stands for."""
    groups = list(fold_siblings(spans))
    for index, group in enumerate(groups):
        last = index == len(groups) - 1
        yield prefix + ("└─ " if last else "├─ "), prefix + ("   " if last else "│  "), group


def _lines(drawn: Sequence[_Row], width: int) -> Iterator[str]:
    """Yields the rows in columns; names and notes are cut off to fit `width`."""
    if not drawn:
        return
    rows = [row for _, row in drawn]
    durations = _column([row.duration for row in rows], right=True)
    first = max(len(row.tokens_in) for row in rows)
    second = max(len(row.tokens_out) for row in rows)
    tokens = _column([_tokens(row, first, second) for row in rows])
    costs = _column([row.cost for row in rows], right=True)
    measures = [_join(*cells) for cells in zip(durations, tokens, costs, strict=True)]
    rights = [
        # In a row without tokens, the note takes their place.
        _join(measure if row.tokens_in or row.cost else duration, row.note).rstrip()
        for row, duration, measure in zip(rows, durations, measures, strict=True)
    ]
    names = [len(branch) + width_of(row.name) for branch, row in drawn]
    most = max(_LEAST_NAME, width - len(_GAP) - len(measures[0]))  # so that names never push numbers out
    name = _name_width(names, [width_of(text) for text in rights], min(max(names), most), width)
    for (branch, row), text in zip(drawn, rights, strict=True):
        yield fit(_join(pad(_branch_and_name(branch, row.name, name), name), text), width)


def _name_width(names: Sequence[int], rights: Sequence[int], most: int, width: int) -> int:
    """Returns the width of the name column, at most `most`, with which the fewest rows are cut off, by the least.

    `names` and `rights` are the columns that each row needs for its name and for the rest.
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


def _tokens(row: Cells, first: int, second: int) -> str:
    """Returns `1,204 → 87 tok` with the numbers padded, so that numbers and arrows of all rows line up."""
    if not row.tokens_in:
        return ""
    tokens_out = f" → {row.tokens_out.rjust(second)}" if row.tokens_out else ""
    return f"{row.tokens_in.rjust(first)}{tokens_out} tok"


def _column(cells: Sequence[str], *, right: bool = False) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) if right else cell.ljust(width) for cell in cells]


def _branch_and_name(branch: str, name: str, width: int) -> str:
    """Returns branch and name in at most `width` columns; a branch that is too deep keeps its end."""
    room = width - min(width_of(name), _LEAST_NAME // 2)
    if len(branch) > room:
        branch = "…" + branch[len(branch) - room + 1 :]
    return fit(branch + name, width)
