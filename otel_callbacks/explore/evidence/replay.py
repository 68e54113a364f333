"""How long a run would have taken if one kind of step took no time, or had a time-out.

The replay keeps every stretch of time in which nothing that it knows of ran, and lets a span begin as long after the
last of its siblings that ended before it as it did. So what is hidden behind a slower sibling saves nothing.
"""

from collections.abc import Sequence

from otel_callbacks.explore.evidence.nodes import Node, Step


def replayed(nodes: Sequence[Node], step: Step, most_ns: int | None = None) -> int:
    """Returns the duration of the run in nanoseconds if `step` changes; without such a step, the duration that it had.

    With `most_ns`, each span of the step ends after that time, with everything below it; else the step's own time is 0.
    """
    lengths = [0] * len(nodes)
    for place in range(len(nodes) - 1, -1, -1):
        node = nodes[place]
        if most_ns is None and step == node.step_of_own_time:
            lengths[place] = _length(nodes, node, lengths, own_time=0)
            continue
        length = _length(nodes, node, lengths, own_time=1) if node.children else node.end - node.start
        if most_ns is not None and node.step == step and not node.is_part:
            length = min(length, most_ns)
        lengths[place] = length
    return lengths[0]


def _length(nodes: Sequence[Node], node: Node, lengths: Sequence[int], own_time: int) -> int:
    """Returns the new duration of a node from those of its children; `own_time` is 1 to keep its own time, else 0."""
    joined = [each for each in node.children if not nodes[each].outlasts]
    ended = joined[::-1]  # the earliest end first
    ends: dict[int, int] = {}  # the new end of each child, from the node's start on
    last_old, last_new, waiting = node.start, 0, 0
    for each in sorted(joined, key=lambda each: (nodes[each].start, nodes[each].end)):
        child = nodes[each]
        while waiting < len(ended) and nodes[ended[waiting]].end <= child.start and ended[waiting] in ends:
            last_old = nodes[ended[waiting]].end
            last_new = max(last_new, ends[ended[waiting]])
            waiting += 1
        ends[each] = last_new + own_time * (child.start - last_old) + lengths[each]
    finish_old = max((nodes[each].end for each in joined), default=node.start)
    return max(ends.values(), default=0) + own_time * (node.end - finish_old)
