"""The spans of a trace as nodes: times in nanoseconds that fit into each other, and the kind of step of each."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from otel_callbacks import semconv
from otel_callbacks.explore.spans.attributes import integer, number
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree

_KINDS = {
    semconv.CHAT: "model",
    semconv.TEXT_COMPLETION: "model",
    semconv.GENERATE_CONTENT: "model",
    semconv.EMBEDDINGS: "embedding",
    semconv.RETRIEVAL: "retrieval",
    semconv.RERANK: "rerank",
    semconv.EXECUTE_TOOL: "tool",
    semconv.INVOKE_AGENT: "agent",
    semconv.INVOKE_WORKFLOW: "workflow",
}
WORK = ("model", "embedding", "retrieval", "rerank", "tool")
"""The kinds of step that are work themselves; what else is below them is a part of them."""
# A child that ends later than its parent, by more than this and a hundredth of its own time, was not waited for. Less
# is the order in which the ends were recorded.
_RECORDING_NS = 1_000_000


class Step(NamedTuple):
    """A kind of step: all spans with one kind and name, such as the calls of one tool.

    `kind` is `model`, `embedding`, `retrieval`, `rerank`, `tool`, `agent`, `workflow`, `step` for any other span, or
    `gaps` for the own time of a span that has children and is no work itself: queueing, and what runs between spans.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        if self.kind == "gaps":
            return f"between the steps of {self.name}"
        return self.name if self.kind in ("tool", "step") else f"{self.name} ({self.kind})"


class Node:
    """One span, cut to the time of its parent.

    `step` is its own kind of step, or that of the tool, model call or other work that it is a part of; `is_part` tells
    which. `children` are places in the list of nodes, the latest end first. `outlasts` says that the span ended after
    its parent, which therefore did not wait for it. `barrier` is the place of the nearest LangGraph node, this one or
    above, that ran beside others of its step; -1 without one. `first_chunk` is in nanoseconds, 0 if unknown.
    """

    __slots__ = (
        *("barrier", "children", "end", "first_chunk", "graph_step", "is_part", "outlasts", "parent"),
        *("span", "start", "step"),
    )

    def __init__(self, span: SpanRecord | None, parent: int, step: Step, is_part: bool) -> None:
        self.span = span
        self.parent = parent
        self.step = step
        self.is_part = is_part
        self.start = self.end = self.first_chunk = 0
        self.graph_step: int | None = None
        self.children: list[int] = []
        self.outlasts = False
        self.barrier = -1
        if span is not None:
            self.start = span.start_ns
            self.end = max(span.start_ns, span.end_ns)
            self.graph_step = integer(span.attributes.get(semconv.LANGGRAPH_STEP))
            chunk = number(span.attributes.get(semconv.RESPONSE_TIME_TO_FIRST_CHUNK))
            self.first_chunk = int(chunk * 1e9) if chunk is not None and 0 < chunk < 1e9 else 0

    @property
    def step_of_own_time(self) -> Step:
        """The kind of step that its own time counts for."""
        if self.children and self.step.kind not in WORK:
            return Step("gaps", self.step.name)
        return self.step


def step_of(span: SpanRecord) -> Step:
    """Returns the kind of step of a span by itself, without what is around it."""
    operation = span.operation
    kind = _KINDS.get(operation or "", "step")
    named = span.tool_name if kind == "tool" else None
    return Step(kind, named or span.name.removeprefix(f"{operation} "))


def outermost(tree: SpanTree, is_one: Callable[[SpanRecord], bool]) -> Iterator[SpanRecord]:
    """Yields the spans of a kind that are not below another one of it."""
    waiting = list(reversed(tree.roots))
    while waiting:
        span = waiting.pop()
        if is_one(span):
            yield span
        else:
            waiting.extend(reversed(tree.children_of(span)))


def nodes_of(tree: SpanTree) -> list[Node]:
    """Returns the nodes of a trace, parents before their children; the first is the root.

    Several roots get a node above them, named `roots`, from the first start to the last end. A span without an end
    ends with the last span below it. A span that begins before its parent or ends after it is cut there: clocks of
    machines differ, and the parent did not wait for what came later.
    """
    nodes: list[Node] = []
    above = -1
    if len(tree.roots) > 1:
        nodes.append(Node(None, -1, Step("workflow", "roots"), False))
        above = 0
    waiting: list[tuple[SpanRecord, int]] = [(root, above) for root in reversed(tree.roots)]
    while waiting:
        span, parent = waiting.pop()
        place = len(nodes)
        nodes.append(_node(span, parent, nodes))
        if parent >= 0:
            nodes[parent].children.append(place)
        waiting.extend((child, place) for child in reversed(tree.children_of(span)))
    _end_what_has_no_end(nodes)
    if above == 0:
        roots = [nodes[place] for place in nodes[0].children]
        nodes[0].start = min(root.start for root in roots)
        nodes[0].end = max(root.end for root in roots)
    _fit(nodes)
    return nodes


def _node(span: SpanRecord, parent: int, nodes: list[Node]) -> Node:
    own = step_of(span)
    if own.kind == "step" and parent >= 0 and nodes[parent].step.kind in WORK:
        return Node(span, parent, nodes[parent].step, True)  # such as the request of a tool, made by a client
    return Node(span, parent, own, False)


def _end_what_has_no_end(nodes: list[Node]) -> None:
    for node in reversed(nodes):
        if node.span is not None and not node.span.end_ns:
            node.end = max([node.start, *(nodes[child].end for child in node.children)])


def _fit(nodes: list[Node]) -> None:
    for node in nodes:
        steps = Counter(nodes[each].graph_step for each in node.children)
        for place in node.children:
            child = nodes[place]
            late = child.end - node.end
            child.outlasts = late > _RECORDING_NS + (child.end - child.start) // 100
            child.start = min(max(child.start, node.start), node.end)
            child.end = max(min(child.end, node.end), child.start)
            beside = child.graph_step is not None and steps[child.graph_step] > 1
            child.barrier = place if beside else node.barrier
        if len(node.children) > 1:
            node.children.sort(key=lambda each: (-nodes[each].end, nodes[each].start))
