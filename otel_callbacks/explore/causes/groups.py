"""Which runs are compared: the tail against the usual runs of the same workflow, each with its weight."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from otel_callbacks import semconv
from otel_callbacks.explore.causes.statistics import mean, quantile
from otel_callbacks.explore.evidence.runs import Run
from otel_callbacks.runtime.words import plural

K = TypeVar("K", bound=Hashable)
ENOUGH_RUNS, ENOUGH_CONVERSATIONS, ENOUGH_IN_TAIL = 20, 5, 5
"""With fewer runs, conversations, or runs in the tail, nothing is said for certain."""
_USUAL = (0.25, 0.75)
"""The usual runs are the middle half."""
_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "min": 60.0, "$": 1.0}
_KEPT = {
    semconv.KEPT_SLOW: "slow",
    semconv.KEPT_ERROR: "failed",
    semconv.KEPT_COST: "expensive",
}


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a tail begins: at a share of all runs (`p95`), or at a value (`20s`, `$0.10`)."""

    share: float | None
    value: float | None

    @classmethod
    def of(cls, name: str, given: object) -> "Tail":
        """Reads a tail, such as `"p95"`, `"20s"`, `"800ms"` or a number of seconds or dollars.

        Raises:
            TypeError, ValueError: It is not a tail. `name` is that of the argument.
        """
        wanted = (
            "such as 'p95' (from p75 to p99.9), or where it begins, such as '20s', '800ms', '$0.10' or 20"
        )
        if isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < float("inf"):
            return cls(None, float(given))
        if not isinstance(given, str):
            raise TypeError(f"{name} must be a tail, {wanted}; not {given!r:.100}")
        found = re.fullmatch(r"(p?)(\$?)([0-9]+(?:\.[0-9]+)?) ?(s|ms|min)?", given.strip())
        if found is not None:
            percentile, dollar, digits, unit = found.groups()
            amount = float(digits)
            if percentile and not dollar and not unit and 75 <= amount <= 99.9:
                return cls(amount / 100, None)
            if not percentile and amount > 0 and not (dollar and unit):
                return cls(None, amount * _UNITS[unit or ""])
        raise ValueError(f"{name} must be a tail, {wanted}; not {given!r:.100}")

    @property
    def told_share(self) -> float:
        """The share of the quantile that is told: where the tail begins, or 0.95 if it begins at a value."""
        return self.share or 0.95

    @property
    def told_quantile(self) -> str:
        """The name of that quantile, such as `p95`."""
        return f"p{self.told_share * 100:g}"


@dataclass(frozen=True, slots=True)
class Groups:
    """The two groups: `tail` is asked about, `usual` is what it is compared with, `rest` is all that is not tail.

    `begins` is the value at which the tail begins, and `share_below` how many of all runs are below it, from 0 to 1.
    """

    tail: Sequence[Run]
    usual: Sequence[Run]
    rest: Sequence[Run]
    begins: float
    share_below: float


def grouped(runs: Sequence[Run], measure: Callable[[Run], float], tail: Tail) -> Groups:
    """Splits runs of one workflow by a measure; the usual runs are the middle half, as far as it is no tail.

    Equal values are on one side: where a quarter of the runs or more have the largest, these are the tail; where
    more than half have it, there is none.
    """
    values, weights = [measure(run) for run in runs], [run.weight for run in runs]
    begins = quantile(values, weights, tail.share) if tail.share is not None else tail.value or 0.0
    low, middle, high = (quantile(values, weights, share) for share in (_USUAL[0], 0.5, _USUAL[1]))
    least = high if max(values) > high else middle
    is_tail = [value >= begins and (tail.share is None or value > least) for value in values]
    above = [run for run, yes in zip(runs, is_tail, strict=True) if yes]
    rest = [run for run, yes in zip(runs, is_tail, strict=True) if not yes]
    usual = [run for run in rest if low <= measure(run) <= high] or rest
    below = sum(run.weight for run in rest) / sum(weights)
    if tail.share is not None:
        begins = min(map(measure, above), default=begins)
    return Groups(above, usual, rest, begins, below)


def mean_of(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
    """Returns the weighted mean of a value per run."""
    return mean(map(value, runs), [run.weight for run in runs])


def means_of(runs: Sequence[Run], values: Callable[[Run], Mapping[K, float]]) -> Mapping[K, float]:
    """Returns for each key the weighted mean of its value per run; 0 for a run, or a key, that has none."""
    sums: dict[K, float] = defaultdict(float)
    weight = sum(run.weight for run in runs)
    for run in runs:
        for key, value in values(run).items():
            sums[key] += run.weight * value / weight
    return sums


def too_few(runs: Sequence[Run], tail: Sequence[Run]) -> str | None:
    """Returns why nothing can be said for certain; None if there is enough."""
    conversations = len({run.conversation for run in runs})
    if len(runs) < ENOUGH_RUNS or conversations < ENOUGH_CONVERSATIONS:
        return (
            f"too few to say: {plural(len(runs), 'run')} in {plural(conversations, 'conversation')}, "
            f"and it takes {ENOUGH_RUNS} in {ENOUGH_CONVERSATIONS}"
        )
    if len(tail) < ENOUGH_IN_TAIL:
        return f"too few to say: {plural(len(tail), 'run')} in the tail, and it takes {ENOUGH_IN_TAIL}"
    return None


def why_biased(runs: Sequence[Run]) -> str | None:
    """Returns why these runs cannot be compared: all were kept for what is asked about. None if they can.

    A run that `Keep` kept for a rule stands for itself, and one of the share for 1 / ratio others. Weighted so, they
    stand for all runs, unless no ordinary run was kept.
    """
    kept = Counter(run.kept_for for run in runs)
    ruled = sum(kept[reason] for reason in _KEPT)
    if not ruled or kept[None] or kept[semconv.KEPT_SHARE] >= ENOUGH_IN_TAIL:
        return None
    reasons = ", ".join(f"{kept[each]:,} {word}" for each, word in _KEPT.items() if kept[each])
    ordinary = kept[semconv.KEPT_SHARE]
    return (
        f"cannot be compared: these runs were kept because they were not ordinary ({reasons}), "
        f"and {plural(ordinary, 'ordinary run')} beside them; Keep(ratio=...) above 0 also keeps a share of those"
    )
