"""Delivery: bounded queues, bounded waits, exact counts, and the standard environment variables."""

import asyncio
import gc
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedModel
from opentelemetry import context as context_api
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, StaticSampler

from otel_callbacks import configure
from otel_callbacks.explore.index.ring import Ring
from otel_callbacks.export import environment
from otel_callbacks.export.attribution_processor import AttributionSpanProcessor
from otel_callbacks.export.otlp import OtlpEndpoint
from otel_callbacks.export.outbox import Delivery, Outbox, QueueLimits, flush_all
from otel_callbacks.export.signals import SpanDelivery, YieldingBatch, split_batch
from otel_callbacks.export.telemetry import Telemetry
from otel_callbacks.langchain import OTelCallbackHandler

SOON = 30.0  # seconds; only something broken waits this long
NOW = QueueLimits(queue=4, batch=2, delay=0.001)
FULL = QueueLimits(queue=4, batch=2, delay=600)  # sends only full batches, unless somebody flushes


class Gate:
    """A destination that accepts nothing until it is opened."""

    def __init__(self) -> None:
        self.accepted: list[Any] = []
        self.opened, self.reached = threading.Event(), threading.Event()

    def send(self, batch: Sequence[Any]) -> int:
        self.reached.set()
        assert self.opened.wait(SOON)
        self.accepted += batch
        return len(batch)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


class ScriptedExporter(SpanExporter):
    """Keeps every batch, then returns or raises `result`."""

    def __init__(self, result: Any = SpanExportResult.SUCCESS) -> None:
        self.result = result
        self.batches: list[Sequence[ReadableSpan]] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.batches.append(spans)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def telemetry(*exporters: SpanExporter) -> Telemetry:
    provider = TracerProvider(shutdown_on_exit=False)
    deliveries = [
        SpanDelivery(str(number), lambda exporter=exporter: exporter, QueueLimits(delay=60))
        for number, exporter in enumerate(exporters)
    ]
    for delivery in deliveries:
        provider.add_span_processor(delivery)
    return Telemetry(provider, _destinations=[delivery.outbox for delivery in deliveries])


def trace_one(to: Telemetry) -> None:
    ScriptedModel().invoke("q", {"callbacks": [OTelCallbackHandler(tracer_provider=to.tracer_provider)]})


# --- the outbox ----------------------------------------------------------------------------------------------------


def test_a_full_queue_drops_and_counts_further_items(gate: Gate) -> None:
    outbox = Outbox("there", gate.send, FULL)
    for number in range(2):
        outbox.put(number)
    assert gate.reached.wait(SOON)  # the batch being sent still counts as waiting
    for number in range(2, 7):
        outbox.put(number)
    assert outbox.delivery() == Delivery("there", waiting=4, exported=0, failed=0, dropped=3)
    gate.opened.set()
    assert outbox.flush(SOON)
    assert outbox.delivery() == Delivery("there", waiting=0, exported=4, failed=0, dropped=3)
    assert gate.accepted == [0, 1, 2, 3]


def test_a_flush_of_a_hanging_destination_ends_in_time(gate: Gate) -> None:
    outbox = Outbox("there", gate.send, NOW)
    outbox.put(1)
    started = time.monotonic()
    assert not outbox.flush(0.05)
    assert time.monotonic() - started < 5
    gate.opened.set()
    assert outbox.flush(SOON)


