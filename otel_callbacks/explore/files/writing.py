"""Traces written to disk as OTLP JSON Lines, by one process to one file, within bounds of size and age."""

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

from otel_callbacks.explore.files.reading import StrPath, read_jsonl

_logger = logging.getLogger(__name__)

LOCAL_FOLDER = Path(".otel_callbacks")
"""Where trace files go, and are looked for, when nothing else is said."""

_STAMP = r"-\d{8}T\d{6}\.\d{6}"  # what the name of a rotated file ends in, before its suffix


class JsonLinesSpanExporter(SpanExporter):
    """Appends each batch of spans to a file as one line, and never raises.

    `path` is a file, or a folder (existing, or without a suffix) that gets one `traces-<pid>.jsonl` per
    process. Files may hold prompts and answers, so only their owner may read them. The first failure to
    write, such as a full disk, is logged and ends writing: later batches are refused.

    A file is set aside, with the time in its name, before it outgrows `max_bytes` and when its first span is
    older than `max_age`. Of the files set aside the newest `keep` stay, for `max_age` after their last span;
    in a folder that age also ends files that other processes left behind.

    Raises:
        ValueError: `max_bytes` or `max_age` is not positive, or `keep` is negative.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        max_bytes: int = 64_000_000,
        max_age: timedelta = timedelta(days=30),
        keep: int = 5,
    ) -> None:
        if max_bytes <= 0:
            raise ValueError(f"max_bytes={max_bytes!r} leaves no room; use a number above 0")
        if max_age <= timedelta(0):
            raise ValueError(f"max_age={max_age!r} has passed already; use a time above 0")
        if keep < 0:
            raise ValueError(f"keep={keep!r} is no number of files; use 0 or more")
        self._path = Path(path)
        self._one_per_process = self._path.is_dir() or not (self._path.suffix or self._path.exists())
        self._max_bytes = max_bytes
        self._max_age = max_age.total_seconds()
        self._keep = keep
        self._begun: float | None = None  # when the file's first span started, in seconds since the epoch
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
            line = _line(spans)
            self._make_room(self.path, len(line))
            _append(self.path, line)
        except OSError as error:
            self._broken = True
            _logger.warning("cannot write traces to %s, and will not try again: %s", self.path, error)
            return SpanExportResult.FAILURE
        except Exception:  # a foreign span that cannot be encoded must not end the export of others
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

    def _make_room(self, path: Path, coming: int) -> None:
        """Set the file aside if it is too old, or too big for `coming` more bytes.

        Raises:
            OSError: The folder does not let it be renamed.
        """
        if self._begun is None:
            self._begun = _first_start(path)
            self._delete_old(path)
        size = path.stat().st_size if path.exists() else 0
        if size and (size + coming > self._max_bytes or time.time() - self._begun > self._max_age):
            stamp = datetime.now(UTC).strftime("-%Y%m%dT%H%M%S.%f")
            with suppress(FileNotFoundError):  # a process that shares the file was faster
                path.rename(path.with_name(path.stem + stamp + path.suffix))
            self._begun = time.time()
            self._delete_old(path)

    def _delete_old(self, path: Path) -> None:
        own = re.compile(re.escape(path.stem) + _STAMP + re.escape(path.suffix))
        anyone = re.compile(rf"traces-\d+({_STAMP})?\.jsonl") if self._one_per_process else own
        files = sorted(path.parent.iterdir()) if path.parent.exists() else []
        set_aside = [file for file in files if own.fullmatch(file.name)]
        for file in files:
            with suppress(OSError):  # another process was faster, or it is another user's
                is_old = anyone.fullmatch(file.name) and time.time() - file.stat().st_mtime > self._max_age
                if is_old or file in set_aside[: max(0, len(set_aside) - self._keep)]:
                    file.unlink()


def _line(spans: Sequence[ReadableSpan]) -> bytes:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    from otel_callbacks.explore.files.protobuf import to_document

    document = to_document(encode_spans(spans))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _first_start(path: Path) -> float:
    """When the first span in the file started, in seconds since the epoch; now, if there is none."""
    if not path.is_file():  # not there yet, or a device or pipe that would never end
        return time.time()
    try:
        return next(read_jsonl(path)).start_ns / 1e9
    except (StopIteration, ValueError):  # it is empty, or holds something else than traces
        return time.time()


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
