"""CPU time that tracing adds per span, beside an empty handler and beside the bare SDK, all in one run.

    python benchmarks/overhead.py [--calls 300]

The workload is called in turn, in rotating order, each time twice and timed the second time, with nothing, with a
handler that does nothing, with the SDK alone making as many spans by hand afterwards (12 attributes each, nested: the
floor), with the SDK alone making them in place (a handler of twenty lines; LangChain only), and with ours. Of the times
of each, the mean of the faster three quarters is taken, so that a busy machine and the garbage collector do little
harm. What ours records when metrics are collected is recorded, timed and shared out at the end, as it would be every
minute.
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
    Raw,
    Workload,
    agent_workload,
    chain_workload,
    llama_index_workload,
)

from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.recording.metrics import instruments

Shown = Callable[[Any, bool], bool]


def everything(parent_run_id: Any, leaf: bool) -> bool:
    return True


def roots_and_leaves(parent_run_id: Any, leaf: bool) -> bool:
    return leaf or parent_run_id is None


WORKLOADS: tuple[tuple[str, Callable[[], Workload], int, dict[str, Shown | None]], ...] = (
    ("LangChain RAG chain", chain_workload, 1, {"standard": roots_and_leaves, "everything": everything}),
    ("LangChain agent", agent_workload, 5, {"standard": everything}),
    ("LlamaIndex query", llama_index_workload, 1, {"standard": None, "everything": None}),
)
"""What makes each workload, what its calls are divided by as it is that much longer, and which runs are shown."""


class Discard(SpanExporter):
    """Exports nothing, at no cost."""

    def __init__(self) -> None:
        self.count = 0

    def export(self, spans: Iterable[Any]) -> SpanExportResult:
        self.count += len(list(spans))
        return SpanExportResult.SUCCESS


class Bench:
    """One workload under the four conditions."""

    def __init__(self, workload: Workload, detail: Any, shown: Shown | None) -> None:
        self.workload = workload
        self.exporter = Discard()
        self.provider = TracerProvider()
        self.provider.add_span_processor(
            BatchSpanProcessor(self.exporter, max_queue_size=131_072, max_export_batch_size=512)
        )
        meter_provider = MeterProvider(metric_readers=[InMemoryMetricReader()])
        self.metrics = instruments(meter_provider)
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
        if shown is not None:
            raw = Raw(self.tracer, shown)
            self.conditions["SDK in place"] = lambda: self.workload([raw])

    def traced(self) -> None:
        self.workload([self.handler])

    def collected(self) -> float:
        """Microseconds of CPU for what waits to be recorded at the next collection of metrics."""
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
        """Microseconds of CPU per call under each condition."""
        names = list(self.conditions)
        times: dict[str, list[float]] = {name: [] for name in names}
        gc.collect()
        gc.freeze()  # else every full collection walks all that the frameworks imported, at whoever's turn it is
        self.collected()
        for number in range(-calls // 10, calls):  # the first tenth warms up
            at = number % len(names)
            for name in names[at:] + names[:at]:
                self.conditions[name]()  # an application does the same again and again, not these in turn
                started = time.process_time()
                self.conditions[name]()
                spent = time.process_time() - started
                if number >= 0:
                    times[name].append(spent * 1e6)
        means = {name: faster_mean(spent) for name, spent in times.items()}
        means["otel-callbacks"] += self.collected() / (2 * (calls + calls // 10))  # part of the cost
        return means


def faster_mean(times: list[float]) -> float:
    """The mean of the faster three quarters."""
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
    parser.add_argument("--calls", type=int, default=300, help="calls per condition; a fifth for the agent")
    arguments = parser.parse_args()
    print("CPU µs: bare per call; what is added, per span")
    print(
        f"{'workload (detail)':33} spans     bare    empty    floor  in place     ours ours / floor"
        " ours / in place"
    )
    for name, make, share, levels in WORKLOADS:
        for detail, shown in levels.items():
            bench = Bench(make(), detail, shown)
            report(f"{name} ({detail})", bench, bench.measure(max(arguments.calls // share, 1)))


if __name__ == "__main__":
    main()
