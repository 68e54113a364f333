import gzip
import json
import logging
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from otel_callbacks.explore import JsonLinesSpanExporter, SpanRecord, read_jsonl

COLLECTOR_LINE = json.dumps(
    {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "other"},
                        "spans": [
                            {
                                "traceId": "4BF92F3577B34DA6A3CE929D0E0E4736",
                                "spanId": "00F067AA0BA902B7",
                                "parentSpanId": "",
                                "name": "GET",
                                "kind": "SPAN_KIND_SERVER",
                                "startTimeUnixNano": "1700000000000000001",
                                "endTimeUnixNano": 1700000000000000002,
                                "attributes": [{"key": "n", "value": {"intValue": 7}}, {"key": "empty"}],
                                "status": {"code": "STATUS_CODE_ERROR", "message": "no"},
                            }
                        ],
                    }
                ],
            }
        ]
    }
)


@pytest.fixture
def finished():
    """Finished SDK spans: a root with one child that uses every kind of value."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop", "ports": [1, 2]}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("otel_callbacks", "1.0")
    with tracer.start_as_current_span("root") as root:
        link = Link(root.get_span_context(), {"why": "resume"})
        with tracer.start_as_current_span("chat 模型", kind=SpanKind.CLIENT, links=[link]) as child:
            child.set_attributes(
                {"text": "a\nb 🎈", "flag": False, "int": 2**62, "float": 0.1, "inf": -1e999}
            )
            child.set_attributes(
                {"texts": ["a", "b"], "none": [], "bytes": b"\x00\xff", "nested": {"a": [1]}}
            )
            child.add_event("chunk", {"index": 1}, timestamp=1_700_000_000_000_000_001)
            child.set_status(Status(StatusCode.ERROR, "ValueError: no"))
    return memory.get_finished_spans()


@pytest.fixture
def log(caplog):
    """Captures messages from WARNING up, whatever level other fixtures set."""
    caplog.set_level(logging.WARNING)
    return caplog


def test_spans_are_read_back_as_recorded(finished, tmp_path):
    exporter = JsonLinesSpanExporter(tmp_path / "t.jsonl")
    assert exporter.export(finished) is SpanExportResult.SUCCESS
    assert list(read_jsonl(exporter.path)) == [SpanRecord.from_readable(span) for span in finished]


def test_the_file_is_otlp_json_with_hex_ids_numeric_enums_and_times_as_text(finished, tmp_path):
    JsonLinesSpanExporter(tmp_path / "t.jsonl").export(finished[:1])
    document = json.loads((tmp_path / "t.jsonl").read_text())
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    ids = [span["traceId"], span["spanId"], span["parentSpanId"], span["links"][0]["traceId"]]
    assert [len(identifier) for identifier in ids] == [32, 16, 16, 32]
    assert all(re.fullmatch("[0-9a-f]+", identifier) for identifier in ids)
    assert (span["kind"], span["status"]["code"]) == (3, 2)
    assert isinstance(span["startTimeUnixNano"], str)


def test_each_batch_is_one_line(finished, tmp_path):
    exporter = JsonLinesSpanExporter(tmp_path / "t.jsonl")
    for _ in range(3):
        exporter.export(finished)
    assert len((tmp_path / "t.jsonl").read_text().splitlines()) == 3


def test_only_the_owner_may_read_folder_and_file(finished, tmp_path):
    exporter = JsonLinesSpanExporter(tmp_path / ".traces")
    exporter.export(finished)
    assert exporter.path == tmp_path / ".traces" / f"traces-{os.getpid()}.jsonl"
    assert stat.S_IMODE(exporter.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(exporter.path.parent.stat().st_mode) == 0o700


def test_no_file_is_created_before_the_first_span(tmp_path):
    JsonLinesSpanExporter(tmp_path / "traces").shutdown()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_read_with_its_compressed_files(finished, tmp_path):
    exporter = JsonLinesSpanExporter(tmp_path)
    exporter.export(finished)
    (tmp_path / "old.jsonl.gz").write_bytes(gzip.compress(exporter.path.read_bytes()))
    (tmp_path / "notes.txt").write_text("not a trace")
    assert [span.name for span in read_jsonl(tmp_path)] == ["chat 模型", "root"] * 2
    assert len(list(read_jsonl([exporter.path, tmp_path / "old.jsonl.gz"]))) == 4


def test_files_of_a_collector_open_the_same_way(tmp_path):
    (tmp_path / "c.jsonl").write_text(COLLECTOR_LINE + '\n\n{"resourceMetrics": []}\n')
    assert list(read_jsonl(str(tmp_path / "c.jsonl"))) == [
        SpanRecord(
            trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
            span_id="00f067aa0ba902b7",
            parent_id=None,
            name="GET",
            kind="SERVER",
            start_ns=1_700_000_000_000_000_001,
            end_ns=1_700_000_000_000_000_002,
            attributes={"n": 7, "empty": None},
            status="ERROR",
            status_message="no",
            scope="other",
            resource={"service.name": "shop"},
        )
    ]


@pytest.mark.parametrize("kept", [-2, -40, 3])
def test_a_torn_last_line_is_skipped_and_logged_once(tmp_path, log, kept):
    (tmp_path / "t.jsonl").write_text(COLLECTOR_LINE + "\n" + COLLECTOR_LINE[:kept])
    assert len(list(read_jsonl(tmp_path))) == 1
    [message] = log.messages
    assert message == f"{tmp_path / 't.jsonl'}:2: the line is cut off and was skipped"


def test_a_compressed_file_that_is_cut_off_is_read_to_the_cut(tmp_path, log):
    lines = "".join(COLLECTOR_LINE + "\n" for _ in range(2))
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(lines.encode())[:-9])
    assert len(list(read_jsonl(tmp_path))) in (1, 2)
    assert "cut off" in log.text


def test_a_last_line_without_a_line_end_counts(tmp_path):
    (tmp_path / "t.jsonl").write_text(COLLECTOR_LINE)
    assert len(list(read_jsonl(tmp_path))) == 1


@pytest.mark.parametrize(
    "damaged", ["no JSON", "42", "\udcff no text", "[" * 100_000, '{"resourceSpans": 7}']
)
def test_a_damaged_line_is_skipped_and_named(tmp_path, log, damaged):
    text = f"{COLLECTOR_LINE}\n\n{damaged}\n{COLLECTOR_LINE}\n{damaged}\n"
    (tmp_path / "t.jsonl").write_text(text, errors="surrogateescape")
    assert [span.name for span in read_jsonl(tmp_path)] == ["GET", "GET"]
    [message] = log.messages
    begin = (
        f"{tmp_path / 't.jsonl'}: 2 lines could not be read, the first in line 3: not a line of OTLP JSON: "
    )
    assert message.startswith(begin)


@pytest.mark.parametrize("damaged", ["no JSON", "{}\nno JSON", "[" * 100_000])
def test_a_file_of_which_nothing_can_be_read_is_an_error_unless_others_can(tmp_path, log, damaged):
    (tmp_path / "a.jsonl").write_text(damaged + "\n")
    message = re.escape(f"{tmp_path / 'a.jsonl'}:") + r"\d: not a line of OTLP JSON"
    with pytest.raises(ValueError, match=message):
        list(read_jsonl(tmp_path / "a.jsonl"))
    (tmp_path / "b.jsonl").write_text(COLLECTOR_LINE)
    assert [span.name for span in read_jsonl(tmp_path)] == ["GET"]
    assert re.match(message, log.messages[-1])


def test_a_line_cut_off_anywhere_does_not_hide_those_after_it(tmp_path, log):
    whole = (
        COLLECTOR_LINE.replace("GET", "文 \\ud83d").replace('"spanId"', '"flag": false, "spanId"').encode()
    )
    for kept in range(1, len(whole)):
        (tmp_path / "t.jsonl").write_bytes(whole[:kept] + b"\n" + whole + b"\n")
        assert len(list(read_jsonl(tmp_path))) == 1
    assert set(log.messages) == {f"{tmp_path / 't.jsonl'}:1: the line is cut off and was skipped"}


def test_half_a_surrogate_pair_in_bytes_becomes_question_marks(tmp_path):
    """Some writers encode it as if it were a character, which UTF-8 forbids."""
    line = COLLECTOR_LINE.replace("GET", "half \ud83d").encode("utf-8", "surrogatepass")
    (tmp_path / "t.jsonl").write_bytes(line)
    [span] = read_jsonl(tmp_path)
    assert span.name == "half ?"


def test_half_a_surrogate_pair_becomes_a_question_mark(tmp_path):
    (tmp_path / "t.jsonl").write_text(COLLECTOR_LINE.replace("GET", r"\ud83d \ud83d\ude80"))
    assert [span.name for span in read_jsonl(tmp_path)] == ["? 🚀"]


def test_lines_are_read_lazily(tmp_path):
    (tmp_path / "t.jsonl").write_text(COLLECTOR_LINE + "\ndamaged\n")
    assert next(read_jsonl(tmp_path)).name == "GET"


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        list(read_jsonl(tmp_path / "none.jsonl"))


def test_a_torn_line_does_not_spoil_the_next_batch(finished, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"resourceSp')
    JsonLinesSpanExporter(tmp_path / "t.jsonl").export(finished)
    torn, batch = (tmp_path / "t.jsonl").read_text().splitlines()
    assert torn == '{"resourceSp'
    assert "resourceSpans" in json.loads(batch)
    assert len(list(read_jsonl(tmp_path))) == 2


@pytest.mark.parametrize("path", ["/dev/full", "/proc/traces.jsonl", "/dev/null/folder/traces.jsonl"])
def test_a_failure_to_write_does_not_raise_and_is_logged_once(finished, log, path):
    exporter = JsonLinesSpanExporter(path)
    assert [exporter.export(finished) for _ in range(3)] == [SpanExportResult.FAILURE] * 3
    [message] = log.messages
    assert message.startswith(f"cannot write traces to {path} and will not try again: ")


def test_spans_that_cannot_be_encoded_fail_without_raising_and_later_ones_are_written(
    finished, tmp_path, log
):
    exporter = JsonLinesSpanExporter(tmp_path / "t.jsonl")
    assert [exporter.export([None]) for _ in range(2)] == [SpanExportResult.FAILURE] * 2
    assert len(log.messages) == 1
    assert exporter.export(finished) is SpanExportResult.SUCCESS


WRITER = """
import os, sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from otel_callbacks.explore import JsonLinesSpanExporter

