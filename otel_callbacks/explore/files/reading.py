"""Reads trace files, which are OTLP JSON Lines, the file format of the OpenTelemetry collector.

Each line is one `{"resourceSpans": [...]}`, written by our exporter, a collector or another program.
"""

import gzip
import hashlib
import itertools
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

from otel_callbacks.explore.spans.attributes import otlp_attributes
from otel_callbacks.explore.spans.records import SpanRecord

_logger = logging.getLogger(__name__)

StrPath: TypeAlias = str | os.PathLike[str]
_T = TypeVar("_T")

# What parsing raises for text that is not JSON, or not OTLP JSON.
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError)
_LONGEST_TOKEN = 6  # characters of the longest indivisible piece of JSON: `\uD83D`, `false`


def read_jsonl(paths: StrPath | Iterable[StrPath]) -> Iterator[SpanRecord]:
    """Yields the spans of OTLP JSON Lines files, reading line by line.

    A path is a `.jsonl` file, a `.jsonl.gz` file, or a folder of both. A line that is cut off, because its writer
    died or is still writing, is logged and skipped. Lines of metrics and logs hold no spans.

    Raises:
        FileNotFoundError: A path does not exist.
        ValueError: Any other line is damaged; the message names file and line.
    """
    for file in trace_files(paths):
        for _, spans in parsed_lines(file, spans_of_line):
            yield from spans


def trace_files(paths: StrPath | Iterable[StrPath]) -> list[Path]:
    """Returns the trace files of `paths`, which may be files or folders.

    Raises:
        FileNotFoundError: A path does not exist.
    """
    found: list[Path] = []
    for path in map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths):
        if not path.exists():
            raise FileNotFoundError(f"there is no trace file or folder {path}")
        found += sorted((*path.glob("*.jsonl"), *path.glob("*.jsonl.gz"))) if path.is_dir() else [path]
    return found


def parsed_lines(path: Path, parse: Callable[[bytes], _T], start: int = 0) -> Iterator[tuple[int, _T]]:
    """Parses each line from byte `start` on, and yields the position after the line and the result of `parse`.

    Positions count bytes of uncompressed text. A line that is cut off is logged and skipped; if it is the last line,
    its writer may still complete it.

    Raises:
        ValueError: Any other line is damaged; the message names file and line.
    """
    position = start
    with _open(path) as file:
        file.seek(start)
        for line in _lines(file, path):
            position += len(line)
            if line.isspace():
                continue
            try:
                parsed = parse(line)
            except _DAMAGE as error:
                number = _line_number(path, position - len(line))
                if line.endswith(b"\n") and not _is_cut_off(error):
                    raise ValueError(f"{path}:{number}: not a line of OTLP JSON: {error!r}") from error
                _logger.warning("%s:%d: the line is cut off and was skipped", path, number)
                continue
            yield position, parsed


def file_fingerprint(path: Path) -> str:
    """Returns a hash of the first 64 KiB, which stays the same if a trace file is renamed or grows beyond that."""
    with path.open("rb") as file:
        return hashlib.sha256(file.read(65_536)).hexdigest()


def text_size(path: Path) -> int:
    """Returns the size of the uncompressed text of a file in bytes."""
    if path.suffix != ".gz":
        return path.stat().st_size
    with _open(path) as file:
        return sum(map(len, _lines(file, path)))


def spans_of_line(line: bytes) -> list[SpanRecord]:
    """Returns the spans of a line, which is one OTLP JSON document.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: The line is not an OTLP JSON document.
    """
    spans: list[SpanRecord] = []
    for resource_spans in document_of_line(line).get("resourceSpans") or ():
        resource = otlp_attributes(resource_spans.get("resource") or {})
        for scope_spans in resource_spans.get("scopeSpans") or ():
            scope = scope_spans.get("scope") or {}
            spans += [SpanRecord.from_otlp(resource, scope, span) for span in scope_spans.get("spans") or ()]
    return spans


def document_of_line(line: bytes) -> dict[str, Any]:
    r"""Returns the JSON document of a line. Half a surrogate pair, as some writers cut it, becomes `?`.

    Raises:
        ValueError: The line is not JSON.
    """
    document: dict[str, Any] = json.loads(line)
    if rb"\ud" in line or rb"\uD" in line:
        whole = json.dumps(document, ensure_ascii=False).encode(errors="replace")
        document = json.loads(whole)
    return document


def _open(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _lines(file: Iterable[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from file
    except EOFError:  # a compressed file that was cut off
        _logger.warning("%s is cut off; it was read up to the cut", path)


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
    with _open(path) as file:
        return 1 + sum(1 for _ in itertools.takewhile(lambda _: file.tell() <= position, _lines(file, path)))
