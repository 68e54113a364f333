"""`otel-callbacks forget`: a person's traces are gone from every file and index, whatever happens meanwhile."""

import gzip
import json
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from otel_callbacks import attribution
from otel_callbacks.cli import main
from otel_callbacks.explore import JsonLinesSpanExporter, Traces, read_jsonl
from otel_callbacks.explore.files import erasing
from otel_callbacks.explore.files.erasing import erase
from otel_callbacks.explore.files.replay import Bookmark
from otel_callbacks.manual import workflow
from otel_callbacks.testing import capture

USER = "user.id"


def attributes(**labels: Any) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": {"stringValue": value}} for key, value in labels.items()]


def span(trace: str, number: int, **labels: str) -> dict[str, Any]:
    return {
        "traceId": trace * 32,
        "spanId": f"{number:016x}",
        "name": f"{trace}{number}",
        "startTimeUnixNano": "1760000000000000000",
        "attributes": attributes(**labels),
    }


def line(*spans: Any, resource: Any = None) -> str:
    scope = {"scope": {"name": "s"}, "spans": spans}
    return json.dumps({"resourceSpans": [{"resource": resource or {}, "scopeSpans": [scope]}]}) + "\n"


def forget(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["forget", *map(str, arguments)])


def names(path: Path) -> list[str]:
    return sorted(each.name for each in read_jsonl(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Traces of two users in four files: growing, rotated, of another process, compressed."""
    (tmp_path / "traces-1.jsonl").write_text(
        line(span("a", 1, user__id="u-7"), span("b", 1, user__id="u-8")) + line(span("c", 1, user__id="u-8"))
    )
    (tmp_path / "traces-1-20260101T000000.000000.jsonl").write_text(line(span("d", 1, user__id="u-7")))
    (tmp_path / "traces-2.jsonl").write_text(
        line(span("a", 2)) + line(span("b", 2))
    )  # of the same traces, no label
    with gzip.open(tmp_path / "old.jsonl.gz", "wt") as file:
        file.write(line(span("e", 1, user__id="u-7")) + line(span("f", 1, user__id="u-8")))
    return tmp_path


LEFT = ["b1", "b2", "c1", "f1"]


def nowhere(folder: Path, text: str = "u-7") -> bool:
    contents = [
        gzip.decompress(each.read_bytes()) if each.suffix == ".gz" else each.read_bytes()
        for each in folder.iterdir()
    ]
    return not any(text.encode() in content for content in contents)


def test_the_traces_of_a_user_are_gone_from_every_file_and_from_the_index(folder: Path) -> None:
    traces = Traces.open(folder)
    assert len(traces) == 6
    before = {each: each.stat() for each in folder.glob("*.jsonl*")}
    ran = forget(folder, "--user", "u-7")
    assert ran.exit_code == 0, ran.output
    assert sorted(ran.output.splitlines()) == sorted(
        [
            f"{folder / 'old.jsonl.gz'}: removed 1 span of 1 trace",
            f"{folder / 'traces-1-20260101T000000.000000.jsonl'}: removed 1 span of 1 trace",
            f"{folder / 'traces-1.jsonl'}: removed 1 span of 1 trace",
            f"{folder / 'traces-2.jsonl'}: removed 1 span of 1 trace",
            "erased 3 traces with user u-7",
        ]
    )
    assert names(folder) == LEFT and nowhere(folder)
    assert sorted(each.name for each in folder.iterdir()) == sorted(each.name for each in before)
    for each, was in before.items():
        assert (stat.S_IMODE(each.stat().st_mode), each.stat().st_mtime_ns) == (0o600, was.st_mtime_ns)
    assert len(traces) == len(Traces.open(folder)) == 3  # also the collection that was open before
    assert forget(folder, "--user", "u-7").output == "no trace has user u-7\n"


def test_a_file_means_also_those_it_was_rotated_to(folder: Path) -> None:
    assert forget(folder / "traces-1.jsonl", "--user", "u-7").exit_code == 0
    assert names(folder) == sorted([*LEFT, "a2", "e1"])  # the other files were not named


def test_what_is_kept_stays_as_it_was_byte_for_byte(folder: Path) -> None:
    path = folder / "traces-1.jsonl"
    kept = '{ "resourceSpans" : [ ] }\n\n{"other": "ü"}\n' + line(span("z", 1))
    path.write_text(kept + line(span("y", 1, user__id="u-7")) + '{"resourceSpans": [{"sco')
    inode = (folder / "traces-2.jsonl").stat().st_ino
    (folder / "traces-2.jsonl").write_text(line(span("q", 1)))
    forget(folder, "--user", "u-7")
    assert path.read_text() == kept + '{"resourceSpans": [{"sco'
    assert (folder / "traces-2.jsonl").stat().st_ino == inode  # nothing to remove: not rewritten


LABELS = {
    "user": (["--user", "u-7"], {"user__id": "u-7"}),
    "tenant": (["--tenant", "acme"], {"app__tenant_id": "acme"}),
    "session": (["--session", "s"], {"session__id": "s"}),
    "conversation": (["--session", "s"], {"gen_ai__conversation__id": "s"}),
    "label": (["--label", "feature=search"], {"app__feature": "search"}),
    "own label": (["--label", "cost_centre=a=b"], {"app__cost_centre": "a=b"}),
    "attribute": (["--label", "enduser.id=u-7"], {"enduser__id": "u-7"}),
    "several": (["--user", "u-7", "--tenant", "acme"], {"user__id": "u-7", "app__tenant_id": "acme"}),
}


@pytest.mark.parametrize("kind", LABELS)
def test_every_label_can_be_forgotten(kind: str, tmp_path: Path) -> None:
    arguments, labels = LABELS[kind]
    first = next(iter(labels))
    others = [span("b", 1, **{first: "u-70"}), span("c", 1, user__id="u-7 "), span("d", 1)]
    if len(labels) > 1:
        others.append(span("e", 1, user__id="u-7"))
    (tmp_path / "t.jsonl").write_text(line(span("a", 1, **labels), span("a", 2), *others))
    assert forget(tmp_path, *arguments).exit_code == 0
    assert names(tmp_path) == sorted(each["name"] for each in others)


def test_a_number_a_resource_an_event_and_a_link_can_hold_a_label(tmp_path: Path) -> None:
    label = attributes(user__id="7")
    spans = [
        {**span("a", 1), "attributes": [{"key": USER, "value": {"intValue": "7"}}]},
        {**span("b", 1), "events": [{"name": "x", "attributes": label}]},
        {**span("c", 1), "links": [{"traceId": "d" * 32, "spanId": "1" * 16, "attributes": label}]},
        span("d", 1),
    ]
    (tmp_path / "t.jsonl").write_text(line(*spans) + line(span("e", 1), resource={"attributes": label}))
    forget(tmp_path, "--user", "7")
    assert names(tmp_path) == ["d1"]


def test_events_and_points_of_metrics_are_erased_too(tmp_path: Path) -> None:
    label, record = attributes(user__id="u-7"), {"eventName": "e", "attributes": attributes(user__id="u-8")}
    logs = [{"traceId": "A" * 32, "body": {}}, {"attributes": label}, record]
    point = {"attributes": attributes(user__id="u-8"), "asInt": "1", "exemplars": [{"traceId": "a" * 32}]}
    metrics = [
        {"name": "m", "sum": {"dataPoints": [{"attributes": label}, point], "isMonotonic": True}},
        {"name": "n", "gauge": {"dataPoints": [{"attributes": label}]}},
    ]
    documents = [
        {"resourceLogs": [{"scopeLogs": [{"logRecords": logs}]}]},
        {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]},
    ]
    path = tmp_path / "t.jsonl"
    path.write_text(
        line(span("a", 1, user__id="u-7")) + "".join(json.dumps(each) + "\n" for each in documents)
    )
    ran = forget(path, "--user", "u-7")
    assert f"{path}: removed 1 span and 2 events and 3 metric points of 1 trace\n" in ran.output
    left = [json.loads(each) for each in path.read_text().splitlines()]
    assert left[0]["resourceLogs"][0]["scopeLogs"][0]["logRecords"] == [record]
    [metric] = left[1]["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
    assert metric == {"name": "m", "sum": {"dataPoints": [{**point, "exemplars": []}], "isMonotonic": True}}
    assert nowhere(tmp_path) and nowhere(tmp_path, "a" * 32)


def test_lines_that_cannot_be_read_are_kept_and_said(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("no JSON u-7\n" + line(span("a", 1, user__id="u-7")) + "[" * 100_000 + "\n")
    ran = forget(path, "--user", "u-7")
    assert ran.exit_code == 1
    assert f"{path}: kept 2 lines that cannot be read" in ran.output and "1 trace with user u-7" in ran.output
    assert path.read_text() == "no JSON u-7\n" + "[" * 100_000 + "\n"


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", range(12))
@pytest.mark.parametrize("again", ["--user u-7", "--user somebody-else"])
def test_an_interrupted_erasure_is_completed_by_the_next(
    step: int, again: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stops before each change of the file system, where even `finally` is too late, and runs again."""
    Traces.open(folder).last()
    steps, undone = iter(range(99)), []

    def stopping(change: Any) -> Any:
        def changing(*arguments: Any, **options: Any) -> Any:
            if undone or next(steps) == step:
                undone.append(change)
                raise Killed
            return change(*arguments, **options)

        return changing

    with monkeypatch.context() as patched:
        for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "fsync"), (os, "utime")):
            patched.setattr(owner, name, stopping(getattr(owner, name)))
        try:
            forget_all = list(erase(folder, {(USER,): "u-7"}))
        except Killed:
            forget_all = []
    assert bool(undone) != bool(forget_all)
    for file in folder.glob("*.jsonl*"):  # at no time is anything lost of the others
        assert {"b1", "c1"} <= {*names(folder)}, file
    ran = forget(folder, *again.split())
    assert ran.exit_code == 0, ran.output
    if again == "--user u-7" or "a1" not in names(folder):
        assert names(folder) == LEFT and nowhere(folder)
    assert sorted(each.suffix for each in folder.iterdir()) == [".gz", ".jsonl", ".jsonl", ".jsonl"]
    assert names(folder) == sorted(each.name for trace in Traces.open(folder) for each in trace.spans)


