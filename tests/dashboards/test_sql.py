"""The queries of ClickHouse and DuckDB say what `otel-callbacks cost` and `top` say of the same spans, digit for digit.

`python tests/dashboards/environments/make.py sql` makes the environment with both engines.
"""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import collector_rows
import pytest
import random_traces
from click.testing import CliRunner
from fleets import Fleet, write

from otel_callbacks import semconv
from otel_callbacks.cli import main
from otel_callbacks.cost import report
from otel_callbacks.explore import SpanRecord, Traces, read_jsonl
from otel_callbacks.explore.causes.groups import Groups, Tail, grouped
from otel_callbacks.explore.causes.slow import seconds_of
from otel_callbacks.explore.evidence.nodes import Step
from otel_callbacks.explore.evidence.runs import Run
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration
from otel_callbacks.explore.pictures.monospace import table
from otel_callbacks.explore.spans.tree import SpanTree

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


@pytest.fixture(scope="module")
def kept_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of which `Keep` kept the failed ones and a quarter of the others, with a slow tool."""
    marks = {True: ("error", 1.0), False: ("share", 0.25)}
    trees = []
    for tree in Fleet(3, "slow tool").trees(300):
        reason, ratio = marks[tree.roots[0].failed]
        kept = {semconv.KEEP_REASON: reason, semconv.KEEP_RATIO: ratio}
        trees.append(
            SpanTree.of(replace(span, attributes={**span.attributes, **kept}) for span in tree.spans)
        )
    return write(tmp_path_factory.mktemp("kept") / "kept.jsonl", trees)


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


def asked(name: str) -> list[dict[str, Any]]:
    """Returns the statements that make the views of the runs, and the query."""
    views = (SQL / "clickhouse" / "runs.sql").read_text().split(";\n\n")
    return [*({"sql": view, "parameters": {}} for view in views), query("clickhouse", name)]


def compared(file: Path) -> dict[str, Groups]:
    """Returns the slow and the usual runs of each workflow, without the traces that no exporter could send."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for trace in Traces.open(file):
        run = Run.of(trace)
        if run.is_whole and run.time and all(span.end_ns for span in trace.spans):
            runs[run.workflow].append(run)
    groups = {name: grouped(own, seconds_of, Tail(0.95, None)) for name, own in runs.items()}
    return {name: own for name, own in groups.items() if own.tail and own.usual}


SOURCES = ["demo", "random_file", "kept_file"]


@pytest.mark.parametrize("source", SOURCES)
def test_what_makes_runs_slow_is_what_why_says_by_the_same_rule(
    source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file: Path = request.getfixturevalue(source)
    found = run("clickhouse", tmp_path, [*filled("clickhouse", file), *asked("why_slow")])[-1]
    said = {}
    for workflow, groups in compared(file).items():
        tail, usual = ([*map(weighed, side)] for side in (groups.tail, groups.usual))
        for step in {step for _, amounts in (*tail, *usual) for step in amounts}:
            times = [weighted_mean(side, step) for side in (tail, usual)]
            calls = [run.calls[step] for run in groups.tail if step in run.calls]
            rest = (max((each.longest for each in calls), default=0), sum(each.failed for each in calls))
            if any(time for time, _ in times):
                said[workflow, *step] = (len(tail), len(usual), *sum(times, ()), *rest)
    assert len(said) > 4
    numbers = ("tail_runs", "usual_runs", "tail_ns", "tail_calls", "usual_ns", "usual_calls", "longest_ns")
    told = {
        (row["workflow"], row["kind"], row["step"]): tuple(
            float(row[name]) for name in (*numbers, "failed_calls")
        )
        for row in found
    }
    assert told.keys() == said.keys()
    for key, row in told.items():
        assert row == pytest.approx(said[key], rel=1e-9), key
    for workflow in compared(file):
        assert sum(row["share"] for row in found if row["workflow"] == workflow) == pytest.approx(1)


def weighed(run: Run) -> tuple[float, dict[Step, tuple[float, float]]]:
    """Returns the weight of a run, and for each step its time by Jaeger's rule and its calls."""
    steps = {*run.steps, *run.calls}
    return run.weight, {
        step: (
            run.steps[step].whole if step in run.steps else 0,
            len(run.calls[step].durations) if step in run.calls else 0,
        )
        for step in steps
    }


def weighted_mean(side: list[tuple[float, dict[Step, tuple[float, float]]]], step: Step) -> tuple[float, ...]:
    weight = sum(own for own, _ in side)
    return tuple(sum(own * of.get(step, (0, 0))[at] for own, of in side) / weight for at in (0, 1))


@pytest.mark.parametrize("source", SOURCES)
def test_what_slow_runs_have_in_common_is_counted(
    source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file: Path = request.getfixturevalue(source)
    found = run("clickhouse", tmp_path, [*filled("clickhouse", file), *asked("why_in_common")])[-1]
    names = {"tenant", "feature", "model", "tool called", "data source", "service.version"}
    said = {}
    for workflow, groups in compared(file).items():
        for fact in {fact for run in groups.tail for fact in run.facts if fact.name in names}:
            inside, outside = (sum(fact in run.facts for run in side) for side in (groups.tail, groups.rest))
            if inside / len(groups.tail) > outside / len(groups.rest):
                counts = (inside, len(groups.tail), outside, len(groups.rest))
                said[workflow, fact.name, fact.value] = counts
    columns = ("tail_with", "tail_runs", "others_with", "others")
    told = {
        (row["workflow"], row["name"], row["value"]): tuple(int(row[name]) for name in columns)
        for row in found
    }
    assert len(said) > 2 and told == said
    for row in found:
        inside, tail, outside, others = (int(row[name]) for name in columns)
        if row["lift"] is not None:
            usual = (tail - inside) / (tail + others - inside - outside)
            assert row["lift"] == pytest.approx(inside / (inside + outside) / usual)
        assert row["lift_low"] is None or 0 < row["lift_low"] < row["lift_high"]


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
