"""A damaged file never blinds a reader: what cannot be read is counted and said, the rest is shown."""

import gzip
import json
import logging
import math
import os
import subprocess
import sys
import textwrap
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fuzzed import DOCUMENTS, FUZZ, replaced
from hypothesis import given
from hypothesis import strategies as st
from otlp_servers import otlp_http
from source_files import PACKAGE

from otel_callbacks import semconv
from otel_callbacks.cli import main
from otel_callbacks.conformance import TraceFileError
from otel_callbacks.conformance import report as checked
from otel_callbacks.cost import report
from otel_callbacks.explore import Traces, page, read_jsonl, render_svg, render_text
from otel_callbacks.explore.files.reading import spans_of_line
from otel_callbacks.limits import TRACE_LINE_BYTES

START = 1_760_000_000_000_000_000


def attribute(key: str, value: Any) -> dict[str, Any]:
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    return {"key": key, "value": {kinds[type(value)]: value}}


def span(name: str = "good", number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": name,
        "startTimeUnixNano": str(START + number),
        "endTimeUnixNano": str(START + number + 10**6),
        "attributes": [
            attribute(semconv.OPERATION_NAME, "chat"),
            attribute(semconv.REQUEST_MODEL, "gpt-4o"),
            attribute(semconv.USAGE_INPUT_TOKENS, 10),
        ],
        **fields,
    }


def line(*spans: Any, **resource: Any) -> str:
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}) + "\n"


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"intValue": 1}
    for _ in range(depth):
        value = {"arrayValue": {"values": [value]}}
    return value


