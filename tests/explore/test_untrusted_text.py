"""Whatever a trace file holds, a terminal gets no control characters, and a spreadsheet no formulas."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cost_spans import DAY_1, call
from otlp_servers import otlp_http

from otel_callbacks import semconv
from otel_callbacks.cli import main
from otel_callbacks.conformance import assert_conformant
from otel_callbacks.cost import report
from otel_callbacks.cost.reporting.table import csv_text
from otel_callbacks.explore import Traces
from otel_callbacks.runtime.untrusted_text import escaped, printable, printable_json

# Escape sequences (the last as one character), a bell, marks of direction, other line ends, an end of text.
HOSTILE = "a\x1b[2J\x1b]0;title\x07\x9b31m\u202eb\u2066\u200f\x85\u2028\rc\x00\x7f\x08\ufeff\U000e0001d"
TEXTS = [
    *(
        semconv.REQUEST_MODEL,
        semconv.RESPONSE_MODEL,
        semconv.PROVIDER_NAME,
        semconv.TOOL_NAME,
        semconv.AGENT_NAME,
    ),
    *(semconv.APP_TENANT_ID, semconv.APP_FEATURE, semconv.USER_ID, semconv.SESSION_ID, semconv.ERROR_TYPE),
    *(
        semconv.COST_UNPRICED_REASON,
        semconv.OUTCOME,
        semconv.RAG_QUERY,
        semconv.RAG_SCORE_KIND,
        semconv.APP_USER_TIER,
    ),
]
DOCUMENTS = json.dumps([{"rank": 1, "id": HOSTILE, "source": HOSTILE, "score_kind": HOSTILE}])


def attribute(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def hostile_span(operation: str, number: int, trace_id: str) -> dict[str, Any]:
    documents = [attribute(semconv.RAG_DOCUMENTS, DOCUMENTS)] * (operation == semconv.RETRIEVAL)
    event = {"name": "exception", "attributes": [attribute(semconv.EXCEPTION_MESSAGE, HOSTILE)]}
    return {
        "traceId": trace_id,
        "spanId": f"{number:016x}",
        "name": HOSTILE,
        "startTimeUnixNano": str(DAY_1),
        "endTimeUnixNano": str(DAY_1 + 10**9),
        "status": {"code": 2, "message": HOSTILE},
        "events": [event],
        "attributes": [
            attribute(semconv.OPERATION_NAME, operation),
            attribute(semconv.COST_STATUS, "unpriced"),
            *(attribute(name, HOSTILE) for name in TEXTS),
            *documents,
            attribute("gen_ai." + HOSTILE, HOSTILE),
        ],
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hostile.jsonl"
    with path.open("w") as written:
        for trace_id in ("a" * 32, "b" * 32, HOSTILE + "0" * 32):
            spans = [
                hostile_span(each, n, trace_id) for n, each in enumerate(("chat", "retrieval", HOSTILE), 1)
            ]
            written.write(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}) + "\n")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


COMMANDS = {
    "view": ["view", "FILE", "--last", "3"],
    "view an unknown trace": ["view", "FILE", "--trace", HOSTILE],
    "svg": ["view", "FILE", "--trace", "aaaa", "--svg", "FOLDER/a.svg"],
    "html": ["view", "FILE", "--html", "FOLDER/a.html"],
    **{f"top by {by}": ["top", "FILE", "--by", by] for by in ("trace", "name", "operation", "model")},
    "diff": ["diff", "aaaa", "bbbb", "--file", "FILE"],
    "check": ["check", "FILE"],
    "check as JSON": ["check", "FILE", "--format", "json"],
    "check a damaged file": ["check", "FOLDER/damaged.jsonl"],
    "cost": ["cost", "FILE", "--by", "tenant,user,model,provider,operation,status"],
    "cost as JSON": ["cost", "FILE", "--by", "tenant,user,model", "--format", "json"],
    "cost as CSV": ["cost", "FILE", "--by", "tenant,user,model", "--format", "csv"],
    "cost at other prices": ["cost", "FILE", "--recompute"],
    "replay nowhere": ["replay", "FILE", "--to", "http://127.0.0.1:9/" + HOSTILE.replace("\x00", "")],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_prints_control_characters(command: str, file: Path, tmp_path: Path) -> None:
    line = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "x", "kind": HOSTILE}]}]}]}
    (tmp_path / "damaged.jsonl").write_text(json.dumps(line) + "\n")
    ran = run(
        *(part.replace("FILE", str(file)).replace("FOLDER", str(tmp_path)) for part in COMMANDS[command])
    )
    assert ran.output.strip() and (ran.exception is None or isinstance(ran.exception, SystemExit))
    assert [c for c in ran.output if not c.isprintable() and c != "\n"] == []
    for picture in tmp_path.glob("a.*"):
        assert [c for c in picture.read_text() if not c.isprintable() and c != "\n"] == []


def test_what_an_endpoint_says_is_printed_without_control_characters(file: Path) -> None:
    with otlp_http() as server:
        server.answers = [(400, HOSTILE.encode())]
        ran = run("replay", file, "--to", server.url)
    assert "answered 400" in ran.output
    assert [c for c in ran.output if not c.isprintable() and c != "\n"] == []


def test_a_failed_assertion_and_a_representation_print_none(file: Path) -> None:
    traces = Traces.open(file)
    with pytest.raises(AssertionError) as raised:
        assert_conformant([hostile_span("chat", 1, "a" * 32)])
    shown = (str(raised.value), *map(repr, traces), *map(str, traces), str(traces.cost()), repr(traces))
    assert [c for c in "".join(shown) if not c.isprintable() and c != "\n"] == []
    html = traces.cost(by=["tenant"])._repr_mimebundle_()["text/html"]
    assert [c for c in html if not c.isprintable() and c != "\n"] == []


def test_json_means_the_same() -> None:
    document = {HOSTILE: [HOSTILE, "é\u202e🎈\U000e0001"]}
    text = printable_json(json.dumps(document, ensure_ascii=False, indent=1))
    assert json.loads(text) == document
    assert "é" in text and "🎈" in text and [c for c in text if not c.isprintable() and c != "\n"] == []


def test_no_command_prints_control_characters_of_a_file_name(file: Path, tmp_path: Path) -> None:
    """Also not in the log, which a command prints; another process has no handlers of tests."""
    hostile = tmp_path / HOSTILE.replace("\x00", "").replace("/", "")
    hostile.write_bytes(file.read_bytes() + b"no JSON\n{}\n{")
    for arguments in (
        ["view", hostile],
        ["cost", hostile],
        ["view", file, hostile],
        ["--bad" + hostile.name],
    ):
        ran = subprocess.run(
            [sys.executable, "-m", "otel_callbacks", *arguments], capture_output=True, text=True
        )
        printed = (ran.stdout + ran.stderr).replace("\n", "")
        assert "title" in printed and [c for c in printed if not c.isprintable()] == []


def test_text_of_one_line_and_of_several() -> None:
    assert printable(" a \n b\x1b\u202e ") == "a b\\x1b\\u202e"
    assert escaped(" a \n b\x1b") == " a \\n b\\x1b"


FORMULAS = [
    *(
        '=HYPERLINK("http://x")',
        "=cmd|' /C calc'!A0",
        "@SUM(1)",
        "+1+1",
        "-1+1",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
    ),
    *(" =1+1", "＝1+1", "＠SUM(1)", "a;=1+1", "a; @SUM(1);-1", "\ufeff=1", "\u202e=1", ";=1"),
]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_csv_is_a_formula(text: str) -> None:
    shown = report([call("1", tenant=text, model=text)], by=["tenant", "model"]).to_csv()
    row = next(csv.DictReader(io.StringIO(shown)))
    for cell in (row["tenant"], row["model"]):
        assert not [part for part in cell.split(";") if re.match(r"\s*[=+\-@\t\r\n＝＋－＠]", part)]
        assert cell.replace("'", "") == escaped(text).replace("'", "")


def test_numbers_and_ordinary_text_stay_as_they_are() -> None:
    assert csv_text(["a-b", "c"], [["x=1", -1.5], ["ann@x.example; or +1", None]]) == (
        "a-b,c\nx=1,-1.5\nann@x.example; or +1,\n"
    )
