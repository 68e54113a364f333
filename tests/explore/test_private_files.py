"""Only the owner reads what we write, and nobody else can redirect it."""

import logging
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_callbacks.cli import main
from otel_callbacks.explore import JsonLinesSpanExporter, Traces
from otel_callbacks.explore.files.private import warn_of_shared_folder, write_private
from otel_callbacks.explore.files.replay import Bookmark

IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
ANOTHER = 12_345  # no user of ours


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def open_umask() -> Any:
    """Lets new files be readable for everybody, unless we say otherwise."""
    before = os.umask(0)
    warn_of_shared_folder.cache_clear()
    yield
    os.umask(before)


@pytest.fixture
def spans() -> Any:
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("one")
    span.end()
    return [span]


@pytest.fixture
def traces(spans: Any, tmp_path: Path) -> Path:
    JsonLinesSpanExporter(tmp_path / "t.jsonl").export(spans)
    return tmp_path / "t.jsonl"


def view(*arguments: object) -> Any:
    return CliRunner().invoke(main, ["view", *map(str, arguments)])


def test_everything_that_we_write_is_for_its_owner(traces: Path, tmp_path: Path) -> None:
    assert len(Traces.open(traces)) == 1
    (tmp_path / "old.html").write_text("old")
    assert view(traces, "--svg", tmp_path / "a.svg", "--html", tmp_path / "old.html").exit_code == 0
    Bookmark(traces, "http://localhost:4318").save(1)
    written = {path.name: mode(path) for path in tmp_path.iterdir()}
    names = ("t.jsonl", "t.jsonl.sqlite", "a.svg", "old.html", "t.jsonl.replay")
    assert written == dict.fromkeys(names, 0o600)


@pytest.mark.parametrize("target", ["there.txt", "not-there.txt"])
def test_a_symbolic_link_is_not_followed(
    target: str, traces: Path, spans: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = tmp_path / "other"
    kept.mkdir()
    (kept / "there.txt").write_text("kept")
    for name in ("link.jsonl", "t.jsonl.sqlite", "a.svg", "t.jsonl.replay"):
        (tmp_path / name).symlink_to(kept / target)
    assert JsonLinesSpanExporter(tmp_path / "link.jsonl").export(spans) is SpanExportResult.FAILURE
    assert f"cannot write traces to {tmp_path / 'link.jsonl'}" in caplog.text
    ran = view(traces, "--svg", tmp_path / "a.svg")
    assert (ran.exit_code, "symbolic link" in ran.stderr) == (2, True)
    assert len(Traces.open(traces)) == 1 and "indexing in memory" in caplog.text
    Bookmark(traces, "http://localhost:4318").save(1)
    assert "cannot save the position" in caplog.text
    assert {path.name: path.read_text() for path in kept.iterdir()} == {"there.txt": "kept"}


def test_a_link_to_a_folder_and_a_device_are_fine(spans: Any, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert JsonLinesSpanExporter(tmp_path / "link").export(spans) is SpanExportResult.SUCCESS
    assert len(Traces.open(tmp_path / "real")) == 1
    (tmp_path / "null").symlink_to("/dev/null")
    for path in (Path("/dev/null"), tmp_path / "null"):
        assert JsonLinesSpanExporter(path).export(spans) is SpanExportResult.SUCCESS
        write_private(path, b"x")


@pytest.mark.skipif(not IS_ROOT, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_used(
    spans: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    planted = tmp_path / "t.jsonl"
    planted.touch()
    os.chown(planted, ANOTHER, -1)
    assert JsonLinesSpanExporter(planted).export(spans) is SpanExportResult.FAILURE
    assert "belongs to another user" in caplog.text and planted.read_bytes() == b""
    os.chown(tmp_path, ANOTHER, -1)  # whose folder it is may read it anyway
    assert JsonLinesSpanExporter(planted).export(spans) is SpanExportResult.SUCCESS
    os.chown(tmp_path, os.geteuid(), -1)


@pytest.mark.parametrize("bits", [0o777, 0o770, 0o1777])
def test_a_folder_that_others_can_write_is_said_once(
    bits: int, spans: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(bits)
    for name in ("a.jsonl", "a.jsonl", "b.jsonl"):
        assert JsonLinesSpanExporter(folder / name).export(spans) is SpanExportResult.SUCCESS
    assert caplog.messages == [
        f"others can write to the folder {folder}, and so can delete or forge traces in it"
    ]


def test_a_folder_of_our_own_is_not_shared(
    spans: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert JsonLinesSpanExporter(tmp_path / "new" / "folder").export(spans) is SpanExportResult.SUCCESS
    assert mode(tmp_path / "new" / "folder") == 0o700
    tmp_path.chmod(0o755)
    assert JsonLinesSpanExporter(tmp_path / "a.jsonl").export(spans) is SpanExportResult.SUCCESS
    assert caplog.messages == []


def test_a_file_that_somebody_made_beforehand_gets_nothing(tmp_path: Path) -> None:
    planted = tmp_path / f"a.html.{os.getpid()}.new"
    planted.write_bytes(b"")
    with planted.open("rb") as reader:  # theirs may stay open
        write_private(tmp_path / "a.html", b"secret")
        assert reader.read() == b""
    assert mode(tmp_path / "a.html") == 0o600


def test_an_interrupted_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.html"
    write_private(path, b"old")

    def interrupted(self: Path, target: Path) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_private(path, b"new")
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a.html": b"old"}
