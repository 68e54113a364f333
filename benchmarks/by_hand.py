"""Measures what a decorator adds to an unsampled call, compared with the bare function and with a span of the SDK.

    python benchmarks/by_hand.py [--calls 20000]

Prints CPU time per call, without and with metrics. A function of one argument is called bare and decorated, in turn,
in blocks of a hundred calls; the result is the mean of the faster three quarters of the blocks. The values that the
calls leave for metrics are recorded between the blocks, as at a collection; that time has a column of its own.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from otel_callbacks.handlers.options import recorder as recorder_of
from otel_callbacks.manual import agent, embedding, inference, rerank, retrieval, step, tool, workflow
from otel_callbacks.recording import metrics, process_recorder

_BLOCK = 100


def bare(question: str) -> str:
    return question


def by_sdk(tracer: trace.Tracer) -> Callable[[str], str]:
    def call(question: str) -> str:
        with tracer.start_as_current_span("span"):
            return question

    return call


@contextmanager
def suppressed() -> Iterator[None]:
    token = context_api.attach(context_api.set_value("suppress_instrumentation", True))
    yield
    context_api.detach(token)


class Bench:
    """A provider that samples nothing, the decorated functions, and the conditions to call them under."""

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        tracer_provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0)))
        recorder = recorder_of(tracer_provider=tracer_provider, meter_provider=meter_provider)
        process_recorder.set_process_recorder(self, lambda: recorder)
        self.metrics = metrics.metrics_of(meter_provider)
        tracer = tracer_provider.get_tracer("application")
        self.functions: dict[str, Callable[[str], str]] = {"bare": bare, "span of the SDK": by_sdk(tracer)}
        kinds: tuple[Any, ...] = (retrieval, tool, workflow, step, agent, embedding, rerank, inference)
        self.functions |= {repr(kind)[len("<otel_callbacks.") : -1]: kind(bare) for kind in kinds}
        self.conditions: dict[str, Callable[[], AbstractContextManager[Any]]] = {
            "suppressed": suppressed,
            "child": lambda: workflow("root"),
            "in a span": lambda: tracer.start_as_current_span("request"),
            "root": nullcontext,
        }

    def measure(self, calls: int) -> dict[str, tuple[float, float]]:
        """Returns the microseconds per call of each function, and of recording its metrics afterwards."""
        times: dict[str, list[float]] = {name: [] for name in self.functions}
        later: dict[str, list[float]] = {name: [] for name in self.functions}
        for _ in range(calls // _BLOCK):
            for name, function in self.functions.items():
                started = time.process_time()
                for _ in range(_BLOCK):
                    function("q")
                ended = time.process_time()
                self.metrics.drain()
                times[name].append((ended - started) / _BLOCK * 1e6)
                later[name].append((time.process_time() - ended) / _BLOCK * 1e6)
        return {name: (faster_mean(times[name]), faster_mean(later[name])) for name in self.functions}


def faster_mean(times: list[float]) -> float:
    """Returns the mean of the faster three quarters."""
    return statistics.fmean(sorted(times)[: max(len(times) * 3 // 4, 1)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000, help="how often to call each function")
    calls = parser.parse_args().calls
    print("CPU µs per call: added to a bare one / times a bare one / later, for metrics")
    print("=== without metrics")
    run(Bench(None), calls)
    print("=== with metrics")
    run(Bench(MeterProvider(metric_readers=[InMemoryMetricReader()])), calls)


def run(bench: Bench, calls: int) -> None:
    """Measures every condition and prints the results."""
    gc.collect()
    gc.freeze()
    for condition, enter in bench.conditions.items():
        with enter():
            bench.measure(max(calls // 10, _BLOCK))  # warms up
            measured = bench.measure(calls)
        call = measured.pop("bare")[0]
        print(f"{condition} (bare {call:.3f})")
        for name, (spent, later) in measured.items():
            print(f"    {name:16} {spent - call:7.2f} {spent / call:8.0f} x {later:7.2f}")


if __name__ == "__main__":
    main()
