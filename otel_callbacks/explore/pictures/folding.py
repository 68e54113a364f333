"""Chooses which spans of a big trace get a row of their own; the other spans are folded into rows that sum them up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain, groupby

from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree
from otel_callbacks.limits import ALIKE_SIBLINGS, PICTURE_CHILDREN, PICTURE_LEVELS

_ABOVE_ROOTS = ""  # takes the place of a span id, as the parent of the roots

_Groups = list[list[SpanRecord]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a picture, for a span or for several folded siblings.

    `hidden` are the spans below that have no row of their own.
    """

    depth: int
    spans: tuple[SpanRecord, ...]
    hidden: tuple[SpanRecord, ...]

    @property
    def folded(self) -> bool:
        """Tells whether the row stands for several siblings."""
        return len(self.spans) > 1


def fold_siblings(spans: Sequence[SpanRecord]) -> Iterator[list[SpanRecord]]:
    """Groups siblings: one span each, and in a long series of like spans one group for all after the first few."""

    def likeness(span: SpanRecord) -> tuple[str, str | None, str | None]:
        return span.name, span.error_type, span.outcome

    for _, series in groupby(spans, key=likeness):
        members = list(series)
        shown = len(members) if len(members) <= ALIKE_SIBLINGS else ALIKE_SIBLINGS - 1
        yield from ([span] for span in members[:shown])
        if members[shown:]:
            yield members[shown:]


def rows(trace: SpanTree, limit: int) -> list[Row]:
    """Returns about `limit` rows at most, parents first.

    Long series of like siblings are always folded. If that is not enough, rows are given out from the top down, to
    the ancestors of errors first. A span with many children then shows the first ones, the last one and some that
    lead to errors; deep levels are folded into their ancestor.
    """
    return list(_walk(trace, _shown(trace, limit, trim=False) or _shown(trace, limit, trim=True)))


def _walk(trace: SpanTree, shown: Mapping[str, _Groups]) -> Iterator[Row]:
    stack = [iter(shown[_ABOVE_ROOTS])]
    while stack:  # no recursion, because a trace may be deeper than Python's limit
        group = next(stack[-1], None)
        if group is None:
            stack.pop()
            continue
        span, depth = group[0], len(stack) - 1
        if len(group) == 1 and span.span_id in shown:
            yield Row(depth, (span,), ())
            stack.append(iter(shown[span.span_id]))
        else:
            own = {each.span_id for each in group}
            below = tuple(each for each in trace.walk(*group) if each.span_id not in own)
            yield Row(depth, tuple(group), below)


def _shown(trace: SpanTree, limit: int, *, trim: bool) -> dict[str, _Groups]:
    """Returns the groups of children to show, by their parent's id.

    Without `trim`, the result is empty if not everything fits.
    """
    error_paths = _error_paths(trace)
    shown: dict[str, _Groups] = {}
    room, order = limit, 0
    waiting: list[tuple[bool, int, int, str, Sequence[SpanRecord]]] = [
        (False, 0, 0, _ABOVE_ROOTS, trace.roots)
    ]
    while waiting:
        _, depth, _, parent, children = heappop(waiting)
        groups = list(fold_siblings(children))
        if trim:
            groups = _trimmed(groups, max(PICTURE_CHILDREN, room // 2), error_paths)
        if len(groups) > room:
            if not trim:
                return {}
            continue
        room -= len(groups)
        shown[parent] = groups
        for span in (group[0] for group in groups if len(group) == 1):
            is_calm = span.span_id not in error_paths
            if (below := trace.children_of(span)) and not (trim and is_calm and depth >= PICTURE_LEVELS):
                order += 1
                heappush(waiting, (is_calm, depth + 1, order, span.span_id, below))
    return shown


def _trimmed(groups: _Groups, limit: int, error_paths: set[str]) -> _Groups:
    """Returns at most `limit` groups: the first ones, the last and some that lead to errors; the others are joined."""
    if len(groups) <= limit:
        return groups
    failing = [index for index, group in enumerate(groups) if group[0].span_id in error_paths][: limit // 4]
    keep = {*range(limit - 2 - 2 * len(failing)), *failing, len(groups) - 1}
    trimmed: _Groups = []
    for kept, indexes in groupby(range(len(groups)), key=keep.__contains__):
        part = [groups[index] for index in indexes]
        trimmed.extend(part if kept else [list(chain.from_iterable(part))])
    return trimmed


def _error_paths(trace: SpanTree) -> set[str]:
    """Returns the ids of the spans where a failure began, and of their ancestors."""
    parents = {span.span_id: span.parent_id for span in trace.spans}
    paths: set[str] = set()
    for span in trace.errors:
        above: str | None = span.span_id
        while above in parents and above not in paths:
            paths.add(above)
            above = parents[above]
    return paths
