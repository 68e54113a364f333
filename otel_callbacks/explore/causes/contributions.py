"""What each kind of step adds to the tail: its mean there minus its mean in the usual runs.

The differences add up to that of the whole runs. Each is split into more calls and longer calls: with n calls of the
mean length d, n₁·d₁ - n₀·d₀ = (n₁ - n₀)·(d₁ + d₀)/2 + (d₁ - d₀)·(n₁ + n₀)/2.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from otel_callbacks.explore.causes.groups import ENOUGH_RUNS, Groups, mean_of
from otel_callbacks.explore.causes.statistics import (
    interval,
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
# The half width of an interval for twelve comparisons at once, in half widths of a 95 % interval for one.
_CORRECTED = 1.5
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

    `tail` and `usual` are means of the whole runs, and `ordinary` is what the lower half of all runs makes one expect
    of the tail. `stands_out` tells whether there is something to explain: the tail, or a step in it, is beyond that.
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

    A tail is longer than the rest by its choice alone. So a step is a reason only if it adds a tenth or more for
    certain, and something is beyond ordinary variation, which the lower half shows: the length of its calls, their
    number, or the whole runs. In the last case it must also add more than it does by varying along with them.
    """
    everyone = [*groups.tail, *groups.rest]
    values, weights = [measure(run) for run in everyone], [run.weight for run in everyone]
    ordinary = ordinary_tail(values, weights, groups.share_below)
    found = _compared(groups.tail, groups.usual, amounts, measure)
    if not is_enough or not found.added:
        return Difference(found.tail, found.usual, ordinary.mean, found.steps, False)
    tested = [each.step for each in found.steps[:_TESTED]]
    ends = _intervals(groups.tail, groups.usual, amounts, measure, tested)
    is_long = ends.whole > ordinary.beyond
    by_varying = _by_varying(everyone, amounts, measure, tested, max(0.0, ordinary.mean - found.usual))
    steps = []
    for each in found.steps:
        if each.step in ends.added:
            low, high = ends.added[each.step]
            stands_out = (is_long and low > by_varying[each.step]) or _is_beyond(
                everyone, amounts, each.step, groups.share_below, ends.calls[each.step]
            )
            is_reason = stands_out and low > 0 and each.share >= _LEAST_SHARE
            each = replace(each, low=low, high=high, is_reason=is_reason)
        steps.append(each)
    stands_out = is_long or any(each.is_reason for each in steps)
    return Difference(found.tail, found.usual, ordinary.mean, steps, stands_out)


def _by_varying(
    runs: Sequence[Run],
    amounts: Callable[[Run], Amounts],
    measure: Callable[[Run], float],
    steps: Sequence[Step],
    added: float,
) -> dict[Step, float]:
    """Returns what each step adds to a run that is longer by `added`, as it varies in the lower half of the runs."""
    lower = quantile([measure(run) for run in runs], [run.weight for run in runs], 0.5)
    calm = [run for run in runs if measure(run) <= lower]
    total, weights = [measure(run) for run in calm], [run.weight for run in calm]
    found, nothing = [amounts(run) for run in calm], (0.0, 0)
    return {
        step: max(0.0, added * slope(total, [own.get(step, nothing)[0] for own in found], weights))
        for step in steps
    }


def _is_beyond(
    runs: Sequence[Run],
    amounts: Callable[[Run], Amounts],
    step: Step,
    share_below: float,
    least: tuple[float, float],
) -> bool:
    """Tells whether the calls of a step in the tail are longer, or more, than they vary over all runs.

    `least` are the lower ends of the mean length of a call in the tail, and of the mean number of calls per run.
    """
    found = [(amounts(run).get(step, (0.0, 0)), run.weight) for run in runs]
    having = [each for each in found if each[0][1] and each[0][0] > 0]
    if len(having) < ENOUGH_RUNS:
        return False
    weights = [weight for _, weight in having]
    lengths = ordinary_tail([amount / calls for (amount, calls), _ in having], weights, share_below)
    counts = ordinary_tail([calls for (_, calls), _ in having], weights, share_below, grain=1)
    return least[0] > lengths.beyond or least[1] > counts.beyond


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
    ends = _intervals(b, a, amounts, measure, tested)
    steps = []
    for each in found.steps:
        if each.step in ends.added:
            low, high = ends.added[each.step]
            middle, half = (low + high) / 2, (high - low) / 2
            is_apart = abs(middle) > _CORRECTED * half
            is_reason = is_apart and abs(each.added) >= 0.05 * found.usual
            each = replace(each, low=low, high=high, is_reason=is_reason)
        steps.append(each)
    return Difference(found.tail, found.usual, found.usual, steps, any(each.is_reason for each in steps))


def _compared(
    tail: Sequence[Run],
    usual: Sequence[Run],
    amounts: Callable[[Run], Amounts],
    measure: Callable[[Run], float],
) -> Difference:
    in_tail, in_usual = means(tail, amounts), means(usual, amounts)
    whole_tail, whole_usual = mean_of(tail, measure), mean_of(usual, measure)
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


@dataclass(frozen=True, slots=True)
class _Ends:
    """Ends of 95 % intervals: both of what a step adds, the lower ones of its length and number of calls in the tail.

    `whole` is the lower end of the mean of the runs in the tail.
    """

    added: Mapping[Step, tuple[float, float]]
    calls: Mapping[Step, tuple[float, float]]
    whole: float


def _intervals(
    tail: Sequence[Run],
    usual: Sequence[Run],
    amounts: Callable[[Run], Amounts],
    measure: Callable[[Run], float],
    steps: Sequence[Step],
) -> _Ends:
    nothing = (0.0, 0)

    def resampled(runs: Sequence[Run]) -> list[list[float]]:
        rows = []
        for run in runs:
            found = amounts(run)
            own = [found.get(step, nothing) for step in steps]
            row = [measure(run), *(amount for amount, _ in own), *(calls for _, calls in own)]
            rows.append((run.conversation, run.weight, row))
        return resampled_means(rows, 2 * len(steps) + 1)

    in_tail, in_usual = resampled(tail), resampled(usual)
    added, calls = {}, {}
    for at, step in enumerate(steps, 1):
        more = at + len(steps)
        added[step] = interval([one[at] - other[at] for one, other in zip(in_tail, in_usual, strict=True)])
        lengths = [each[at] / each[more] if each[more] else 0.0 for each in in_tail]
        calls[step] = (interval(lengths)[0], interval([each[more] for each in in_tail])[0])
    return _Ends(added, calls, interval([each[0] for each in in_tail])[0])
