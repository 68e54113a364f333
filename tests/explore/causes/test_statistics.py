"""The arithmetic of `why`, against definitions computed the long way."""

import math
import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_callbacks.explore.causes.statistics import (
    Association,
    Case,
    at_least,
    discoveries,
    interval,
    lift,
    ordinary_tail,
    quantile,
    resampled_means,
    slope,
)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), min_size=1), st.floats(0.01, 1))
@settings(max_examples=100, deadline=None)
def test_a_weight_counts_as_so_many_values(pairs: list[tuple[int, int]], share: float) -> None:
    values, weights = zip(*pairs, strict=True)
    repeated = sorted(value for value, weight in pairs for _ in range(weight))
    needed = math.ceil(share * len(repeated) - 1e-9)
    assert quantile(values, weights, share) == repeated[max(0, needed - 1)]


@pytest.mark.parametrize(
    ("found", "having", "among", "total"), [(2, 3, 4, 9), (0, 3, 4, 9), (3, 3, 3, 9), (1, 5, 4, 6)]
)
def test_chance_of_so_many_is_that_of_all_draws(found: int, having: int, among: int, total: int) -> None:
    draws = [sum(each < among for each in drawn) for drawn in combinations(range(total), having)]
    assert at_least(found, having, among, total) == pytest.approx(sum(d >= found for d in draws) / len(draws))


def test_benjamini_and_yekutieli() -> None:
    """With 4 tests the levels are 0.05 · rank / (4 · (1 + 1/2 + 1/3 + 1/4)): 0.006, 0.012, 0.018, 0.024."""
    assert discoveries({"a": 0.001, "b": 0.0119, "c": 0.0185, "d": 0.9}, 4, 0.05) == {"a", "b"}
    assert discoveries({"a": 0.007, "b": 0.0119, "c": 0.0185, "d": 0.9}, 4, 0.05) == {"a", "b"}
    assert discoveries({"a": 0.007, "b": 0.9}, 4, 0.05) == set()


def test_the_same_traces_give_the_same_interval() -> None:
    chance = random.Random(1)
    rows = [(number // 3, 1.0, [chance.gauss(10, 2), 1.0]) for number in range(900)]
    first, again = resampled_means(rows, 2), resampled_means(rows, 2)
    assert first == again
    low, high = interval([means[0] for means in first])
    assert low < sum(row[2][0] for row in rows) / 900 < high
    assert high - low == pytest.approx(4 * 2 / math.sqrt(900), rel=0.35)
    assert {round(means[1], 9) for means in first} == {1.0}


def test_runs_of_one_conversation_count_as_one_piece_of_evidence() -> None:
    chance = random.Random(2)
    levels = [chance.gauss(10, 2) for _ in range(60)]
    alone = resampled_means([(n, 1.0, [level]) for n, level in enumerate(levels)], 1)
    tenfold = resampled_means([(n, 1.0, [level]) for n, level in enumerate(levels) for _ in range(10)], 1)
    widths = [
        high - low for low, high in (interval([each[0] for each in means]) for means in (alone, tenfold))
    ]
    assert widths[0] == pytest.approx(widths[1])


def test_the_ordinary_tail_of_a_lognormal_is_its_tail() -> None:
    chance = random.Random(3)
    values = [math.exp(chance.gauss(1, 0.4)) for _ in range(20_000)]
    tail = sorted(values)[19_000:]
    ordinary = ordinary_tail(values, [1.0] * 20_000, 0.95)
    assert ordinary.mean == pytest.approx(sum(tail) / 1_000, rel=0.05)
    assert ordinary.beyond == pytest.approx(ordinary.mean * 1.15, rel=0.05)
    few = ordinary_tail(values[:50], [1.0] * 50, 0.95)
    assert few.beyond > 1.3 * few.mean


def test_slope() -> None:
    assert slope([1, 2, 3], [5, 7, 9], [1, 5, 2]) == pytest.approx(2)
    assert slope([1, 1], [5, 7], [1, 1]) == 0


def cases(*groups: tuple[int, int, int]) -> tuple[list[Case], list[int]]:
    """Cases of their own conversation: `groups` have a flag, how many there are, and how many of these are in."""
    found, having = [], []
    for flag, count, inside in groups:
        for number in range(count):
            if flag:
                having.append(len(found))
            found.append(Case(f"{len(found)}", 1.0, number < inside))
    return found, having


def test_an_association_that_is_there_and_one_that_is_not() -> None:
    there, having = cases((1, 100, 30), (0, 400, 40))
    assert Association(there).z(having) == pytest.approx(3.93, abs=0.01)
    not_there, having = cases((1, 100, 10), (0, 400, 40))
    assert Association(not_there).z(having) == pytest.approx(0)


def test_an_association_that_another_one_explains() -> None:
    """The tool is slow for everybody; a tenant calls it more often (Simpson's paradox)."""
    tool_and_tenant, tool, tenant, neither = (80, 40), (20, 10), (20, 1), (380, 19)
    found: list[Case] = []
    strata, having = [], []
    for (count, inside), uses_tool, is_tenant in zip(
        (tool_and_tenant, tool, tenant, neither), (1, 1, 0, 0), (1, 0, 1, 0), strict=True
    ):
        for number in range(count):
            having += [len(found)] if is_tenant else []
            found.append(Case(f"{len(found)}", 1.0, number < inside))
            strata.append(uses_tool)
    assert Association(found).z(having) > 4
    assert Association(found, strata).z(having) == pytest.approx(0, abs=1e-9)


def test_lift() -> None:
    found, having = cases((1, 100, 50), (0, 400, 20))
    ratio, low, high = lift(found, set(having).__contains__)
    assert ratio == pytest.approx((50.5 / 101) / (20.5 / 401))
    assert low < 10 < high
    assert (low, high) == pytest.approx((6.1, 15.6), rel=0.03)  # of the usual formula: exp(±1.96·√(…))


def test_the_interval_is_wide_where_nothing_else_is_in() -> None:
    found, having = cases((1, 50, 20), (0, 50, 0))
    _, low, high = lift(found, set(having).__contains__)
    assert high / low > 100
