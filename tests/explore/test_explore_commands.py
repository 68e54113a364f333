import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import set_span_in_context

from otel_callbacks.cli import main
from otel_callbacks.explore import JsonLinesSpanExporter, Traces, page, render_svg, render_text
from otel_callbacks.explore.commands import terminal

SECOND = 10**9
NOON = 1_700_000_000 * SECOND
CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
PRICED = CALL | {
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 10,
    "gen_ai.usage.cost_usd": 0.25,
}
UNPRICED = CALL | {"otel_callbacks.cost.status": "unpriced"}


def tracer(file):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(JsonLinesSpanExporter(file)))
    return provider.get_tracer("test")


@pytest.fixture
def file(tmp_path):
    """Two traces: a rag of 1.5 s with a priced call, and a failing agent of 0.75 s with an unpriced one."""
    path = tmp_path / "t.jsonl"
    writer = tracer(path)
    for name, start, end, attributes in (("rag", 0, 1.5, PRICED), ("agent", 60, 60.75, UNPRICED)):
        times = NOON + int(start * SECOND), NOON + int(end * SECOND)
        root = writer.start_span(name, start_time=times[0])
        call = writer.start_span(
            "chat gpt-4o", set_span_in_context(root), start_time=times[0], attributes=attributes
        )
        call.end(times[0] + SECOND // 4)
        if name == "agent":
            root.set_attribute("error.type", "ValueError")
        root.end(times[1])
    return path


def run(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)), env={"COLUMNS": "100"})


def test_view_shows_the_last_trace(file):
    ran = run("view", file)
    assert (ran.exit_code, ran.stdout) == (0, f"{render_text(Traces.open(file).last(), 100)}\n\n")


def test_view_shows_the_last_few_and_the_one_that_is_named(file):
    rag, agent = Traces.open(file)
    several, one = run("view", file, "--last", 5), run("view", file, "--trace", rag.trace_id[:8])
    assert [several.stdout.count(trace.trace_id) for trace in (rag, agent)] == [1, 1]
    assert one.stdout.startswith("rag · 1.50 s · 1,010 tokens · $0.2500 · trace ")


def test_view_writes_a_picture_and_a_page_of_one_trace(file):
    [rag, _] = Traces.open(file)
    svg, html = file.with_name("rag.svg"), file.with_name("rag.html")
    ran = run("view", file, "--trace", rag.trace_id, "--svg", svg, "--html", html)
    assert (ran.exit_code, ran.stdout.splitlines()) == (
        0,
        [f"{path}: rag, trace {rag.trace_id}" for path in (svg, html)],
    )
    assert (svg.read_text(), html.read_text()) == (render_svg(rag), page(rag))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--follow", "--svg", "x.svg"], "--follow shows every new trace"),
        (["--follow", "--trace", "ab"], "--follow shows every new trace"),
        (["--last", "3", "--html", "x.html"], "--last shows several traces"),
        (["--last", "3", "--trace", "ab"], "--last shows several traces"),
    ],
)
def test_options_of_view_that_would_be_ignored_are_errors(file, arguments, message):
    ran = run("view", file, *arguments)
    assert ran.exit_code == 2
    assert message in ran.stderr


def test_diff_takes_files_and_the_beginnings_of_ids(file):
    rag, agent = Traces.open(file)
    expected = f"{rag.diff(agent)}\n"
    assert run("diff", rag.trace_id[:8], agent.trace_id[:8], "--file", file).stdout == expected
    assert run("diff", rag.trace_id[:8], file, "--file", file).stdout == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["view", "none.jsonl"], "there is no trace file or folder none.jsonl"),
        (["view", "empty"], "empty holds no traces"),
        (["view", "t.jsonl", "--trace", "zz"], "no traces have an id that begins with 'zz'"),
        (["top", "empty"], "empty holds no traces"),
        (["top", "t.jsonl", "--by", "operation", "-n", "0"], "0 is not in the range x>=1"),
        (["view", "words.jsonl"], "words.jsonl:1: not a line of OTLP JSON"),
    ],
)
def test_unreadable_files_are_errors_with_status_2(file, monkeypatch, arguments, message):
    monkeypatch.chdir(file.parent)
    Path("empty").mkdir()
    Path("words.jsonl").write_text("Once upon\n")
    ran = run(*arguments)
    assert ran.exit_code == 2
    assert message in ran.stderr


