"""Pools of threads and processes of every make: what runs in them is below the span that uses them."""

from pathlib import Path

import pytest
from applications import SCRIPTS, outline, run, spans

pytestmark = pytest.mark.services

MODELS = ["chat acme", "text_completion acme"] * 2
TOTAL = "otel_callbacks.rollup.unpriced_calls"


@pytest.mark.parametrize("kind", ["fork", "spawn", "loky", "Ray", "threads", "instrumented threads"])
def test_what_runs_in_a_pool_is_below_the_span_that_uses_it(tmp_path: Path, kind: str) -> None:
    run("servers", tmp_path, "pools.py", kind, PYTHONPATH=str(SCRIPTS))
    first, *others = outline(tmp_path).split("\n")
    assert first == "pool: invoke_workflow fan out acme"
    assert sorted(others) == sorted(f"  pool: {model}" for model in MODELS)
    in_threads = "threads" in kind
    assert len(list((tmp_path / ".otel_callbacks").glob("*.jsonl"))) > (not in_threads)
    counted = next(span for span in spans(tmp_path) if span.parent_id is None).attributes.get(TOTAL)
    assert (counted is not None) == in_threads  # totals go up within a process only
