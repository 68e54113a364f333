"""Why the slow runs are slow: what each kind of step adds on the critical path, and what a change would save."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otel_callbacks.explore.causes.contributions import (
    Amounts,
    Contribution,
    Difference,
    group_difference,
    means,
    tail_difference,
)
from otel_callbacks.explore.causes.groups import Groups, Tail, grouped, mean_of, means_of, too_few
from otel_callbacks.explore.causes.in_common import InCommon, in_common
from otel_callbacks.explore.causes.statistics import mean, quantile
from otel_callbacks.explore.evidence.facts import TOOL_CALLED, Fact
from otel_callbacks.explore.evidence.nodes import WORK, Step
from otel_callbacks.explore.evidence.replay import replayed
from otel_callbacks.explore.evidence.runs import Calls, Run
from otel_callbacks.limits import WHY_EXAMPLES, WHY_ROWS

_AGREE = 0.1  # the rules of the path agree on a step if what it adds differs by this share or less
_PARTS = 4  # of the time of a step, such as the places of gaps
_ADDS = 0.02  # a step whose share is less adds nothing
_ROUND = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What a time-out of `seconds` for each call would make of the runs, and how many calls it would cut off.

    `tail_after` is the mean of the runs in the tail; the quantile is that where the tail begins, of all runs.
    """

    seconds: float
    tail_after: float
    quantile_before: float
    quantile_after: float
    cut_calls: int
    calls: int


@dataclass(frozen=True, slots=True)
class SlowStep:
    """What one kind of step adds to slow runs, in seconds per run on the critical path.

    `by_jaeger` is what it adds by Jaeger's rule, and `is_certain` tells whether both rules agree. `saved` is what the
    mean of the tail would lose if the step took no time of its own, and `beside` the step that ran longest beside it,
    which then holds the run up. `failed` counts failed calls in the tail, and
    `longest` is the longest one. `parts` are what its time in the tail was, in seconds per run. `waited_in` names the
    LangGraph node and step in which the graph waited for it while other nodes of that step were done. `gap` is the mean
    of the longest time between two chunks in the tail. `all_calls` are those on the path or not, per run, and
    `retries` those within them; both in the tail and in the usual runs.
    """

    contribution: Contribution
    by_jaeger: float
    is_certain: bool
    saved: float
    beside: Step | None
    failed: int
    longest: float
    parts: Sequence[tuple[str, float]]
    waited_in: tuple[str, int] | None
    gap: float
    all_calls: tuple[float, float]
    retries: tuple[float, float]
    what_if: WhatIf | None
    examples: Sequence[str]


@dataclass(frozen=True, slots=True)
class Slow:
    """The slow runs against the usual ones; durations in seconds.

    `quantiles` are the median of all runs and the quantile that is told with the tail; of two groups, p95 of each.
    """

    tail: Tail | None
    groups: Groups
    difference: Difference
    steps: Sequence[SlowStep]
    quantiles: tuple[float, float]
    too_few: str | None
    common: InCommon | None


def seconds_of(run: Run) -> float:
    """The measure of slowness."""
    return run.time / 1e9


def path_seconds(run: Run) -> Amounts:
    """The seconds of each kind of step on the critical path."""
    return {step: (own.time / 1e9, own.calls) for step, own in run.steps.items()}


def _whole_seconds(run: Run) -> Amounts:
    return {step: (own.whole / 1e9, own.calls) for step, own in run.steps.items()}


def why_slow(runs: Sequence[Run], tail: Tail) -> Slow | None:
    """Returns why the slowest runs of one workflow are slow; None if no run is in the tail."""
    groups = grouped(runs, seconds_of, tail)
    if not groups.tail or not groups.usual:
        return None
    few = too_few(runs, groups.tail)
    difference = tail_difference(groups, path_seconds, seconds_of, is_enough=few is None)
    asked = {run.trace_id for run in groups.tail}
    common = in_common(
        runs,
        lambda run: run.trace_id in asked,
        _tools_off_the_path(runs, difference),
        stands_out=difference.stands_out,
    )
    everyone = (_quantile(runs, 0.5), _quantile(runs, tail.told_share))
    return Slow(tail, groups, difference, _steps(groups, difference, runs, tail), everyone, few, common)


def _tools_off_the_path(runs: Sequence[Run], difference: Difference) -> set[Fact]:
    """Returns the facts that a tool was called which adds nothing, such as one hidden behind a slower one."""
    adding = {each.step.name for each in difference.steps if each.step.kind == "tool" and each.share >= _ADDS}
    facts = {fact for run in runs for fact in run.facts if fact.name == TOOL_CALLED}
    return {fact for fact in facts if fact.value not in adding}


def why_slower(a: Sequence[Run], b: Sequence[Run]) -> Slow:
    """Returns what makes the runs of `b` slower or faster than those of `a`."""
    groups = Groups(b, a, a, 0.0, 0.0)
    few = too_few(a, b) or too_few(b, a)
    difference = group_difference(a, b, path_seconds, seconds_of, is_enough=few is None)
    return Slow(
        None,
        groups,
        difference,
        _steps(groups, difference, b, None),
        (_quantile(a, 0.95), _quantile(b, 0.95)),
        few,
        None,
    )


