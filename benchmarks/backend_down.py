"""What a back end that is down, slow or hostile adds to a LangChain RAG call, beside no back end at all.

    python benchmarks/backend_down.py [--calls 1000] [--latency 20]

Each back end is a process on loopback, each application another one. The application without a back end and the one
with it are called in turn, some calls at a time, so that what else happens on the machine happens to both. Ratios of
wall times; the 99th percentile must not grow by more than 5 %. In the first line neither has a back end: it tells
how much of the ratios is noise.
"""

import argparse
import logging
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from fakes import ScriptedModel, ScriptedRetriever
from receivers import GRPC, HTTP, receiver

from otel_callbacks.export.otlp import Otlp
from otel_callbacks.export.outbox import Limits
from otel_callbacks.export.signals import SpanDelivery
from otel_callbacks.langchain import OTelCallbackHandler

AT_A_TIME = 25


def application(pipe: Connection, url: str | None, protocol: str, latency: float) -> None:
    """Makes as many calls as it is told to and says how long each took; a queue of 100 spans is soon full."""
    logging.disable(logging.CRITICAL)
    provider = TracerProvider(shutdown_on_exit=False)
    if url is not None:
        make = Otlp(url, protocol).spans  # type: ignore[arg-type]
        provider.add_span_processor(SpanDelivery("there", make, Limits(queue=100, batch=50, delay=0.2)))
    chain = ScriptedRetriever() | (lambda found: "text") | ScriptedModel(body=lambda: time.sleep(latency))
    config = {"callbacks": [OTelCallbackHandler(tracer_provider=provider)]}
    while calls := pipe.recv():
        times = []
        for _ in range(calls):
            started = time.perf_counter()
            chain.invoke("what?", config)  # type: ignore[arg-type]
            times.append(time.perf_counter() - started)
        pipe.send(times)


def measure(url: str | None, protocol: str, calls: int, latency: float) -> tuple[list[float], list[float]]:
    """Seconds of each call, without and with the back end."""
    context = multiprocessing.get_context("spawn")
    pipes, times = [], ([], [])  # type: ignore[var-annotated]
    for address in (None, url):
        here, there = context.Pipe()
        context.Process(target=application, args=(there, address, protocol, latency), daemon=True).start()
        pipes.append(here)
    for number in range(-1, calls // AT_A_TIME):  # the first round warms up
        for at in (0, 1) if number % 2 else (1, 0):
            pipes[at].send(AT_A_TIME)
            spent = pipes[at].recv()
            times[at].extend(spent if number >= 0 else ())
    for pipe in pipes:
        pipe.send(0)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--latency", type=float, default=20, help="of the model, in milliseconds")
    arguments = parser.parse_args()
    print(f"{'back end':18} {'p50 ms':>8} {'p99 ms':>8} {'p50 ratio':>10} {'p99 ratio':>10}")
    for behaviour in ("none", "http", *HTTP, "grpc", *GRPC):
        protocol = "grpc" if behaviour.startswith("grpc") else "http/protobuf"
        with tempfile.TemporaryDirectory() as folder, receiver(behaviour, Path(folder)) as back_end:
            without, beside = measure(
                None if behaviour == "none" else back_end.url,
                protocol,
                arguments.calls,
                arguments.latency / 1000,
            )
        middle, tail = (
            [statistics.quantiles(times, n=100)[at] for times in (without, beside)] for at in (49, 98)
        )
        print(
            f"{behaviour:18} {middle[1] * 1e3:8.2f} {tail[1] * 1e3:8.2f} {middle[1] / middle[0]:10.3f}"
            f" {tail[1] / tail[0]:10.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
