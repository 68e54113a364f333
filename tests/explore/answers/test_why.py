"""`why` over fleets of runs whose cause is known, and over hand-made runs whose figures can be checked by eye."""

import json
from dataclasses import replace

import pytest
from fleets import CAUSES, Fleet, claims, is_first

from otel_callbacks import semconv
from otel_callbacks.explore import SpanRecord, Trace, Traces, Why, why
from otel_callbacks.explore.causes.contributions import tail_difference
from otel_callbacks.explore.causes.groups import Tail, grouped
from otel_callbacks.explore.causes.slow import path_seconds, seconds_of
from otel_callbacks.explore.evidence.runs import Run
from otel_callbacks.explore.spans.records import EventRecord

SECOND = 10**9
RUNS_OF = {"slow tool": 600, "hot tenant": 1_200, "lost cache": 600, "looping agent": 600, "poor index": 600}
"""Enough of each for the cause to be found; the benchmark has fleets of 9,000 runs."""


@pytest.mark.parametrize("cause", CAUSES)
def test_the_planted_cause_comes_first(cause: str) -> None:
    assert is_first(why(Fleet(7, cause).trees(RUNS_OF[cause])), cause)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_claimed_where_nothing_was_planted(seed: int) -> None:
    assert claims(why(Fleet(seed).trees(500))) == []


def test_what_steps_add_adds_up_to_the_whole_and_so_do_its_parts() -> None:
    runs = [Run.of(tree) for tree in Fleet(4, "looping agent").trees(300)]
    groups = grouped(runs, seconds_of, Tail(0.9, None))
    found = tail_difference(groups, path_seconds, seconds_of, is_enough=True)
    assert sum(each.added for each in found.steps) == pytest.approx(found.added, rel=1e-9)
    assert sum(each.share for each in found.steps) == pytest.approx(1, rel=1e-9)
    for each in found.steps:
        assert each.by_calls + each.by_length == pytest.approx(each.added, rel=1e-9, abs=1e-12)
    for run in runs:
        assert sum(own.time for own in run.steps.values()) == run.time
        assert sum(own.whole for own in run.steps.values()) == run.time


def test_a_sibling_hidden_behind_the_slow_tool_is_no_reason_but_said_to_run_beside_it() -> None:
    said = why(Fleet(5, "slow tool").trees(600))
    assert "render_preview runs beside it" in str(said)
    named = [each.contribution.step.name for each in said.answers[0].slow.steps]
    assert named[0] == "citation_validator" and "render_preview" not in named
    assert not [each for each in claims(said) if "render_preview" in each or "jittery" in each]


def told(said: Why) -> str:
    """What is said, without line breaks."""
    return " ".join(str(said).split())


def marked(trace: Trace, attributes: dict[str, object]) -> Trace:
    """The trace with further attributes on every span."""
    return Trace.of([replace(span, attributes={**span.attributes, **attributes}) for span in trace.spans])


def record(
    run: int, number: int, parent: int | None, start: float, end: float, name: str, **attributes
) -> SpanRecord:
    operation = name.split()[0] if " " in name else None
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    if operation:
        named |= {"gen_ai.operation.name": operation, "session.id": f"s{run % 10}"}
    times = (int(start * SECOND) + run * 10**12 + 1, int(end * SECOND) + run * 10**12 + 1)
    above = None if parent is None else f"{parent:016x}"
    return SpanRecord(f"{run:08x}{run:024x}", f"{number:016x}", above, name, "INTERNAL", *times, named)


def by_hand(run: int, validator: float, **attributes) -> Trace:
    """A run of a second without the validator, which starts after 1.0 s."""
    end = 1.5 + validator
    return Trace.of(
        [
            record(run, 1, None, 0, end, "invoke_agent research", **attributes),
            record(run, 2, 1, 0, 0.8, "chat m"),
            record(run, 3, 1, 1.0, 1.0 + validator, "execute_tool cite", gen_ai__tool__name="cite"),
            record(run, 4, 3, 1.0, 1.0 + validator, "GET"),
            record(run, 5, 1, 1.0 + validator, end, "chat m"),
        ]
    )