def _quantile(runs: Sequence[Run], share: float) -> float:
    return quantile([seconds_of(run) for run in runs], [run.weight for run in runs], share)


def _steps(groups: Groups, difference: Difference, runs: Sequence[Run], tail: Tail | None) -> list[SlowStep]:
    whole = (means(groups.tail, _whole_seconds), means(groups.usual, _whole_seconds))
    return [
        _step(each, groups, whole, runs, tail)
        for each in difference.steps[:WHY_ROWS]
        if abs(each.share) >= 0.01 and each.added
    ]


def _step(
    each: Contribution,
    groups: Groups,
    whole: tuple[dict[Step, tuple[float, float]], dict[Step, tuple[float, float]]],
    runs: Sequence[Run],
    tail: Tail | None,
) -> SlowStep:
    step = each.step
    in_tail, in_usual = (side.get(step, (0.0, 0.0))[0] for side in whole)
    by_jaeger = in_tail - in_usual
    longest_first = sorted(groups.tail, key=lambda run: (-_time(run, step), run.trace_id))
    calls = [run.calls[step] for run in groups.tail if step in run.calls]
    waited = Counter(run.steps[step].waited_in for run in groups.tail if step in run.steps)
    waited.pop(None, None)
    return SlowStep(
        each,
        by_jaeger,
        abs(by_jaeger - each.added) <= _AGREE * abs(each.added),
        mean_of(groups.tail, lambda run: (run.time - replayed(run.nodes, step)) / 1e9),
        _beside(groups.tail, step),
        sum(own.failed for own in calls),
        max((own.longest for own in calls), default=0) / 1e9,
        _parts(groups.tail, step),
        waited.most_common(1)[0][0] if waited.total() * 2 > len(groups.tail) else None,
        mean([own.gap for own in calls], [1.0] * len(calls)),
        _both(groups, step, lambda own: len(own.durations)),
        _both(groups, step, lambda own: own.retries),
        _time_out(runs, groups, each, tail) if tail is not None and each.is_reason else None,
        [run.trace_id for run in longest_first[:WHY_EXAMPLES] if _time(run, step)],
    )


def _time(run: Run, step: Step) -> int:
    return run.steps[step].time if step in run.steps else 0


def _both(groups: Groups, step: Step, count: Callable[[Calls], int]) -> tuple[float, float]:
    """Returns a count per run in the tail and in the usual runs."""
    nothing = Calls()

    def of_run(run: Run) -> int:
        return count(run.calls.get(step, nothing))

    return mean_of(groups.tail, of_run), mean_of(groups.usual, of_run)


def _beside(runs: Sequence[Run], step: Step) -> Step | None:
    """Returns the kind of step that ran longest at the same time, by the same parent, in these runs."""
    sums: Counter[Step] = Counter()
    for run in runs:
        for node in run.nodes:
            if node.step == step and not node.is_part and node.parent >= 0:
                for place in run.nodes[node.parent].children:
                    other = run.nodes[place]
                    together = min(node.end, other.end) - max(node.start, other.start)
                    if other.step != step and together > 0:
                        sums[other.step] += together
    return max(sums, key=lambda each: (sums[each], each)) if sums else None


def _parts(runs: Sequence[Run], step: Step) -> list[tuple[str, float]]:
    found = means_of(runs, lambda run: run.steps[step].parts if step in run.steps else {})
    longest_first = sorted(found.items(), key=lambda each: -each[1])
    return [(name, time / 1e9) for name, time in longest_first[:_PARTS] if time]


def _time_out(runs: Sequence[Run], groups: Groups, each: Contribution, tail: Tail) -> WhatIf | None:
    """Replays all runs with a time-out that hardly a call of the usual runs would meet; None if it cuts nothing."""
    step = each.step
    if step.kind not in WORK or each.by_length <= each.by_calls:
        return None
    usual = [time for run in groups.usual if step in run.calls for time in run.calls[step].durations]
    if not usual:
        return None
    most = _round_up(2 * quantile(usual, [1.0] * len(usual), 0.95) / 1e9)
    nanoseconds = int(most * 1e9)
    calls = [time for run in runs if step in run.calls for time in run.calls[step].durations]
    cut = sum(time > nanoseconds for time in calls)
    if not cut:
        return None
    after = {run.trace_id: run.time for run in runs}
    for run in runs:
        if step in run.calls and run.calls[step].longest > nanoseconds:
            after[run.trace_id] = replayed(run.nodes, step, nanoseconds)
    share = tail.told_share
    in_tail = mean_of(groups.tail, lambda run: after[run.trace_id])
    reached = quantile([after[run.trace_id] for run in runs], [run.weight for run in runs], share)
    return WhatIf(most, in_tail / 1e9, _quantile(runs, share), reached / 1e9, cut, len(calls))


def _round_up(seconds: float) -> float:
    """Returns the next larger of 1, 2 and 5 times a power of ten."""
    if seconds <= 0:
        return 0.001
    power = 10.0 ** math.floor(math.log10(seconds))
    return next((each * power for each in _ROUND if each * power >= seconds * 0.999), 10 * power)
