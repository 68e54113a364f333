"""A report of three counts is read in one step, and as any other report is."""

from typing import Any

import pytest

from otel_callbacks.operations.providers import read_usage

ADDING_UP = [(900, 60, 960), (0, 7, 7), (7, 0, 7)]
OTHERS: Any = [(0, 0, 0), (5, 5, 11), (-1, 2, 1), (True, 2, 3), (2.0, 2, 4), (3, None, 3)]


@pytest.mark.parametrize("counts", [*ADDING_UP, *OTHERS])
@pytest.mark.parametrize("names", [("input_tokens", "output_tokens"), ("prompt_tokens", "completion_tokens")])
@pytest.mark.parametrize("provider", [None, "openai", "anthropic", "perplexity", "aws.bedrock"])
@pytest.mark.parametrize("normal", [True, False])
def test_it_says_the_same(counts: Any, names: Any, provider: str | None, normal: bool) -> None:
    report = dict(zip((*names, "total_tokens"), counts, strict=True))
    longer = {**report, "of_no_meaning": None}  # is read step by step
    assert read_usage(report, provider, normal=normal) == read_usage(longer, provider, normal=normal)
