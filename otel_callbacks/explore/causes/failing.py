"""Why runs fail: where the failures began, and whether that step fails more often than the others."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from otel_callbacks.explore.causes.groups import too_few
from otel_callbacks.explore.causes.in_common import LEVEL, InCommon, in_common
from otel_callbacks.explore.causes.statistics import at_least, discoveries
from otel_callbacks.explore.evidence.nodes import Step
from otel_callbacks.explore.evidence.runs import Run
from otel_callbacks.limits import WHY_EXAMPLES, WHY_ROWS

_REPEATS = ("error", "outcome")


@dataclass(frozen=True, slots=True)
class FailingStep:
    """Where failures of runs began: in `runs` failed runs, with these error types, the most frequent first.

    `calls` are all calls of the step and `failed_calls` those that failed; after some, the run went on: `survived` runs
    did not fail for it. `is_reason` tells whether the step fails more often per call than all steps together.
    """

    step: Step
    runs: int
    error_types: Sequence[tuple[str, int]]
    calls: int
    failed_calls: int
    survived: int
    is_reason: bool
    examples: Sequence[str]


@dataclass(frozen=True, slots=True)
class Failing:
    """The failed runs: how many of all, weighted, and where the failure began; each failed run counts for one step."""

    failed: int
    runs: int
    share: float
    steps: Sequence[FailingStep]
    too_few: str | None
    common: InCommon | None


def why_failing(runs: Sequence[Run], others: Sequence[Run] = ()) -> Failing | None:
    """Returns why runs of one workflow fail; None if none does. `others` are those of another group, not counted."""
    failed = [run for run in runs if run.failed]
    if not failed and not any(run.failed for run in others):
        return None
    few = too_few(runs, failed)
    by_step: dict[Step, list[Run]] = defaultdict(list)
    for run in failed:
        if run.failure:
            by_step[run.failure.step].append(run)
    chosen = sorted(by_step, key=lambda step: (-len(by_step[step]), step))
    reasons = _reasons(runs, by_step) if few is None else set()
    steps = [_step(step, by_step[step], runs, step in reasons) for step in chosen[:WHY_ROWS]]
    weight = sum(run.weight for run in runs)
    share = sum(run.weight for run in failed) / weight if weight else 0.0
    common = in_common(runs, lambda run: run.failed, _REPEATS)
    return Failing(len(failed), len(runs), share, steps, few, common)


def _reasons(runs: Sequence[Run], by_step: dict[Step, list[Run]]) -> set[Step]:
    """Returns the steps in which more failures began than their share of all calls makes one expect."""
    calls: Counter[Step] = Counter()
    for run in runs:
        for step, own in run.calls.items():
            if step.kind not in ("workflow", "agent"):  # a failure begins in what is inside them
                calls[step] += len(own.durations)
    began = sum(map(len, by_step.values()))
    total = max(calls.total(), began)
    chances = {
        step: at_least(len(found), calls[step], began, total)
        for step, found in by_step.items()
        if len(found) <= calls[step]
    }
    return discoveries(chances, max(1, len(calls)), LEVEL)


def _step(step: Step, failed: Sequence[Run], runs: Sequence[Run], is_reason: bool) -> FailingStep:
    types = Counter(run.failure.error_type for run in failed if run.failure)
    calling = [run for run in runs if step in run.calls]
    return FailingStep(
        step,
        len(failed),
        sorted(types.items(), key=lambda each: (-each[1], each[0])),
        sum(len(run.calls[step].durations) for run in calling),
        sum(run.calls[step].failed for run in calling),
        sum(run.calls[step].failed > 0 and not run.failed for run in calling),
        is_reason,
        [run.trace_id for run in failed[:WHY_EXAMPLES]],
    )