def test_the_note_of_an_interrupted_erasure_names_traces_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = erase(folder, {(USER,): "u-7"})
    next(files)
    files.close()
    note = folder / ".forgetting.json"
    document = json.loads(note.read_bytes())
    assert document["trace_ids"] == ["a" * 32, "d" * 32, "e" * 32]
    assert sorted(document["files"]) == sorted(map(str, folder.glob("*.jsonl*")))
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    ran = forget(folder, "--user", "nobody")
    assert "An earlier erasure was interrupted; it is completed, too." in ran.output
    assert names(folder) == LEFT and nowhere(folder)


def test_an_interrupted_erasure_of_one_file_is_completed_by_that_of_another(folder: Path) -> None:
    with (folder / "traces-1.jsonl").open("a") as file:
        file.write(line(span("g", 1, user__id="u-9")))
    files = erase(folder / "traces-1.jsonl", {(USER,): "u-7"})
    next(files)
    files.close()
    (folder / "traces-1.jsonl").write_text(line(span("a", 3), span("g", 1, user__id="u-9")))
    ran = forget(folder / "traces-2.jsonl", "--user", "u-9")
    assert ran.exit_code == 0 and "An earlier erasure was interrupted" in ran.output
    assert names(folder / "traces-1.jsonl") == ["g1"]  # of the file that was not named, only what was noted
    assert names(folder / "traces-2.jsonl") == ["b2"]
    assert not (folder / ".forgetting.json").exists()


