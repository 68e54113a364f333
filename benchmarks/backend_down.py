"""Measures how a back end that is down, slow, full or hostile affects an application's answers, latency and exit.

    python benchmarks/backend_down.py [BEHAVIOUR ...] [--seconds 60] [--rate 50] [--latency 30]

Two applications run at the same time. Each is a process that answers requests at a steady rate with a RAG chain,
whose model takes a while. One exports to the back end (a third process on this machine) as `configure` does, with
metrics and events; the other is traced in the same way and exports nothing. Both feel the same load of the machine.
The time of a request runs from when it was due to when it was answered.

The 99th percentile of the exporting application must not be more than 5 % above the other's; that limit covers the
cost of exporting and of the failure together. `http` and `grpc` are back ends that work. In the row `none` neither
application exports, so its ratios show the noise. The exit status is 1 if an answer differs, the exit takes too long,
or the spans accepted, failed and dropped do not add up to the spans made. On a busy machine, `chrt -r 1` in front
keeps other work out of the 99th percentile.
"""

import argparse
import logging
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

from fakes import ScriptedModel, ScriptedRetriever
from receivers import GRPC, HTTP, receiver

from otel_callbacks import configure
from otel_callbacks.export.signals import SHUTDOWN_SECONDS
from otel_callbacks.export.telemetry import Stats
from otel_callbacks.langchain import OTelCallbackHandler

BEHAVIOURS = ("none", "http", *HTTP, "killed", "grpc", *GRPC, "grpc_killed")
THREADS = 16
WARM_UP = 50  # calls
EXIT_SECONDS = SHUTDOWN_SECONDS + 1  # the interpreter needs some time for the rest of its exit


class Load(NamedTuple):
    """How many requests there are, how many per second, and how many seconds the model takes for each."""

    requests: int
    rate: float
    latency: float


class Outcome(NamedTuple):
    """What an application reports when it ends."""

    seconds: list[float]
    answers: set[str]
    stats: Stats


def application(pipe: Connection, url: str | None, protocol: str, load: Load) -> None:
    logging.disable(logging.CRITICAL)
    if url is None:
        os.environ["OTEL_TRACES_EXPORTER"] = "none"
    telemetry = configure("app", endpoints=url or (), protocol=protocol)  # type: ignore[arg-type]
    model = ScriptedModel(body=lambda: time.sleep(load.latency))
    chain = ScriptedRetriever() | (lambda found: "text") | model
    config = {"callbacks": [OTelCallbackHandler()]}

    def request(due: float) -> tuple[float, str]:
        answer = chain.invoke("what?", config)  # type: ignore[arg-type]
        return time.monotonic() - due, answer.text

    for _ in range(WARM_UP):
        request(0)
    pipe.send("ready")
    start = pipe.recv()
    with ThreadPoolExecutor(THREADS) as pool:
        answered = []
        for number in range(load.requests):
            due = start + number / load.rate
            time.sleep(max(due - time.monotonic(), 0))
            answered.append(pool.submit(request, due))
    pipe.send("answered")
    telemetry.shutdown(SHUTDOWN_SECONDS)
    seconds, answers = zip(*(each.result() for each in answered), strict=True)
    pipe.send(Outcome(list(seconds), set(answers), telemetry.stats()))


class Application:
    """An application in a process of its own."""

    def __init__(self, url: str | None, protocol: str, load: Load) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=application, args=(there, url, protocol, load), daemon=True)
        self._process.start()
        self._pipe.recv()

    def start(self, at: float) -> None:
        self._pipe.send(at)

    def ended(self) -> tuple[Outcome, float]:
        """Returns its report, and how many seconds it ran after the last answer."""
        self._pipe.recv()
        answered = time.monotonic()
        outcome: Outcome = self._pipe.recv()
        self._process.join()
        return outcome, time.monotonic() - answered


def measure(behaviour: str, load: Load) -> bool:
    """Measures one back end and prints a row; returns True if everything but the latency is right."""
    protocol = "grpc" if behaviour.startswith("grpc") else "http/protobuf"
    is_killed = behaviour.endswith("killed")
    serves = {"killed": "http", "grpc_killed": "grpc"}.get(behaviour, behaviour)
    with tempfile.TemporaryDirectory() as folder, receiver(serves, Path(folder)) as back_end:
        url = None if behaviour == "none" else back_end.url
        applications = [Application(address, protocol, load) for address in (None, url)]
        start = time.monotonic() + 0.1
        for number, each in enumerate(applications):
            each.start(start + number / load.rate / 2)
        if is_killed:
            time.sleep(load.requests / load.rate / 2)
            back_end.kill()
        (without, _), (beside, exit_seconds) = (each.ended() for each in applications)
        arrived = back_end.spans.total()
    middle, tail = (
        [statistics.quantiles(outcome.seconds, n=100)[at] for outcome in (without, beside)] for at in (49, 98)
    )
    stats = beside.stats
    print(
        f"{behaviour:16} {middle[1] * 1e3:8.2f} {tail[1] * 1e3:8.2f} {middle[1] / middle[0]:10.3f}"
        f" {tail[1] / tail[0]:10.3f} {exit_seconds:7.2f} {stats.ended:6} {stats.exported:6} {stats.dropped:6}"
        f" {arrived:7}",
        flush=True,
    )
    counted = url is None or stats.exported + stats.dropped == stats.started == stats.ended
    return (
        beside.answers == without.answers
        and exit_seconds < EXIT_SECONDS
        and counted
        and (is_killed or arrived >= stats.exported)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("behaviours", nargs="*", metavar="BEHAVIOUR", help=", ".join(BEHAVIOURS))
    parser.add_argument("--seconds", type=float, default=60, help="how long to measure each back end")
    parser.add_argument("--rate", type=float, default=50, help="requests per second to each application")
    parser.add_argument("--latency", type=float, default=30, help="how long the model takes, in milliseconds")
    arguments = parser.parse_args()
    if unknown := set(arguments.behaviours) - set(BEHAVIOURS):
        parser.error(f"unknown behaviour: {', '.join(unknown)}")
    load = Load(int(arguments.seconds * arguments.rate), arguments.rate, arguments.latency / 1000)
    print(
        f"{'back end':16} {'p50 ms':>8} {'p99 ms':>8} {'p50 ratio':>10} {'p99 ratio':>10} {'exit s':>7}"
        f" {'made':>6} {'taken':>6} {'lost':>6} {'arrived':>7}"
    )
    right = [measure(behaviour, load) for behaviour in arguments.behaviours or BEHAVIOURS]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
