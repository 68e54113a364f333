"""What each kind of step adds to the tail: its mean there minus its mean in the usual runs.

The differences add up to that of the whole runs. Each is split into more calls and longer calls: with n calls of the
mean length d, n₁·d₁ - n₀·d₀ = (n₁ - n₀)·(d₁ + d₀)/2 + (d₁ - d₀)·(n₁ + n₀)/2.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from otel_callbacks.explore.causes.groups import Groups
from otel_callbacks.explore.causes.statistics import (
    interval,
    mean,
    ordinary_tail,
    quantile,
    resampled_means,
    slope,
)
from otel_callbacks.explore.evidence.nodes import Step
from otel_callbacks.explore.evidence.runs import Run

Amounts = Mapping[Step, tuple[float, int]]
"""For each kind of step of a run, how much it took and in how many calls."""
_TESTED = 12  # the kinds of step that add most get an interval
_BEYOND = 1.15  # the tail must be so many times what ordinary variation makes of it
_CORRECTED = (
    1.5  # so many times the half width of a 95 % interval is that of one for twelve comparisons at once
)
_LEAST_SHARE = 0.1  # a step that adds less is not called a reason


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a kind of step adds, in the unit of the amounts, as means per run.

    `added` is `tail` minus `usual`; `low` and `high` are the ends of its 95 % interval, and None for a step that adds
    little. `by_calls` and `by_length` add up to it. `share` is its part of what all steps add. `is_reason` tells
    whether it adds more than ordinary variation does.
    """

    step: Step
    tail: float
    usual: float
    tail_calls: float
    usual_calls: float
    share: float
    low: float | None = None
    high: float | None = None
    is_reason: bool = False

    @property
    def added(self) -> float:
        """What the step adds."""
        return self.tail - self.usual

    @property
    def by_calls(self) -> float:
        """What it adds because there are more calls."""
        return (self.tail_calls - self.usual_calls) * (self.tail_length + self.usual_length) / 2

    @property
    def by_length(self) -> float:
        """What it adds because each call is longer, or costs more."""
        if not self.tail_calls or not self.usual_calls:
            return self.added - self.by_calls
        return (self.tail_length - self.usual_length) * (self.tail_calls + self.usual_calls) / 2

    @property
    def tail_length(self) -> float:
        """The mean of one call in the tail; where there are none, that of the usual runs."""
        return self.tail / self.tail_calls if self.tail_calls else self._length_elsewhere(self.usual_calls)

    @property
    def usual_length(self) -> float:
        """The mean of one call in the usual runs; where there are none, that of the tail."""
        return self.usual / self.usual_calls if self.usual_calls else self._length_elsewhere(self.tail_calls)

    def _length_elsewhere(self, calls: float) -> float:
        return (self.tail + self.usual) / calls if calls else 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """How the tail differs from the usual runs; `steps` have the largest addition first.

    `tail` and `usual` are means of the whole runs. `stands_out` tells whether the tail is longer than the lower half
    of all runs makes one expect, which is `ordinary`; then there is something to explain.
    """

    tail: float
    usual: float
    ordinary: float
    steps: Sequence[Contribution]
    stands_out: bool

    @property
    def added(self) -> float:
        """The difference of the means."""
        return self.tail - self.usual

    @property
    def reasons(self) -> Sequence[Contribution]:
        """The kinds of step that add more than ordinary variation does."""
        return [each for each in self.steps if each.is_reason]


def means(runs: Sequence[Run], amounts: Callable[[Run], Amounts]) -> dict[Step, tuple[float, float]]:
    """Returns for each kind of step the weighted mean of its amount and of its calls per run."""
    weight = sum(run.weight for run in runs)
    sums: dict[Step, list[float]] = {}
    for run in runs:
        for step, (amount, calls) in amounts(run).items():
            own = sums.setdefault(step, [0.0, 0.0])
            own[0] += run.weight * amount
            own[1] += run.weight * calls
    return {step: (amount / weight, calls / weight) for step, (amount, calls) in sums.items()}