def test_what_a_writer_appends_meanwhile_is_kept_unless_it_is_theirs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = folder / "traces-1.jsonl", Path.replace
    late = os.open(path, os.O_WRONLY | os.O_APPEND)  # a writer that has opened the file already

    def replacing(self: Path, target: Path) -> Path:
        if target == path:
            os.write(late, (line(span("x", 1)) + line(span("a", 9))).encode())
        return real(self, target)

    slept = iter((b"", line(span("y", 1), span("d", 9)).encode()))
    monkeypatch.setattr(Path, "replace", replacing)
    monkeypatch.setattr(erasing.time, "sleep", lambda seconds: os.write(late, next(slept, b"")))
    assert forget(folder, "--user", "u-7").exit_code == 0
    os.close(late)
    assert names(folder) == sorted([*LEFT, "x1", "y1"])


def test_a_bookmark_and_a_link(folder: Path, tmp_path: Path) -> None:
    Bookmark(folder / "traces-1.jsonl", "http://localhost:4318").save(10)
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "real.jsonl").write_text(line(span("g", 1, user__id="u-7")))
    (folder / "link.jsonl").symlink_to(target / "real.jsonl")
    (target / "real.jsonl.forgetting").write_text("of an erasure that was killed, u-7")
    assert len(Traces.open(folder / "link.jsonl")) == 1 and len(Traces.open(target / "real.jsonl")) == 1
    assert forget(folder, "--user", "u-7").exit_code == 0
    assert not (folder / "traces-1.jsonl.replay").exists()
    assert (folder / "link.jsonl").is_symlink() and (target / "real.jsonl").read_text() == ""
    assert [each.name for each in target.iterdir()] == ["real.jsonl"]
    assert not (folder / "link.jsonl.sqlite").exists()


