"""The queries of ClickHouse and DuckDB say what `otel-callbacks cost` and `top` say of the same spans, digit for digit.

`python tests/dashboards/environments/make.py sql` makes the environment with both engines.
"""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import collector_rows
import pytest
import random_traces
from click.testing import CliRunner

from otel_callbacks.cli import main
from otel_callbacks.cost import report
from otel_callbacks.explore import SpanRecord, Traces, read_jsonl
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration
from otel_callbacks.explore.pictures.monospace import table

pytestmark = pytest.mark.backend
ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv" / "backends" / "sql" / "bin" / "python"
RUN_SQL = Path(__file__).parent / "environments" / "run_sql.py"
SQL = ROOT / "dashboards" / "sql"
ALL_TIME = {"since": "2020-01-01 00:00:00", "until": "2100-01-01 00:00:00"}
ENGINES = ("clickhouse", "duckdb")
COUNTS = (
    "calls",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "unpriced_calls",
    "cached_calls",
)

Row = dict[str, Any]


def query(engine: str, name: str, **parameters: str) -> dict[str, Any]:
    return {"sql": (SQL / engine / f"{name}.sql").read_text(), "parameters": ALL_TIME | parameters}


def run(engine: str, folder: Path, statements: Iterable[Mapping[str, Any]]) -> list[list[Row]]:
    done = subprocess.run(
        [PYTHON, RUN_SQL, engine, folder / "database"],
        input=json.dumps(list(statements)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: list[list[Row]] = json.loads(done.stdout)
    return found


def filled(engine: str, file: Path) -> list[dict[str, Any]]:
    """Returns the statements after which the views of `calls.sql` show the spans of a file."""
    if engine == "duckdb":
        return [{"sql": f"SET VARIABLE files = '{file}'"}, query(engine, "calls")]
    rows = "\n".join(map(json.dumps, collector_rows.rows(file)))
    return [
        {"sql": collector_rows.TABLE},
        {"sql": f"INSERT INTO otel_traces FORMAT JSONEachRow {rows}"},
        query(engine, "calls"),
    ]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The traces of `otel-callbacks demo`."""
    file = tmp_path_factory.mktemp("demo") / "demo.jsonl"
    command = [sys.executable, "-m", "otel_callbacks", "demo", "--docs", "200", "--file", file]
    subprocess.run(command, check=True, capture_output=True, cwd=file.parent)
    return file


@pytest.fixture(scope="module")
def random_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("random") / "random.jsonl"
    random_traces.write(file, 800)
    return file


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("source", ["demo", "random_file"])
def test_cost_is_that_of_the_command(
    engine: str, source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file: Path = request.getfixturevalue(source)
    found = run(engine, tmp_path, [*filled(engine, file), query(engine, "cost")])[-1]
    command = ["cost", str(file), "--by", "tenant,feature,model,day", "--format", "json", "--limit", "100000"]
    said = json.loads(CliRunner().invoke(main, command, catch_exceptions=False).output)["rows"]
    assert len(said) > 4
    assert by_key(map(as_said, found)) == by_key(map(comparable, said))


def by_key(rows: Iterable[Row]) -> dict[tuple[Any, ...], Row]:
    return {tuple(row[name] for name in ("tenant", "feature", "model", "day")): row for row in rows}


def comparable(row: Row) -> Row:
    return {
        **{name: row[name] for name in ("tenant", "feature", "model", "day", *COUNTS, "p50", "p95")},
        **{name: Decimal(row[name]) for name in ("cost_usd", "saved_usd")},
    }


def as_said(row: Row) -> Row:
    """Returns a row with the types that the command has."""
    times = {f"p{p}": int(row[f"p{p}_ns"] or 0) / 1e9 if int(row["calls"]) else None for p in (50, 95)}
    return {
        **{name: row[name] for name in ("tenant", "feature", "model", "day")},
        **{name: int(row[name]) for name in COUNTS},
        **{name: Decimal(row[name] or 0) for name in ("cost_usd", "saved_usd")},
        **times,
    }


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("source", ["demo", "random_file"])
def test_slow_tools_are_those_of_the_command(
    engine: str, source: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file: Path = request.getfixturevalue(source)
    found = run(engine, tmp_path, [*filled(engine, file), query(engine, "slow_tools")])[-1]
    monkeypatch.setenv("COLUMNS", "200")
    said = CliRunner().invoke(main, ["top", str(file), "--by", "tool"], catch_exceptions=False).output
    assert len(found) > 2
    assert (
        "\n".join(table([list(as_shown(found[0])), *(list(as_shown(row).values()) for row in found)]))
        == said.rstrip()
    )
    durations = tool_durations(file)
    for row in found:
        ascending = sorted(durations[row["tool"]])
        assert int(row["p99_ns"]) == ascending[-(-len(ascending) * 99 // 100) - 1]


def as_shown(row: Row) -> Row:
    spans, time = int(row["spans"]), int(row["time_ns"]) / 1e9
    return {
        "tool": row["tool"],
        "spans": f"{spans:,}",
        "time": format_duration(time),
        "mean": format_duration(time / spans),
        "most": format_duration(int(row["most_ns"]) / 1e9),
        "cost": "" if row["cost_usd"] is None else format_cost(float(Decimal(row["cost_usd"]))),
        "errors": f"{int(row['errors']):,}" if int(row["errors"]) else "",
    }


def tool_durations(file: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for trace in Traces.open(file):
        for span in trace.spans:
            if span.tool_name is not None:
                found[span.tool_name].append(max(0, span.end_ns - span.start_ns))
    return found


@pytest.mark.parametrize("engine", ENGINES)
def test_rag_misses_are_counted(engine: str, random_file: Path, tmp_path: Path) -> None:
    found = run(engine, tmp_path, [*filled(engine, random_file), query(engine, "rag_misses")])[-1]
    numbers = ("retrievals", "empty", "not_in_prompt", "unknown")
    said = {
        (row["data_source"], row["tenant"], row["feature"]): (
            *(int(row[name]) for name in numbers),
            row["lowest_top_score"],
        )
        for row in found
    }
    assert said == misses(random_file)
    empty = {
        span.trace_id for span in read_jsonl(random_file) if span.attributes.get("rag.results_count") == 0
    }
    examples = {trace for row in found for trace in row["examples"]}
    assert examples and examples <= empty


def misses(file: Path) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    groups: dict[tuple[Any, ...], list[tuple[SpanRecord, int | None]]] = defaultdict(list)
    for trace in Traces.open(file):
        known = [
            span.attributes["rag.documents_in_prompt"]
            for span in trace.spans
            if "rag.documents_in_prompt" in span.attributes
        ]
        for span in trace.spans:
            if span.operation == "retrieval":
                key = (span.attributes.get("gen_ai.data_source.id"), span.tenant, span.feature or None)
                groups[key].append((span, max(map(int, known)) if known else None))
    return {key: _misses(found) for key, found in groups.items()}


def _misses(found: list[tuple[SpanRecord, int | None]]) -> tuple[Any, ...]:
    counts = [(span.documents_count, in_prompt) for span, in_prompt in found]
    scores = [span.top_score for span, _ in found if span.top_score is not None]
    return (
        len(found),
        sum(count == 0 for count, _ in counts),
        sum(bool(count) and in_prompt == 0 for count, in_prompt in counts),
        sum(count is None for count, _ in counts),
        min(scores, default=None),
    )


def test_a_line_that_is_being_written_is_passed_over(random_file: Path, tmp_path: Path) -> None:
    growing = tmp_path / "growing.jsonl"
    growing.write_text(random_file.read_text() + '{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0a')
    files = (random_file, growing)
    before, now = (
        run("duckdb", tmp_path, [*filled("duckdb", file), query("duckdb", "cost")])[-1] for file in files
    )
    assert now == before


def test_costs_outlive_their_spans(random_file: Path, tmp_path: Path) -> None:
    days = [f"2026-10-{day:02} 00:00:00" for day in range(7, 12)]
    keep = [query("clickhouse", "keep_day", since=a, until=b) for a, b in pairwise(days)]
    kept = "SELECT day, tenant, feature, model, calls, cost_usd, unpriced_calls FROM otel_cost_by_day FINAL"
    count = {"sql": "SELECT count() AS spans FROM otel_traces"}
    statements = [
        *filled("clickhouse", random_file),
        query("clickhouse", "cost_by_day"),
        *keep,
        keep[0],
        {"sql": kept},
        count,
        query("clickhouse", "retention"),
        {"sql": "OPTIMIZE TABLE otel_traces FINAL"},
        count,
        {"sql": kept},
    ]
    *_, before, spans, _, _, left, after = run("clickhouse", tmp_path, statements)
    assert int(spans[0]["spans"]) > 1_000 and int(left[0]["spans"]) == 0
    assert by_key(after) == by_key(before)
    rows = report(read_jsonl(random_file), ("tenant", "feature", "model", "day")).rows
    expected = {
        (tenant or "", feature or "", model or "", day): (row.calls, row.cost_usd, row.unpriced_calls)
        for row in rows
        for tenant, feature, model, day in [row.key]
    }
    assert {
        key: (int(row["calls"]), Decimal(row["cost_usd"]), int(row["unpriced_calls"]))
        for key, row in by_key(before).items()
    } == expected
