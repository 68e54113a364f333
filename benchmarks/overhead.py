"""Measures the CPU time that tracing adds per span, compared with an empty handler and with the bare SDK.

    python benchmarks/overhead.py [--calls 300]

Each workload runs under five conditions: without a handler; with one that does nothing; with the SDK alone making as
many spans afterwards (12 attributes each, nested: the floor); with the SDK alone making them in place (a handler of
twenty lines; LangChain only); and with our handler. The conditions take turns in rotating order; each runs twice in a
row, and the second run is timed. The result is the mean of the faster three quarters, so that a busy machine and the
garbage collector hardly matter. Our metrics are recorded and timed at the end, as at a collection, and that time is
spread over all calls.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from workloads import (
    ATTRIBUTES,
    EMPTY,
    SdkOnly,
    Workload,
    agent_workload,
    chain_workload,
    llama_index_workload,
)

from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.recording.metrics import metrics_of

IsShown = Callable[[Any, bool], bool]


def everything(parent_run_id: Any, leaf: bool) -> bool:
    return True


def roots_and_leaves(parent_run_id: Any, leaf: bool) -> bool:
    return leaf or parent_run_id is None


WORKLOADS: tuple[tuple[str, Callable[[], Workload], int, dict[str, IsShown | None]], ...] = (
    ("LangChain RAG chain", chain_workload, 1, {"standard": roots_and_leaves, "everything": everything}),
    ("LangChain agent", agent_workload, 5, {"standard": everything}),
    ("LlamaIndex query", llama_index_workload, 1, {"standard": None, "everything": None}),
)
"""Name, factory, a divisor for the number of calls (long workloads run less often), and the runs shown per detail."""


class Discard(SpanExporter):
    """Discards the spans and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def export(self, spans: Iterable[Any]) -> SpanExportResult:
        self.count += len(list(spans))
        return SpanExportResult.SUCCESS


class Bench:
    """One workload under all conditions."""

    def __init__(self, workload: Workload, detail: Any, is_shown: IsShown | None) -> None:
        self.workload = workload
        self.exporter = Discard()
        self.provider = TracerProvider()
        self.provider.add_span_processor(
            BatchSpanProcessor(self.exporter, max_queue_size=131_072, max_export_batch_size=512)
        )
        meter_provider = MeterProvider(metric_readers=[InMemoryMetricReader()])
        self.metrics = metrics_of(meter_provider)
        self.handler = OTelCallbackHandler(
            tracer_provider=self.provider,
            meter_provider=meter_provider,
            detail=detail,
            content="none",
        )
        self.tracer = self.provider.get_tracer("floor")
        workload([self.handler])
        self.provider.force_flush()
        self.spans = self.exporter.count
        self.conditions: dict[str, Callable[[], Any]] = {
            "nothing": lambda: self.workload([]),
            "empty handler": lambda: self.workload([EMPTY]),
            "SDK by hand": self.by_hand,
            "otel-callbacks": self.traced,
        }
        if is_shown is not None:
            sdk_only = SdkOnly(self.tracer, is_shown)
            self.conditions["SDK in place"] = lambda: self.workload([sdk_only])

    def traced(self) -> None:
        self.workload([self.handler])

    def collect(self) -> float:
        """Records the waiting metric values; returns the CPU time in microseconds."""
        started = time.process_time()
        self.metrics.drain()
        return (time.process_time() - started) * 1e6

    def by_hand(self) -> None:
        self.workload([])
        root = self.tracer.start_span("root")
        parent = trace.set_span_in_context(root)
        for _ in range(self.spans - 1):
            span = self.tracer.start_span("span", parent)
            span.set_attributes(ATTRIBUTES)
            span.end()
        root.set_attributes(ATTRIBUTES)
        root.end()

    def measure(self, calls: int) -> dict[str, float]:
        """Returns the CPU time per call in microseconds, by condition."""
        names = list(self.conditions)
        times: dict[str, list[float]] = {name: [] for name in names}
        gc.collect()
        gc.freeze()  # else each full collection would walk all imported modules, and hit a condition at random
        self.collect()
        for number in range(-calls // 10, calls):  # the first tenth warms up
            at = number % len(names)
            for name in names[at:] + names[:at]:
                self.conditions[name]()  # warms the caches: an application repeats the same work
                started = time.process_time()
                self.conditions[name]()
                spent = time.process_time() - started
                if number >= 0:
                    times[name].append(spent * 1e6)
        means = {name: faster_mean(spent) for name, spent in times.items()}
        means["otel-callbacks"] += self.collect() / (
            2 * (calls + calls // 10)
        )  # recording belongs to the cost
        return means


def faster_mean(times: list[float]) -> float:
    """Returns the mean of the faster three quarters."""
    kept = sorted(times)[: max(len(times) * 3 // 4, 1)]
    return statistics.fmean(kept)


def report(name: str, bench: Bench, times: dict[str, float]) -> None:
    bare = times["nothing"]
    per_span = {condition: (spent - bare) / bench.spans for condition, spent in times.items()}
    floor, ours = per_span["SDK by hand"], per_span["otel-callbacks"]
    in_place = per_span.get("SDK in place")
    print(
        f"{name:33} {bench.spans:5} {bare:8.0f} {per_span['empty handler']:8.1f} {floor:8.1f}"
        f" {'' if in_place is None else f'{in_place:.1f}':>9} {ours:8.1f} {ours / floor:12.1f}"
        f" {'' if in_place is None else f'{ours / in_place:.1f}':>15}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--calls", type=int, default=300, help="calls per condition; a fifth of them for the agent"
    )
    arguments = parser.parse_args()
    print("CPU µs: bare: per call; all others: added per span")
    print(
        f"{'workload (detail)':33} spans     bare    empty    floor  in place     ours ours / floor"
        " ours / in place"
    )
    for name, make, share, levels in WORKLOADS:
        for detail, is_shown in levels.items():
            bench = Bench(make(), detail, is_shown)
            report(f"{name} ({detail})", bench, bench.measure(max(arguments.calls // share, 1)))


if __name__ == "__main__":
    main()
