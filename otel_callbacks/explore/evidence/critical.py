"""The critical path: for each moment of a run, the one span that held it up.

Two rules are known. The first walks back from the end of the root: at each moment the child that runs then and ends
latest holds the parent up, from its start to where the walk stands; where no child runs, the time is the parent's own.
So the segments partition the root. The second is Jaeger's (github.com/jaegertracing/jaeger-ui, its critical path): from
the child that finished last to the one that finished last before that one began; a child that only overlaps is left
out. Where both agree, nothing else can have held the run up.
"""

from collections.abc import Sequence
from typing import NamedTuple

from otel_callbacks.explore.evidence.nodes import Node


class Segment(NamedTuple):
    """A stretch of the path in which one span worked itself, in nanoseconds since the epoch.

    `node` is its place in the list of nodes. `after` and `before` are the places of the children on the path that
    ended where it begins and began where it ends; -1 without one.
    """

    node: int
    start: int
    end: int
    after: int
    before: int


def critical_path(nodes: Sequence[Node], *, only_whole: bool = False) -> list[Segment]:
    """Returns the segments of the path, in no order; they partition the time of the first node exactly.

    `only_whole` asks for Jaeger's rule, by which a child is on the path as a whole or not at all.
    """
    segments: list[Segment] = []
    waiting = [(0, nodes[0].start, nodes[0].end)]
    while waiting:
        place, low, at = waiting.pop()
        later = -1
        for child in nodes[place].children:  # the latest end first
            start, end = nodes[child].start, nodes[child].end
            if end <= low or at <= low:
                break
            if start >= at or (only_whole and end > at):
                continue
            start, end = max(start, low), min(end, at)
            if start >= end:
                continue
            if end < at:
                segments.append(Segment(place, end, at, child, later))
            waiting.append((child, start, end))
            at, later = start, child
        if at > low:
            segments.append(Segment(place, low, at, -1, later))
    return segments
