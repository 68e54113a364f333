"""Reads trace files, which are OTLP JSON Lines, the file format of the OpenTelemetry collector.

Each line is one `{"resourceSpans": [...]}`, written by our exporter, a collector or another program.
"""

import gzip
import hashlib
import json
import logging
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

from otel_callbacks.explore.spans.attributes import otlp_attributes
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.limits import COMPRESSED_TEXT_BYTES, TRACE_LINE_BYTES

_logger = logging.getLogger(__name__)

StrPath: TypeAlias = str | os.PathLike[str]
_T = TypeVar("_T")

DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""What parsing raises for text that is not JSON, or not OTLP JSON."""

_SURROGATE_BYTES = re.compile(rb"\xed[\xa0-\xbf]")  # `json` reads them, though UTF-8 has none
_LONGEST_TOKEN = 6  # characters of the longest indivisible piece of JSON: `\uD83D`, `false`
_PIECE = 1 << 20  # bytes that are read at once of what is not kept


_told: ContextVar[Callable[[Path, int], object] | None] = ContextVar("told", default=None)


@contextmanager
def tell_progress(tell: Callable[[Path, int], object]) -> Iterator[None]:
    """Calls `tell` with the file and the position in its bytes after each line that is read in this scope."""
    token = _told.set(tell)
    try:
        yield
    finally:
        _told.reset(token)


@dataclass(slots=True)
class Skipped:
    """What of a trace file could not be read: how many lines and spans, and where and why the first.

    A line that is cut off may still be completed by its writer. `reading` logs the rest.
    """

    lines: int = 0
    spans: int = 0
    cut_off: int = 0
    first: str = ""

    def __bool__(self) -> bool:
        return bool(self.lines or self.spans or self.cut_off)

    def count_spans(self, count: int, error: Exception) -> None:
        """Counts spans of a line that can be read otherwise."""
        if not self:
            self.first = f"{error!r:.200}"
        self.spans += count

    def __str__(self) -> str:
        """Says what was skipped, such as `2 lines and 1 span could not be read, the first in line 7: …`."""
        lines = self.lines + self.cut_off
        counts = (
            f"{count:,} {noun}{'s' * (count != 1)}"
            for count, noun in ((lines, "line"), (self.spans, "span"))
            if count
        )
        return f"{' and '.join(counts)} could not be read, the first in {self.first}"


def read_jsonl(paths: StrPath | Iterable[StrPath]) -> Iterator[SpanRecord]:
    """Yields the spans of OTLP JSON Lines files, reading line by line.

    A path is a `.jsonl` file, a `.jsonl.gz` file, or a folder of both. Spans and lines that cannot be read are skipped,
    and the log says how many and why. Lines of metrics and logs hold no spans.

    Raises:
        FileNotFoundError: A path does not exist.
        ValueError, OSError: Nothing of the files can be read; the message names the file, and the line if any.
    """
    files, unreadable = trace_files(paths), 0
    for file in files:
        try:
            for _, spans in span_lines(file):
                yield from spans
        except (ValueError, OSError) as error:
            unreadable += 1
            if unreadable == len(files):
                raise
            _logger.warning("%s", error)


def trace_files(paths: StrPath | Iterable[StrPath]) -> list[Path]:
    """Returns the trace files of `paths`, which may be files or folders.

    In a folder, a pipe or a link that leads nowhere is no trace file, whatever its name.

    Raises:
        FileNotFoundError: A path does not exist.
    """
    found: list[Path] = []
    for path in map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths):
        if not path.exists():
            raise FileNotFoundError(f"there is no trace file or folder {path}")
        inside = (*path.glob("*.jsonl"), *path.glob("*.jsonl.gz")) if path.is_dir() else ()
        found += sorted(each for each in inside if each.is_file()) if path.is_dir() else [path]
    return found


def span_lines(
    path: Path, start: int = 0, skipped: Skipped | None = None
) -> Iterator[tuple[int, list[SpanRecord]]]:
    """Yields the spans of each line from byte `start` on, and the position after the line, as `parsed_lines` does."""
    skipped = Skipped() if skipped is None else skipped
    return parsed_lines(path, partial(spans_of_line, skipped=skipped), start, skipped)


def parsed_lines(
    path: Path, parse: Callable[[bytes], _T], start: int = 0, skipped: Skipped | None = None
) -> Iterator[tuple[int, _T]]:
    """Parses each line from byte `start` on, and yields the position after the line and the result of `parse`.

    Positions count bytes of uncompressed text. What cannot be read is skipped, counted in `skipped`, and logged in the
    end. If the last line is cut off, its writer may still complete it.

    Raises:
        ValueError: Lines are damaged and the others hold nothing; the message names file and line.
    """
    skipped = Skipped() if skipped is None else skipped
    before, position, has_parsed = (skipped.lines, skipped.spans, skipped.cut_off), start, False
    try:
        for line, size in _lines(path, start, skipped):
            begin, position = position, position + size
            if line.isspace():
                continue
            was = skipped.spans
            try:
                parsed = parse(line)
            except DAMAGE as error:
                _skip_line(skipped, path, begin, line, error)
                continue
            if skipped.spans > was and not skipped.first.startswith("line "):
                skipped.first = f"line {_line_number(path, begin)}: {skipped.first}"
            has_parsed = has_parsed or bool(parsed)
            yield position, parsed
        if not has_parsed and not start and skipped.lines:
            raise ValueError(f"{path}:{skipped.first.removeprefix('line ')}")
    finally:
        if (skipped.lines, skipped.spans, skipped.cut_off) != before and (has_parsed or not skipped.lines):
            _log_skipped(path, skipped)


def _skip_line(skipped: Skipped, path: Path, begin: int, line: bytes, error: Exception) -> None:
    """Counts a line that cannot be read."""
    is_cut_off = not line.endswith(b"\n") or _is_cut_off(error)
    if not skipped:
        reason = (
            "the line of OTLP JSON is cut off" if is_cut_off else f"not a line of OTLP JSON: {error!r:.200}"
        )
        skipped.first = f"line {_line_number(path, begin)}: {reason}"
    skipped.cut_off += is_cut_off
    skipped.lines += not is_cut_off


def _log_skipped(path: Path, skipped: Skipped) -> None:
    if (skipped.lines, skipped.spans, skipped.cut_off) == (0, 0, 1):
        number = skipped.first.removeprefix("line ").partition(":")[0]
        _logger.warning("%s:%s: the line is cut off and was skipped", path, number)
    else:
        _logger.warning("%s: %s", path, skipped)


def file_fingerprint(path: Path) -> str:
    """Returns a hash of the first 64 KiB, which stays the same if a trace file is renamed or grows beyond that."""
    with path.open("rb") as file:
        return hashlib.sha256(file.read(65_536)).hexdigest()


def text_size(path: Path) -> int:
    """Returns the size of the uncompressed text of a file in bytes."""
    if path.suffix != ".gz":
        return path.stat().st_size
    with _open(path) as file:
        return sum(map(len, _pieces(file)))


def spans_of_line(line: bytes, skipped: Skipped | None = None) -> list[SpanRecord]:
    """Returns the spans of a line, which is one OTLP JSON document; those that cannot be read count in `skipped`.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: The line is not an OTLP JSON document, or, without `skipped`,
            a span cannot be read.
    """
    spans: list[SpanRecord] = []
    for resource_spans in document_of_line(line).get("resourceSpans") or ():
        scopes = [
            (each.get("scope") or {}, each.get("spans") or ())
            for each in resource_spans.get("scopeSpans") or ()
        ]
        try:
            resource = otlp_attributes(resource_spans.get("resource") or {})
        except DAMAGE as error:
            if skipped is None:
                raise
            skipped.count_spans(sum(len(found) for _, found in scopes), error)
            continue
        for scope, found in scopes:
            for span in found:
                try:
                    spans.append(SpanRecord.from_otlp(resource, scope, span))
                except DAMAGE as error:
                    if skipped is None:
                        raise
                    skipped.count_spans(1, error)
    return spans


def document_of_line(line: bytes) -> dict[str, Any]:
    r"""Returns the JSON document of a line. Half a surrogate pair, as some writers cut it, becomes `?`.

    Raises:
        ValueError: The line is not JSON.
    """
    document: dict[str, Any] = json.loads(line)
    if rb"\ud" in line or rb"\uD" in line or _SURROGATE_BYTES.search(line):
        whole = json.dumps(document, ensure_ascii=False).encode(errors="replace")
        document = json.loads(whole)
    return document


def _open(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _text_of(path: Path, raw: BinaryIO) -> BinaryIO | gzip.GzipFile:
    return gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw


def _lines(path: Path, start: int, skipped: Skipped) -> Iterator[tuple[bytes, int]]:
    """Yields each line from byte `start` on with its size; of a line beyond the bound the size alone."""
    position = start
    with path.open("rb") as raw, _text_of(path, raw) as file:
        try:
            file.seek(start)
            while line := file.readline(TRACE_LINE_BYTES + 1):
                size = len(line)
                if size > TRACE_LINE_BYTES:
                    while line and not line.endswith(b"\n"):
                        line = file.readline(_PIECE)
                        size += len(line)
                    _skip_rest(skipped, path, position, f"longer than {TRACE_LINE_BYTES:,} bytes")
                    line = b" "
                position += size
                yield line, size
                if tell := _told.get():
                    tell(path, raw.tell())
                if path.suffix == ".gz" and position > COMPRESSED_TEXT_BYTES:
                    _skip_rest(skipped, path, position, f"beyond {COMPRESSED_TEXT_BYTES:,} bytes of text")
                    return
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            _logger.warning("%s is cut off or damaged; it was read up to there: %s", path, error)
            if not position:
                raise ValueError(f"{path}:1: not a compressed trace file: {error}") from error


def _skip_rest(skipped: Skipped, path: Path, begin: int, reason: str) -> None:
    if not skipped:
        skipped.first = f"line {_line_number(path, begin)}: {reason}"
    skipped.lines += 1


def _pieces(file: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    """Yields the content of a file up to where it is damaged."""
    with suppress(EOFError, zlib.error, gzip.BadGzipFile):
        yield from iter(partial(file.read, _PIECE), b"")


def _is_cut_off(error: Exception) -> bool:
    """Tells whether `error` means that the line ends before its JSON does."""
    match error:
        case json.JSONDecodeError():
            rest = len(error.doc.rstrip()) - error.pos
        case UnicodeDecodeError():
            rest = len(error.object.rstrip()) - error.start
        case _:
            return False
    return rest <= _LONGEST_TOKEN


def _line_number(path: Path, position: int) -> int:
    """Returns the number of the line that begins at `position`."""
    number, passed = 1, 0
    with _open(path) as file:
        for piece in _pieces(file):
            number += piece[: position - passed].count(b"\n")
            passed += len(piece)
            if passed >= position:
                break
    return number