def tail_difference(
    groups: Groups,
    amounts: Callable[[Run], Amounts],
    measure: Callable[[Run], float],
    *,
    is_enough: bool,
) -> Difference:
    """Compares the tail of a measure with the usual runs.

    A tail is longer than the rest by its choice alone. So a step is a reason only if the tail is longer than the lower
    half of the runs makes one expect, and the step adds more than it would by varying along with the runs there.
    """
    everyone = [*groups.tail, *groups.rest]
    values, weights = [measure(run) for run in everyone], [run.weight for run in everyone]
    ordinary = ordinary_tail(values, weights, groups.share_below)
    found = _compared(groups.tail, groups.usual, amounts, measure)
    if not is_enough or not found.added:
        return Difference(found.tail, found.usual, ordinary, found.steps, False)
    lower = quantile(values, weights, 0.5)
    calm = [run for run in everyone if measure(run) <= lower]
    total = [measure(run) for run in calm]
    own_weights = [run.weight for run in calm]
    tested = [each.step for each in found.steps[:_TESTED]]
    low, high, least = _intervals(groups.tail, groups.usual, amounts, measure, tested)
    stands_out = least > _BEYOND * ordinary
    expected = max(0.0, ordinary - found.usual)
    steps = []
    for place, each in enumerate(found.steps):
        if place < len(tested):
            varying = slope(total, [amounts(run).get(each.step, (0.0, 0))[0] for run in calm], own_weights)
            least_reason = max(0.0, varying * expected)
            is_reason = stands_out and low[place] > least_reason and each.share >= _LEAST_SHARE
            each = _with_interval(each, low[place], high[place], is_reason)
        steps.append(each)
    return Difference(found.tail, found.usual, ordinary, steps, stands_out)


def group_difference(
    a: Sequence[Run],
    b: Sequence[Run],
    amounts: Callable[[Run], Amounts],
    measure: Callable[[Run], float],
    *,
    is_enough: bool,
) -> Difference:
    """Compares two groups that were not chosen by the measure: what `b` adds to `a`, which may be less than 0.

    A step is a reason if the interval of its difference, corrected for the number of steps, does not hold 0, and the
    difference is a twentieth of the mean of `a` or more.
    """
    found = _compared(b, a, amounts, measure)
    if not is_enough:
        return found
    tested = [each.step for each in found.steps[:_TESTED]]
    low, high, _ = _intervals(b, a, amounts, measure, tested)
    steps = []
    for place, each in enumerate(found.steps):
        if place < len(tested):
            middle, half = (low[place] + high[place]) / 2, (high[place] - low[place]) / 2
            is_apart = abs(middle) > _CORRECTED * half
            is_reason = is_apart and abs(each.added) >= 0.05 * found.usual
            each = _with_interval(each, low[place], high[place], is_reason)
        steps.append(each)
    return Difference(found.tail, found.usual, found.usual, steps, any(each.is_reason for each in steps))


def _with_interval(each: Contribution, low: float, high: float, is_reason: bool) -> Contribution:
    means = (each.step, each.tail, each.usual, each.tail_calls, each.usual_calls, each.share)
    return Contribution(*means, low, high, is_reason)


def _compared(
    tail: Sequence[Run],
    usual: Sequence[Run],
    amounts: Callable[[Run], Amounts],
    measure: Callable[[Run], float],
) -> Difference:
    in_tail, in_usual = means(tail, amounts), means(usual, amounts)
    whole_tail, whole_usual = (
        mean(map(measure, group), [run.weight for run in group]) for group in (tail, usual)
    )
    added = whole_tail - whole_usual
    nothing = (0.0, 0.0)
    steps = []
    for step in {**in_tail, **in_usual}:
        (one, calls), (other, other_calls) = in_tail.get(step, nothing), in_usual.get(step, nothing)
        steps.append(
            Contribution(step, one, other, calls, other_calls, (one - other) / added if added else 0.0)
        )
    steps.sort(key=lambda each: (-each.added if added >= 0 else each.added, each.step))
    return Difference(whole_tail, whole_usual, whole_usual, steps, False)


def _intervals(
    tail: Sequence[Run],
    usual: Sequence[Run],
    amounts: Callable[[Run], Amounts],
    measure: Callable[[Run], float],
    steps: Sequence[Step],
) -> tuple[list[float], list[float], float]:
    """Returns the ends of the intervals of what the steps add, and the lower end of the mean of the tail."""

    def rows(runs: Sequence[Run]) -> list[list[float]]:
        return resampled_means(
            (
                (
                    run.conversation,
                    run.weight,
                    [measure(run), *(amounts(run).get(step, (0.0, 0))[0] for step in steps)],
                )
                for run in runs
            ),
            len(steps) + 1,
        )

    pairs = list(zip(rows(tail), rows(usual), strict=True))
    ends = [interval([one[at] - other[at] for one, other in pairs]) for at in range(1, len(steps) + 1)]
    least, _ = interval([one[0] for one, _ in pairs])
    return [low for low, _ in ends], [high for _, high in ends], least
