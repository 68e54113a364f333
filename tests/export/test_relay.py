"""A relay between the application and its back end is killed under load and comes back: nothing is lost.

`python tests/export/environments/make.py rotel` makes its environment. The test takes a minute.
"""

import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedModel, ScriptedRetriever
from otlp_servers import OtlpServer, otlp_http
from ports import free_port, listens
from waiting import AT_MOST

from otel_callbacks import OTelCallbackHandler, configure

pytestmark = [pytest.mark.backend, pytest.mark.usefixtures("no_providers")]
RELAY = next(
    (Path(__file__).parents[2] / ".venv" / "backends" / "rotel").glob(
        "lib/*/site-packages/rotel/rotel-agent"
    ),
    Path("no such relay: run tests/export/environments/make.py rotel"),
)
DOWN_SECONDS = 12.0
CALLS_PER_SECOND = 30  # so that the spans of an outage find room in the queue
SPANS_PER_CALL = 3


@contextmanager
def relay(ports: dict[str, int], to: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the relay, which hands on at once what it gets, from its start to its end by the caller."""
    command = [
        *(RELAY, "start", "--exporter", "otlp", "--otlp-exporter-endpoint", to, "--disable-batching"),
        *("--otlp-exporter-protocol", "http"),
        *("--otlp-grpc-endpoint", f"127.0.0.1:{ports['grpc']}"),
        *("--otlp-http-endpoint", f"127.0.0.1:{ports['http/protobuf']}"),
        *("--otlp-receiver-metrics-disabled", "--otlp-receiver-logs-disabled"),
    ]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until(lambda: all(map(listens, ports.values())), log)
        yield process
    finally:
        process.kill()
        process.wait(30)


def until(holds: Any, log: Path) -> None:
    end = time.monotonic() + AT_MOST
    while not holds():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


class Load:
    """Calls at an even pace in a thread, and how long each took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        config: Any = {"callbacks": [OTelCallbackHandler()]}
        chain = (ScriptedRetriever() | (lambda found: "text") | ScriptedModel()).with_config(run_name="rag")
        due = time.monotonic()
        while not self._stopped.is_set():
            started = time.perf_counter()
            chain.invoke("q", config)
            self.seconds.append(time.perf_counter() - started)
            due += 1 / CALLS_PER_SECOND
            self._stopped.wait(max(due - time.monotonic(), 0))

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_relay_that_restarts_under_load_loses_nothing(
    protocol: Any, how: signal.Signals, tmp_path: Path
) -> None:
    ports, log = {"grpc": free_port(), "http/protobuf": free_port()}, tmp_path / "relay.log"
    with otlp_http() as back_end, ExitStack() as ending:
        address = f"http://127.0.0.1:{ports[protocol]}"
        with relay(ports, back_end.url, log) as process:
            telemetry = configure("app", endpoints=address, protocol=protocol)
            load = Load()
            ending.callback(load.stop)
            until(lambda: telemetry.stats().exported > 0, log)
            process.send_signal(how)
            process.wait(30)
            before, stopped = len(load.seconds), time.monotonic()
        while time.monotonic() < stopped + DOWN_SECONDS:
            time.sleep(0.1)
        down = load.seconds[before:]
        with relay(ports, back_end.url, log):
            until(lambda: len(load.seconds) > before + len(down) + 2 * CALLS_PER_SECOND, log)
            load.stop()
            assert telemetry.flush(30)
            (delivery,) = telemetry.stats().destinations
            sent = len(load.seconds) * SPANS_PER_CALL
            until(lambda: len(ids(back_end)) >= sent, log)
            telemetry.shutdown(5)
    print(  # noqa: T201 - what the test measures
        f"\n{protocol}, {how.name}: {sent} spans sent, {delivery.exported} accepted, {len(ids(back_end))} at the"
        f" back end, {sum(ids(back_end).values()) - sent} twice; lost {delivery.failed + delivery.dropped};"
        f" p99 of a call {p99(load.seconds[:before]) * 1000:.1f} ms before,"
        f" {p99(down) * 1000:.1f} ms while the relay was down ({len(down)} calls)"
    )
    assert len(down) * SPANS_PER_CALL > 500
    assert (delivery.exported, delivery.failed, delivery.dropped, delivery.waiting) == (sent, 0, 0, 0)
    assert len(ids(back_end)) == sent
    assert max(down) < 1


def ids(back_end: OtlpServer) -> Counter[tuple[str, str]]:
    return Counter((span.trace_id, span.span_id) for span in back_end.spans())
