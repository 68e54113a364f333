"""`--format json` of every command: one bounded JSON document on standard output, without content unless asked for."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import set_span_in_context
from otlp_servers import otlp_http

from otel_callbacks import semconv
from otel_callbacks.cli import main
from otel_callbacks.explore import JsonLinesSpanExporter, Traces
from otel_callbacks.runtime.json_text import json_text

SECOND = 10**9
NOON = 1_700_000_000 * SECOND
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.provider.name": "openai",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 10,
    "gen_ai.usage.cost_usd": 0.1,
    "gen_ai.response.finish_reasons": ("stop",),
}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
SECRET = "c4n4ry"
SAID = json.dumps([{"role": "user", "parts": [{"type": "text", "content": f"{SECRET} question"}]}])
CONTENT = {
    semconv.INPUT_MESSAGES: SAID,
    semconv.OUTPUT_MESSAGES: SAID,
    semconv.SYSTEM_INSTRUCTIONS: json.dumps([{"type": "text", "content": f"{SECRET} instructions"}]),
    semconv.TOOL_CALL_ARGUMENTS: f'{{"q": "{SECRET} arguments"}}',
    semconv.TOOL_CALL_RESULT: f"{SECRET} result",
    semconv.RAG_QUERY: f"{SECRET} query",
    semconv.PROMPT_VARIABLE_PREFIX + "name": f"{SECRET} variable",
    semconv.RETRIEVAL_DOCUMENTS: json.dumps([{"id": "d", "content": f"{SECRET} document"}]),
    "gen_ai.tool.definitions": f"{SECRET} definitions",
    "anything.else": f"{SECRET} of the application",
}


class Writer:
    """Writes traces into a file; times are seconds after noon."""

    def __init__(self, file: Path) -> None:
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(SimpleSpanProcessor(JsonLinesSpanExporter(file)))
        self._tracer = self._provider.get_tracer("test")

    def trace(
        self, name: str, start: float, end: float, *below: tuple[str, dict[str, Any]], **labels: Any
    ) -> str:
        """Writes a root with spans of a quarter of a second below it, one after the other; returns the trace id."""
        first = NOON + int(start * SECOND)
        root = self._tracer.start_span(name, start_time=first, attributes=labels)
        for place, (called, attributes) in enumerate(below):
            begin = first + place * SECOND // 4
            span = self._tracer.start_span(
                called, set_span_in_context(root), start_time=begin, attributes=attributes
            )
            if error := attributes.get("error.type"):
                span.add_event(
                    "exception", {"exception.type": str(error), "exception.message": f"{SECRET} message"}
                )
            span.end(begin + SECOND // 4)
        root.end(NOON + int(end * SECOND))
        return f"{root.get_span_context().trace_id:032x}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "t.jsonl"


def run(*arguments: object, status: int = 0) -> Any:
    """Runs a command and returns the JSON document that is all of its standard output."""
    ran = CliRunner().invoke(main, [*map(str, arguments), "--format", "json"])
    assert ran.exit_code == status, ran.output
    return json.loads(ran.stdout, parse_constant=pytest.fail)


def spans_of(file: Path) -> list[str]:
    return [span.span_id for span in Traces.open(file)[0].walk()]


def test_view_has_the_facts_of_a_trace_and_of_its_spans(file: Path) -> None:
    labels = {"app.tenant_id": "acme", "session.id": "s-1"}
    below = (("chat gpt-4o", CALL), ("execute_tool search", TOOL | {"error.type": "TimeoutError"}))
    trace_id = Writer(file).trace("rag", 0, 1.5, *below, **labels)
    root, call, tool = spans_of(file)
    assert run("view", file) == {
        "traces": [
            {
                "trace_id": trace_id,
                "name": "rag",
                "start": "2023-11-14T22:13:20.000Z",
                "duration_seconds": 1.5,
                "span_count": 3,
                "errors": 1,
                "model_calls": 1,
                "input_tokens": 1000,
                "output_tokens": 10,
                "cost_usd": "0.1",
                "unpriced_calls": 0,
                "tenant": "acme",
                "session": "s-1",
                "spans": [
                    {
                        "span_id": root,
                        "depth": 0,
                        "name": "rag",
                        "start_seconds": 0.0,
                        "duration_seconds": 1.5,
                    },
                    {
                        "span_id": call,
                        "parent_id": root,
                        "depth": 1,
                        "name": "chat gpt-4o",
                        "start_seconds": 0.0,
                        "duration_seconds": 0.25,
                        "operation": "chat",
                        "model": "gpt-4o",
                        "provider": "openai",
                        "finish_reasons": ["stop"],
                        "input_tokens": 1000,
                        "output_tokens": 10,
                        "cost_usd": "0.1",
                    },
                    {
                        "span_id": tool,
                        "parent_id": root,
                        "depth": 1,
                        "name": "execute_tool search",
                        "start_seconds": 0.25,
                        "duration_seconds": 0.25,
                        "operation": "execute_tool",
                        "tool": "search",
                        "error_type": "TimeoutError",
                        "failed_here": True,
                    },
                ],
                "spans_left_out": 0,
            }
        ],
        "more": None,
    }


def test_view_is_bounded_over_all_its_traces_and_says_how_to_get_the_rest(file: Path) -> None:
    writer = Writer(file)
    for start in (0, 10):
        writer.trace("rag", start, start + 1, *[("step", {})] * 9)
    found = run("view", file, "--last", 2, "--limit", 14)
    assert [(len(each["spans"]), each["spans_left_out"]) for each in found["traces"]] == [(10, 0), (4, 6)]
    assert found["more"] == "--limit 20"
    assert run("view", file, "--last", 2, "--limit", 20)["more"] is None


def test_view_of_nothing_that_matches_is_an_empty_list(file: Path) -> None:
    Writer(file).trace("rag", 0, 1)
    assert run("view", file, "--tenant", "nobody") == {"traces": [], "more": None}


def test_view_says_where_it_wrote_a_picture(file: Path) -> None:
    trace_id = Writer(file).trace("rag", 0, 1)
    svg = file.with_name("x.svg")
    assert run("view", file, "--svg", svg) == {"trace_id": trace_id, "written": [str(svg)]}
    assert svg.exists()


EVERY_VIEW: Sequence[tuple[str, ...]] = (
    ("view", "t.jsonl", "--last", "2"),
    ("top", "t.jsonl"),
    *(("top", "t.jsonl", "--by", by) for by in ("tenant", "name", "operation", "model", "tool")),
    ("diff", "a", "b"),
    ("cost", "t.jsonl"),
    ("why", "t.jsonl"),
    ("check", "t.jsonl"),
    ("forget", "t.jsonl", "--user", "nobody"),
)


@pytest.mark.parametrize("arguments", EVERY_VIEW, ids=" ".join)
def test_no_command_shows_content_unless_it_is_asked_for(
    file: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(file.parent)
    writer = Writer(file)
    below = (("chat gpt-4o", CALL | CONTENT | {"error.type": "ValueError"}), ("retrieval", CONTENT))
    one, other = (writer.trace("rag", start, start + 1, *below) for start in (0, 10))
    ids = {"a": one, "b": other}
    given = [ids.get(each, each) for each in arguments]
    given += ["--file", "t.jsonl"] if "diff" in arguments else []
    assert SECRET not in json.dumps(run(*given, status=arguments[0] == "check"))


def test_content_is_shown_in_the_beginning_or_whole(file: Path) -> None:
    long = SECRET + "x" * 3000
    result = {semconv.TOOL_CALL_RESULT: long, "gen_ai.operation.name": "execute_tool"}
    Writer(file).trace("rag", 0, 1, ("execute_tool search", result | {"error.type": "ValueError"}))
    [_, tool] = run("view", file, "--content")["traces"][0]["spans"]
    assert (tool["content"], tool["content_left_out"], tool["error_message"]) == (
        [{"what": "result", "text": long[:2000], "characters": len(long)}],
        0,
        f"{SECRET} message",
    )
    [_, tool] = run("view", file, "--whole")["traces"][0]["spans"]
    assert tool["content"] == [{"what": "result", "text": long}]


def test_what_others_wrote_stays_data(file: Path) -> None:
    """Names are cut, and nothing in them is an escape code, a line of its own or half a character."""
    name = 'x\x1b[31m\u202e"}\n{"a": 1}' + "long" * 100
    values = {"gen_ai.operation.name": "retrieval", "rag.top_score": float("nan"), "rag.results_count": 3}
    Writer(file).trace("rag", 0, 1, ("retrieval", values), ("hostile", {semconv.TOOL_NAME: name}))
    ran = CliRunner().invoke(main, ["view", str(file), "--format", "json"])
    assert ran.stdout.replace("\n", "").isprintable()
    _, retrieval, hostile = json.loads(ran.stdout, parse_constant=pytest.fail)["traces"][0]["spans"]
    assert (retrieval["documents"], retrieval["top_score"]) == (3, None)
    assert len(hostile["tool"]) == 200 and hostile["tool"].startswith('x\x1b[31m\u202e"}\n{"a": 1}')


def test_top_has_numbers_with_their_units_and_counts_what_is_left_out(file: Path) -> None:
    writer = Writer(file)
    slow = writer.trace("rag", 0, 3, ("chat gpt-4o", CALL), ("chat gpt-4o", CALL), ("chat gpt-4o", CALL))
    writer.trace("agent", 60, 62)
    writer.trace("agent", 80, 81)
    assert run("top", file, "--limit", 1) == {
        "by": "trace",
        "sort": "time",
        "rows": [
            {
                "start": "2023-11-14T22:13:20.000Z",
                "name": "rag",
                "time_seconds": 3.0,
                "tokens": 3030,
                "cost_usd": "0.3",
                "unpriced_calls": 0,
                "errors": 0,
                "trace_id": slow,
            }
        ],
        "rows_left_out": 2,
        "more": "--limit 3",
    }
    assert run("top", file, "--by", "model")["rows"] == [
        {
            "model": "gpt-4o",
            "spans": 3,
            "time_seconds": 0.75,
            "mean_seconds": 0.25,
            "longest_seconds": 0.25,
            "tokens": 3030,
            "cost_usd": "0.3",
            "unpriced_calls": None,
            "errors": 0,
        }
    ]
    assert run("top", file, "--tenant", "nobody")["rows"] == []


def test_diff_has_the_change_of_each_number_and_the_steps(file: Path) -> None:
    writer = Writer(file)
    a = writer.trace("rag", 0, 1, ("chat gpt-4o", CALL))
    b = writer.trace("rag", 10, 13, ("chat gpt-4o", CALL), ("chat gpt-4o", CALL))
    found = run("diff", a, b, "--file", file, "--limit", 2)
    assert (found["a"]["trace_id"], found["b"]["trace_id"]) == (a, b)
    assert found["change"] == {
        "duration_seconds": 2.0,
        "model_calls": 1,
        "input_tokens": 1000,
        "output_tokens": 10,
        "errors": 0,
        "unpriced_calls": 0,
    }
    assert [(step["name"], step["change"], step["depth"]) for step in found["steps"]] == [
        ("rag", "", 0),
        ("chat gpt-4o", "", 1),
    ]
    assert (found["steps_left_out"], found["more"]) == (1, "--limit 3")
    added = run("diff", a, b, "--file", file)["steps"][2]
    assert (added["a"], added["b"]["cost_usd"], added["change"]) == (None, "0.1", "added")


def test_cost_has_the_dearest_rows_and_the_total_of_all(file: Path) -> None:
    writer = Writer(file)
    for number in range(3):
        call = CALL | {"app.tenant_id": f"t{number}", "gen_ai.usage.cost_usd": number / 10}
        writer.trace("rag", number, number + 1, ("chat gpt-4o", call))
    found = run("cost", file, "--by", "tenant", "--limit", 2)
    assert [(row["tenant"], row["cost_usd"]) for row in found["rows"]] == [("t2", "0.2"), ("t1", "0.1")]
    assert (found["rows_left_out"], found["more"]) == (1, "--limit 3")
    assert (found["total"]["cost_usd"], found["total"]["calls"]) == ("0.3", 3)


def test_forget_says_what_was_removed_from_each_file(file: Path) -> None:
    writer = Writer(file)
    writer.trace("rag", 0, 1, ("step", {}), **{"user.id": "u-7"})
    writer.trace("rag", 2, 3)
    assert run("forget", file, "--user", "u-7") == {
        "traces": 1,
        "files": [
            {
                "file": str(file),
                "traces": 1,
                "spans": 2,
                "events": 0,
                "metric_points": 0,
                "unreadable_lines": 0,
            }
        ],
        "files_left_out": 0,
        "more": None,
    }
    with file.open("a") as opened:
        opened.write("no json\n")
    assert run("forget", file, "--user", "u-7", status=1)["files"][0]["unreadable_lines"] == 1


def test_replay_says_what_was_sent(file: Path) -> None:
    Writer(file).trace("rag", 0, 1, ("step", {}))
    with otlp_http() as server:
        found = run("replay", file, "--to", server.url)
        assert len(server.spans()) == 2
    assert found == {
        "endpoint": server.url,
        "files": [
            {
                "file": str(file),
                "continued_at_byte": 0,
                "spans_sent": 2,
                "rejected": 0,
                "unreadable_lines": 0,
                "unreadable_spans": 0,
            }
        ],
        "files_left_out": 0,
        "more": None,
    }


def test_check_counts_the_rules_that_are_left_out(file: Path) -> None:
    broken = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": f"{SECRET} text"}
    Writer(file).trace("rag", 0, 1, ("chat", broken))
    every = run("check", file, status=1)
    found = run("check", file, "--limit", 1, status=1)
    assert (found["rules"], found["rules_left_out"]) == (every["rules"][:1], len(every["rules"]) - 1)
    assert every["more"] is None and found["more"] == f"--limit {len(every['rules'])}"
    assert SECRET not in json.dumps(every)


@pytest.mark.parametrize("command", ["view", "cost", "check", "forget"])
def test_errors_are_on_standard_error_and_have_a_status(command: str) -> None:
    more = ["--user", "u"] if command == "forget" else []
    ran = CliRunner().invoke(main, [command, "none.jsonl", *more, "--format", "json"])
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "none.jsonl" in ran.stderr


@pytest.mark.parametrize("command", ["view", "cost", "check", "diff"])
def test_a_limit_that_text_would_ignore_is_an_error(command: str) -> None:
    arguments = ["a", "b"] if command == "diff" else []
    ran = CliRunner().invoke(main, [command, *arguments, "--limit", "3"])
    assert ran.exit_code == 2
    assert "--limit is for --format json" in ran.stderr


def test_json_has_no_number_for_what_is_none() -> None:
    assert json.loads(json_text({"a": [1.5, float("inf")], "b": (float("nan"),)})) == {
        "a": [1.5, None],
        "b": [None],
    }
    with pytest.raises(TypeError):
        json_text({"a": object()})
