"""Many spans: a bar while they are read, and the same answers whether they come at once or one by one."""

import gzip
import json
import os
import pty
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from random import Random
from threading import Thread

import pytest
from records import call, span

from otel_callbacks.cli import main
from otel_callbacks.cost import report
from otel_callbacks.explore import LinkRecord, SpanRecord, Traces
from otel_callbacks.explore.commands import terminal
from otel_callbacks.explore.index.database import Index

BAR = "reading  ["
COUNTED = "SELECT sum(counted) AS number FROM spans"


class Terminal:
    """A terminal in place of the error output; `shown` returns what it has shown since the last time."""

    def __init__(self) -> None:
        self._reading, self.writing = pty.openpty()
        self._texts: Queue[str] = Queue()
        self._reader = Thread(target=self._read)  # a terminal that nobody reads holds its writers up
        self._reader.start()

    def _read(self) -> None:
        while not (text := os.read(self._reading, 10_000).decode()).endswith("\0"):
            self._texts.put(text)
        self._texts.put(text)

    def shown(self) -> str:
        os.write(self.writing, b".")
        text = ""
        while not text.endswith("."):
            text += self._texts.get(timeout=10)
        return text

    def close(self) -> None:
        os.write(self.writing, b"\0")
        self._reader.join()
        os.close(self._reading)


@contextmanager
def terminal_for_errors() -> Iterator[Terminal]:
    """Makes the error output a terminal, in the test itself: pytest sets it again when a test begins."""
    made, before = Terminal(), sys.stderr
    with os.fdopen(made.writing, "w") as sys.stderr:
        yield made
        made.close()
    sys.stderr = before


@pytest.fixture(autouse=True)
def every_file_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_LARGE_BYTES", 1)


def line(number: int) -> str:
    """One trace with a model call, as a line of a trace file."""
    attributes = [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "7"}},
    ]
    found = {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "chat",
        "attributes": attributes,
    }
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [found]}]}]}) + "\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(map(line, range(1, 41))))
    return path


def run(*arguments: object) -> None:
    main(list(map(str, arguments)), standalone_mode=False)


def test_a_bar_shows_in_a_terminal_how_much_is_read(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with terminal_for_errors() as errors:
        run("cost", file, "--by", "model", "--format", "json")
        shown = errors.shown()
    assert BAR in shown
    assert "50%" in shown
    assert "100%" in shown
    assert json.loads(capsys.readouterr().out)["total"]["input_tokens"] == 40 * 7


def test_a_bar_shows_while_an_index_is_built_and_not_when_it_is_there(file: Path) -> None:
    with terminal_for_errors() as errors:
        run("top", file)
        assert "100%" in errors.shown()
        run("top", file)
        run("view", file)
        assert BAR not in errors.shown()
        with file.open("a") as growing:
            growing.write(line(41))
        run("view", file)
        assert "100%" in errors.shown()


def test_a_bar_shows_for_a_compressed_file(tmp_path: Path) -> None:
    packed = tmp_path / "traces.jsonl.gz"
    with gzip.open(packed, "wt") as writing:
        writing.write("".join(map(line, range(1, 41))))
    with terminal_for_errors() as errors:
        run("cost", packed)
        assert "100%" in errors.shown()


def test_a_small_file_needs_no_bar(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_LARGE_BYTES", 10**6)
    with terminal_for_errors() as errors:
        run("cost", file)
        assert BAR not in errors.shown()


def test_there_is_no_bar_in_a_pipe(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("cost", file)
    assert capsys.readouterr().err == ""


def forest() -> list[SpanRecord]:
    """Traces with wrappers that repeat their calls, recorded costs, judgements, and a judge that is a model."""
    spans = []
    for trace in "abc":
        spans += [
            span(trace, "1", app__tenant_id=trace, otel_callbacks__cost__recorded_usd=0.25, start_ns=1_500),
            call(trace, "2", "1", gen_ai__usage__cost_usd=0.1, gen_ai__request__model="gpt-4o"),
            call(trace, "3", "2", gen_ai__request__model="gpt-4o"),
            call(trace, "4", "1", gen_ai__request__model="other", start_ns=900),
        ]
        judged = (LinkRecord(trace * 32, "2" * 16, {}),)
        judge = {"gen_ai__evaluation__name": "helpful", "gen_ai__evaluation__score__value": 1.0}
        spans.append(call(chr(ord(trace) + 3), "9", links=judged, gen_ai__usage__cost_usd=0.01, **judge))
    return spans


def tables(index: Index) -> list[list[dict[str, object]]]:
    spans = "SELECT trace_id, span_id, counted, cost, evaluates, score FROM spans ORDER BY 1, 2"
    traces = "SELECT trace_id, name, start_ns, spans, errors, tokens, cost, unpriced FROM traces ORDER BY 1"
    return [index.query(spans), index.query(traces)]


@pytest.mark.parametrize("seed", range(5))
def test_an_index_is_the_same_whether_spans_come_at_once_or_one_by_one(seed: int) -> None:
    spans = forest()
    at_once, one_by_one = Index(), Index()
    at_once.add(spans)
    Random(seed).shuffle(spans)
    for each in spans:
        one_by_one.add([each])
    assert tables(one_by_one) == tables(at_once)
    # of each trace the recorded cost, the outer of two that report one call, and the other call
    assert at_once.query(COUNTED) == one_by_one.query(COUNTED) == [{"number": 3 * 3}]


@pytest.mark.parametrize("by", [["tenant"], ["model", "status"], ["gen_ai.evaluation.name"]])
def test_the_costs_of_a_collection_are_those_of_its_traces(by: list[str]) -> None:
    traces = Traces.of(forest())
    assert traces.cost(by).total.cost_usd == report(forest(), by).total.cost_usd > 1
    for some in (traces, traces[1:], traces.find(tenant="b")):
        assert some.cost(by) == report(list(some), by)