def test_an_index_that_was_open_forgets_too(folder: Path) -> None:
    traces = Traces.open(folder / "traces-1.jsonl")
    assert len(traces) == 3
    forget(folder / "traces-1.jsonl", "--user", "u-7")
    with (folder / "traces-1.jsonl").open("a") as file:  # as long as before, or longer
        file.write(line(span("h", 1), span("i", 1), span("j", 1)))
    assert sorted(each.name for each in traces) == ["b1", "c1", "h1", "i1", "j1"]
    assert traces.sql("SELECT count(*) AS n FROM spans WHERE user = 'u-7'") == [{"n": 0}]
    with sqlite3.connect(folder / "traces-1.jsonl.sqlite") as file:
        assert b"u-7" not in (folder / "traces-1.jsonl.sqlite").read_bytes()
    file.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say whose traces"),
        (["--label", "oops"], "a label is NAME=VALUE"),
        (["--label", "=x"], "a label is NAME=VALUE"),
        (["--label", "Bad Name=x"], "must be lower-case"),
    ],
)
def test_a_wrong_argument_erases_nothing(arguments: list[str], message: str, folder: Path) -> None:
    ran = forget(folder, *arguments)
    assert (ran.exit_code, message in ran.output) == (2, True)
    assert len(names(folder)) == 8
    assert forget(folder / "none.jsonl", "--user", "u").exit_code == 2


def test_what_we_wrote_is_forgotten(tmp_path: Path) -> None:
    with capture() as captured:
        for user in ("u-7", "u-8"):
            with (
                attribution(user=user),
                workflow("w"),
                captured.tracer_provider.get_tracer("db").start_as_current_span("q"),
            ):
                pass
        JsonLinesSpanExporter(tmp_path).export(captured.spans)
    assert forget(tmp_path, "--user", "u-7").exit_code == 0
    assert [each.user for each in read_jsonl(tmp_path)] == ["u-8", "u-8"] and nowhere(tmp_path)