RUNS = [by_hand(run, 0.5 + run % 4 * 0.01) for run in range(1, 91)] + [
    by_hand(run, 20.0) for run in range(91, 101)
]
SAID = """\
research · 100 runs in 10 conversations · p50 2.02 s, p90 2.03 s

  Slow: 10 runs of 21.5 s or more took 21.5 s on average, the usual run (the middle half) 2.02 s.
    1. cite: 100% of what makes slow runs slow (100% to 100%): 20.0 s on the critical path instead of 520 ms;
       1 call; never failed, longest 20.0 s: no time-out seen; 20.0 s in GET; without it 20.0 s less; with a
       time-out of 2.00 s (it would cut 10 of 100 calls) they take 3.50 s · see 0000005b, 0000005c, 0000005d
    In common: too few to say: 10 runs, and each half of the conversations must have 5."""


def test_every_figure_is_as_by_hand() -> None:
    assert str(why(RUNS, slow="p90")) == SAID


def test_a_confounded_tenant_adds_nothing_beside_the_tool_that_it_calls() -> None:
    """Tenant z calls the slow tool in nine of ten runs, the others in one of ten; half of the calls are slow."""
    runs = []
    for run in range(1_000):
        is_z, place = run % 4 == 0, run // 4 % 20
        calls = place < 18 if is_z else place < 2
        trace = by_hand(
            run, (20.0 if run // 80 % 2 else 0.5) if calls else 0.0, app__tenant_id="z" if is_z else "y"
        )
        left_out = () if calls else ("execute_tool cite", "GET")
        runs.append(Trace.of([s for s in trace.spans if s.name not in left_out]))
    sessions = [marked(trace, {"session.id": f"s{n}"}) for n, trace in enumerate(runs)]
    [answer] = why(sessions, slow="10s").answers
    facts = {str(each.fact): str(each.goes_with) for each in answer.slow.common.facts}
    assert facts["tool called cite"] == "None"
    assert facts["tenant z"] == "tool called cite"


def test_a_threshold_in_seconds() -> None:
    [answer] = why(RUNS, slow="20s").answers
    assert (len(answer.slow.groups.tail), answer.slow.difference.tail) == (10, 21.5)
    assert [len(why(RUNS, slow=each).answers[0].slow.groups.tail) for each in (20, "0.3 min", "20000ms")] == [
        10
    ] * 3
    assert why(RUNS, slow=1000).answers[0].slow is None


def test_equal_runs_have_no_tail_and_two_kinds_of_runs_are_two_groups() -> None:
    same = [by_hand(run, 0.5) for run in range(100)]
    assert why(same).answers[0].slow is None
    assert str(why(same)) == "research · 100 runs in 10 conversations"
    two = [by_hand(run, 9.5 if run % 3 == 0 else 0.5) for run in range(102)]
    [answer] = why(two).answers
    assert (len(answer.slow.groups.tail), len(answer.slow.groups.usual)) == (34, 68)
    assert claims(why(two))[0] == "reason cite"


def test_before_and_after() -> None:
    after = [by_hand(run, min(2.0, 20.0 if run > 90 else 0.5)) for run in range(1, 101)]
    said = why(RUNS, after)
    [step] = [each.contribution for each in said.answers[0].slow.steps if each.contribution.is_reason]
    assert step.step == ("tool", "cite")
    assert (step.usual, step.tail) == pytest.approx((2.4636, 0.65), abs=1e-3)
    assert "Time: 3.96 s on average before, 2.15 s after (−1.81 s, −46%)" in str(said)
    assert claims(why(RUNS, RUNS)) == []


def test_workflows_of_one_group_alone_are_named_and_counted() -> None:
    def one(name: str) -> list[Trace]:
        return [Trace.of([record(run, 1, None, 0, 1, f"invoke_workflow {name}")]) for run in range(3)]

    said = why([*one("kept"), *(trace for place in range(7) for trace in one(f"old {place}"))], one("kept"))
    assert said.notes == [*(f"only in a: old {place}" for place in range(5)), "only in a: 2 more workflows"]


def test_too_few_runs_are_described_and_nothing_is_claimed() -> None:
    said = why([by_hand(run, 0.5) for run in range(12)] + [by_hand(12, 9.0)])
    assert "too few to say: 13 runs in 10 conversations, and it takes 20 in 5" in told(said)
    assert claims(said) == []
    alone = why([marked(trace, {"session.id": "one"}) for trace in RUNS])
    assert "too few to say: 100 runs in 1 conversation" in told(alone)
    assert claims(alone) == []


def kept(trace: Trace, reason: str, ratio: float) -> Trace:
    return marked(trace, {semconv.KEEP_REASON: reason, semconv.KEEP_RATIO: ratio})


def test_traces_kept_for_being_slow_are_refused_with_the_reason() -> None:
    said = why([kept(trace, "slow", 1.0) for trace in RUNS[-10:]] + [kept(RUNS[0], "error", 1.0)])
    assert claims(said) == []
    assert (
        "cannot be compared: these runs were kept because they were not ordinary (10 slow, 1 failed)"
        in str(said)
    )


def test_a_share_of_the_others_is_weighted() -> None:
    sample = [kept(trace, "share", 0.1) for trace in RUNS[:90:10]] + [
        kept(trace, "slow", 1.0) for trace in RUNS[90:]
    ]
    [answer] = why(sample, slow="p85").answers
    assert answer.slow.difference.usual == pytest.approx(2.01, abs=0.02)
    assert answer.slow.groups.share_below == pytest.approx(0.9)
    assert len(answer.slow.groups.tail) == 10
    weighed = why(sample, slow="p90").answers[0].slow
    assert weighed.quantiles[0] == pytest.approx(2.02, abs=0.02)  # unweighted, half of the runs took 21.5 s


def test_runs_that_wait_for_a_person_or_did_not_end_are_left_out() -> None:
    waiting = by_hand(500, 900.0, otel_callbacks__outcome="interrupted")
    said = why([*RUNS, waiting])
    assert len(said.answers[0].runs) == 100
    assert "left out: 1 run, unfinished or waiting for a person" in str(said)


def test_scales_of_scores_are_bounded() -> None:
    def run(number: int) -> Trace:
        found = [
            record(
                number,
                2 + at,
                1,
                at,
                at + 1,
                "retrieval docs",
                rag__top_score=0.8,
                rag__embedding_model=f"e{at}",
            )
            for at in range(9)
        ]
        return Trace.of([record(number, 1, None, 0, 9, "invoke_agent research"), *found])

    [workflow] = why(map(run, range(20))).to_dict()["workflows"]
    assert workflow["retrieval"]["scores"] == {f"e{at}": {"usual": 0.8, "low": 0.8} for at in range(8)}


def test_failures_count_where_they_began() -> None:
    failing = []
    for trace in RUNS[:30]:
        failed = [
            replace(span, status="ERROR", attributes={**span.attributes, "error.type": "TimeoutError"})
            if span.name in ("invoke_agent research", "execute_tool cite")
            else span
            for span in trace.spans
        ]
        failing.append(Trace.of(failed))
    said = why([*failing, *RUNS[30:]])
    [step] = said.answers[0].failing.steps
    assert (step.step, step.runs, step.error_types) == (("tool", "cite"), 30, [("TimeoutError", 30)])
    assert (step.calls, step.failed_calls, step.survived, step.is_reason) == (100, 30, 0, True)


def test_hostile_names_are_escaped_and_json_is_bounded() -> None:
    name = "<script>alert(1)</script>\x1b[31m" + "x" * 5_000
    hostile = [
        Trace.of([replace(span, name=name if span.parent_id is None else span.name) for span in trace.spans])
        for trace in RUNS
    ]
    said = why(hostile)
    page = said._repr_mimebundle_()["text/html"]
    assert "<script" not in page and "\x1b" not in page and "\x1b" not in str(said)
    many = why(
        Trace.of(
            [
                record(run, 1, None, 0, 2, f"invoke_workflow w{run % 50}"),
                record(run, 2, 1, 0, 1, f"step {run}"),
            ]
        )
        for run in range(500)
    )
    assert len(many.to_dict()["workflows"]) == 5
    assert len(many.to_json()) < 100_000
    assert json.loads(many.to_json()) == json.loads(json.dumps(many.to_dict()))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"slow": "p20"}, ValueError, "slow must be a tail"),
        ({"slow": True}, TypeError, "slow must be a tail"),
        ({"expensive": "a lot"}, ValueError, "expensive must be a tail"),
        ({"slow": 0}, TypeError, "not 0"),
    ],
)
def test_a_wrong_argument_is_named(arguments, error, words) -> None:
    with pytest.raises(error, match=words):
        why(RUNS, **arguments)