BAD_SPANS: dict[str, Any] = {
    "a count of 400 digits": span(attributes=[attribute(semconv.USAGE_INPUT_TOKENS, 10**400)]),
    "a count of 400 digits as text": span(attributes=[{"key": "n", "value": {"intValue": "9" * 400}}]),
    "a count of 5,000 digits": span(attributes=[{"key": "n", "value": {"intValue": "9" * 5_000}}]),
    "a count of 65 bits": span(attributes=[{"key": "n", "value": {"intValue": str(2**63)}}]),
    "an infinite count": span(attributes=[{"key": "n", "value": {"intValue": math.inf}}]),
    "a late start": span(startTimeUnixNano=str(2**63)),
    "a late end": span(endTimeUnixNano=2**64 - 1),
    "an early start": span(startTimeUnixNano=-1),
    "a start that is none": span(startTimeUnixNano="soon"),
    "an infinite start": span(startTimeUnixNano=math.inf),
    "an event out of time": span(events=[{"name": "a", "timeUnixNano": str(2**63)}]),
    "an event that is none": span(events=[7]),
    "a link without ids": span(links=[{}]),
    "a name that is a list": span(name=["a"]),
    "no id": {"name": "a"},
    "an id that is a number": span(traceId=7),
    "an unknown kind": span(kind=17),
    "an unknown status": span(status={"code": "STATUS_CODE_PURPLE"}),
    "a status that is a text": span(status="ok"),
    "a message that is a number": span(status={"code": 2, "message": 7}),
    "a text that is a number": span(attributes=[{"key": "a", "value": {"stringValue": 7}}]),
    "attributes in another form": span(attributes={"a": 1}),
    "a key that is a number": span(attributes=[{"key": 1, "value": {"intValue": 1}}]),
    "a value nested 100 deep": span(attributes=[{"key": "a", "value": nested(100)}]),
    "bytes that are none": span(attributes=[{"key": "a", "value": {"bytesValue": "a"}}]),
    "no object": 7,
    "nothing": None,
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.mark.parametrize("kind", BAD_SPANS)
def test_a_bad_span_is_counted_and_said_and_the_others_are_shown(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    path = tmp_path / "t.jsonl"
    path.write_text(
        line(span(number=1)) + line(span(number=2), BAD_SPANS[kind], span(number=3)) + line(span(number=4))
    )
    assert [each.span_id for each in read_jsonl(path)] == [f"{number:016x}" for number in (1, 2, 3, 4)]
    [message] = caplog.messages
    assert message.startswith(f"{path}: 1 span could not be read, the first in line 2: ")
    for _ in range(2):  # also from an index that was made before
        caplog.clear()
        traces = Traces.open(path)
        assert len(traces) == 4 and len(traces) == 4
        assert len(caplog.messages) == 1 and "1 span could not be read" in caplog.text
    for arguments in (
        ["view", path, "--last", 9],
        ["top", path],
        ["cost", path],
        ["cost", path, "--format", "json"],
    ):
        ran = run(*arguments)
        assert ran.exit_code == 0 and ran.exception is None, ran.output
    assert "40" in run("cost", path, "--by", "model").output  # the tokens of the four good ones


def test_a_span_of_a_resource_that_cannot_be_read_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.jsonl"
    bad = [{"key": "n", "value": {"intValue": str(2**63)}}]
    path.write_text(line(span(), span(), attributes=bad) + line(span(number=2)))
    assert len(list(read_jsonl(path))) == 1
    assert "2 spans could not be read, the first in line 1" in caplog.text


def test_what_comes_later_is_read_and_counted_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t.jsonl"
    long = line(span("x" * 70_000))
    traces = Traces.open(tmp_path)
    path.write_text(long)
    assert len(traces) == 1
    path.write_text(long + "no JSON\n" + line(span(number=2), span(startTimeUnixNano=2**63)))
    assert len(traces) == 2
    assert "1 line and 1 span could not be read, the first in line 2: not a line of OTLP JSON" in caplog.text


def test_a_replay_sends_the_good_spans_and_says_that_others_are_bad(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(
        "no JSON\n"
        + line(span(number=1), span(startTimeUnixNano="soon"), span(number=2))
        + line(span(number=3))
    )
    with otlp_http() as server:
        ran = run("replay", path, "--to", server.url)
        assert (ran.exit_code, len(server.spans())) == (1, 3)
    assert "3 spans sent" in ran.output and "1 line and 1 span could not be read" in caplog.text


def test_a_file_of_bad_lines_blinds_no_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.jsonl").write_text("once upon a time\n")
    (tmp_path / "b.jsonl.gz").write_bytes(b"no gzip")
    (tmp_path / "c.jsonl").write_text(line(span()))
    for _ in range(2):
        assert len(Traces.open(tmp_path)) == 1
    assert (
        "a.jsonl:1: not a line of OTLP JSON" in caplog.text
        and "b.jsonl.gz:1: not a compressed" in caplog.text
    )
    assert run("view", tmp_path).exit_code == 0


def test_what_is_no_file_blinds_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line(span()))
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "nowhere.jsonl").symlink_to(tmp_path / "gone")
    (tmp_path / "circle.jsonl").symlink_to(tmp_path / "circle.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")  # reading it would never end
    assert len(list(read_jsonl(tmp_path))) == 1 and len(Traces.open(tmp_path)) == 1
    assert checked([tmp_path]).spans_checked == 1
    assert run("forget", tmp_path, "--user", "u-7").exit_code == 0


def test_a_file_that_cannot_be_read_blinds_no_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.jsonl").write_text(line(span()))
    (tmp_path / "b.jsonl").symlink_to("/proc/self/mem")  # like the file of another user, but also for root
    assert len(list(read_jsonl(tmp_path))) == 1 and "Input/output error" in caplog.text
    caplog.clear()
    assert len(Traces.open(tmp_path)) == 1 and "Input/output error" in caplog.text
    with pytest.raises(OSError, match="Input/output error"):
        len(Traces.open(tmp_path / "b.jsonl"))


def test_sums_of_absurd_numbers_fail_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    amounts = [attribute(semconv.USAGE_COST_USD, 1e308), attribute(semconv.USAGE_INPUT_TOKENS, 2**62)]
    amounts += [attribute(semconv.OPERATION_NAME, "chat"), attribute(semconv.USAGE_OUTPUT_TOKENS, 10**15)]
    spans = [span(number=n, traceId="a" * 32, attributes=amounts) for n in range(1, 12)]
    times = [span(number=20, startTimeUnixNano="0"), span(number=21, endTimeUnixNano=str(2**63 - 1))]
    path.write_text(line(*spans) + line(*times))
    for arguments in (
        ["view", path, "--last", 9],
        ["top", path],
        ["top", path, "--by", "model"],
        ["cost", path],
    ):
        ran = run(*arguments)
        assert ran.exit_code == 0 and ran.exception is None, ran.output
    for trace in Traces.open(path):
        assert render_svg(trace) and page(trace)


@pytest.mark.parametrize("content", ["[" * 50_000, '{"a":' * 50_000, "[" * 900 + "]" * 900])
def test_messages_nested_too_deep_are_left_out(content: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    names = (semconv.INPUT_MESSAGES, semconv.RAG_DOCUMENTS, semconv.RETRIEVAL_DOCUMENTS, semconv.ROLLUP_TOOLS)
    texts = [attribute(name, content) for name in names]
    deep = json.dumps([{"role": "user", "parts": [{"type": "tool_call", "arguments": 0}]}]).replace(
        "0", content
    )
    texts += [attribute(semconv.OUTPUT_MESSAGES, deep), attribute(semconv.OPERATION_NAME, "chat")]
    path.write_text(line(span(attributes=texts)))
    [trace] = Traces.open(path)
    assert page(trace) and render_text(trace) and trace.documents() == []
    assert [each.rule for each in checked([path]).findings].count("genai_content_schema") >= 2


def test_a_trace_of_thousands_of_levels_is_checked_quickly(tmp_path: Path) -> None:
    """A model call in a model call … is counted twice; each names only the next, or there would be millions."""
    path = tmp_path / "t.jsonl"
    chain = [span(number=n, traceId="d" * 32, parentSpanId=f"{n - 1:016x}") for n in range(2, 2_000)]
    path.write_text(line(*chain))
    started = time.process_time()
    assert [each.rule for each in checked([path]).findings].count("usage_counted_twice") == 1_997
    assert time.process_time() - started < 5


def grown(folder: Path, script: str) -> int:
    """Runs a script in a process of its own, and returns by how many bytes its memory has grown."""
    code = f"""
    import resource
    from otel_callbacks.explore import read_jsonl, Traces
    from otel_callbacks.conformance import check_file, TraceFileError
    from otel_callbacks.explore.files.reading import text_size
    from otel_callbacks.explore.index.database import Index
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    {script}
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return int(ran.stdout.split()[-1]) * 1024


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small compressed file with one line of 300 MB, and good lines before and after it."""
    folder = tmp_path_factory.mktemp("bomb")
    with gzip.open(folder / "t.jsonl.gz", "wb", compresslevel=1) as file:
        file.write(line(span(number=1)).encode())
        file.write(b'{"resourceSpans": "')
        for _ in range(300):
            file.write(b" " * 1_000_000)
        file.write(b'"}\n')
        file.write(line(span(number=2)).encode())
    return folder


@pytest.mark.parametrize(
    "script",
    [
        "assert len(list(read_jsonl('t.jsonl.gz'))) == 2",
        "assert len(Traces.open('t.jsonl.gz')) == 2",
        "assert text_size(__import__('pathlib').Path('t.jsonl.gz')) > 300_000_000",
        "try: check_file('t.jsonl.gz'); raise SystemExit(1)\n    except TraceFileError as e: assert 'longer' in str(e)",
    ],
)
def test_a_long_line_takes_little_memory_and_is_said(bomb: Path, script: str) -> None:
    assert grown(bomb, script) < 120_000_000


def test_a_line_just_below_the_bound_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "t.jsonl"
    room = TRACE_LINE_BYTES - len(line(span("")))
    path.write_text(line(span("x" * room)) + line(span("x" * (room + 1), 2)) + line(span(number=3)))
    assert [len(each.name) for each in read_jsonl(path)] == [room, 4]
    assert f"line 2: longer than {TRACE_LINE_BYTES:,} bytes" in caplog.text


def test_members_beyond_the_bound_are_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_callbacks.explore.files.reading.COMPRESSED_TEXT_BYTES", 2_000)
    monkeypatch.setattr("otel_callbacks.conformance.otlp.COMPRESSED_TEXT_BYTES", 2_000)
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(gzip.compress(line(span()).encode()) * 100)
    assert 2 <= len(list(read_jsonl(path))) < 10
    assert "beyond 2,000 bytes of text" in caplog.text
    with pytest.raises(TraceFileError, match="more than 2,000 bytes"):
        checked([path])


def all_views(path: Path) -> None:
    """Reads a file in every way; only the errors that the commands show may be raised."""
    try:
        traces = Traces.open(path)
        for trace in traces:
            assert render_text(trace) and render_svg(trace) and page(trace) and repr(trace)
            trace.documents()
        assert (
            str(traces.cost(by=["tenant", "model", "day"]))
            and traces.cost().to_csv()
            and traces.cost().to_json()
        )
        traces.to_dicts()
        report(read_jsonl(path))
    except (ValueError, LookupError) as error:
        assert "OTLP" in str(error) or "compressed" in str(error), error
    with suppress(TraceFileError):
        checked([path])


@FUZZ
@given(st.lists(st.integers(0, 9), max_size=9), DOCUMENTS)
def test_any_value_in_any_place_of_a_line(tmp_path: Path, steps: list[int], value: Any) -> None:
    good = json.loads(
        line(span(events=[{"name": "a", "attributes": [attribute("b", 1)]}], links=[]), span(number=2))
    )
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(replaced(good, steps, value)) + "\n" + line(span(number=3)))
    assert f"{3:016x}" in [each.span_id for each in read_jsonl(path)]
    all_views(path)


@FUZZ
@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=5),
    st.booleans(),
    st.integers(0, 3_000),
)
def test_any_bytes_in_any_place_of_a_file(
    tmp_path: Path, changes: list[tuple[int, int]], compressed: bool, cut: int
) -> None:
    data = bytearray((line(span(), span(number=2)) + line(span(number=3))).encode())
    data = bytearray(gzip.compress(bytes(data))) if compressed else data
    for place, byte in changes:
        data[place % len(data)] = byte
    path = tmp_path / ("t.jsonl.gz" if compressed else "t.jsonl")
    path.write_bytes(bytes(data[: len(data) - cut % len(data)]))
    all_views(path)


@FUZZ
@given(DOCUMENTS)
def test_any_json_is_read_or_refused(document: Any) -> None:
    text = json.dumps(document).encode()
    with suppress(ValueError, KeyError, TypeError, AttributeError, OverflowError):
        spans_of_line(text)


def test_a_file_whose_first_line_is_cut_off_and_whose_next_is_none_says_what_it_should_be(
    tmp_path: Path,
) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"resourceSpans": [\n' + "once upon a time\n")
    with pytest.raises(ValueError, match=r"t\.jsonl:1: the line of OTLP JSON is cut off"):
        len(Traces.open(path))
    all_views(path)


def test_a_compressed_member_that_is_no_text_ends_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(gzip.compress(line(span()).encode()) + b"\x1f\x8b\x08\x00" + zlib.compress(b"x")[:5])
    assert len(list(read_jsonl(path))) == 1
    assert "cut off or damaged" in caplog.text
