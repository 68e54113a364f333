import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_callbacks.explore import JsonLinesSpanExporter, read_jsonl


def write(exporter, *names, start_ns=None):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for name in names:
        provider.get_tracer("test").start_span(name, start_time=start_ns).end()


def names(path):
    return [span.name for span in read_jsonl(path)]


def test_a_file_is_rotated_before_it_grows_beyond_its_limit(tmp_path):
    write(JsonLinesSpanExporter(tmp_path / "t.jsonl", max_bytes=3000), *"abcdef")
    old, live = sorted(tmp_path.iterdir())
    assert re.fullmatch(r"t-\d{8}T\d{6}\.\d{6}\.jsonl", old.name)
    assert max(old.stat().st_size, live.stat().st_size) <= 3000
    assert names(old) + names(live) == [*"abcdef"]


def test_a_line_beyond_the_limit_has_a_file_of_its_own(tmp_path):
    write(JsonLinesSpanExporter(tmp_path / "t.jsonl", max_bytes=10), "a", "b")
    assert [names(file) for file in sorted(tmp_path.iterdir())] == [["a"], ["b"]]


def test_the_newest_rotated_files_stay(tmp_path):
    (tmp_path / "t-mine.jsonl").touch()
    write(JsonLinesSpanExporter(tmp_path / "t.jsonl", max_bytes=10, keep=2), *"abcde")
    assert names(sorted(tmp_path.glob("t-2*"))) + names(tmp_path / "t.jsonl") == ["c", "d", "e"]
    assert (tmp_path / "t-mine.jsonl").exists()


def test_with_keep_0_there_is_one_file(tmp_path):
    write(JsonLinesSpanExporter(tmp_path / "t.jsonl", max_bytes=10, keep=0), "a", "b")
    assert names(tmp_path) == ["b"]


@pytest.mark.parametrize(("hours", "files"), [(1, 1), (25, 2)])
def test_a_later_process_rotates_a_file_whose_first_span_is_too_old(tmp_path, hours, files):
    write(JsonLinesSpanExporter(tmp_path / "t.jsonl"), "old", start_ns=time.time_ns() - hours * 3600 * 10**9)
    write(JsonLinesSpanExporter(tmp_path / "t.jsonl", max_age=timedelta(days=1)), "new", "newer")
    assert len(list(tmp_path.iterdir())) == files


def test_another_process_may_rotate_the_file_first(tmp_path, monkeypatch):
    def gone(path, target):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "rename", gone)
    write(JsonLinesSpanExporter(tmp_path / "t.jsonl", max_bytes=10), "a", "b")
    assert names(tmp_path) == ["a", "b"]


def test_old_files_of_other_processes_are_deleted(tmp_path):
    write(JsonLinesSpanExporter(tmp_path / "traces-1.jsonl"), "old")
    write(JsonLinesSpanExporter(tmp_path / "traces-2.jsonl"), "young")
    write(JsonLinesSpanExporter(tmp_path / "mine.jsonl"), "not ours to delete")
    for name in ("traces-1.jsonl", "mine.jsonl"):
        os.utime(tmp_path / name, (0, time.time() - 2 * 86_400))
    write(JsonLinesSpanExporter(tmp_path, max_age=timedelta(days=1)), "new")
    assert sorted(names(tmp_path)) == ["new", "not ours to delete", "young"]


@pytest.mark.parametrize("wrong", [{"max_bytes": 0}, {"max_age": timedelta(0)}, {"keep": -1}])
def test_an_invalid_limit_is_an_error(tmp_path, wrong):
    [name] = wrong
    with pytest.raises(ValueError, match=f"{name} must be "):
        JsonLinesSpanExporter(tmp_path, **wrong)


FOREVER = """
import sys
from itertools import count
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from otel_callbacks.explore import JsonLinesSpanExporter

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(JsonLinesSpanExporter(sys.argv[1], max_bytes=200_000, keep=99)))
for index in count(1):
    provider.get_tracer("test").start_span(f"{sys.argv[2]} {index}", attributes={"text": "x" * 3000}).end()
    if index % 20 == 0:
        provider.force_flush()
        print(index, flush=True)
"""


def test_a_killed_process_loses_only_unflushed_spans(tmp_path):
    for life in range(5):  # all lives write to one file, so that a torn end is in the middle later
        writer = subprocess.Popen(
            [sys.executable, "-c", FOREVER, tmp_path / "t.jsonl", str(life)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3 + life):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        *_, flushed = [int(line) for line in writer.communicate()[0].splitlines()] or [20 * (3 + life)]
        found = set(names(tmp_path))
        assert {f"{life} {index}" for index in range(1, flushed + 1)} <= found
        assert {f"0 {index}" for index in range(1, 61)} <= found
