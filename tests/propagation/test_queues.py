"""Queues over a real Redis: the work on a message is in the sender's trace or linked to it, with the labels."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from applications import SCRIPTS, outline, program, run, spans, started, until_exported
from redis_servers import running_redis

pytestmark = pytest.mark.services

SENT = "sender: invoke_workflow ask acme\n"
MODELS = ["worker: chat acme", "worker: text_completion acme"]
LINKED = "\n".join([f"{SENT}worker: answer acme -> invoke_workflow ask", *("  " + each for each in MODELS)])


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis server of its own, on a free port."""
    with running_redis(tmp_path) as url:
        yield url


@pytest.mark.parametrize("kind", ["lists", "streams", "rq", "arq"])
def test_a_queue_hands_trace_and_labels_on(tmp_path: Path, redis_url: str, kind: str) -> None:
    run("servers", tmp_path, "queues.py", "send", kind, REDIS_URL=redis_url)
    path = {"PYTHONPATH": str(SCRIPTS), "REDIS_URL": redis_url, "OTEL_SERVICE_NAME": "worker"}
    run("servers", tmp_path, "queues.py", "work", kind, **path)
    below = SENT + "\n".join("  " + each for each in MODELS)
    assert outline(tmp_path) == (below if kind == "arq" else LINKED)
    if kind != "arq":
        assert {span.kind for span in spans(tmp_path) if span.name == "answer"} == {"CONSUMER"}


@pytest.mark.parametrize("instrumented", [False, True])
def test_celery_hands_trace_and_labels_on(tmp_path: Path, redis_url: str, instrumented: bool) -> None:
    kind = "celery_instrumented" if instrumented else "celery"
    run("servers", tmp_path, "queues.py", "send", kind, REDIS_URL=redis_url)
    command = [program("servers", "celery"), "-A", "queues", "worker", "--concurrency=1", "--loglevel=INFO"]
    variables = {"PYTHONPATH": str(SCRIPTS), "REDIS_URL": redis_url, "OTEL_SERVICE_NAME": "worker"}
    with started(tmp_path, "ready.", *command, **variables, INSTRUMENT_CELERY="1" if instrumented else ""):
        until_exported(tmp_path, "text_completion")
    if not instrumented:
        assert outline(tmp_path) == LINKED
        return
    assert outline(tmp_path) == "\n".join(
        [
            "sender: invoke_workflow ask acme",
            "  sender: apply_async/queues.answer_instrumented acme",
            "    worker: run/queues.answer_instrumented acme",
            "      worker: chat acme",
            "      worker: text_completion acme",
        ]
    )
