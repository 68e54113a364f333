"""Traces on disk as OTLP JSON Lines, the file format of the OpenTelemetry collector.

One `{"resourceSpans": [...]}` per line, written by our exporter or by a collector, read back as span records.
"""

import base64
import errno
import gzip
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_callbacks.explore.model import SpanRecord

_logger = logging.getLogger(__name__)

StrPath: TypeAlias = str | os.PathLike[str]


class JsonLinesSpanExporter(SpanExporter):
    """Appends each batch of spans to a file as one line, and never raises.

    `path` is a file, or a folder (existing, or without a suffix) that gets one `traces-<pid>.jsonl` per
    process. Files may hold prompts and answers, so only their owner may read them. The first failure to
    write, such as a full disk, is logged and ends writing: later batches are refused.
    """

    def __init__(self, path: StrPath) -> None:
        self._path = Path(path)
        self._one_per_process = self._path.is_dir() or not (self._path.suffix or self._path.exists())
        self._broken = False
        self._complained = False

    @property
    def path(self) -> Path:
        """The file this process writes to."""
        return self._path / f"traces-{os.getpid()}.jsonl" if self._one_per_process else self._path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write one batch."""
        if self._broken:
            return SpanExportResult.FAILURE
        try:
            line = json.dumps(_otlp(spans), ensure_ascii=False, separators=(",", ":")) + "\n"
            _append(self.path, line.encode())
        except OSError as error:
            self._broken = True
            _logger.warning("cannot write traces to %s, and will not try again: %s", self.path, error)
            return SpanExportResult.FAILURE
        except Exception:
            if not self._complained:
                self._complained = True
                _logger.exception("cannot encode %d spans for %s", len(spans), self.path)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is held open."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Every batch is in the file when `export` returns."""
        return True


def read_jsonl(paths: StrPath | Iterable[StrPath]) -> Iterator[SpanRecord]:
    """The spans of OTLP JSON Lines files, read line by line as they are asked for.

    A path is a `.jsonl` file, a `.jsonl.gz` file, or a folder of both. A last line that was cut off, because
    its writer died or is still writing, is logged and skipped. Lines of other signals hold no spans.

    Raises:
        FileNotFoundError: A path does not exist.
        ValueError: Any other line is damaged; the message names file and line.
    """
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        for file in _files(Path(path)):
            yield from _read(file)


def _otlp(spans: Sequence[ReadableSpan]) -> dict[str, Any]:
    """The OTLP JSON document of `spans`, which is protobuf's JSON with ids in hex and enums as numbers."""
    from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    document: dict[str, Any] = MessageToDict(encode_spans(spans), use_integers_for_enums=True)
    for resource in document.get("resourceSpans") or ():
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                _ids_to_hex(span)
                for link in span.get("links") or ():
                    _ids_to_hex(link)
    return document


def _ids_to_hex(holder: dict[str, Any]) -> None:
    for key in ("traceId", "spanId", "parentSpanId"):
        if key in holder:
            holder[key] = base64.b64decode(holder[key]).hex()


def _append(path: Path, line: bytes) -> None:
    """Append `line` in one piece.

    Opening the file for each batch costs some 20 µs and leaves nothing to lock, close or carry over a fork.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if _is_torn(fd):
            line = b"\n" + line  # so that what a killed writer left behind does not swallow this batch
        written = os.write(fd, line)
        if written < len(line):
            os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR) - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(fd)


def _is_torn(fd: int) -> bool:
    """Whether the file ends in the middle of a line."""
    if os.fstat(fd).st_size == 0:
        return False
    os.lseek(fd, -1, os.SEEK_END)
    return os.read(fd, 1) != b"\n"


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted((*path.glob("*.jsonl"), *path.glob("*.jsonl.gz")))
    return [path]


def _read(path: Path) -> Iterator[SpanRecord]:
    with _open(path) as file:
        for number, line in enumerate(_lines(file, path), start=1):
            if line.isspace():
                continue
            try:
                spans = _spans(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if line.endswith(b"\n"):
                    raise ValueError(f"{path}:{number}: not a line of OTLP JSON: {error!r}") from error
                _log_torn(path)  # only a last line can lack its end
                return
            yield from spans


def _open(path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _lines(file: Iterable[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from file
    except EOFError:  # a compressed file that was cut off
        _log_torn(path)


def _log_torn(path: Path) -> None:
    _logger.warning("%s: the last line is cut off and was skipped", path)


def _spans(document: dict[str, Any]) -> list[SpanRecord]:
    return [
        SpanRecord.from_otlp(resource_spans.get("resource") or {}, scope_spans.get("scope") or {}, span)
        for resource_spans in document.get("resourceSpans") or ()
        for scope_spans in resource_spans.get("scopeSpans") or ()
        for span in scope_spans.get("spans") or ()
    ]