def test_top_lists_traces(file):
    rag, agent = (trace.trace_id[:8] for trace in Traces.open(file))
    assert run("top", file).stdout.splitlines() == [
        "         start  name   time    tokens     cost  unpriced  errors  trace",
        f"11-14 22:13:20  rag    1.50 s   1,010  $0.2500                    {rag}",
        f"11-14 22:14:20  agent  750 ms                          1       1  {agent}",
    ]
    assert run("top", file, "--sort", "errors", "-n", 1).stdout.splitlines()[1].endswith(agent)


def test_names_are_cut_off_to_fit_the_other_columns(tmp_path):
    path = tmp_path / "t.jsonl"
    tracer(path).start_span("invoke_workflow " + "long" * 20).end()
    heads, row = run("top", path).stdout.splitlines()
    assert (len(heads) <= 100, len(row), row[16:36]) == (True, 100, "invoke_workflow long")
    assert "… " in row


def test_a_terminal_cuts_lines_off_instead_of_wrapping_them(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "_is_rich", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    terminal.show("chat gpt-4o costs $0.0001 too much")
    assert capsys.readouterr().out == "chat gpt-4o costs $…\n"


def test_top_adds_up_spans(file):
    assert run("top", file, "--by", "model").stdout.splitlines() == [
        "model   spans  time    mean    most    tokens     cost  unpriced",
        "gpt-4o      2  500 ms  250 ms  250 ms   1,010  $0.2500         1",
    ]
    names = [line.split("  ")[0] for line in run("top", file, "--by", "name").stdout.splitlines()]
    assert names == ["name", "rag", "agent", "chat gpt-4o"]


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `view --follow` on a folder, with its output to a file descriptor, and ends it as Ctrl-C does."""
    started: list[subprocess.Popen[bytes]] = []

    def start(output: int, folder: Path = tmp_path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "otel_callbacks", "view", "--follow", str(folder)]
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
            preexec_fn=lambda: signal.signal(
                signal.SIGINT, signal.SIG_DFL
            ),  # tests in the background ignore it
        )
        started.append(process)
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"Following")
        return process

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        process.communicate()


def read_until(stream: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        assert select.select([stream], [], [], 60)[0], seen
        read = os.read(stream, 10_000)
        assert read, seen
        seen += read
    return seen


def test_follow_adds_each_trace_to_a_pipe_when_it_is_complete(follow, tmp_path):
    process = follow(subprocess.PIPE)
    for name in ("first", "second"):
        with tracer(tmp_path).start_as_current_span(name), tracer(tmp_path).start_as_current_span("child"):
            pass
        text = read_until(process.stdout.fileno(), b"\n\n").decode()
        assert text == f"{render_text(Traces.open(tmp_path).last(), 100)}\n\n"


def test_follow_waits_for_a_missing_folder(follow, tmp_path):
    folder = tmp_path / "later"
    process = follow(subprocess.PIPE, folder)
    with tracer(folder).start_as_current_span("first"):
        pass
    assert "first" in read_until(process.stdout.fileno(), b"\n\n").decode()


def test_follow_shows_a_trace_that_grows_in_a_terminal(follow, tmp_path):
    terminal, output = pty.openpty()
    follow(output)
    with tracer(tmp_path).start_as_current_span("root"):
        with tracer(tmp_path).start_as_current_span("child"):
            pass
        assert b"child" in read_until(terminal, b"child")
    assert b"\x1b[1mroot" in read_until(terminal, b"root")


@pytest.fixture
def labelled(tmp_path):
    """Two traces of tenant acme, in sessions s1 and s2, and one of globex, each with a call and a tool."""
    path = tmp_path / "t.jsonl"
    writer = tracer(path)
    for number, (tenant, user, session) in enumerate(
        [("acme", "u1", "s1"), ("acme", "u2", "s2"), ("globex", "u1", "s1")]
    ):
        start = NOON + number * 86_400 * SECOND
        labels = {"app.tenant_id": tenant, "user.id": user, "session.id": session}
        root = writer.start_span("rag", start_time=start, attributes=labels)
        inside = set_span_in_context(root)
        for attributes in (
            PRICED,
            {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": f"t{number}"},
        ):
            below = writer.start_span("x", inside, start_time=start, attributes=labels | attributes)
            below.end(start + SECOND // 2)
        root.end(start + SECOND)
    return path


@pytest.mark.parametrize(
    ("by", "rows"),
    [
        ("tenant", ["acme          2  2.00 s   2,020  $0.5000", "globex        1  1.00 s   1,010  $0.2500"]),
        ("session", ["s1            2  2.00 s   2,020  $0.5000", "s2            1  1.00 s   1,010  $0.2500"]),
        ("user", ["u1          2  2.00 s   2,020  $0.5000", "u2          1  1.00 s   1,010  $0.2500"]),
    ],
)
def test_top_adds_up_traces_by_label(labelled, by, rows):
    found = run("top", labelled, "--by", by).stdout.splitlines()
    assert [line.split() for line in found] == [
        [by, "traces", "time", "tokens", "cost"],
        *(row.split() for row in rows),
    ]


def test_top_adds_up_tools(labelled):
    heads, *rows = run("top", labelled, "--by", "tool").stdout.splitlines()
    assert (heads.split()[0], sorted(row.split()[0] for row in rows)) == ("tool", ["t0", "t1", "t2"])


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ([], 3),
        (["--tenant", "acme"], 2),
        (["--user", "u1", "--session", "s1"], 2),
        (["--tool", "t2"], 1),
        (["--since", "2023-11-15"], 2),
        (["--until", "2023-11-15"], 2),
        (["--until", "9999-12-31"], 3),
        (["--since", "2023-11-15", "--until", "2023-11-15", "--model", "gpt-4o"], 1),
    ],
)
def test_view_and_top_take_filters(labelled, options, count):
    assert len(run("top", labelled, *options).stdout.splitlines()) == count + 1
    assert run("view", labelled, "--last", 9, *options).stdout.count("rag · 1.00 s") == count


def test_filters_that_nothing_matches_are_an_error_that_says_so(labelled):
    assert "holds no traces that match" in run("view", labelled, "--errors").stderr
    assert "holds no traces that match" in run("top", labelled, "--tenant", "nobody").stderr
    no_users = run("top", labelled, "--by", "user", "--tenant", "nobody").stderr
    assert "holds no spans with a known user that match" in no_users
    assert "--follow shows every new trace" in run("view", labelled, "--follow", "--tenant", "acme").stderr


def test_sessions(labelled):
    first, second = Traces.open(labelled).sessions()
    assert (first.id, first.traces, first.errors, first.tokens, first.cost, first.user) == (
        *("s1", 2, 0, 2020, 0.5, "u1"),
    )
    assert (first.start, first.end) == ("2023-11-14T22:13:20.000Z", "2023-11-16T22:13:21.000Z")
    assert (second.id, len(Traces.open(labelled).find(session=second.id))) == ("s2", 1)
    assert [each.traces for each in Traces.open(labelled).find(tenant="globex").sessions()] == [1]


@pytest.mark.parametrize(
    "command", [["cost"], ["check"], ["top"], ["view"], ["replay", "--to", "http://localhost:1"]]
)
def test_without_a_file_it_is_the_local_folder_and_a_missing_one_is_named(command, file, monkeypatch):
    monkeypatch.chdir(file.parent)
    ran = run(*command)
    assert (ran.exit_code, ".otel_callbacks" in ran.stderr) == (2, True)
    ran = run(command[0], "none.jsonl", *command[1:])
    assert (ran.exit_code, "none.jsonl" in ran.stderr) == (2, True)


@pytest.mark.parametrize("command", ["cost", "check", "top", "view"])
def test_without_a_file_the_local_folder_is_read(command, file, monkeypatch):
    monkeypatch.chdir(file.parent)
    Path(".otel_callbacks").mkdir()
    file.rename(Path(".otel_callbacks/traces-1.jsonl"))
    assert "gpt-4o" in (ran := run(command)).stdout or (command, ran.exit_code) in (("check", 1), ("top", 0))


def test_summaries_of_commands_fit():
    shown = CliRunner().invoke(main, ["--help"], terminal_width=80).stdout.partition("Commands:")[2]
    assert "..." not in shown
    assert [line.split()[0] for line in shown.splitlines() if line] == sorted(main.commands)
