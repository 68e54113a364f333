"""Counts the bytecodes that tracing adds to a call: the same number in every run, on however busy a machine.

    python benchmarks/bytecodes.py [--by-module] [--write WHY]

Everything that is on by default is on, and the model has a price, the call has labels, and metrics are collected every
50 calls. The figure is the number of Python bytecodes that a call executes with our handler, in all threads, less those
that it executes with an empty handler before there is any of ours. The floor is a span that the SDK alone starts, gives
12 attributes and ends. Python 3.12 and newer do not report every bytecode to a trace function that is set within a
call, so only 3.11 counts.
`--write WHY` records the figures in `bytecodes.json`, with which `tests/recording/test_bytecodes.py` compares them, and
the reason for a change.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any

from counting import CountSpans, count
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from workloads import (
    ATTRIBUTES,
    EMPTY,
    Workload,
    agent_workload,
    chain_workload,
    llama_index_stream_workload,
    llama_index_workload,
    stream_workload,
    trace_workload,
)

from otel_callbacks import attribution
from otel_callbacks.handler import OTelCallbackHandler

RECORDED = Path(__file__).with_name("bytecodes.json")
CALLS_PER_COLLECTION = 50
WORKLOADS: dict[str, tuple[Callable[[], Workload], str]] = {
    "LangChain RAG chain": (chain_workload, "standard"),
    "LangChain RAG chain, everything": (chain_workload, "everything"),
    "LangChain agent": (agent_workload, "standard"),
    "LlamaIndex query": (llama_index_workload, "standard"),
}


ONE_MORE: dict[str, tuple[Callable[[int], Workload], int, int, Any]] = {
    "LangChain, a streamed token": (stream_workload, 100, 300, None),
    "LlamaIndex, a streamed token": (llama_index_stream_workload, 100, 300, None),
    "LangChain, a model call below a dropped run": (trace_workload, 10, 60, ParentBased(ALWAYS_OFF)),
}
"""Workloads that grow, two sizes of them, and the sampler."""


def _run_labelled(workload: Workload, handler: Any) -> None:
    with attribution(tenant="acme", feature="search", user="u-7"):
        workload([handler])


@cache
def _without_ours() -> dict[tuple[Any, ...], Counter[str]]:
    """Returns the bytecodes of a call with an empty handler, by file, by what makes the workload and its size.

    They are counted before any handler of ours is made: LlamaIndex's dispatcher calls ours as long as they exist.
    """
    workloads = {(make,) for make, _ in WORKLOADS.values()}
    sizes = {(make, size) for make, *both, _ in ONE_MORE.values() for size in both}
    counted = {}
    for make, *size in workloads | sizes:
        workload = make(*size)
        for _ in range(CALLS_PER_COLLECTION):
            _run_labelled(workload, EMPTY)
        counted[make, *size] = count(partial(_run_labelled, workload, EMPTY))
    return counted


class Measured:
    """One workload under our handler, warmed up."""

    def __init__(self, make: Callable[[], Workload], detail: Any) -> None:
        self._workload, self._without_ours = make(), _without_ours()[make,]
        self._reader = InMemoryMetricReader()
        self._spans = CountSpans()
        provider = TracerProvider()
        provider.add_span_processor(self._spans)
        handler = OTelCallbackHandler(
            tracer_provider=provider,
            meter_provider=MeterProvider(metric_readers=[self._reader]),
            detail=detail,
            prices={"prices": {"scripted-1": {"input": "2.50", "output": "10.00", "cache_read": "1.25"}}},
        )
        self._ours = handler
        for _ in range(CALLS_PER_COLLECTION):
            self._run(self._ours)
        self._reader.get_metrics_data()
        before = self._spans.ended
        self._run(self._ours)
        self.spans = self._spans.ended - before

    def _run(self, handler: Any) -> None:
        _run_labelled(self._workload, handler)

    def added(self) -> Counter[str]:
        """Returns the bytecodes added to a call, by file; the collection's share included.

        Of three calls the cheapest counts, for now and then one in a hundred tidies up after those before it.
        """
        for _ in range(CALLS_PER_COLLECTION - 1):
            self._run(self._ours)
        with_ours = min((count(lambda: self._run(self._ours)) for _ in range(3)), key=Counter.total)
        collection = count(self._reader.get_metrics_data)
        nothing_new = count(self._reader.get_metrics_data)
        added = with_ours.copy()
        added.subtract(self._without_ours)
        for file, codes in collection.items():
            added[file] += round((codes - nothing_new[file]) / CALLS_PER_COLLECTION)
        return added


def floor() -> int:
    """Returns the bytecodes of a span that the SDK alone starts, gives 12 attributes and ends."""
    provider = TracerProvider()
    provider.add_span_processor(CountSpans())
    tracer = provider.get_tracer("floor")

    def one() -> None:
        span = tracer.start_span("span")
        span.set_attributes(ATTRIBUTES)
        span.end()

    one()
    codes = count(one)
    del codes[__file__]
    return codes.total()


def _added_by_one_more(make: Callable[[int], Workload], few: int, many: int, sampler: Any) -> int:
    """Returns the bytecodes that each further token or call adds, where nothing counts it but its span."""
    without = _without_ours()
    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(CountSpans())
    handler = OTelCallbackHandler(tracer_provider=provider, meter_provider=NoOpMeterProvider())
    added = []
    for size in (few, many):
        workload = make(size)
        for _ in range(3):
            _run_labelled(workload, handler)
        with_ours = count(partial(_run_labelled, workload, handler))
        added.append(with_ours.total() - without[make, size].total())
    return round((added[1] - added[0]) / (many - few))


def measure() -> dict[str, dict[str, int]]:
    """Returns the spans and the added bytecodes of a call, by workload; without spans, those of a token or a run."""
    figures = {}
    for name, (make, detail) in WORKLOADS.items():
        measured = Measured(make, detail)
        figures[name] = {"spans": measured.spans, "bytecodes": sum(measured.added().values())}
    for name, (grows, few, many, sampler) in ONE_MORE.items():
        figures[name] = {"spans": 0, "bytecodes": _added_by_one_more(grows, few, many, sampler)}
    return figures


def recorded() -> dict[str, Any]:
    """Returns the recorded figures by Python version, and the reasons for their changes."""
    found: dict[str, Any] = json.loads(RECORDED.read_text())
    return found


def python() -> str:
    """Returns the version that the figures are for: bytecode differs between minor versions."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def print_by_module() -> None:
    for name, (make, detail) in WORKLOADS.items():
        print(f"\n{name}")
        modules: Counter[str] = Counter()
        for file, codes in Measured(make, detail).added().items():
            modules[file.rpartition("site-packages/")[2].rpartition("otel_callbacks/")[2]] += codes
        for module, codes in modules.most_common(40):
            print(f"{codes:9,} {module}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--by-module", action="store_true", help="where the bytecodes are executed")
    parser.add_argument("--write", metavar="WHY", help=f"record the figures, and why, in {RECORDED.name}")
    arguments = parser.parse_args()
    if arguments.by_module:
        print_by_module()
        return
    floor_span, figures = floor(), measure()
    print(f"a span of the SDK's with 12 attributes: {floor_span:,} bytecodes (Python {python()})")
    print(f"{'workload':43} spans  bytecodes  per span  in floors")
    for name, figure in figures.items():
        spans, codes = figure["spans"], figure["bytecodes"]
        by_span = f"{codes / spans:9,.0f} {codes / spans / floor_span:10.2f}" if spans else ""
        print(f"{name:43} {spans:5} {codes:10,} {by_span}")
    if arguments.write:
        known = recorded() if RECORDED.exists() else {"changes": []}
        known[python()] = figures
        known["changes"].append(f"{date.today()}, Python {python()}: {arguments.write}")
        RECORDED.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