def test_destinations_share_the_time_of_a_flush(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts: list[float] = []
    flush = Outbox.flush

    def noting_flush(outbox: Outbox[int], timeout: float, mark: Any = None) -> bool:
        timeouts.append(timeout)
        return flush(outbox, timeout, mark)

    monkeypatch.setattr(Outbox, "flush", noting_flush)
    hanging = [Outbox[int](name, gate.send, NOW) for name in ("one", "other")]
    for outbox in hanging:
        outbox.put(1)
    assert not flush_all(hanging, 0.2)
    assert timeouts[1] < 0.1  # the first outbox used up the time


def test_exporting_is_not_traced_itself() -> None:
    seen: list[Any] = []

    def send(batch: Sequence[int]) -> int:
        seen.append(context_api.get_value(context_api._SUPPRESS_INSTRUMENTATION_KEY))
        return len(batch)

    outbox = Outbox[int]("there", send, NOW)
    outbox.put(1)
    assert outbox.flush(SOON)
    assert seen == [True]


def test_a_flush_does_not_wait_for_the_delay(gate: Gate) -> None:
    gate.opened.set()
    outbox = Outbox("there", gate.send, QueueLimits(delay=600))
    outbox.put(1)
    assert outbox.flush(SOON)
    assert gate.accepted == [1]


def test_a_full_batch_is_sent_at_once_and_a_small_one_after_the_delay(gate: Gate) -> None:
    gate.opened.set()
    patient, hasty = (Outbox("there", gate.send, limits) for limits in (FULL, NOW))
    for outbox, items in ((patient, 2), (hasty, 1)):
        gate.reached.clear()
        for item in range(items):
            outbox.put(item)
        assert gate.reached.wait(SOON)
    assert patient.flush(SOON)
    assert hasty.flush(SOON)


@pytest.mark.parametrize("accepted", [0, 1, 2])
def test_items_that_a_destination_refuses_count_as_failed(accepted: int) -> None:
    outbox = Outbox[int]("there", lambda batch: accepted, QueueLimits(delay=600))
    outbox.put(1)
    outbox.put(2)
    assert outbox.flush(SOON) is (accepted == 2)
    assert outbox.delivery() == Delivery("there", 0, exported=accepted, failed=2 - accepted, dropped=0)


def test_closing_in_time_sends_everything_and_accepts_no_more(gate: Gate) -> None:
    gate.opened.set()
    outbox = Outbox("there", gate.send, QueueLimits(delay=600))
    for number in range(5):
        outbox.put(number)
    assert outbox.close(SOON)
    outbox.put(5)
    assert outbox.close(SOON)
    assert outbox.delivery() == Delivery("there", waiting=0, exported=5, failed=0, dropped=1)


def test_closing_a_hanging_destination_gives_up_on_the_batch_being_sent_and_drops_the_queue(
    gate: Gate,
) -> None:
    outbox = Outbox("there", gate.send, FULL)
    for number in range(4):
        outbox.put(number)
    assert gate.reached.wait(SOON)
    assert not outbox.close(0.05)
    assert outbox.delivery() == Delivery("there", waiting=0, exported=0, failed=2, dropped=2)
    gate.opened.set()
    assert outbox._worker is not None
    outbox._worker.join(SOON)
    assert outbox.delivery() == Delivery("there", waiting=0, exported=0, failed=2, dropped=2)


def test_an_outbox_without_a_thread_sends_when_it_is_closed(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    gate.opened.set()
    monkeypatch.setattr(threading.Thread, "start", no_more)
    outbox = Outbox("there", gate.send, NOW)
    outbox.put(1)
    outbox.put(2)
    outbox.put(3)
    assert outbox.close(SOON)
    assert gate.accepted == [1, 2, 3]


def test_a_finalizer_may_put_something_in_while_the_lock_is_held(gate: Gate) -> None:
    gate.opened.set()
    outbox = Outbox[int]("there", gate.send, NOW)

    class Late:
        def __del__(self) -> None:
            outbox.put(2)

    late: Any = [Late()]
    late.append(late)
    del late
    with outbox._changed:
        gc.collect()
    assert outbox.flush(SOON)
    assert gate.accepted == [2]


# --- delivering spans ----------------------------------------------------------------------------------------------


def test_a_dead_destination_does_not_starve_a_live_one() -> None:
    dead, live = ScriptedExporter(ConnectionError("gone")), ScriptedExporter()
    to = telemetry(dead, live)
    trace_one(to)
    assert not to.flush(SOON)
    stats = to.stats()
    assert [(each.exported, each.failed) for each in stats.destinations] == [(0, 1), (1, 0)]
    assert (stats.exported, stats.dropped) == (1, 1)
    assert to.shutdown(SOON)


def test_an_exporter_that_raises_is_logged_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    kept = ScriptedExporter(ValueError("bad metadata"))
    to = telemetry(kept)
    for _ in range(2):
        trace_one(to)
        assert not to.flush(SOON)
    kept.result = SpanExportResult.SUCCESS
    trace_one(to)
    assert to.flush(SOON)
    assert [(each.exported, each.failed) for each in to.stats().destinations] == [(1, 2)]
    assert caplog.text.count("0: the exporter raised ValueError('bad metadata'); some telemetry is lost") == 1


def test_shutdown_twice_is_shutdown_once() -> None:
    to = telemetry(ScriptedExporter())
    trace_one(to)
    assert to.shutdown(SOON)
    assert to.shutdown(0)
    assert to.stats().exported == 1


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, StaticSampler(Decision.RECORD_ONLY)])
def test_unsampled_spans_do_not_count(sampler: Sampler) -> None:
    to = telemetry(ScriptedExporter())
    to.tracer_provider.sampler = sampler
    trace_one(to)
    assert to.flush(SOON)
    assert to.stats().destinations == (Delivery("0", 0, 0, 0, 0),)


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([1, 1], [[1, 1]]),
        ([3, 3], [[3], [3]]),
        ([1, 9, 1], [[1], [9], [1]]),
        ([2, 2, 2], [[2, 2], [2]]),
        ([9], [[9]]),
    ],
)
def test_batches_are_split_to_what_a_collector_accepts(
    sizes: list[int], parts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_callbacks.export.signals.REQUEST_BYTES", 4)
    assert list(split_batch(sizes, int)) == parts


def test_the_application_gets_to_run_while_a_batch_is_encoded(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("otel_callbacks.export.signals.time.sleep", pauses.append)
    outbox = Outbox("there", gate.send, QueueLimits(batch=2, delay=0))
    assert list(YieldingBatch(range(100), outbox)) == list(range(100))
    assert len(pauses) == 6
    for number in range(5):  # in batches of 2: one is being sent, another waits, and one item more
        outbox.put(number)
        gate.reached.wait(SOON)
    assert outbox.is_behind
    assert list(YieldingBatch(range(100), outbox)) == list(range(100))
    assert len(pauses) == 6
    gate.opened.set()
    assert outbox.flush(SOON)


def test_a_failing_destination_is_not_behind() -> None:
    outbox = Outbox[int]("there", lambda batch: 0, QueueLimits(batch=1, delay=0))
    outbox.put(1)
    outbox.flush(SOON)
    assert outbox.delivery().failed == 1
    with outbox._changed:  # keeps the worker from sending meanwhile
        outbox.put(2)
        outbox.put(3)
        assert not outbox.is_behind


# --- flushing ------------------------------------------------------------------------------------------------------


def test_flushing_a_block_a_function_and_a_coroutine_function() -> None:
    kept = ScriptedExporter()
    to = telemetry(kept)

    @to.flushing()
    def handle(event: str) -> str:
        trace_one(to)
        return event

    @to.flushing()
    async def ahandle(event: str) -> str:
        trace_one(to)
        return event

    assert handle("a") == "a"
    assert len(kept.batches) == 1
    assert asyncio.run(ahandle("b")) == "b"
    assert len(kept.batches) == 2
    with to.flushing():
        trace_one(to)
    assert len(kept.batches) == 3


def test_flushing_leaves_the_error_of_the_body_alone() -> None:
    kept = ScriptedExporter(ConnectionError("gone"))
    to = telemetry(kept)
    error = KeyError("the application's")
    with pytest.raises(KeyError) as raised, to.flushing():
        trace_one(to)
        raise error
    assert raised.value is error
    assert len(kept.batches) == 1


async def test_flushing_does_not_block_the_event_loop(gate: Gate) -> None:
    outbox = Outbox("there", gate.send, NOW)
    to = Telemetry(TracerProvider(shutdown_on_exit=False), _destinations=[outbox])
    outbox.put(1)
    asyncio.get_running_loop().call_later(0.05, gate.opened.set)  # never called if the loop is blocked
    async with to.flushing(SOON):
        pass
    assert gate.accepted == [1]


# --- the environment -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ([], [], [])),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}, (["otlp"], ["otlp"], ["otlp"])),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:4318/v1/traces"}, (["otlp"], [], [])),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_METRICS_EXPORTER": "none"},
            (["otlp"], [], ["otlp"]),
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, (["otlp"], [], [])),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, (["console", "otlp"], [], [])),
        ({"OTEL_TRACES_EXPORTER": " ", "OTEL_EXPORTER_OTLP_ENDPOINT": ""}, ([], [], [])),
    ],
)
def test_which_exporters_the_environment_names(
    variables: dict[str, str], expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tuple(environment.exporter_names(signal) for signal in ("traces", "metrics", "logs")) == expected


@pytest.mark.parametrize(
    ("variables", "address", "protocol", "grpc"),
    [
        ({}, "http://a:4318", None, False),
        ({}, "http://a:4317", None, True),
        ({}, "http://a:4317", "http/protobuf", False),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://a:4318", None, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, None, None, True),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, None, None, 0),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317"}, None, None, True),
    ],
)  # fmt: skip
def test_the_protocol(
    variables: dict[str, str], address: Any, protocol: Any, grpc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    exporter = OtlpEndpoint(address, protocol).span_exporter()
    assert (".grpc." in type(exporter).__module__) == grpc
    exporter.shutdown()


def test_headers_for_grpc_are_in_lower_case_and_join_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=rag")
    exporter: Any = OtlpEndpoint("http://a:4317", headers={"Authorization": "Bearer 1"}).span_exporter()
    assert dict(exporter._headers) == {"x-team": "rag", "authorization": "Bearer 1"}
    exporter.shutdown()


def test_credentials_do_not_show() -> None:
    assert str(OtlpEndpoint("https://user:secret@a:4318/key?token=t")) == "https://a:4318"


def test_limits_come_from_the_sdks_variables(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_BLRP_MAX_QUEUE_SIZE", "-1")
    assert environment.queue_limits("OTEL_BSP") == QueueLimits(queue=100, batch=100, delay=0.05)
    assert environment.queue_limits("OTEL_BLRP") == QueueLimits()
    assert "OTEL_BLRP_MAX_QUEUE_SIZE='-1'" in caplog.text


def configured(script: str, folder: Path, **variables: str) -> str:
    """Runs the script in a process of its own, with its own global providers; returns what it prints."""
    code = (
        "from otel_callbacks import configure\nfrom opentelemetry import metrics, trace\n"
        + textwrap.dedent(script)
    )
    environ = {"PYTHONPATH": ":".join(sys.path), "PATH": "", **variables}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environ, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


ONE_SPAN = """
telemetry = configure()
with trace.get_tracer("t").start_as_current_span("one"):
    pass
print([each.destination for each in telemetry.stats().destinations], telemetry.meter_provider is not None)
"""


@pytest.mark.parametrize(
    ("variables", "printed"),
    [
        ({}, "['.otel_callbacks'] False"),
        ({"OTEL_TRACES_EXPORTER": "none"}, "[] False"),
        ({"OTEL_SDK_DISABLED": "true"}, "['.otel_callbacks'] False"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "['console'] False"),
        ({"OTEL_METRICS_EXPORTER": "console"}, "['.otel_callbacks'] True"),
    ],
)
def test_where_an_unconfigured_process_sends(variables: dict[str, str], printed: str, tmp_path: Path) -> None:
    output = configured(ONE_SPAN, tmp_path, **variables)
    assert output.splitlines()[0] == printed
    assert ('"name": "one"' in output) is (variables.get("OTEL_TRACES_EXPORTER") == "console")
    written = "".join(path.read_text() for path in tmp_path.glob(".otel_callbacks/*"))
    assert ('"one"' in written) is (not variables or "OTEL_METRICS_EXPORTER" in variables)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"service_name": 3}, "service_name must be a string, not 3"),
        ({"protocol": "http/json"}, "protocol='http/json' is not known; use 'http/protobuf' or 'grpc'"),
        ({"endpoints": "localhost:4318"}, "endpoints: 'localhost:4318' is not an address; use one such as"),
    ],
)
def test_wrong_arguments_raise(arguments: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        configure(**arguments)


def test_an_invalid_address_in_the_environment_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318")
    message = "OTEL_EXPORTER_OTLP_ENDPOINT='localhost:4318' is not an address; use one such as 'http://localhost:4318'"
    with pytest.raises(ValueError, match=re.escape(message)):
        OtlpEndpoint(None).exporter_factory("traces")
    OtlpEndpoint("http://a").exporter_factory("traces")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")  # gRPC accepts it
    OtlpEndpoint(None).exporter_factory("traces")


def test_the_applications_provider_is_kept_flushed_and_not_shut_down(tmp_path: Path) -> None:
    script = """
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    kept = InMemorySpanExporter()
    theirs = TracerProvider()
    theirs.add_span_processor(BatchSpanProcessor(kept))
    trace.set_tracer_provider(theirs)
    telemetry = configure(file="here")
    for name in "first", "second":
        theirs.get_tracer("t").start_span(name).end()
        print(telemetry.flush(5), telemetry.stats().exported, len(kept.get_finished_spans()))
    telemetry.shutdown()
    theirs.get_tracer("t").start_span("third").end()
    theirs.force_flush()
    print(len(kept.get_finished_spans()))
    """
    assert configured(script, tmp_path) == "True 1 1\nTrue 2 2\n3\n"


@pytest.mark.parametrize("processor", [AttributionSpanProcessor(), Ring()])
def test_a_flush_goes_on_to_the_next_processor(
    processor: SpanProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK stops at a processor that does not return True, and the base class of the oldest SDK returns None."""
    monkeypatch.setattr(SpanProcessor, "force_flush", lambda *_: None)
    assert processor.force_flush()


def test_a_second_call_warns_about_the_arguments_it_ignores(tmp_path: Path) -> None:
    script = """
    import logging, sys
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    for _ in range(2):
        configure(file="a", local=True)
    configure(local=True)
    configure("shop", headers={"api-key": "secret"}, file="a")
    """
    assert configured(script, tmp_path) == (
        "configure() was called before and ignores service_name, headers;"
        " pass replace=True to replace the earlier setup\n"
    )


def test_a_file_is_written_soon(tmp_path: Path) -> None:
    script = """
    import pathlib, time
    configure(file="a.jsonl").tracer_provider.get_tracer("t").start_span("one").end()
    latest = time.monotonic() + 4
    while not pathlib.Path("a.jsonl").exists() and time.monotonic() < latest:
        time.sleep(0.01)
    print(pathlib.Path("a.jsonl").exists())
    """
    assert configured(script, tmp_path) == "True\n"


def test_replace_replaces(tmp_path: Path) -> None:
    script = """
    first, again = configure(file="a"), configure(file="a")
    second = configure(file="c", replace=True)
    trace.get_tracer("t").start_span("one").end()
    print(first is again, trace.get_tracer_provider() is second.tracer_provider)
    print(second.flush(5), second.stats().exported)
    """
    assert configured(script, tmp_path) == "True True\nTrue 1\n"
