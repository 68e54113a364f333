"""Runs `benchmarks/soak.py` for a few seconds, with fewer threads and tasks."""

from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - fixtures
from soak import Soak

pytestmark = IGNORED


def test_mixed_frameworks_threads_loops_and_cancellation() -> None:
    report = Soak(threads=20, tasks=60, loops=3).run(seconds=4)
    assert report.wrong == []
    assert report.still_open == 0
    assert report.requests > 20
    assert report.cut_short > 0
    assert report.counts.started == report.counts.ended == report.delivery.exported - report.user_spans
    assert (report.faults, report.delivery.failed, report.delivery.dropped) == (0, 0, 0)
