"""Writes traces to disk as OTLP JSON Lines, one file per process, with limits on size and age."""

import errno
import json
import logging
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_callbacks import limits
from otel_callbacks.explore.files.private import open_private, warn_of_shared_folder
from otel_callbacks.explore.files.reading import StrPath, read_jsonl
from otel_callbacks.runtime.background import import_beside

_logger = logging.getLogger(__name__)

LOCAL_FOLDER = Path(".otel_callbacks")
"""The default folder of trace files, for writing and reading."""

_ENCODER = (
    "opentelemetry.exporter.otlp.proto.common.trace_encoder",
    "otel_callbacks.explore.files.protobuf",
)
"""What `export` needs beyond the imports of this file."""

STAMP = r"-\d{8}T\d{6}\.\d{6}"
"""The time in the name of a rotated file, before its suffix."""


class JsonLinesSpanExporter(SpanExporter):
    """Appends each batch of spans to a file as one line. `export` never raises.

    `path` is a file, or a folder (existing, or without a suffix) that gets one `traces-<pid>.jsonl` per process.
    Files may hold prompts and answers, so only their owner may read them, a symbolic link to a file is not followed,
    and a file of another user is not used. If writing fails, for example because of this or because the disk is full,
    the exporter logs the failure and rejects all later batches.

    A file is rotated, which puts the time into its name, before it grows beyond `max_bytes` and when its first span
    is older than `max_age`. The newest `keep` rotated files are kept, until `max_age` after their last span. In a
    folder, files of other processes are also deleted at that age.

    Raises:
        ValueError: `max_bytes` or `max_age` is not positive, or `keep` is negative.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        max_bytes: int = limits.TRACE_FILE_BYTES,
        max_age: timedelta = timedelta(days=limits.TRACE_FILE_DAYS),
        keep: int = limits.TRACE_FILES,
    ) -> None:
        if max_bytes <= 0:
            raise ValueError(f"max_bytes must be above 0, not {max_bytes!r}")
        if max_age <= timedelta(0):
            raise ValueError(f"max_age must be above 0, not {max_age!r}")
        if keep < 0:
            raise ValueError(f"keep must be at least 0, not {keep!r}")
        self._path = Path(path)
        self._one_per_process = self._path.is_dir() or not (self._path.suffix or self._path.exists())
        self._max_bytes = max_bytes
        self._max_age = max_age.total_seconds()
        self._keep = keep
        self._first_span_time: float | None = None  # of the current file, in seconds since the epoch
        self._broken = False
        self._warned = False
        import_beside(*_ENCODER)  # takes up to seconds, and a short job has as long for its whole exit

    @property
    def path(self) -> Path:
        """The file this process writes to."""
        return self._path / f"traces-{os.getpid()}.jsonl" if self._one_per_process else self._path

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Writes one batch of spans as one line."""
        if self._broken:
            return SpanExportResult.FAILURE
        try:
            line = _line(spans)
            self._rotate_if_full_or_old(self.path, len(line))
            _append(self.path, line)
        except OSError as error:
            self._broken = True
            _logger.warning("cannot write traces to %s and will not try again: %s", self.path, error)
            return SpanExportResult.FAILURE
        except Exception:  # a span that cannot be encoded must not stop the export of other batches
            if not self._warned:
                self._warned = True
                _logger.exception("cannot encode %d spans for %s", len(spans), self.path)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Does nothing, because no file is held open."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Does nothing, because every batch is in the file when `export` returns."""
        return True

    def _rotate_if_full_or_old(self, path: Path, coming: int) -> None:
        """Rotates the file if it is too old, or too big for `coming` more bytes.

        Raises:
            OSError: The file cannot be renamed.
        """
        if self._first_span_time is None:
            self._first_span_time = _time_of_first_span(path)
            self._delete_old(path)
        size = path.stat().st_size if path.exists() else 0
        if size and (size + coming > self._max_bytes or time.time() - self._first_span_time > self._max_age):
            stamp = datetime.now(UTC).strftime("-%Y%m%dT%H%M%S.%f")
            with suppress(FileNotFoundError):  # another process that shares the file has renamed it
                path.rename(path.with_name(path.stem + stamp + path.suffix))
            self._first_span_time = time.time()
            self._delete_old(path)

    def _delete_old(self, path: Path) -> None:
        own = re.compile(re.escape(path.stem) + STAMP + re.escape(path.suffix))
        anyone = re.compile(rf"traces-\d+({STAMP})?\.jsonl") if self._one_per_process else own
        files = sorted(path.parent.iterdir()) if path.parent.exists() else []
        rotated = [file for file in files if own.fullmatch(file.name)]
        for file in files:
            with suppress(OSError):  # another process has deleted it, or another user owns it
                is_old = anyone.fullmatch(file.name) and time.time() - file.stat().st_mtime > self._max_age
                if is_old or file in rotated[: max(0, len(rotated) - self._keep)]:
                    file.unlink()


def _line(spans: Sequence[ReadableSpan]) -> bytes:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    from otel_callbacks.explore.files.protobuf import to_document

    document = to_document(encode_spans(spans))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _time_of_first_span(path: Path) -> float:
    """Returns when the first span in the file started, in seconds since the epoch; now, if the file has no span."""
    if not path.is_file():  # it does not exist yet, or is a device or pipe that never ends
        return time.time()
    try:
        return next(read_jsonl(path)).start_ns / 1e9
    except (StopIteration, ValueError):  # the file is empty or not a trace file
        return time.time()


def _append(path: Path, line: bytes) -> None:
    """Appends `line` whole or not at all.

    The file is opened for each batch, which takes about 20 µs. So there is nothing to lock, to close, or to share
    with a forked process.

    Raises:
        OSError: The line cannot be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    warn_of_shared_folder(path.parent)
    fd = open_private(path, os.O_RDWR | os.O_APPEND)
    try:
        if _is_torn(fd):
            line = b"\n" + line  # so that the torn line of a killed writer does not spoil this batch
        written = os.write(fd, line)
        if written < len(line):
            os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR) - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(fd)


def _is_torn(fd: int) -> bool:
    """Tells whether the file ends in the middle of a line."""
    if os.fstat(fd).st_size == 0:
        return False
    os.lseek(fd, -1, os.SEEK_END)
    return os.read(fd, 1) != b"\n"
