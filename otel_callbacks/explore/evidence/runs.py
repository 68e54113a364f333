"""A run: what `why` keeps of one trace, so that a hundred thousand spans fit in memory and are read once."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from otel_callbacks import semconv
from otel_callbacks.explore.evidence.critical import Segment, critical_path
from otel_callbacks.explore.evidence.facts import Fact, facts_of, numbers_of
from otel_callbacks.explore.evidence.nodes import Node, Step, nodes_of, step_of
from otel_callbacks.explore.evidence.searches import Search, searches_of
from otel_callbacks.explore.evidence.spending import Spending, retries_of, spending_of
from otel_callbacks.explore.spans.attributes import number
from otel_callbacks.explore.spans.tree import SpanTree


@dataclass(slots=True)
class StepTime:
    """What one kind of step took of a run, in nanoseconds on the critical path.

    `whole` is what it took by Jaeger's rule. `calls` are the spans on the path. `parts` say what the time was, such as
    the wait for the first chunk. `waited_in` names the LangGraph node and step in which the graph waited for it, while
    other nodes of that step were done.
    """

    time: int = 0
    whole: int = 0
    calls: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    waited_in: tuple[str, int] | None = None


@dataclass(slots=True)
class Calls:
    """All spans of one kind of step in a run, on the path or not.

    `longest` is in nanoseconds; `gap` is the longest time between two chunks of one stream, in seconds. `retries` are
    those that the framework made within these spans.
    """

    durations: list[int] = field(default_factory=list)
    failed: int = 0
    gap: float = 0.0
    retries: int = 0

    @property
    def longest(self) -> int:
        """The duration of the longest call, in nanoseconds."""
        return max(self.durations, default=0)


@dataclass(frozen=True, slots=True)
class Failure:
    """Where the failure of a run began, and its type."""

    step: Step
    error_type: str


@dataclass(frozen=True, slots=True)
class Run:
    """One trace as `why` compares it.

    `time` is the duration of the root in nanoseconds; those of `steps` add up to it. `conversation` is the trace's
    own id if it belongs to none. `weight` says for how many runs it stands, and `kept_for` why it was exported, where
    `Keep` decided. `is_whole` is False if the end of the root is unknown, or it waits for a person.
    """

    trace_id: str
    workflow: str
    conversation: str
    time: int
    nodes: Sequence[Node]
    steps: Mapping[Step, StepTime]
    calls: Mapping[Step, Calls]
    spending: Spending
    facts: frozenset[Fact]
    numbers: Mapping[str, float]
    searches: Sequence[Search]
    failed: bool
    failure: Failure | None
    weight: float
    kept_for: str | None
    is_whole: bool
    early_starts: int

    @classmethod
    def of(cls, tree: SpanTree) -> "Run":
        """Reads a trace."""
        nodes = nodes_of(tree)
        root = tree.roots[0]
        kept_for, weight = _sampling(tree)
        return cls(
            trace_id=tree.trace_id,
            workflow=step_of(root).name,
            conversation=next((span.session for span in tree.spans if span.session), tree.trace_id),
            time=nodes[0].end - nodes[0].start,
            nodes=nodes,
            steps=_step_times(nodes),
            calls=_calls(nodes),
            spending=spending_of(tree),
            facts=facts_of(tree),
            numbers=numbers_of(tree),
            searches=searches_of(tree),
            failed=any(root.failed for root in tree.roots),
            failure=_failure(tree),
            weight=weight,
            kept_for=kept_for,
            is_whole=root.outcome not in (semconv.UNFINISHED, semconv.INTERRUPTED) and bool(root.end_ns),
            early_starts=_early_starts(nodes),
        )


def _sampling(tree: SpanTree) -> tuple[str | None, float]:
    """Returns why the trace was kept, if `Keep` decided, and for how many traces it stands."""
    for span in (*tree.roots, *tree.spans):
        reason, ratio = (span.attributes.get(name) for name in (semconv.KEEP_REASON, semconv.KEEP_RATIO))
        ratio = number(ratio)
        if isinstance(reason, str) and ratio is not None and 0 < ratio <= 1:
            return reason, 1 / ratio
    return None, 1.0


def _early_starts(nodes: Sequence[Node]) -> int:
    """Counts the spans that began before their parent, by more than a millisecond: the clocks differed."""
    return sum(
        node.span is not None and node.parent >= 0 and node.start - node.span.start_ns > 1_000_000
        for node in nodes
    )


def _failure(tree: SpanTree) -> Failure | None:
    """Returns where the failure of the first failed root began: the last failed span on the way down."""
    span = next((root for root in tree.roots if root.failed), None)
    if span is None:
        return None
    while not tree.began_failing_at(span):
        below = [
            each for each in tree.children_of(span) if each.failed and each.error_type == span.error_type
        ]
        span = max(below, key=lambda each: each.end_ns)
    step = step_of(span)
    return Failure(step, span.error_type or "an error without a type")


def _calls(nodes: Sequence[Node]) -> dict[Step, Calls]:
    found: dict[Step, Calls] = defaultdict(Calls)
    for node in nodes:
        if node.span is None or node.is_part:
            continue
        calls = found[node.step]
        calls.durations.append(node.end - node.start)
        calls.failed += node.span.failed
        calls.retries += retries_of(node.span)
        calls.gap = max(calls.gap, number(node.span.attributes.get(semconv.STREAM_LONGEST_GAP)) or 0.0)
    return dict(found)


def _step_times(nodes: Sequence[Node]) -> dict[Step, StepTime]:
    found: dict[Step, StepTime] = defaultdict(StepTime)
    counted: set[tuple[Step, int]] = set()
    for segment in critical_path(nodes):
        node = nodes[segment.node]
        step = node.step_of_own_time
        own = found[step]
        own.time += segment.end - segment.start
        for name, time in _parts(nodes, segment):
            own.parts[name] += time
        call = _call_of(nodes, segment.node)
        if (step, call) not in counted:
            counted.add((step, call))
            own.calls += 1
        if node.barrier >= 0 and (graph_step := nodes[node.barrier].graph_step) is not None:
            own.waited_in = (nodes[node.barrier].step.name, graph_step)
    for segment in critical_path(nodes, only_whole=True):
        found[nodes[segment.node].step_of_own_time].whole += segment.end - segment.start
    return dict(found)


def _call_of(nodes: Sequence[Node], place: int) -> int:
    """Returns the place of the call that a node is part of."""
    while nodes[place].is_part:
        place = nodes[place].parent
    return place


def _parts(nodes: Sequence[Node], segment: Segment) -> list[tuple[str, int]]:
    """Says what a segment was: which span inside a tool, which part of a stream, or between which steps."""
    node, time = nodes[segment.node], segment.end - segment.start
    if node.is_part and node.span is not None:
        return [(f"in {step_of(node.span).name}", time)]
    if node.first_chunk:
        first = min(max(node.start + node.first_chunk - segment.start, 0), time)
        return [("until the first chunk", first), ("after the first chunk", time - first)]
    if node.step_of_own_time.kind != "gaps":
        return []
    after, before = (nodes[each].step.name if each >= 0 else "" for each in (segment.after, segment.before))
    if after and before:
        return [(f"between {after} and {before}", time)]
    return [(f"after {after}" if after else f"before {before}", time)]
