"""The arithmetic of `why`: weighted quantiles, a bootstrap over conversations, and tests of an association."""

import math
import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Any, NamedTuple

RESAMPLES = 300
_BINS = 200  # conversations are resampled in at most so many groups, each as large as chance makes it
_BEYOND = 1.15
# An error of one in the spread moves the logarithm of a tail by about 2, and the spread, from two quantiles of n
# values, has an error of about 1.5 times itself by the root of n.
_ERROR_OF_SPREAD = 3.0
_SEED = 20  # the same figures every time that the same traces are asked
NORMAL = NormalDist()


def quantile(values: Sequence[float], weights: Sequence[float], share: float) -> float:
    """Returns the smallest value at which the weights up to it are at least `share` of all; there must be one."""
    order = sorted(range(len(values)), key=values.__getitem__)
    sums = list(accumulate(weights[place] for place in order))
    return values[order[min(bisect_left(sums, share * sums[-1] * (1 - 1e-12)), len(order) - 1)]]


def mean(values: Iterable[float], weights: Iterable[float]) -> float:
    """Returns the weighted mean; 0 of nothing."""
    pairs = list(zip(values, weights, strict=True))
    total = math.fsum(weight for _, weight in pairs)
    return math.fsum(value * weight for value, weight in pairs) / total if total else 0.0