def test_what_is_no_traces() -> None:
    with pytest.raises(TypeError, match="a must be traces"):
        why(RUNS[0])
    with pytest.raises(TypeError, match="b must be traces"):
        why(RUNS, ["trace"])
    with pytest.raises(LookupError, match="no traces"):
        why([])


def test_a_collection_answers_too() -> None:
    traces = Traces.of(span for trace in RUNS for span in trace.spans)
    assert str(traces.why(slow="p90")) == str(why(RUNS, slow="p90"))
    assert str(traces.why(a=traces[:50], b=traces[50:])) == str(why(RUNS[:50], RUNS[50:]))


def test_why_the_providers_cache_missed_is_said_by_reason() -> None:
    def run(number: int, tokens: int, missed: int, **why_missed) -> Trace:
        cost = {
            "gen_ai.usage.cost_usd": tokens * 1e-6 + missed * 1e-5,
            "otel_callbacks.cost.status": "priced",
            "gen_ai.usage.input_tokens": tokens,
            "otel_callbacks.cache.reusable_tokens_estimated": 4_000,
            **({"otel_callbacks.cache.missed_tokens_estimated": missed} if missed else {}),
            **{f"otel_callbacks.cache.{name}": value for name, value in why_missed.items()},
        }
        call = record(number, 2, 1, 0, 1, "chat m")
        return Trace.of(
            [
                record(number, 1, None, 0, 1, "invoke_agent research"),
                replace(call, attributes={**call.attributes, **cost}),
            ]
        )

    runs = [run(number, 5_000 + number, 0) for number in range(90)]
    runs += [
        run(number, 5_000, 3_900, miss_reason="prefix_changed", first_changed="system")
        for number in range(90, 98)
    ]
    runs += [run(number, 5_000, 4_000, miss_reason="too_old") for number in range(98, 100)]
    said = why(runs, expensive="$0.01")
    assert (
        "The provider's cache could have supplied (estimated) 4,000 tokens per run in expensive runs, 4,000 in "
        "usual ones; it missed 3,120 in expensive runs and 0 in usual ones because the beginning had changed, "
        "first in system; 800 in expensive runs and 0 in usual ones because the last call was too long ago"
    ) in told(said)
    tokens = said.to_dict()["workflows"][0]["expensive"]["input_tokens"]
    assert tokens["cache_missed_estimated"] == [
        {"reason": "prefix_changed", "first_changed": "system", "tail": 3_120.0, "usual": 0.0},
        {"reason": "too_old", "first_changed": None, "tail": 800.0, "usual": 0.0},
    ]


