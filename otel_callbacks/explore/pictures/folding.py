"""Which spans of a trace get a row of their own, so that a big trace stays legible: the rest is summed up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import chain, groupby

from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree

_RUN = 5  # More alike siblings in a row than this are cut to one fewer and a row that counts the rest.
_DEEP = 10  # Levels that are shown of a trace too big to show, except on the way to an error.
_LEAST = 6  # Rows the children of one span get when there is little room left.
_TOP = ""  # Stands for the parent of the roots.

_Groups = list[list[SpanRecord]]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a picture: a span, or siblings folded together.

    `hidden` are the spans below that have no row of their own.
    """

    depth: int
    spans: tuple[SpanRecord, ...]
    hidden: tuple[SpanRecord, ...]

    @property
    def folded(self) -> bool:
        """Whether it stands for several siblings."""
        return len(self.spans) > 1


def alike(spans: Sequence[SpanRecord]) -> Iterator[list[SpanRecord]]:
    """Single spans, and the tails of long runs of alike ones."""

    def kin(span: SpanRecord) -> tuple[str, str | None, str | None]:
        return span.name, span.error_type, span.outcome

    for _, run in groupby(spans, key=kin):
        members = list(run)
        shown = len(members) if len(members) <= _RUN else _RUN - 1
        yield from ([span] for span in members[:shown])
        if members[shown:]:
            yield members[shown:]


def rows(trace: SpanTree, most: int) -> list[Row]:
    """At most about `most` rows, parents first.

    Long runs of alike siblings are folded in any case. When that is not enough, room is shared out from the
    top down, what leads to an error first: a span with many children shows the first ones, the last and some
    that failed, and what is too deep is folded into its ancestor.
    """
    return list(_walk(trace, _shown(trace, most, share=False) or _shown(trace, most, share=True)))


def _walk(trace: SpanTree, shown: Mapping[str, _Groups]) -> Iterator[Row]:
    stack = [iter(shown[_TOP])]
    while stack:  # not recursion: a trace may be deeper than Python's limit
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


def _shown(trace: SpanTree, most: int, *, share: bool) -> dict[str, _Groups]:
    """The groups of children to show, by their parent's id; without `share` all or, when too many, none."""
    erring = _leading_to_errors(trace)
    shown: dict[str, _Groups] = {}
    room, order = most, 0
    waiting: list[tuple[bool, int, int, str, Sequence[SpanRecord]]] = [(False, 0, 0, _TOP, trace.roots)]
    while waiting:
        _, depth, _, parent, children = heappop(waiting)
        groups = list(alike(children))
        if share:
            groups = _trimmed(groups, max(_LEAST, room // 2), erring)
        if len(groups) > room:
            if not share:
                return {}
            continue
        room -= len(groups)
        shown[parent] = groups
        for span in (group[0] for group in groups if len(group) == 1):
            calm = span.span_id not in erring
            if (below := trace.children_of(span)) and not (share and calm and depth >= _DEEP):
                order += 1
                heappush(waiting, (calm, depth + 1, order, span.span_id, below))
    return shown


def _trimmed(groups: _Groups, most: int, erring: set[str]) -> _Groups:
    """At most `most` groups: the first ones, the last and some that lead to an error; the others are joined."""
    if len(groups) <= most:
        return groups
    failing = [index for index, group in enumerate(groups) if group[0].span_id in erring][: most // 4]
    keep = {*range(most - 2 - 2 * len(failing)), *failing, len(groups) - 1}
    trimmed: _Groups = []
    for kept, indexes in groupby(range(len(groups)), key=keep.__contains__):
        part = [groups[index] for index in indexes]
        trimmed.extend(part if kept else [list(chain.from_iterable(part))])
    return trimmed


def _leading_to_errors(trace: SpanTree) -> set[str]:
    """Ids of the spans that failed by themselves, and of their ancestors."""
    parents = {span.span_id: span.parent_id for span in trace.spans}
    erring: set[str] = set()
    for span in trace.errors:
        above: str | None = span.span_id
        while above in parents and above not in erring:
            erring.add(above)
            above = parents[above]
    return erring