def resampled_means(rows: Iterable[tuple[Hashable, float, Sequence[float]]], width: int) -> list[list[float]]:
    """Returns the weighted means of columns, each time of other conversations drawn with replacement.

    `rows` have the conversation, the weight, and `width` values. Runs of one conversation are drawn together, because
    they are alike.
    """
    sums: dict[Hashable, list[float]] = defaultdict(lambda: [0.0] * (width + 1))
    for conversation, weight, values in rows:
        own = sums[conversation]
        own[0] += weight
        for place, value in enumerate(values, 1):
            own[place] += weight * value
    chance = random.Random(_SEED)
    bins = list(sums.values())
    if len(bins) > _BINS:
        chance.shuffle(bins)
        bins = [[math.fsum(column) for column in zip(*bins[at::_BINS], strict=True)] for at in range(_BINS)]
    found: list[list[float]] = []
    for _ in range(RESAMPLES):
        drawn = chance.choices(bins, k=len(bins))
        total, *columns = (sum(column) for column in zip(*drawn, strict=True))
        found.append([column / total for column in columns])
    return found


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Returns the range that holds the middle 95 % of the values."""
    ordered = sorted(values)
    cut = int(0.025 * len(ordered))
    return ordered[cut], ordered[-1 - cut]


class Ordinary(NamedTuple):
    """The mean that ordinary variation gives a tail, and the least one that is beyond it for certain."""

    mean: float
    beyond: float


def ordinary_tail(
    values: Sequence[float], weights: Sequence[float], share_below: float, grain: float = 0.0
) -> Ordinary:
    """Returns what the mean beyond a quantile would be if the upper half varied as the lower half does.

    The lower half of the logarithms gives the spread, so a few large values do not widen it. To be beyond it, a mean
    must be 1.15 times as large, and as much more as twice the error of that spread. `values` must be above 0; `grain`
    is the distance of possible values, 1 for counts, because few different ones hide how much they vary.
    """
    median = quantile(values, weights, 0.5) + grain / 2
    low = quantile(values, weights, 0.1) - grain / 2
    if low <= 0 or share_below >= 1:
        return Ordinary(median, math.inf)
    spread = math.log(median / low) / -NORMAL.inv_cdf(0.1)
    z = NORMAL.inv_cdf(min(max(share_below, 1e-6), 1 - 1e-6))
    expected = median * math.exp(spread**2 / 2) * NORMAL.cdf(spread - z) / (1 - NORMAL.cdf(z))
    count = sum(weights) ** 2 / math.fsum(weight * weight for weight in weights)  # as many equal weights
    return Ordinary(expected, expected * _BEYOND * math.exp(2 * _ERROR_OF_SPREAD * spread / math.sqrt(count)))


def slope(x: Sequence[float], y: Sequence[float], weights: Sequence[float]) -> float:
    """Returns by how much `y` changes with `x`, by weighted least squares; 0 if `x` does not vary."""
    middle_x, middle_y = mean(x, weights), mean(y, weights)
    spread = math.fsum(w * (a - middle_x) ** 2 for a, w in zip(x, weights, strict=True))
    both = (w * (a - middle_x) * (b - middle_y) for a, b, w in zip(x, y, weights, strict=True))
    return math.fsum(both) / spread if spread else 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """One run in a test of association: its conversation, its weight, and whether it is one of those asked about."""

    conversation: str
    weight: float
    is_in: bool


class Association:
    """Tests which facts go with being one of the runs asked about, where the runs of a conversation are alike."""

    def __init__(self, cases: Sequence[Case], strata: Sequence[Hashable] | None = None) -> None:
        self._cases = cases
        self._strata = strata or [0] * len(cases)
        totals: dict[Hashable, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for case, stratum in zip(cases, self._strata, strict=True):
            totals[stratum][0] += case.weight
            totals[stratum][1] += case.weight * case.is_in
        self._weights = {each: total for each, (total, _) in totals.items()}
        self._shares = {each: found / total for each, (total, found) in totals.items() if total}
        # What each conversation deviates from its strata, by stratum.
        self._deviations: dict[tuple[str, Hashable], float] = defaultdict(float)
        for case, stratum in zip(cases, self._strata, strict=True):
            self._deviations[case.conversation, stratum] += self._deviation(case, stratum)

    def z(self, places: Iterable[int]) -> float:
        """Returns by how many standard errors the cases at `places` are more often in than the others; 0 if unknown."""
        having: dict[Hashable, float] = defaultdict(float)
        sums: dict[str, float] = defaultdict(float)
        for place in places:
            case, stratum = self._cases[place], self._strata[place]
            having[stratum] += case.weight
            sums[case.conversation] += self._deviation(case, stratum)
        score = math.fsum(sums.values())
        for (conversation, stratum), deviation in self._deviations.items():
            if stratum in having:
                sums[conversation] -= having[stratum] / self._weights[stratum] * deviation
        variance = math.fsum(each * each for each in sums.values())
        return score / math.sqrt(variance) if variance > 0 else 0.0

    def _deviation(self, case: Case, stratum: Hashable) -> float:
        return case.weight * (case.is_in - self._shares.get(stratum, 0.0))


def at_least(found: int, having: int, among: int, total: int) -> float:
    """Returns how likely at least `found` of `having` cases are in by chance, if `among` of all `total` cases are."""
    if found <= 0:
        return 1.0
    whole = _ways(total, having)
    terms = (
        math.exp(_ways(among, each) + _ways(total - among, having - each) - whole)
        for each in range(found, min(having, among) + 1)
        if having - each <= total - among
    )
    return min(1.0, math.fsum(terms))


def _ways(of: int, choose: int) -> float:
    """Returns the logarithm of the binomial coefficient."""
    return math.lgamma(of + 1) - math.lgamma(choose + 1) - math.lgamma(of - choose + 1)


def upper_chance(z: float) -> float:
    """Returns how likely a standard normal value is above `z`."""
    return 1 - NORMAL.cdf(z)


def discoveries(chances: Mapping[Any, float], tried: int, level: float) -> set[Any]:
    """Returns the keys that are found at a false discovery rate of `level`, by Benjamini and Yekutieli (2001).

    Their procedure holds whatever the tests have to do with each other. `tried` is how many tests were made.
    """
    penalty = math.fsum(1 / each for each in range(1, tried + 1))
    ordered = sorted(chances, key=lambda key: chances[key])
    passed = 0
    for rank, key in enumerate(ordered, 1):
        if chances[key] <= rank * level / (tried * penalty):
            passed = rank
    return set(ordered[:passed])


def lift(cases: Sequence[Case], having: Callable[[int], bool]) -> tuple[float, float, float]:
    """Returns how many times as often cases are in where they have a fact as where not, and the 95 % interval.

    Half a case is added to each side, so that none is a share of 0. The interval is by the delta method, with the
    conversations as units; it is at least as wide as if each case were a conversation.
    """
    weight = [0.0, 0.0]
    inside = [0.0, 0.0]
    counts = [[0, 0], [0, 0]]
    for place, case in enumerate(cases):
        side = having(place)
        weight[side] += case.weight
        inside[side] += case.weight * case.is_in
        counts[side][case.is_in] += 1
    usual = math.fsum(weight) / len(cases)
    shares = [(inside[side] + 0.5 * usual) / (weight[side] + usual) for side in (0, 1)]
    influence: dict[str, float] = defaultdict(float)
    for place, case in enumerate(cases):
        side = having(place)
        own = case.weight * (case.is_in - shares[side]) / (shares[side] * (weight[side] + usual))
        influence[case.conversation] += own if side else -own
    apart = sum(1 / (found + 0.5) - 1 / (found + others + 1) for others, found in counts)
    error = math.sqrt(max(apart, math.fsum(each * each for each in influence.values())))
    ratio = shares[1] / shares[0]
    return ratio, ratio * math.exp(-1.96 * error), ratio * math.exp(1.96 * error)
