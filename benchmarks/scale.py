"""Measures what a fleet's spans cost: bytes on the wire and on disk, CPU time to send, to store and to ask.

    python tests/dashboards/environments/make.py sql
    python benchmarks/scale.py [--spans 200000]

The spans are those of a LangChain agent and a RAG chain, content off, with prices, labels and totals. They go over
OTLP/HTTP with gzip to a receiver in another process, and the CPU time of this process counts. The same spans, again and
again with other ids, times and figures, go into ClickHouse's `otel_traces` and are asked as dashboards/sql asks; times
are CPU seconds of all of its threads.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "tests" / "support"))

from collector_rows import TABLE, rows
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from receivers import receiver
from workloads import agent_workload, chain_workload

from otel_callbacks import OTelCallbackHandler, attribution
from otel_callbacks.explore import JsonLinesSpanExporter

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv" / "backends" / "sql" / "bin" / "python"
ASKER = Path(__file__).parent / "scale_queries.py"
BATCH = 512
TENANTS = tuple(f"tenant-{number}" for number in range(20))
DAY = 86_400


def recorded(traces: int) -> list[ReadableSpan]:
    """Returns the spans of so many calls of two applications."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    prices = {"prices": {"scripted-1": {"input": 0.15, "output": 0.60}}}
    handler = OTelCallbackHandler(tracer_provider=provider, meter_provider=MeterProvider(), prices=prices)
    workloads = [("agent", agent_workload()), ("rag", chain_workload())]
    for (feature, workload), tenant, _ in zip(cycle(workloads), cycle(TENANTS), range(traces), strict=False):
        with attribution(tenant=tenant, feature=feature, session="s-1", user="u-1"):
            workload([handler])
    return list(exporter.get_finished_spans())


def batches(spans: list[ReadableSpan]) -> list[list[ReadableSpan]]:
    return [spans[at : at + BATCH] for at in range(0, len(spans), BATCH)]


def on_the_wire(spans: list[ReadableSpan]) -> dict[str, float]:
    """Returns the bytes of a span in OTLP, in batches of 512, plain and compressed."""
    bodies = [encode_spans(batch).SerializeToString() for batch in batches(spans)]
    return {
        "OTLP": sum(map(len, bodies)) / len(spans),
        "OTLP, gzip": sum(len(gzip.compress(body)) for body in bodies) / len(spans),
    }


def sending(spans: list[ReadableSpan], folder: Path) -> float:
    """Returns the microseconds of CPU time that sending a span takes this process."""
    with receiver("http", folder) as server:
        exporter = OTLPSpanExporter(f"{server.url}/v1/traces", compression=Compression.Gzip)
        exporter.export(spans[:BATCH])
        started = time.process_time()
        for batch in batches(spans):
            exporter.export(batch)
        spent = time.process_time() - started
        exporter.shutdown()
    return spent * 1e6 / len(spans)


def in_files(spans: list[ReadableSpan], file: Path) -> dict[str, float]:
    """Writes the spans as our trace files do; returns the bytes and the microseconds of CPU time of a span."""
    exporter = JsonLinesSpanExporter(file)
    started = time.process_time()
    for batch in batches(spans):
        exporter.export(batch)
    spent = time.process_time() - started
    exporter.shutdown()
    return {
        "bytes": file.stat().st_size / len(spans),
        "gzip": len(gzip.compress(file.read_bytes())) / len(spans),
        "write": spent * 1e6 / len(spans),
    }


def repeated(file: Path, out: Path, number: int) -> None:
    """Writes so many rows of `otel_traces`: those of a file again and again, over ten days, with other ids and figures.

    Equal rows would compress better than those of an application.
    """
    random = Random(18)
    known: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows(file):
        known[row["TraceId"]].append(row)
    now, written = int(time.time()), 0
    with out.open("w") as lines:
        for trace in cycle(known.values()):
            start = (now - random.randrange(10 * DAY)) * 10**9 + random.randrange(10**9)
            new_ids = {row["SpanId"]: f"{random.getrandbits(64):016x}" for row in trace} | {"": ""}
            trace_id = f"{random.getrandbits(128):032x}"
            for row in trace:
                lines.write(json.dumps(_varied(row, trace_id, new_ids, start, random)) + "\n")
            written += len(trace)
            if written >= number:
                return


def _varied(
    row: dict[str, Any], trace_id: str, new_ids: dict[str, str], start: int, random: Random
) -> dict[str, Any]:
    times = random.uniform(0.5, 20)
    attributes = {
        name: str(int(int(value) * times)) if name.endswith("_tokens") and value.isdigit() else value
        for name, value in row["SpanAttributes"].items()
    }
    if cost := attributes.get("gen_ai.usage.cost_usd"):
        attributes["gen_ai.usage.cost_usd"] = attributes["gen_ai.usage.cost"] = f"{float(cost) * times:.9f}"
    began = start + random.randrange(10**9)
    return {
        **row,
        "TraceId": trace_id,
        "SpanId": new_ids[row["SpanId"]],
        "ParentSpanId": new_ids.get(row["ParentSpanId"], ""),
        "Timestamp": f"{began // 10**9}.{began % 10**9:09}",
        "Duration": int(row["Duration"] * times),
        "SpanAttributes": attributes,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--spans", type=int, default=200_000)
    wanted = parser.parse_args().spans
    spans = recorded(150)
    print(f"{len(spans):,} spans")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for form, size in on_the_wire(spans).items():
            print(f"{form:24} {size:9,.0f} bytes a span")
        print(f"{'sending':24} {sending(spans, folder):9,.0f} µs of CPU time a span")
        for form, value in in_files(spans, folder / "spans.jsonl").items():
            print(f"{'trace file, ' + form:24} {value:9,.0f}")
        repeated(folder / "spans.jsonl", folder / "rows.jsonl", wanted)
        print_queries(folder)


def print_queries(folder: Path) -> None:
    queries = ROOT / "dashboards" / "sql" / "clickhouse"
    given: dict[str, Any] = {
        "table": TABLE,
        "calls": (queries / "calls.sql").read_text(),
        "queries": {
            name: (queries / f"{name}.sql").read_text() for name in ("cost", "slow_tools", "rag_misses")
        },
    }
    done = subprocess.run(
        [PYTHON, ASKER, folder], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    for what, value in json.loads(done.stdout).items():
        print(f"{what:24} {value:12,.2f}")


if __name__ == "__main__":
    main()
