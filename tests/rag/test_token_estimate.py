"""The token estimate against a real vocabulary, on kinds of text that tools return."""

import base64
import csv
import io
import json
import random
import statistics
import textwrap
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_cases import PAGES, SCRIPTS
from vocabulary import real_tokens

from otel_callbacks.rag.token_estimate import estimate, features

draw = random.Random(3)


def table() -> str:
    buffer = io.StringIO()
    rows = ((draw.randrange(10**6), f"2026-03-{draw.randrange(10, 29)}", draw.random()) for _ in range(40))
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


KINDS: dict[str, list[str]] = {
    "prose": [textwrap.shorten(page, 2_000) for page in PAGES[:12]],
    "Python": [Path(textwrap.__file__).read_text()[at : at + 2_000] for at in range(0, 18_000, 1_500)],
    "JSON": [
        json.dumps([{"id": at, "text": page[at * 200 :][:150]} for at in range(9)]) for page in PAGES[:9]
    ],
    "CSV": [table() for _ in range(9)],
    "base64": [base64.b64encode(draw.randbytes(900)).decode() for _ in range(9)],
    "numbers": [" ".join(str(round(draw.gauss(0, 9), 3)) for _ in range(200)) for _ in range(9)],
    **{script: ["\n".join(texts)] * 3 for script, texts in SCRIPTS.items()},
}


def share(count: Callable[[str], float], text: str) -> float:
    """Returns the share of a text in a prompt with some prose."""
    return count(text) / (count(text) + count(KINDS["prose"][0]))


def test_shares_are_off_by_a_few_points_at_most() -> None:
    errors = {
        kind: max(abs(share(estimate, text) - share(real_tokens, text)) for text in texts)
        for kind, texts in KINDS.items()
    }
    assert max(errors.values()) < 0.09, errors
    assert statistics.mean(errors.values()) < 0.04, errors


def test_a_long_text_is_estimated_from_samples() -> None:
    text = "\n".join(topics[page] for page in sorted(topics))[:300_000]
    piecewise = sum(estimate(text[at : at + 8_000]) for at in range(0, len(text), 8_000))
    assert estimate(text) == pytest.approx(piecewise, rel=0.1)


@given(st.text())
def test_any_text_has_an_estimate(text: str) -> None:
    assert min(features(text)) >= 0
    assert 0 <= estimate(text) <= 3 * len(text.encode("utf-8", "replace"))


@pytest.mark.parametrize("text", ["", "\ud800", "\x00", "a" * 2_000_000, "\n" * 9_000])
def test_odd_texts(text: str) -> None:
    assert (estimate(text) > 0) is bool(text)


def test_features() -> None:
    # lower, upper, punctuation, breaks, groups of digits, meetings, of letter and digit, accented, signs, CJK
    assert features("aB1234, é\n") == (3, 1, 1, 1, 2, 7, 1, 1, 0, 0)
