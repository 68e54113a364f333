"""A report of two counts, or three that add up, is read in one step, and as any other report is."""

from typing import Any

import pytest
from hostile import Failing, FailingNumber, Lying
from hypothesis import given
from hypothesis import strategies as st

from otel_callbacks.operations.providers import read_usage

ADDING_UP = [(900, 60, 960), (0, 7, 7), (7, 0, 7), (900, 60, None)]
OTHERS: Any = [(0, 0, 0), (5, 5, 11), (-1, 2, 1), (True, 2, 3), (2.0, 2, 4), (3, None, 3), (7, 3, 0)]
NAMES = [("input_tokens", "output_tokens"), ("prompt_tokens", "completion_tokens")]
PROVIDERS = [None, "openai", "anthropic", "perplexity", "aws.bedrock"]

numbers = st.integers(-1, 20) | st.sampled_from([None, 10**15 - 1, 10**15, 2.0, True, "3"])
odd = numbers | st.sampled_from([Failing(), Lying(), FailingNumber(3)])


@pytest.mark.parametrize("counts", [*ADDING_UP, *OTHERS])
@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("normal", [True, False])
def test_it_says_the_same(counts: Any, names: Any, provider: str | None, normal: bool) -> None:
    report = dict(zip((*names, "total_tokens"), counts, strict=True))
    check(report, provider, normal)
    del report["total_tokens"]
    check(report, provider, normal)


@given(st.tuples(odd, odd, numbers), st.sampled_from(NAMES), st.booleans(), st.sampled_from(PROVIDERS))
def test_it_says_the_same_of_any_counts(counts: Any, names: Any, whole: bool, provider: str | None) -> None:
    check(dict(zip((*names, "total_tokens") if whole else names, counts, strict=False)), provider, True)


def check(report: dict[str, Any], provider: str | None, normal: bool) -> None:
    longer = {**report, "of_no_meaning": None, "nor_this": None}  # is read step by step
    assert read_usage(report, provider, normal=normal) == read_usage(longer, provider, normal=normal)
