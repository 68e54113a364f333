"""Measures how long it takes to explore many traces: indexing, queries, opening one trace, keeping traces in memory.

    python benchmarks/explore.py [--spans 100000]

The exporter writes the file once, as it would in an application: traces of ten spans in batches of 512. Times are CPU
times of a single run, so that a busy machine hardly matters; the file is in the page cache.
"""

import argparse
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks.explore import JsonLinesSpanExporter, Traces, render_text
from otel_callbacks.explore.index.ring import Ring

_BATCH = 512
_PER_TRACE = 10


def finished_spans(count: int, provider: TracerProvider) -> Iterator[ReadableSpan]:
    """Yields spans as the handlers make them: a workflow, retrievals with their embedding, model calls."""
    memory = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("benchmark")
    for number in range(count // _PER_TRACE):
        labels = {
            "app.tenant_id": f"tenant {number % 7}",
            "app.feature": "search",
            "user.id": f"user {number % 100}",
        }
        with span(tracer, "invoke_workflow rag", "invoke_workflow", labels):
            for _ in range(3):
                found = {"rag.results_count": 4, "rag.top_score": 0.91, "gen_ai.data_source.id": "docs"}
                with span(tracer, "retrieval docs", "retrieval", labels | found):
                    used = {"gen_ai.request.model": "embed-3", "gen_ai.usage.input_tokens": 30}
                    with span(tracer, "embeddings embed-3", "embeddings", labels | used):
                        pass
                with span(tracer, "chat gpt-4o", "chat", labels | chat(number)):
                    pass
        yield from memory.get_finished_spans()
        memory.clear()


def span(tracer: Any, name: str, operation: str, attributes: dict[str, Any]) -> Any:
    return tracer.start_as_current_span(name, attributes=attributes | {"gen_ai.operation.name": operation})


def chat(number: int) -> dict[str, Any]:
    return {
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.provider.name": "openai",
        "gen_ai.usage.input_tokens": 100 + number % 900,
        "gen_ai.usage.output_tokens": 10 + number % 90,
        "gen_ai.usage.cost_usd": (number % 900) * 1e-5,
        "otel_callbacks.cost.status": "priced",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.id": f"chatcmpl-{number}",
        "gen_ai.request.temperature": 0.0,
    }


def write(path: Path, count: int) -> None:
    provider = TracerProvider(resource=Resource.create({"service.name": "benchmark"}), shutdown_on_exit=False)
    exporter = JsonLinesSpanExporter(path, max_bytes=10**12)
    batch: list[ReadableSpan] = []
    for finished in finished_spans(count, provider):
        batch.append(finished)
        if len(batch) == _BATCH:
            exporter.export(batch)
            batch = []
    exporter.export(batch)


@contextmanager
def timed(title: str) -> Iterator[None]:
    start = time.process_time()
    yield
    print(f"{title:<44} {(time.process_time() - start) * 1e3:>10,.1f} ms")


def measure(path: Path) -> None:
    queries: dict[str, Callable[[], Any]] = {
        "index build, first time": lambda: Traces.open(path).sql("SELECT 1"),
        "open again, index is there": lambda: Traces.open(path).sql("SELECT 1"),
    }
    for title, query in queries.items():
        with timed(title):
            query()
    traces = Traces.open(path)
    middle = traces[len(traces) // 2].trace_id
    queries = {
        "find(tenant=, min_cost=)": lambda: traces.find(tenant="tenant 3", min_cost=0.02),
        "find(error=True)": traces.errors,
        "slowest(5)": lambda: traces.slowest(5),
        "sql: cost by tenant and model": lambda: traces.sql(
            "SELECT tenant, model, sum(cost) FROM spans WHERE counted GROUP BY 1, 2"
        ),
        "one trace among them": lambda: traces.get(middle),
        "one trace, opened and rendered as text": lambda: render_text(traces.get(middle)),
        "last trace, opened and rendered as text": lambda: render_text(traces.last()),
        "cost(by=[tenant, model])": lambda: traces.cost(by=["tenant", "model"]),
        "all traces, as objects": lambda: sum(len(trace.spans) for trace in traces),
    }
    for title, query in queries.items():
        with timed(title):
            query()


def measure_ring(count: int) -> None:
    """Measures the traces in memory, with more traces than it keeps."""
    ring = Ring()
    spans = list(finished_spans(count, TracerProvider(shutdown_on_exit=False)))
    start = time.process_time()
    for each in spans:
        ring.on_end(each)
    print(
        f"{'in memory: keeping one span':<44} {(time.process_time() - start) / len(spans) * 1e6:>10,.1f} µs"
    )
    with timed("in memory: opening the last trace first"):
        Traces(ring.index).last()
    del spans
    tracemalloc.start()
    heavy = Ring()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(heavy)
    for number in range(400):
        provider.get_tracer("heavy").start_span("chat", attributes={"text": f"{number:05}" * 100_000}).end()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{'in memory: kept of 200 MB in 400 traces':<44} {held / 1e6:>10,.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--spans", type=int, default=100_000)
    spans = parser.parse_args().spans
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traces.jsonl"
        with timed(f"write {spans:,} spans"):
            write(path, spans)
        print(f"{'file':<44} {path.stat().st_size / 1e6:>10,.1f} MB")
        measure(path)
        print(f"{'index':<44} {path.with_name('traces.jsonl.sqlite').stat().st_size / 1e6:>10,.1f} MB")
    measure_ring(min(spans, 20_000))


if __name__ == "__main__":
    main()