def test_retries_within_a_call_are_counted() -> None:
    def run(number: int, times: int) -> Trace:
        call = record(number, 2, 1, 0, 1 + 5 * times, "chat m")
        retries = tuple(EventRecord(semconv.EVENT_RETRY, call.start_ns, {}) for _ in range(times))
        root = record(number, 1, None, 0, 1 + 5 * times, "invoke_agent research")
        return Trace.of([root, replace(call, events=retries)])

    said = why([run(number, 0) for number in range(90)] + [run(number, 3) for number in range(90, 100)])
    assert "m (model): 100% of what makes slow runs slow" in told(said)
    assert "1 call; 3.0 retries per run instead of 0.0, never failed, longest 16.0 s" in told(said)


def barrier(run: int, validated: float) -> Trace:
    """A graph whose step 3 searches for half a second and validates beside it."""
    step = {semconv.LANGGRAPH_STEP.replace(".", "__"): 3}
    end = 1 + max(0.5, validated)
    return Trace.of(
        [
            record(run, 1, None, 0, end, "invoke_workflow research"),
            record(run, 2, 1, 0, 1, "plan"),
            record(run, 3, 1, 1, 1.5, "search", **step),
            record(run, 4, 1, 1, 1 + validated, "validate", **step),
            record(run, 5, 4, 1, 1 + validated, "execute_tool cite", gen_ai__tool__name="cite"),
        ]
    )


def test_what_a_graph_waited_for_is_named_and_calls_beside_a_slower_one_are_no_more_calls() -> None:
    runs = [barrier(run, 0.4 if run % 2 else 0.6) for run in range(90)]
    said = told(why(runs + [barrier(run, 20.5) for run in range(90, 100)]))
    assert "1 call; never failed, longest 20.5 s: no time-out seen" in said
    assert "by more of them on the path; the graph waited for validate in step 3" in said


def test_only_more_calls_are_not_split_and_too_few_to_have_something_in_common_is_said() -> None:
    def run(number: int, calls: int) -> Trace:
        tool = {"gen_ai__tool__name": "cite"}
        spans = [record(number, 2 + at, 1, at, at + 1, "execute_tool cite", **tool) for at in range(calls)]
        return Trace.of([record(number, 1, None, 0, calls, "invoke_agent research"), *spans])

    said = told(why([run(number, 1) for number in range(94)] + [run(number, 9) for number in range(94, 100)]))
    assert "9 calls instead of 1; never failed, longest 1.00 s; without it 9.00 s less" in said
    assert "In common: too few to say: 6 runs, and each half of the conversations must have 5." in said
