"""`otel-callbacks cost`: files in, a table, CSV or JSON out, and an exit status for CI."""

import csv
import gzip
import json
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cost_spans import DAY, DAY_1, SECOND, call

from otel_callbacks.cli import main
from otel_callbacks.explore import JsonLinesSpanExporter, SpanRecord
from otel_callbacks.testing import capture

BOOK = '[[prices]]\nmodel = "gpt-4o"\ninput = 1\noutput = 1\n'


def value(given: Any) -> dict[str, Any]:
    if isinstance(given, int):
        return {"intValue": str(given)}
    return {"doubleValue": given} if isinstance(given, float) else {"stringValue": given}


def otlp(spans: Iterable[SpanRecord]) -> str:
    lines = [
        {
            "traceId": span.trace_id,
            "spanId": span.span_id,
            "startTimeUnixNano": str(span.start_ns),
            "endTimeUnixNano": str(span.end_ns),
            "attributes": [
                {"key": key, "value": value(given)}
                for key, given in span.attributes.items()
                if given is not None
            ],
        }
        for span in spans
    ]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": lines}]}]}) + "\n"


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    folder = tmp_path / "traces"
    folder.mkdir()
    first = [call("1", tenant="acme", feature="chat"), call("2", tenant="zeta", usd=0.1)]
    (folder / "a.jsonl").write_text(otlp(first))
    with gzip.open(folder / "b.jsonl.gz", "wt") as file:
        file.write(otlp([call("3", tenant="acme", start=DAY_1 + DAY), call("4", start=DAY_1 + 2 * DAY)]))
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["cost", *map(str, arguments)])


def by_tenant(result: Result) -> dict[str, str]:
    assert result.exit_code == 0, result.output
    return {row["tenant"]: row["cost_usd"] for row in csv.DictReader(StringIO(result.stdout))}


def test_who_pays(traces: Path) -> None:
    result = run(traces)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split()[:4] == ["tenant", "feature", "model", "calls"]
    assert "Costs are estimates" in result.stdout
    assert by_tenant(run(traces, "--by", "tenant", "--format", "csv")) == {
        "zeta": "0.1",
        "acme": "0.007",
        "(unattributed)": "0.0035",
    }


def test_several_files_and_json(traces: Path) -> None:
    result = run(traces / "a.jsonl", traces / "b.jsonl.gz", "--by", "tenant, day", "--format", "json")
    assert json.loads(result.stdout)["total"]["calls"] == 4


@pytest.mark.parametrize(
    ("limits", "calls"),
    [
        (["--since", "2026-10-08"], 2),
        (["--until", "2026-10-08"], 3),
        (["--since", "2026-10-08", "--until", "2026-10-08"], 1),
        (["--since", "2026-11-01"], 0),
    ],
)
def test_days_are_included(traces: Path, limits: list[str], calls: int) -> None:
    result = run(traces, *limits, "--format", "json")
    assert json.loads(result.stdout)["total"]["calls"] == calls


def test_at_other_prices(traces: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.toml"
    book.write_text(BOOK)
    total = json.loads(run(traces, "--recompute", "--format", "json").stdout)["total"]
    assert (total["recorded_usd"], total["recomputed_usd"]) == ("0.1105", "0.014")
    total = json.loads(run(traces, "--recompute", "--prices", book, "--format", "json").stdout)["total"]
    assert total["recomputed_usd"] == "0.0044"


def invoice(path: Path, amount: str) -> Path:
    start = DAY_1 // SECOND
    path.write_text(f"start_time,amount_value,amount_currency,line_item\n{start},{amount},usd,\n")
    return path


def test_compared_with_an_invoice(traces: Path, tmp_path: Path) -> None:
    good, bad = invoice(tmp_path / "good.csv", "0.1035"), invoice(tmp_path / "bad.csv", "0.05175")
    assert run(traces, "--reconcile", good).exit_code == 0
    result = run(traces, "--reconcile", bad)
    assert (result.exit_code, "half price" in result.stdout) == (1, True)
    again = run(traces, "--reconcile", invoice(tmp_path / "again.csv", "0.007"), "--recompute")
    assert again.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--by", "tenat"], 2, "did you mean 'tenant'"),
        (["--by", ","], 2, "at least one name"),
        (["--prices", __file__], 2, "--prices needs --recompute"),
        (["--recompute", "--by", "status"], 2, "not the same before and after"),
        (["--since", "yesterday"], 2, "does not match the format"),
        (["--recompute", "--prices", __file__], 2, "a price book is a .toml or a .json file"),
        (["--reconcile", __file__], 2, "is not an invoice of a known format"),
        (["--reconcile", __file__, "--by", "tenant"], 2, "--by cannot be used with --reconcile"),
    ],
)
def test_errors_say_what_is_wrong(traces: Path, arguments: list[str], status: int, says: str) -> None:
    result = run(traces, *arguments)
    assert (result.exit_code, says in result.stderr) == (status, True), result.output


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text("{}\nno json\n{}\n")
    result = run(path)
    assert (result.exit_code, f"{path}:2: not a line of OTLP JSON" in result.stderr) == (2, True)


def test_what_we_exported_costs_what_we_recorded(tmp_path: Path) -> None:
    path, costs = tmp_path / "traces.jsonl", [0.1, 0.2, 1e-9, 2.85e-6, 1234.000000001]
    with capture() as captured:
        tracer = captured.tracer_provider.get_tracer("app")
        for usd in costs * 20:
            attributes = dict(call("1", tenant="acme", usd=usd).attributes)
            tracer.start_span("chat gpt-4o", attributes=attributes).end()
    JsonLinesSpanExporter(path).export(captured.spans)
    assert by_tenant(run(path, "--by", "tenant", "--format", "csv")) == {"acme": "24686.00005704"}
