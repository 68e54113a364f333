"""CPU time that tracing adds per span, beside an empty handler and beside the bare SDK, all in one run.

    python benchmarks/overhead.py [--calls 300]

The workload is called in turn, in rotating order, with nothing, with a handler that does nothing, with the SDK alone
making as many spans by hand (12 attributes each, nested: the floor), and with ours. Of the times of each, the mean of
the faster three quarters is taken, so that a busy machine and the garbage collector do little harm.
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
from workloads import EMPTY, Workload, agent_workload, chain_workload, llama_index_workload

from otel_callbacks.handler import OTelCallbackHandler

ATTRIBUTES = {f"bench.attribute_{number}": value for number, value in enumerate([17, "text", 0.5, True] * 3)}
WORKLOADS: dict[str, tuple[Callable[[], Workload], int]] = {
    "LangChain RAG chain": (chain_workload, 1),
    "LangChain agent": (agent_workload, 5),
    "LlamaIndex query": (llama_index_workload, 1),
}
"""What makes each workload, and by what its calls are divided, as it is that much longer."""


class Discard(SpanExporter):
    """Exports nothing, at no cost."""

    def __init__(self) -> None:
        self.count = 0

    def export(self, spans: Iterable[Any]) -> SpanExportResult:
        self.count += len(list(spans))
        return SpanExportResult.SUCCESS


class Bench:
    """One workload under the four conditions."""

    def __init__(self, workload: Workload, detail: Any) -> None:
        self.workload = workload
        self.exporter = Discard()
        self.provider = TracerProvider()
        self.provider.add_span_processor(
            BatchSpanProcessor(self.exporter, max_queue_size=131_072, max_export_batch_size=512)
        )
        self.handler = OTelCallbackHandler(
            tracer_provider=self.provider,
            meter_provider=MeterProvider(metric_readers=[InMemoryMetricReader()]),
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
            "otel-callbacks": lambda: self.workload([self.handler]),
        }

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
        for number in range(-calls // 10, calls):  # the first tenth warms up
            for name in names[number % 4 :] + names[: number % 4]:
                started = time.process_time()
                self.conditions[name]()
                spent = time.process_time() - started
                if number >= 0:
                    times[name].append(spent * 1e6)
        return {name: faster_mean(spent) for name, spent in times.items()}


def faster_mean(times: list[float]) -> float:
    """The mean of the faster three quarters."""
    kept = sorted(times)[: max(len(times) * 3 // 4, 1)]
    return statistics.fmean(kept)


def report(name: str, bench: Bench, times: dict[str, float]) -> None:
    bare = times["nothing"]
    floor = (times["SDK by hand"] - bare) / bench.spans
    ours = (times["otel-callbacks"] - bare) / bench.spans
    empty = times["empty handler"] - bare
    print(
        f"{name:34} {bench.spans:5} {bare:9.0f} {empty:9.0f} {floor:14.1f} {ours:13.1f} {ours / floor:12.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=300, help="calls per condition; a fifth for the agent")
    arguments = parser.parse_args()
    print(f"{'workload (detail)':34} spans   bare µs empty +µs floor +µs/span ours +µs/span ours / floor")
    for name, (make, share) in WORKLOADS.items():
        for detail in ("standard", "everything"):
            bench = Bench(make(), detail)
            report(f"{name} ({detail})", bench, bench.measure(max(arguments.calls // share, 1)))


if __name__ == "__main__":
    main()
