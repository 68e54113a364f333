"""The critical path against a path found moment by moment, on random trees with whole times."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_callbacks.explore import SpanRecord, Trace
from otel_callbacks.explore.evidence.critical import critical_path
from otel_callbacks.explore.evidence.nodes import Node, Step, nodes_of
from otel_callbacks.explore.evidence.replay import replayed

SECOND = 10**9
ABSENT = Step("step", "in no trace")


def record(number: int, parent: int | None, start: int, end: int, **more) -> SpanRecord:
    above = None if parent is None else f"{parent:016x}"
    name = more.pop("name", f"s{number}")
    return SpanRecord("a" * 32, f"{number:016x}", above, name, "INTERNAL", start, end, more)


def nodes(*records: SpanRecord) -> list[Node]:
    return nodes_of(Trace.of(records))


@st.composite
def trees(draw) -> list[SpanRecord]:
    """Up to 12 spans whose times may lie anywhere: outside the parent, of no length, without an end."""
    count = draw(st.integers(1, 12))
    times = st.integers(0, 30)
    found = []
    for number in range(1, count + 1):
        parent = draw(st.integers(1, number - 1)) if number > 1 else None
        start, end = draw(times) + 1, draw(st.one_of(times, st.just(-1))) + 1
        found.append(record(number, parent, start, end, name=draw(st.sampled_from("abc"))))
    return found


def moment_by_moment(nodes: list[Node], moment: int) -> int:
    """The span on the path in the moment from `moment` to one later, by the definition alone."""
    low, high = nodes[0].start, nodes[0].end
    place = 0
    while True:
        node, at, chosen = nodes[place], high, None
        while at > moment:
            running = [c for c in node.children if nodes[c].start < at and nodes[c].end > low]
            running = [c for c in running if min(nodes[c].end, at) > max(nodes[c].start, low)]
            if not running:
                return place
            chosen = min(running, key=lambda c: (-nodes[c].end, nodes[c].start))
            end, start = min(nodes[chosen].end, at), max(nodes[chosen].start, low)
            if end <= moment:
                return place
            if start <= moment:
                break
            at = start
        else:
            raise AssertionError("unreachable")
        place, low, high = chosen, start, end


@given(trees())
@settings(max_examples=150, deadline=None)
def test_every_moment_belongs_to_the_span_that_holds_the_run_up(records: list[SpanRecord]) -> None:
    found = nodes(*records)
    segments = sorted(critical_path(found), key=lambda each: each.start)
    by_moment = {moment: each.node for each in segments for moment in range(each.start, each.end)}
    moments = range(found[0].start, found[0].end)
    assert by_moment == {moment: moment_by_moment(found, moment) for moment in moments}


@given(trees(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_segments_partition_the_root(records: list[SpanRecord], only_whole: bool) -> None:
    found = nodes(*records)
    segments = sorted(critical_path(found, only_whole=only_whole), key=lambda each: each.start)
    at = found[0].start
    for each in segments:
        assert (each.start, each.start < each.end) == (at, True)
        assert found[each.node].start <= each.start and each.end <= found[each.node].end
        at = each.end
    assert at == found[0].end


@given(trees())
@settings(max_examples=150, deadline=None)
def test_a_replay_without_a_change_takes_as_long_and_no_step_can_save_more_than_it_took(records) -> None:
    found = nodes(*records)
    took = found[0].end - found[0].start
    assert replayed(found, ABSENT) == took
    own: Counter[Step] = Counter()
    for node in found:
        covered = {m for c in node.children for m in range(found[c].start, found[c].end)}
        own[node.step_of_own_time] += len(set(range(node.start, node.end)) - covered)
    for step in {node.step_of_own_time for node in found}:
        assert 0 <= replayed(found, step) <= took
        assert replayed(found, step, 10**6) == took
        assert replayed(found, step, 0) <= took


def by_name(found: list[Node], *, only_whole: bool = False) -> dict[str, int]:
    times: Counter[str] = Counter()
    for each in critical_path(found, only_whole=only_whole):
        times[found[each.node].span.name] += each.end - each.start
    return dict(times)


ROOT = record(1, None, 0, 100, name="root")


@pytest.mark.parametrize(
    ("children", "walk", "jaeger"),
    [
        ([(0, 40), (40, 100)], {"s2": 40, "s3": 60}, {"s2": 40, "s3": 60}),  # one after the other
        ([(10, 40), (60, 90)], {"s2": 30, "s3": 30, "root": 40}, {"s2": 30, "s3": 30, "root": 40}),  # gaps
        ([(0, 100), (0, 60)], {"s2": 100}, {"s2": 100}),  # hidden behind a slower sibling
        ([(0, 50), (30, 100)], {"s2": 30, "s3": 70}, {"s3": 70, "root": 30}),  # overlapping: the rules differ
        ([(50, 150)], {"s2": 50, "root": 50}, {"s2": 50, "root": 50}),  # it outlasts the root
        ([(-30, 20), (30, 30)], {"s2": 20, "root": 80}, {"s2": 20, "root": 80}),  # skew, and no length
    ],
)
def test_which_child_counts(children, walk, jaeger) -> None:
    found = nodes(ROOT, *(record(n, 1, start, end) for n, (start, end) in enumerate(children, 2)))
    assert by_name(found) == walk
    assert by_name(found, only_whole=True) == jaeger


def test_a_span_without_an_end_ends_with_what_is_below_it() -> None:
    found = nodes(ROOT, record(2, 1, 10, 0), record(3, 2, 20, 70), record(4, 1, 80, 0))
    assert by_name(found) == {"root": 40, "s2": 10, "s3": 50}


def test_a_part_of_a_tool_counts_for_the_tool_and_an_agent_in_it_for_itself() -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "cite"}
    agent = {"gen_ai.operation.name": "invoke_agent"}
    found = nodes(
        ROOT,
        record(2, 1, 0, 90, name="execute_tool cite", **tool),
        record(3, 2, 5, 45, name="GET"),
        record(4, 2, 50, 90, name="invoke_agent checker", **agent),
        record(5, 4, 60, 70, name="think"),
    )
    assert [node.step for node in found] == [
        ("step", "root"),
        ("tool", "cite"),
        ("tool", "cite"),
        ("agent", "checker"),
        ("step", "think"),
    ]
    assert [node.is_part for node in found] == [False, False, True, False, False]
    assert found[3].step_of_own_time == ("gaps", "checker")


def test_several_roots_get_one_above_them() -> None:
    found = nodes(record(1, None, 10, 30), record(2, None, 50, 90))
    assert (found[0].step, found[0].start, found[0].end) == (("workflow", "roots"), 10, 90)
    assert sorted(each.end - each.start for each in critical_path(found)) == [20, 20, 40]


def test_what_a_slower_sibling_hides_saves_only_the_rest() -> None:
    found = nodes(ROOT, record(2, 1, 0, 80), record(3, 1, 10, 70), record(4, 1, 82, 99))
    assert replayed(found, Step("step", "s3")) == 100
    assert replayed(found, Step("step", "s2")) == 90
    assert replayed(found, Step("step", "s4")) == 83
    assert replayed(found, Step("gaps", "root")) == 97
    assert replayed(found, Step("step", "s2"), 75) == 95


def test_what_the_parent_did_not_wait_for_saves_nothing() -> None:
    found = nodes(record(1, None, 0, 100 * SECOND), record(2, 1, 50 * SECOND, 150 * SECOND))
    assert replayed(found, Step("step", "s2")) == 100 * SECOND


def test_a_trace_deeper_than_pythons_stack() -> None:
    chain = [record(n, n - 1 or None, n, 10_000 - n) for n in range(1, 3_000)]
    found = nodes(*chain)
    assert sum(each.end - each.start for each in critical_path(found)) == 9_998
    assert replayed(found, ABSENT) == 9_998


def test_a_graph_waits_for_the_slower_of_two_nodes_in_one_step() -> None:
    step = {"langgraph.step": 3}
    found = nodes(
        ROOT,
        record(2, 1, 0, 80, name="slow", **step),
        record(3, 1, 0, 20, name="quick", **step),
        record(4, 2, 5, 70, name="inner"),
        record(5, 1, 80, 90, name="alone", **{"langgraph.step": 4}),
    )
    assert {node.span.name: found[node.barrier].span.name for node in found if node.barrier >= 0} == {
        "slow": "slow",
        "quick": "quick",
        "inner": "slow",
    }