path, count = sys.argv[1], int(sys.argv[2])
provider = TracerProvider()
exporter = JsonLinesSpanExporter(path)
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("test")


def write(name):
    for _ in range(count):
        tracer.start_span(name, attributes={"text": "x" * 5000}).end()


"""


def run(script: str, path: Path, count: int = 1) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER + script, str(path), str(count)], text=True)


def test_a_forked_process_writes_its_own_file(tmp_path):
    fork = "write('before')\nif os.fork():\n    write('parent'); os.wait()\nelse:\n    write('child')\n"
    assert run(fork, tmp_path).wait() == 0
    names = {tuple(span.name for span in read_jsonl(file)) for file in tmp_path.iterdir()}
    assert names == {("before", "parent"), ("child",)}


def test_two_processes_may_share_a_file(tmp_path):
    writers = [run(f"write('{name}')", tmp_path / "shared.jsonl", 50) for name in ("one", "two")]
    assert [writer.wait() for writer in writers] == [0, 0]
    names = [span.name for span in read_jsonl(tmp_path)]
    assert (names.count("one"), names.count("two")) == (50, 50)


def test_a_disk_that_fills_up_in_the_middle_of_a_line_leaves_whole_lines(tmp_path):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))\nwrite('span')\n"
    assert run(limit, tmp_path / "t.jsonl", 5).wait() == 0
    assert (tmp_path / "t.jsonl").read_bytes().endswith(b"\n")
    assert len(list(read_jsonl(tmp_path))) == 2
