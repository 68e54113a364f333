"""Tests that a bound is not reached silently."""

import pytest

from otel_callbacks.limits import first


def test_what_is_left_out_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    short = [1, 2]
    assert first(short, 2, "things of a test") is short
    assert caplog.text == ""
    for _ in range(2):
        assert first((1, 2, 3), 2, "things of a test") == (1, 2)
    assert [record.getMessage() for record in caplog.records] == [
        "otel-callbacks reached its bound of 2 things of a test: the others are not read. It is not logged again."
    ]
