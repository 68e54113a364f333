"""Back ends that are down, slow, full or hostile: the application does not notice, and losses are counted."""

import json
import logging
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from receivers import GRPC, HTTP, receiver

from otel_callbacks.explore.files.writing import read_jsonl
from otel_callbacks.export.otlp import OtlpEndpoint
from otel_callbacks.export.outbox import QueueLimits
from otel_callbacks.export.signals import SpanDelivery

APPLICATION = """
import atexit, json, sys, time, uuid
atexit.register(lambda: print(time.time() - left))  # registered first, so it runs last
from fakes import ScriptedModel, ScriptedRetriever
from otel_callbacks import configure
from otel_callbacks.langchain import OTelCallbackHandler

file, protocol, *endpoints = sys.argv[1:]
telemetry = configure("app", endpoints=endpoints, protocol=protocol, file=file)
chain = (ScriptedRetriever() | (lambda found: "text") | ScriptedModel()).with_config(run_name="rag")
with telemetry.flushing(1.0):
    answers = [chain.invoke("q", {"callbacks": [OTelCallbackHandler()]}).text for _ in range(100)]
stats = telemetry.stats()
delivered = [[each.waiting, each.exported, each.failed, each.dropped] for each in stats.destinations]
for _ in range(100):  # these are sent only at exit
    chain.invoke("q", {"callbacks": [OTelCallbackHandler()]})
handler = OTelCallbackHandler()
handler.on_chain_start({}, {}, run_id=uuid.uuid4(), name="never ended")
print(json.dumps({"answers": answers, "delivered": delivered, "faults": stats.faults}))
left = time.time()
"""


def run(folder: Path, protocol: str, endpoints: list[str], **variables: str) -> tuple[Any, float]:
    """Runs the application; returns the report it prints, and how many seconds its exit functions took."""
    ran = subprocess.run(
        [sys.executable, "-c", APPLICATION, str(folder / "kept.jsonl"), protocol, *endpoints],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "", **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    report, seconds = ran.stdout.splitlines()
    return json.loads(report), float(seconds)


@pytest.mark.parametrize(
    ("protocol", "behaviours"),
    [("http/protobuf", ("http", *HTTP)), ("grpc", ("grpc", *GRPC))],
)
def test_the_application_notices_none_of_them_and_none_starves_another(
    protocol: str, behaviours: tuple[str, ...], tmp_path: Path
) -> None:
    with ExitStack() as stack:
        back_ends = [stack.enter_context(receiver(behaviour, tmp_path)) for behaviour in behaviours]
        report, seconds = run(tmp_path, protocol, [back_end.url for back_end in back_ends])
        arrived = {
            behaviour: each.spans.total() for behaviour, each in zip(behaviours, back_ends, strict=True)
        }
    assert report["answers"] == ["hello world"] * 100
    assert report["faults"] == 0
    assert seconds < 5
    assert [sum(delivered) for delivered in report["delivered"]] == [300] * (len(behaviours) + 1)
    exported = dict(zip(behaviours, (each[1] for each in report["delivered"]), strict=False))
    assert {behaviour for behaviour, count in exported.items() if count} <= {
        "http",
        "slow",
        "413",
        "grpc",
        "grpc_slow",
    }
    assert arrived[behaviours[0]] == 601
    assert Counter(span.name for span in read_jsonl(tmp_path / "kept.jsonl")) == {
        "invoke_workflow rag": 200,
        "retrieval": 200,
        "chat scripted-1": 200,
        "invoke_workflow never ended": 1,
    }


@pytest.mark.parametrize("behaviour", ["413", "grpc"])
def test_large_spans_arrive_in_requests_that_a_collector_accepts(behaviour: str, tmp_path: Path) -> None:
    with receiver(behaviour, tmp_path) as back_end:
        protocol: Any = "grpc" if behaviour == "grpc" else "http/protobuf"
        delivery = SpanDelivery(
            "there", OtlpEndpoint(back_end.url, protocol).span_exporter, QueueLimits(delay=60)
        )
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(delivery)
        for _ in range(400):
            span = provider.get_tracer("t").start_span("large")
            span.set_attribute("prompt", "word " * 8_000)
            span.end()
        assert delivery.outbox.flush(20)
        provider.shutdown()
        assert back_end.spans == {"large": 400}


def test_a_back_end_that_dies_keeps_what_it_had_accepted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with receiver("http", tmp_path) as back_end, caplog.at_level(logging.CRITICAL):
        delivery = SpanDelivery("there", OtlpEndpoint(back_end.url).span_exporter, QueueLimits(delay=60))
        provider.add_span_processor(delivery)
        provider.get_tracer("t").start_span("before").end()
        assert delivery.outbox.flush(20)
        back_end.kill()
        provider.get_tracer("t").start_span("after").end()
        assert not delivery.outbox.flush(0.2)
        provider.shutdown()
        counts = delivery.outbox.delivery()
    assert back_end.spans == {"before": 1}
    assert (counts.exported, counts.waiting + counts.failed + counts.dropped) == (1, 1)
