"""A trace as text: one header, one row per span, columns that line up.

```
invoke_workflow rag · 1.42 s · 2,310 tokens · $0.0054 · trace 4bf92f3577b34da6a3ce929d0e0e4736
├─ retrieval product-docs   43 ms  4 docs, best 0.91
└─ chat gpt-4o             1.28 s  2,184 → 126 tok  $0.0054  1,024 cached · TTFT 180 ms
```
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from otel_callbacks.explore.pictures.cells import Cells, folded_cells, note, span_cells, summary, title
from otel_callbacks.explore.pictures.columns import fit, pad
from otel_callbacks.explore.pictures.columns import width as width_of
from otel_callbacks.explore.pictures.folding import alike
from otel_callbacks.explore.pictures.wording import printable
from otel_callbacks.explore.spans.documents import RetrievedDocument
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree

_LEAST_NAME = 24  # Columns names keep when there is too little room.
_GAP = "  "
_ID_DIGITS = 8

_Row: TypeAlias = tuple[str, Cells]  # the branch of the tree, and what stands after it


def render_text(trace: SpanTree, width: int = 100) -> str:
    """`trace` as a tree of lines, none wider than `width` columns.

    The header stands for the root and sums up the trace; rows show what each span adds. Plain text without
    escape codes: control characters in names and messages are spelled out.
    """
    top = trace.children_of(trace.roots[0]) if len(trace.roots) == 1 else trace.roots
    rows = list(_rows(trace, top))
    return "\n".join((_header(trace, width), *_lines(rows, width)))


def documents_text(found: Iterable[RetrievedDocument]) -> str:
    """Documents as lines: rank, score, id, source, and how far each came."""
    return "\n".join(map(_document, found))


def _document(document: RetrievedDocument) -> str:
    score = "" if document.score is None else f"{document.score:.3g}"
    fates = (("kept", document.kept), ("in the prompt", document.in_prompt), ("cited", document.cited))
    marks = ", ".join(name for name, happened in fates if happened)
    words = (f"{document.operation} {document.rank}.", score, document.id, document.source, marks)
    return printable("  ".join(filter(None, words)))


def _header(trace: SpanTree, width: int) -> str:
    """Name and totals; when there is too little room, without reasons, then with less of the id, then of the name."""
    name, trace_id = title(trace), trace.trace_id
    remark = note(trace, trace.roots[0]) if len(trace.roots) == 1 else ""
    remarks = [fit(remark, width // 2)] if remark else []
    whole_id, short_id = f"trace {trace_id}", f"{trace_id[:_ID_DIGITS]}…"
    for shown_id, reasons in ((whole_id, True), (whole_id, False), (trace_id, False), (short_id, False)):
        rest = " · ".join(("", *summary(trace, reasons=reasons), *remarks, shown_id))
        if width_of(name + rest) <= width:
            return name + rest
    return fit(fit(name, max(_LEAST_NAME, width - width_of(rest))) + rest, width)


def _rows(trace: SpanTree, top: Sequence[SpanRecord]) -> Iterator[_Row]:
    stack = [_siblings("", top)]
    while stack:  # not recursion: a trace may be deeper than Python's limit
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
    """Each row among siblings: its branch, the prefix of what is below it, and the spans it stands for."""
    groups = list(alike(spans))
    for index, group in enumerate(groups):
        last = index == len(groups) - 1
        yield prefix + ("└─ " if last else "├─ "), prefix + ("   " if last else "│  "), group


def _lines(drawn: Sequence[_Row], width: int) -> Iterator[str]:
    """Rows in columns; names and notes give way to `width`."""
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
        # The note of a row without tokens stands where they would.
        _join(measure if row.tokens_in or row.cost else duration, row.note).rstrip()
        for row, duration, measure in zip(rows, durations, measures, strict=True)
    ]
    names = [len(branch) + width_of(row.name) for branch, row in drawn]
    most = max(_LEAST_NAME, width - len(_GAP) - len(measures[0]))  # names never push numbers out
    name = _name_width(names, [width_of(text) for text in rights], min(max(names), most), width)
    for (branch, row), text in zip(drawn, rights, strict=True):
        yield fit(_join(pad(_branch_and_name(branch, row.name, name), name), text), width)


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


def _tokens(row: Cells, first: int, second: int) -> str:
    """`1,204 → 87 tok` with the numbers that wide, so that they and the arrows stand under each other."""
    if not row.tokens_in:
        return ""
    tokens_out = f" → {row.tokens_out.rjust(second)}" if row.tokens_out else ""
    return f"{row.tokens_in.rjust(first)}{tokens_out} tok"


def _column(cells: Sequence[str], *, right: bool = False) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) if right else cell.ljust(width) for cell in cells]


def _branch_and_name(branch: str, name: str, width: int) -> str:
    """Branch and name in at most `width` columns; of a branch too deep for that its near end is kept."""
    room = width - min(width_of(name), _LEAST_NAME // 2)
    if len(branch) > room:
        branch = "…" + branch[len(branch) - room + 1 :]
    return fit(branch + name, width)
