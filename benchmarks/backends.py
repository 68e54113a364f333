"""Sends a trace file to real back ends, reads it back, and compares ids, parents, names, times and token totals.

    python benchmarks/backends.py FILE [--phoenix http://127.0.0.1:6006] [--mlflow http://127.0.0.1:5000]

Each back end must run with an empty database, in an environment of its own (half a gigabyte each):

    pip install arize-phoenix; phoenix serve
    pip install mlflow; MLFLOW_MODEL_CATALOG_URI= mlflow server --backend-store-uri sqlite:///m.db

Without that empty variable MLflow looks prices up on the network for every span. The exit status is 1 if anything
differs. FILE is a trace file, such as the one that `otel-callbacks demo` writes.
"""

import argparse
import base64
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import requests

from otel_callbacks.explore import Traces

_PATIENCE = 30.0  # seconds; both back ends show spans a while after they accepted them


class Seen(NamedTuple):
    """The parts of a span that are compared. Times are microseconds since 1970, rounded: Phoenix keeps floats."""

    trace_id: str
    parent_id: str | None
    name: str
    start: int
    end: int


Spans = dict[str, Seen]  # by id
Tokens = tuple[int, int]  # in, out


def in_file(traces: Traces) -> tuple[Spans, Tokens]:
    spans = {
        span.span_id: Seen(
            span.trace_id, span.parent_id, span.name, span.start_ns // 1000, span.end_ns // 1000
        )
        for trace in traces
        for span in trace.spans
    }
    return spans, (sum(trace.input_tokens for trace in traces), sum(trace.output_tokens for trace in traces))


def in_phoenix(url: str, _: Traces) -> tuple[Spans, Tokens]:
    spans = {
        span["context"]["span_id"]: Seen(
            span["context"]["trace_id"],
            span["parent_id"],
            span["name"],
            _microseconds(span["start_time"]),
            _microseconds(span["end_time"]),
        )
        for span in _phoenix_pages(f"{url}/v1/projects/default/spans")
    }
    query = "{projects{edges{node{name tokenCountPrompt tokenCountCompletion}}}}"
    edges = requests.post(f"{url}/graphql", json={"query": query}, timeout=30).json()["data"]["projects"][
        "edges"
    ]
    project = next(edge["node"] for edge in edges if edge["node"]["name"] == "default")
    return spans, (int(project["tokenCountPrompt"]), int(project["tokenCountCompletion"]))


def _phoenix_pages(url: str) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        page = requests.get(url, {"limit": 1000, "cursor": cursor}, timeout=30).json()
        yield from page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _microseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e6)


def in_mlflow(url: str, traces: Traces) -> tuple[Spans, Tokens]:
    """Reads the spans, and sums the tokens that MLflow has for each model call.

    MLflow's own total of a trace is only what the topmost agent used itself.
    """
    spans: Spans = {}
    tokens_in = tokens_out = 0
    for trace in traces:
        found = requests.get(
            f"{url}/api/3.0/mlflow/traces/get", {"trace_id": f"tr-{trace.trace_id}"}, timeout=30
        )
        calls = {call.span_id for call in trace.model_calls}
        for span in found.json().get("trace", {}).get("spans", ()):
            span_id, seen = _mlflow_span(span)
            spans[span_id] = seen
            if span_id in calls:
                usage = _mlflow_usage(span)
                tokens_in += usage.get("input_tokens", 0)
                tokens_out += usage.get("output_tokens", 0)
    return spans, (tokens_in, tokens_out)


def _mlflow_usage(span: dict[str, Any]) -> dict[str, int]:
    for pair in span["attributes"]:
        if pair["key"] == "mlflow.chat.tokenUsage":
            return {
                one["key"]: int(one["value"]["int_value"]) for one in pair["value"]["kvlist_value"]["values"]
            }
    return {}


def _mlflow_span(span: dict[str, Any]) -> tuple[str, Seen]:
    parent = span.get("parent_span_id")
    return _hex(span["span_id"]), Seen(
        _hex(span["trace_id"]),
        _hex(parent) if parent else None,
        span["name"],
        span["start_time_unix_nano"] // 1000,
        span["end_time_unix_nano"] // 1000,
    )


def _hex(text: str) -> str:
    return base64.b64decode(text).hex()


def mlflow_experiment(url: str) -> str:
    """Makes a new experiment and returns the header that sends spans to it."""
    name = {"name": f"otel-callbacks {time.time():.0f}"}
    made = requests.post(f"{url}/api/2.0/mlflow/experiments/create", json=name, timeout=30).json()
    return f"x-mlflow-experiment-id={made['experiment_id']}"


def replay(file: str, url: str, *options: str) -> float:
    """Sends the file with `otel-callbacks replay`; returns how many seconds it took."""
    start = time.monotonic()
    command = [sys.executable, "-m", "otel_callbacks", "replay", file, "--to", url, "--restart", *options]
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start


def compare(
    name: str, seconds: float, expected: tuple[Spans, Tokens], look: Callable[[], tuple[Spans, Tokens]]
) -> bool:
    """Prints what the back end holds; returns True if it equals what was sent."""
    latest = time.monotonic() + _PATIENCE
    spans, tokens = look()
    while len(spans) < len(expected[0]) and time.monotonic() < latest:
        time.sleep(0.5)
        spans, tokens = look()
    missing, added = expected[0].keys() - spans.keys(), spans.keys() - expected[0].keys()
    changed = [
        span_id
        for span_id in expected[0].keys() & spans.keys()
        if not _same(expected[0][span_id], spans[span_id])
    ]
    print(
        f"{name}: replayed in {seconds:.1f} s; {len(spans):,} of {len(expected[0]):,} spans in "
        f"{len({span.trace_id for span in spans.values()}):,} traces; {len(missing)} missing, {len(added)} not "
        f"ours, {len(changed)} changed; tokens {tokens[0]:,} → {tokens[1]:,}, in the file "
        f"{expected[1][0]:,} → {expected[1][1]:,}"
    )
    return not (missing or added or changed) and tokens == expected[1]


def _same(sent: Seen, kept: Seen) -> bool:
    return sent[:3] == kept[:3] and abs(sent.start - kept.start) <= 1 and abs(sent.end - kept.end) <= 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("--phoenix", metavar="URL")
    parser.add_argument("--mlflow", metavar="URL")
    arguments = parser.parse_args()
    traces = Traces.open(arguments.file)
    expected, results = in_file(traces), []
    if arguments.phoenix:
        seconds = replay(arguments.file, arguments.phoenix)
        results.append(compare("Phoenix", seconds, expected, lambda: in_phoenix(arguments.phoenix, traces)))
    if arguments.mlflow:
        seconds = replay(arguments.file, arguments.mlflow, "--header", mlflow_experiment(arguments.mlflow))
        results.append(compare("MLflow", seconds, expected, lambda: in_mlflow(arguments.mlflow, traces)))
    if not results:
        parser.error("name a back end: --phoenix URL, --mlflow URL, or both")
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
