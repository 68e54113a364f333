"""What a destination does not take now is sent again; what it takes never is left, and told once."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

import pytest
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry import metrics
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from otlp_servers import OtlpServer, otlp_grpc, otlp_http
from waiting import patiently

from otel_callbacks import BackEnd, configure
from otel_callbacks.export import outbox as outbox_module
from otel_callbacks.export import signals
from otel_callbacks.export.otlp import OtlpEndpoint
from otel_callbacks.export.outbox import Delivery, NotTaken, Outbox, QueueLimits, TryAgain
from otel_callbacks.export.signals import SpanDelivery

SOON = 30.0  # seconds; only something broken waits this long
LIMITS = QueueLimits(queue=8, batch=4, delay=0.001)
Receive = Callable[..., AbstractContextManager[OtlpServer]]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(outbox_module, "_LONGEST_PAUSE", 0.05)


class Scripted:
    """A destination that does what the script says, and then accepts everything."""

    def __init__(self, *script: Exception | int) -> None:
        self._script = list(script)
        self.times: list[float] = []
        self.sent: list[list[Any]] = []

    def send(self, batch: Sequence[Any]) -> int:
        self.times.append(time.monotonic())
        self.sent.append(list(batch))
        answer = self._script.pop(0) if self._script else len(batch)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Down:
    """A destination that is never there; `tried` is set by the attempt with this number."""

    def __init__(self, number: int = 1, after: float | None = None) -> None:
        self.tried, self.tries = threading.Event(), 0
        self._number, self._after = number, after

    def send(self, batch: Sequence[Any]) -> int:
        self.tries += 1
        if self.tries >= self._number:
            self.tried.set()
        raise TryAgain("it is down", after=self._after)


# --- the outbox ------------------------------------------------------------------------------------------------------


def test_what_is_not_taken_now_is_sent_again_in_order_and_without_what_was_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    there = Scripted(TryAgain("503"), TryAgain("503", done=2, accepted=1), TryAgain("503"))
    outbox = Outbox("there", there.send, QueueLimits(queue=8, batch=4, delay=600), "spans")
    with caplog.at_level(logging.INFO, "otel_callbacks"):
        for number in range(6):
            outbox.put(number)
        assert not outbox.flush(SOON)  # one was refused for good
        assert outbox.close(SOON)
    assert there.sent == [[0, 1, 2, 3], [0, 1, 2, 3], [2, 3], [2, 3], [4, 5]]
    assert outbox.delivery() == Delivery("there", waiting=0, exported=5, failed=1, dropped=0)
    assert caplog.messages == [
        "there takes no spans now: 503; they wait and are sent again",
        "there: 1 spans are lost so far: 1 were not accepted (503), 0 found the queue full or closed",
        "there takes spans again",
    ]


def test_the_batch_that_waits_takes_room_in_the_queue() -> None:
    there = Down()
    outbox = Outbox("there", there.send, LIMITS)
    for number in range(12):
        outbox.put(number)
    assert outbox.delivery() == Delivery("there", waiting=8, exported=0, failed=0, dropped=4)
    assert not outbox.close(0.05)
    counts = outbox.delivery()
    assert (counts.waiting, counts.exported, counts.failed + counts.dropped) == (0, 0, 12)


def test_a_flush_does_not_wait_for_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "_FIRST_PAUSE", 600)
    monkeypatch.setattr(outbox_module, "_LONGEST_PAUSE", 600)
    there = Scripted(TryAgain("503"), TryAgain("503"))
    outbox = Outbox("there", there.send, LIMITS)
    outbox.put(1)
    for tries in (1, 2):
        patiently(lambda tries=tries: len(there.times) == tries)  # type: ignore[misc]
        assert outbox.flush(0.2) is (tries == 2)
    assert outbox.delivery().exported == 1


def test_a_flush_waits_as_long_as_the_destination_asked_for() -> None:
    there = Scripted(TryAgain("429", after=0.3))
    outbox = Outbox("there", there.send, LIMITS)
    outbox.put(1)
    assert outbox.flush(SOON)
    first, second = there.times
    assert 0.3 <= second - first < SOON


def test_nobody_is_waited_for_longer_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "RETRY_AFTER_SECONDS", 0.05)
    there = Scripted(TryAgain("429", after=1e9))
    outbox = Outbox("there", there.send, LIMITS)
    outbox.put(1)
    assert outbox.flush(SOON)


def test_the_end_of_the_process_is_a_reason_to_try_once_more() -> None:
    there = Scripted(TryAgain("429", after=50))
    outbox = Outbox("there", there.send, LIMITS)
    outbox.put(1)
    patiently(lambda: there.times)
    assert outbox.close(SOON)
    assert outbox.delivery().exported == 1


@pytest.mark.parametrize("after", [None, 50.0])
def test_a_destination_that_stays_away_holds_nobody_up_at_the_end(after: float | None) -> None:
    there = Down(number=1 if after else 2, after=after)
    outbox = Outbox("there", there.send, LIMITS)
    outbox.put(1)
    started = time.monotonic()
    assert not outbox.close(0.1)
    assert time.monotonic() - started < 5
    assert there.tried.wait(SOON)
    worker = outbox._worker
    assert worker is not None
    worker.join(SOON)
    assert not worker.is_alive()
    assert outbox.delivery() == Delivery("there", waiting=0, exported=0, failed=1, dropped=0)


def test_what_was_not_taken_for_long_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "RETRY_SECONDS", 0)
    outbox = Outbox("there", Down().send, LIMITS)
    outbox.put(1)
    patiently(lambda: outbox.delivery().failed == 1)
    assert outbox.delivery().waiting == 0


def test_what_is_never_taken_is_neither_sent_nor_lost(caplog: pytest.LogCaptureFixture) -> None:
    there = Scripted(NotTaken("404"))
    outbox = Outbox("there", there.send, LIMITS, "events")
    outbox.put(1)
    assert outbox.flush(SOON)
    outbox.put(2)
    assert outbox.flush(SOON)
    assert there.sent == [[1]]
    assert outbox.close(SOON)
    assert outbox.delivery() == Delivery("there", waiting=0, exported=0, failed=0, dropped=0, not_taken=2)
    assert caplog.messages == ["there does not take events: 404; none are sent there from now on"]


# --- answers by HTTP and gRPC ----------------------------------------------------------------------------------------


def endpoint(server: OtlpServer, receive: Receive) -> OtlpEndpoint:
    return OtlpEndpoint(server.url, "grpc" if receive is otlp_grpc else "http/protobuf")


class Traced:
    """A tracer provider with one destination."""

    def __init__(self, to: OtlpEndpoint, limits: QueueLimits = LIMITS) -> None:
        self.delivery = SpanDelivery("there", to.span_exporter, limits)
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self.delivery)

    def trace(self, *names: str) -> None:
        for name in names:
            self.provider.get_tracer("t").start_span(name).end()

    @property
    def counts(self) -> tuple[int, int]:
        counts = self.delivery.outbox.delivery()
        return counts.exported, counts.failed + counts.dropped + counts.waiting


def retry_info(seconds: float) -> dict[str, Any]:
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(int(seconds * 1e9))
    return {"google.rpc.retryinfo-bin": info.SerializeToString()}


LATER = [
    *((otlp_http, status, {}) for status in (429, 502, 503, 504)),
    (otlp_http, 503, {"Retry-After": "0"}),
    (otlp_http, 429, {"Retry-After": "soon"}),
    (otlp_http, 503, {"Retry-After": formatdate(0, usegmt=True)}),
    *((otlp_grpc, name, {}) for name in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED")),
    (otlp_grpc, "RESOURCE_EXHAUSTED", retry_info(0.01)),
    (otlp_grpc, "UNAVAILABLE", {"google.rpc.retryinfo-bin": b"\xff no such thing"}),
]
NEVER = [
    *((otlp_http, status) for status in (302, 400, 401, 403, 404, 413, 500)),
    *((otlp_grpc, name) for name in ("INVALID_ARGUMENT", "UNAUTHENTICATED", "UNIMPLEMENTED", "INTERNAL")),
    (otlp_grpc, "RESOURCE_EXHAUSTED"),
]


def named(value: Any) -> str:
    return getattr(value, "__name__", None) or str(value)


@pytest.mark.parametrize(("receive", "status", "headers"), LATER, ids=named)
def test_an_answer_that_means_later(
    receive: Receive, status: Any, headers: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with receive() as server:
        server.answers = [(status, b"")] * 2
        server.answer_headers = headers
        traced = Traced(endpoint(server, receive))
        traced.trace("one", "two")
        assert traced.delivery.force_flush(30_000)
        traced.provider.shutdown()
        assert sorted(span.name for span in server.spans()) == ["one", "two"]
    assert traced.counts == (2, 0)
    assert caplog.messages == [
        f"there takes no spans now: it answered {status}; they wait and are sent again"
    ]


@pytest.mark.parametrize(("receive", "status"), NEVER, ids=named)
def test_an_answer_that_means_never(receive: Receive, status: Any, caplog: pytest.LogCaptureFixture) -> None:
    with receive() as server:
        server.answers = [(status, b"")]
        traced = Traced(endpoint(server, receive))
        traced.trace("one")
        assert not traced.delivery.force_flush(30_000)
        traced.trace("two")
        assert traced.delivery.force_flush(30_000)
        traced.provider.shutdown()
        assert [span.name for span in server.spans()] == ["two"]
    assert traced.counts == (1, 1)
    assert caplog.messages == [
        f"there: 1 spans are lost so far: 1 were not accepted (it answered {status}),"
        " 0 found the queue full or closed"
    ]


def test_a_date_to_come_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with otlp_http() as server:
        server.answers = [(503, b"")]
        due = time.time() + 1.5
        server.answer_headers = {"Retry-After": formatdate(due, usegmt=True)}  # whole seconds
        traced = Traced(endpoint(server, otlp_http))
        traced.trace("one")
        assert traced.delivery.force_flush(30_000)
        assert time.time() >= int(due)
        traced.provider.shutdown()


@pytest.mark.parametrize("receive", [otlp_http, otlp_grpc])
def test_a_restart_on_the_same_port_loses_nothing(receive: Receive, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"span {number}" for number in range(60)]
    with receive() as server:
        traced = Traced(endpoint(server, receive), QueueLimits(queue=64, batch=4, delay=0.001))
        traced.trace(*names[:10])
        assert traced.delivery.force_flush(30_000)
        before = server.spans()
    traced.trace(*names[10:])
    patiently(lambda: caplog.messages)
    assert traced.counts == (10, 50)
    with receive(urlsplit(server.url).port) as again:
        assert traced.delivery.force_flush(30_000)
        traced.provider.shutdown()
        arrived = [span.name for span in (*before, *again.spans())]
    assert sorted(arrived) == sorted(names)
    assert traced.counts == (60, 0)
    assert len(caplog.messages) == 1
    assert "there takes no spans now: it" in caplog.messages[0]


def test_an_answer_that_breaks_off_is_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    with otlp_http() as server:
        server.breaks_off = 2
        traced = Traced(endpoint(server, otlp_http))
        traced.trace("one")
        assert traced.delivery.force_flush(30_000)
        traced.provider.shutdown()
        assert [span.name for span in server.spans()] == ["one"] * 3  # it had accepted them, for all it said
    assert traced.counts == (1, 0)
    assert caplog.messages == [
        "there takes no spans now: its answer broke off (ProtocolError); they wait and are sent again"
    ]


JSON = {"Content-Type": "application/json"}


def left_out(number: int) -> bytes:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = number
    response.partial_success.error_message = "the secret in it is sk-not-for-the-log"
    return response.SerializeToString()


@pytest.mark.parametrize(
    ("receive", "headers", "answer", "lost"),
    [
        (otlp_http, {}, left_out(2), 2),
        (otlp_grpc, {}, left_out(2), 2),
        (otlp_http, JSON, b'{"partialSuccess": {"rejectedSpans": "2"}}', 2),
        (otlp_http, {}, left_out(7), 3),
        (otlp_grpc, {}, left_out(7), 3),
        (otlp_http, {}, left_out(0), 0),
        (otlp_grpc, {}, left_out(-1), 0),
        (otlp_http, JSON, b'{"partialSuccess": {"errorMessage": "a hint"}}', 0),
        (otlp_http, JSON, b"{}", 0),
        (otlp_http, JSON, b"[1", 0),
        (otlp_http, {"Content-Type": "text/html"}, left_out(2), 0),
        (otlp_http, {}, b"accepted", 0),
        (otlp_http, {}, b"x" * 1_000_000, 0),
    ],
)
def test_what_an_accepted_request_was_accepted_without_is_lost(
    receive: Receive,
    headers: dict[str, str],
    answer: bytes,
    lost: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with receive() as server:
        server.answers = [(200 if receive is otlp_http else "OK", answer)]
        server.answer_headers = headers
        traced = Traced(endpoint(server, receive), QueueLimits(queue=8, batch=4, delay=600))
        traced.trace("one", "two", "three")
        assert traced.delivery.force_flush(30_000) is (lost == 0)
        traced.trace("four")
        assert traced.delivery.force_flush(30_000)
        traced.provider.shutdown()
        assert len(server.spans()) == 4  # what was left out is not sent again
    assert traced.counts == (4 - lost, lost)
    said = "".join(str(number) for number in (2, 7) if f"without {number} of" in caplog.text)
    assert caplog.messages == (
        [
            f"there: {lost} spans are lost so far: {lost} were not accepted"
            f" (it accepted a request without {said} of its items), 0 found the queue full or closed"
        ]
        if lost
        else []
    )


@pytest.mark.parametrize("after", [0.0, -5.0, None])
def test_no_destination_is_asked_without_a_pause(
    after: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "_FIRST_PAUSE", 0.1)
    there = Scripted(*[TryAgain("503", after=after)] * 2)
    outbox = Outbox("there", there.send, LIMITS)
    monkeypatch.setattr(outbox_module, "_LONGEST_PAUSE", 0.1)
    outbox.put(1)
    patiently(lambda: outbox.delivery().exported == 1)
    first, second, third = there.times
    assert min(second - first, third - second) >= 0.08


def test_thousands_of_attempts_end_no_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "_FIRST_PAUSE", 1e-9)
    monkeypatch.setattr(outbox_module, "_LONGEST_PAUSE", 1e-9)
    there = Scripted(*[TryAgain("503")] * 2_000)
    outbox = Outbox("there", there.send, LIMITS)
    outbox.put(1)
    assert outbox.close(SOON)
    assert outbox.delivery().exported == 1


def test_without_a_thread_nobody_waits_for_a_destination_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = Down()
    outbox = Outbox("there", there.send, LIMITS)
    monkeypatch.setattr(outbox, "_start", lambda: None)  # as if the process had too many threads
    for number in range(8):
        outbox.put(number)
    started = time.monotonic()
    assert not outbox.close(0.1)
    assert time.monotonic() - started < 5
    assert there.tries == 2  # once for each batch
    assert outbox.delivery() == Delivery("there", waiting=0, exported=0, failed=8, dropped=0)


def test_a_destination_that_comes_and_goes_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    there = Scripted(*[TryAgain("503"), 1] * 5)
    outbox = Outbox("there", there.send, QueueLimits(queue=8, batch=1, delay=0.001), "spans")
    with caplog.at_level(logging.INFO, "otel_callbacks"):
        for number in range(5):
            outbox.put(number)
        assert outbox.flush(SOON)
    assert caplog.messages == [
        "there takes no spans now: 503; they wait and are sent again",
        "there takes spans again",
    ]
    assert outbox.close(SOON)


def test_the_log_tells_of_losses_while_a_destination_is_away(caplog: pytest.LogCaptureFixture) -> None:
    there = Down(number=3)
    outbox = Outbox("there", there.send, LIMITS, "spans")
    for number in range(12):
        outbox.put(number)
    patiently(lambda: len(caplog.messages) == 2)
    assert outbox.delivery().waiting == 8
    assert "4 found the queue full or closed" in caplog.messages[1]
    outbox.close(0.01)


def test_of_a_batch_in_parts_only_the_rest_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "REQUEST_BYTES", 1_000)  # two spans
    with otlp_http() as server:
        server.answers = [(200, b""), (503, b""), (400, b""), (200, b"")]
        traced = Traced(endpoint(server, otlp_http), QueueLimits(queue=8, batch=6, delay=600))
        traced.trace(*"abcdef")
        assert not traced.delivery.force_flush(30_000)
        traced.provider.shutdown()
        assert [span.name for span in server.spans()] == ["a", "b", "e", "f"]
    assert traced.counts == (4, 2)


# --- signals that a back end does not take ---------------------------------------------------------------------------


@pytest.fixture
def set_up(no_providers: None) -> Iterator[None]:
    yield


def counted(telemetry: Any) -> None:
    """Traces and counts something."""
    telemetry.tracer_provider.get_tracer("t").start_span("one").end()
    telemetry.meter_provider.get_meter("t").create_counter("calls").add(1)
    logger = telemetry.logger_provider.get_logger("t")
    logger.emit(event_name="happened")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return sorted(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_back_end_for_traces_alone_is_told_once_and_left(
    status: int, set_up: None, caplog: pytest.LogCaptureFixture
) -> None:
    with otlp_http() as server:
        server.refused = {"/v1/metrics": status, "/v1/logs": status}
        telemetry = configure("app", endpoints=server.url, replace=True)
        for _ in range(2):
            counted(telemetry)
            assert telemetry.flush(SOON)
        assert telemetry.stats().exported == 2
        assert telemetry.shutdown(SOON)
    assert sorted(server.paths) == ["/v1/logs", "/v1/metrics", "/v1/traces", "/v1/traces"]
    assert lines(caplog) == [
        f"{server.url} does not take {signal}: it answered {status}; none are sent there from now on"
        for signal in ("events", "metrics")
    ]


def test_a_back_end_for_traces_alone_by_grpc(set_up: None, caplog: pytest.LogCaptureFixture) -> None:
    with otlp_grpc() as server:
        telemetry = configure("app", endpoints=server.url, protocol="grpc", replace=True)
        for _ in range(2):
            counted(telemetry)
            assert telemetry.flush(SOON)
        assert telemetry.shutdown(SOON)
        assert len(server.spans()) == 2
    assert lines(caplog) == [
        f"{server.url} does not take {signal}: it answered UNIMPLEMENTED; none are sent there from now on"
        for signal in ("events", "metrics")
    ]


def test_traces_that_are_not_taken_are_lost(set_up: None, caplog: pytest.LogCaptureFixture) -> None:
    with otlp_http() as server:
        server.refused = {"/v1/traces": 404}
        telemetry = configure("app", endpoints=server.url, replace=True)
        counted(telemetry)
        assert not telemetry.flush(SOON)
        assert telemetry.stats().dropped == 1
        telemetry.shutdown(SOON)


def test_metrics_that_were_taken_before_are_not_left(set_up: None, caplog: pytest.LogCaptureFixture) -> None:
    with otlp_http() as server:
        telemetry = configure("app", endpoints=server.url, replace=True)
        counted(telemetry)
        assert telemetry.flush(SOON)
        server.refused = {"/v1/metrics": 404}  # as a gateway answers for a moment
        counted(telemetry)
        assert not telemetry.flush(SOON)
        server.refused = {}
        counted(telemetry)
        assert telemetry.flush(SOON)
        assert server.paths.count("/v1/metrics") == 3
        telemetry.shutdown(SOON)


# --- metrics of the deliveries ---------------------------------------------------------------------------------------


def test_the_deliveries_are_metrics(set_up: None) -> None:
    with otlp_http() as server, otlp_http() as other:
        account = BackEnd(other.url, headers={"x-account": "1"}, signals=["traces"])
        same = BackEnd(other.url, headers={"x-account": "2"}, signals=["traces"])
        secret = server.url.replace("//", "//me:secret@")
        telemetry = configure("app", endpoints=secret, to=[account, same], replace=True)
        server.answers = [(400, b"")]
        for _ in range(2):
            telemetry.tracer_provider.get_tracer("t").start_span("one").end()
            telemetry.tracer_provider.force_flush()
        found = points(telemetry)
        destinations = telemetry.stats().destinations
        telemetry.shutdown(SOON)
    assert found == {
        ("queued", "traces", server.url): 0,
        ("sent", "traces", server.url): 1,
        ("lost", "traces", server.url): 1,
        **{(what, signal, server.url): 0 for what in KINDS for signal in ("metrics", "logs")},
        ("queued", "traces", other.url): 0,
        ("sent", "traces", other.url): 4,
        ("lost", "traces", other.url): 0,
    }
    assert [(each.exported, each.failed + each.dropped) for each in destinations] == [(1, 1), (2, 0), (2, 0)]


def test_parts_that_were_left_out_count_in_every_signal(set_up: None) -> None:
    with otlp_http() as server:
        telemetry = configure("app", endpoints=server.url, replace=True)
        counted(telemetry)
        server.answers = [(200, left_out(1))] * 3
        assert not telemetry.flush(SOON)
        found = points(telemetry)
        (traces,) = telemetry.stats().destinations
        telemetry.shutdown(SOON)
    assert (traces.exported, traces.failed) == (0, 1)
    assert found == {
        (what, signal, server.url): int(what == "lost")
        for what in KINDS
        for signal in ("traces", "metrics", "logs")
    }


def test_an_applications_meter_provider_tells_of_deliveries(set_up: None) -> None:
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    with otlp_http() as server:
        telemetry = configure("app", to=BackEnd(server.url, signals=["traces", "metrics"]))
        telemetry.tracer_provider.get_tracer("t").start_span("one").end()
        assert telemetry.flush(SOON)
        found = read(reader)
        telemetry.shutdown(SOON)
    assert found["sent", "traces", server.url] == 1


KINDS = ("queued", "sent", "lost")


def points(telemetry: Any) -> dict[tuple[str, str, str], int]:
    reader = InMemoryMetricReader()
    telemetry.meter_provider.add_metric_reader(reader)
    found = read(reader)
    telemetry.meter_provider.remove_metric_reader(reader)
    return found


def read(reader: InMemoryMetricReader) -> dict[tuple[str, str, str], int]:
    """Returns the points of the metrics of delivery by what they count, the signal, and where to."""
    data: Any = reader.get_metrics_data()
    return {
        (
            metric.name.rpartition(".")[2],
            point.attributes["otel_callbacks.delivery.signal"],
            point.attributes["otel_callbacks.delivery.destination"],
        ): point.value
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name.startswith("otel_callbacks.delivery.")
        for point in metric.data.data_points
    }
