"""CPU time that tracing adds per span, beside an empty handler and beside the bare SDK, all in one run.

    python benchmarks/overhead.py [--rounds 15] [--calls 100]

Every round measures, in turn and in rotating order, the workload with nothing, with a handler that does nothing, with
the SDK alone making as many spans by hand (12 attributes each, nested: the floor), and with ours. What is reported are
medians of the differences within a round, so that a machine whose speed drifts does no harm.
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

    def measure(self, calls: int, rounds: int) -> dict[str, list[float]]:
        """Microseconds of CPU per call, for each condition and round."""
        names = list(self.conditions)
        times: dict[str, list[float]] = {name: [] for name in names}
        for number in range(-1, rounds):  # the first round warms up
            for name in names[number % 4 :] + names[: number % 4]:
                run = self.conditions[name]
                gc.collect()
                started = time.process_time()
                for _ in range(calls):
                    run()
                self.provider.force_flush()
                if number >= 0:
                    times[name].append((time.process_time() - started) / calls * 1e6)
        return times


def added(times: dict[str, list[float]], condition: str) -> list[float]:
    """What a condition adds to the bare workload, by round."""
    return [with_it - without for with_it, without in zip(times[condition], times["nothing"], strict=True)]


def report(name: str, bench: Bench, times: dict[str, list[float]]) -> None:
    floor, ours, empty = (added(times, each) for each in ("SDK by hand", "otel-callbacks", "empty handler"))
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, floor, strict=True))
    print(
        f"{name:34} {bench.spans:5} {statistics.median(times['nothing']):9.0f} {statistics.median(empty):9.0f}"
        f" {statistics.median(floor) / bench.spans:14.1f} {statistics.median(ours) / bench.spans:13.1f}"
        f" {ratio:12.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=100, help="calls per measurement; a fifth for the agent")
    arguments = parser.parse_args()
    print(f"{'workload (detail)':34} spans   bare µs empty +µs floor +µs/span ours +µs/span ours / floor")
    for name, (make, share) in WORKLOADS.items():
        for detail in ("standard", "everything"):
            bench = Bench(make(), detail)
            times = bench.measure(max(arguments.calls // share, 1), arguments.rounds)
            report(f"{name} ({detail})", bench, times)


if __name__ == "__main__":
    main()
