"""Erases the traces of a person, or of any label, from trace files, and survives being interrupted.

First the ids of the traces and the files are noted in the folder, then each file is replaced by one without the traces,
then the index is deleted and the note with it. An interrupted erasure is completed by the next one in the folder,
whatever it erases: the note knows traces whose labelled spans are gone already, and files that may still have others. A
file is replaced at once, and what its writer appends meanwhile is kept.
"""

import gzip
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from otel_callbacks.explore.files.private import open_private, write_private
from otel_callbacks.explore.files.reading import DAMAGE, document_of_line, trace_files
from otel_callbacks.explore.files.writing import STAMP
from otel_callbacks.limits import TRACE_LINE_BYTES

Labels = Mapping[tuple[str, ...], str]
"""A value under the names of the attributes that may hold it. All of the labels must be on one span."""

_NOBODY: Labels = {(): ""}  # labels that no span has
_NOTE = ".forgetting.json"
_NEW = ".forgetting"
_INDEX_FILES = ("", "-journal", "-wal", "-shm")
_RECENT_SECONDS = 60.0  # a file written since then may have a writer
_GRACE_SECONDS = 0.05  # in which a writer that had opened the old file finishes its line


@dataclass(slots=True)
class Erased:
    """What was removed from a file: spans, events (log records), points of metrics; and its unreadable lines."""

    spans: int = 0
    events: int = 0
    points: int = 0
    unreadable: int = 0
    trace_ids: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.spans or self.events or self.points)


def erase(path: Path, labels: Labels) -> Iterator[tuple[Path, Erased]]:
    """Erases the traces of which a span has the labels, and yields each file with what was removed from it.

    `path` is a trace file, which includes those that it was rotated to, or a folder of trace files.

    Raises:
        FileNotFoundError: The path does not exist.
        OSError: A file cannot be read or replaced.
    """
    folder = path if path.is_dir() else path.parent
    found = trace_files(path)
    files = [each.resolve() for each in found]  # a link is not replaced, but the file behind it
    if not path.is_dir():
        files += [each for each in _rotated(path.resolve()) if each not in files]
    note = folder / _NOTE
    noted, noted_files = _noted(note)
    others = [each for each in noted_files if each not in files and each.is_file()]
    for parent in {folder, *(each.parent for each in (*files, *others))}:
        for left in parent.glob(f"*{_NEW}"):  # of an erasure that was killed
            left.unlink(missing_ok=True)
    trace_ids = noted.union(*(_found(file, labels) for file in files))
    document = {"trace_ids": sorted(trace_ids), "files": list(map(str, (*files, *others)))}
    write_private(note, json.dumps(document).encode())
    for file in files:
        yield file, _rewrite(file, _Eraser(labels, trace_ids))
    for file in others:
        yield file, _rewrite(file, _Eraser(_NOBODY, noted))
    _delete_indexes(folder, {*files, *others, *found})
    note.unlink()


def is_interrupted(path: Path) -> bool:
    """Tells whether an erasure in the folder was interrupted."""
    return ((path if path.is_dir() else path.parent) / _NOTE).exists()


def _rotated(file: Path) -> list[Path]:
    name = re.compile(rf"{re.escape(file.stem)}{STAMP}{re.escape(file.suffix)}(\.gz)?")
    return sorted(each for each in file.parent.iterdir() if name.fullmatch(each.name))


def _noted(note: Path) -> tuple[set[str], list[Path]]:
    """Returns the ids of the traces that an interrupted erasure was to erase, and from which files."""
    try:
        with os.fdopen(
            open_private(note, os.O_RDONLY), "rb"
        ) as file:  # not one that somebody else has put there
            document = json.load(file)
        return set(map(str, document["trace_ids"])), list(map(Path, document["files"]))
    except (OSError, ValueError, TypeError, KeyError):
        return set(), []


def _found(file: Path, labels: Labels) -> set[str]:
    """Returns the ids of the traces in a file of which a span or an event has the labels."""
    eraser = _Eraser(labels, set())
    with _open(file) as opened:
        for line in _lines(opened):
            eraser.line(line)
    return {each for each in eraser.erased.trace_ids if each}


def _rewrite(file: Path, eraser: "_Eraser") -> Erased:
    """Replaces a file by one without what the eraser removes; leaves it alone if that is nothing."""
    before, new = file.stat(), file.with_name(f"{file.name}{_NEW}")
    with _open(file) as old:
        try:
            with os.fdopen(open_private(new, os.O_WRONLY | os.O_TRUNC), "wb") as written:
                if file.suffix == ".gz":
                    with gzip.open(written, "wb") as packed:
                        _copy(old, packed.write, eraser)
                else:
                    _copy(old, written.write, eraser)
                written.flush()
                os.fsync(written.fileno())
            if not eraser.erased:
                return eraser.erased
            os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))  # old files are deleted by this time
            if hasattr(os, "chown") and (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
                os.chown(new, before.st_uid, before.st_gid)
            new.replace(file)
            _keep_what_was_appended(file, old, eraser, before.st_mtime)
        finally:
            new.unlink(missing_ok=True)
    file.with_name(f"{file.name}.replay").unlink(missing_ok=True)  # its position is that of the old file
    return eraser.erased


def _keep_what_was_appended(file: Path, old: IO[bytes], eraser: "_Eraser", written: float) -> None:
    """Appends to the new file what a writer has added to the old one since it was read."""
    if file.suffix == ".gz":
        return
    for wait in (0.0, _GRACE_SECONDS) if time.time() - written < _RECENT_SECONDS else (0.0,):
        time.sleep(wait)
        lines: list[bytes] = []
        _copy(old, lines.append, eraser)
        if lines:
            with os.fdopen(open_private(file, os.O_WRONLY | os.O_APPEND), "ab") as new:
                new.write(b"".join(lines))


def _copy(old: IO[bytes], write: Callable[[bytes], Any], eraser: "_Eraser") -> None:
    for line in _lines(old):
        if kept := eraser.line(line):
            write(kept)


def _open(file: Path) -> IO[bytes]:
    return gzip.open(file) if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Yields lines, and those beyond the bound in pieces, which no JSON parser accepts."""
    return iter(lambda: file.readline(TRACE_LINE_BYTES), b"")


def _delete_indexes(folder: Path, files: Iterable[Path]) -> None:
    """Deletes the indexes, which hold copies of the spans. They are built again when they are needed."""
    for index in (folder / "index.sqlite", *(each.with_name(f"{each.name}.sqlite") for each in files)):
        for suffix in _INDEX_FILES:
            index.with_name(index.name + suffix).unlink(missing_ok=True)


class _Eraser:
    """Removes from lines of OTLP JSON what has the labels or belongs to the traces."""

    def __init__(self, labels: Labels, trace_ids: set[str]) -> None:
        self._labels = labels
        self._trace_ids = trace_ids
        self.erased = Erased()

    def line(self, line: bytes) -> bytes:
        """Returns what is left of a line; a line that cannot be read is kept and counted."""
        if line.isspace():
            return line
        try:
            document = document_of_line(line)
            removed = [
                self._part(document, "resourceSpans", "scopeSpans", "spans", self._spans),
                self._part(document, "resourceLogs", "scopeLogs", "logRecords", self._events),
                self._part(document, "resourceMetrics", "scopeMetrics", "metrics", self._metrics),
            ]
        except DAMAGE:
            self.erased.unreadable += 1
            return line
        if not any(removed):
            return line
        if not any(document.values()):
            return b""
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    def _part(
        self,
        document: dict[str, Any],
        resources: str,
        scopes: str,
        items: str,
        keep: Callable[[Sequence[Any], bool], list[Any]],
    ) -> bool:
        """Removes items of one kind from a document, and what is empty then; tells whether any was removed."""
        before = self._count()
        for resource in document.get(resources) or ():
            of_resource = self._has_labels(resource.get("resource") or {})
            for scope in resource.get(scopes) or ():
                scope[items] = keep(scope.get(items) or (), of_resource)
            resource[scopes] = [scope for scope in resource.get(scopes) or () if scope[items]]
        if resources in document:
            document[resources] = [each for each in document[resources] or () if each[scopes]]
        return self._count() != before

    def _count(self) -> int:
        return self.erased.spans + self.erased.events + self.erased.points

    def _spans(self, spans: Sequence[Any], of_resource: bool) -> list[Any]:
        kept = [span for span in spans if not self._is_theirs(span, of_resource, "events", "links")]
        self.erased.spans += len(spans) - len(kept)
        return kept

    def _events(self, records: Sequence[Any], of_resource: bool) -> list[Any]:
        kept = [record for record in records if not self._is_theirs(record, of_resource)]
        self.erased.events += len(records) - len(kept)
        return kept

    def _metrics(self, metrics: Sequence[Any], of_resource: bool) -> list[Any]:
        for metric in metrics:
            for data in metric.values():
                if isinstance(data, dict) and "dataPoints" in data:
                    points = data["dataPoints"] or ()
                    kept = [point for point in points if not (of_resource or self._has_labels(point))]
                    self.erased.points += len(points) - len(kept)
                    for point in kept:
                        self._exemplars(point)
                    data["dataPoints"] = kept
        return [metric for metric in metrics if any(_has_points(data) for data in metric.values())]

    def _exemplars(self, point: dict[str, Any]) -> None:
        examples = point.get("exemplars") or ()
        kept = [
            each
            for each in examples
            if str(each.get("traceId", "")).lower() not in self._trace_ids
            and not self._has_labels({"attributes": each.get("filteredAttributes")})
        ]
        if len(kept) != len(examples):
            self.erased.points += len(examples) - len(kept)
            point["exemplars"] = kept

    def _is_theirs(self, item: Mapping[str, Any], of_resource: bool, *parts: str) -> bool:
        trace_id = str(item.get("traceId") or "").lower()
        inner = (part for name in parts for part in item.get(name) or ())
        found = of_resource or self._has_labels(item) or any(map(self._has_labels, inner))
        if found or trace_id in self._trace_ids:
            self.erased.trace_ids.add(trace_id)
            return True
        return False

    def _has_labels(self, holder: Mapping[str, Any]) -> bool:
        pairs = {pair["key"]: pair.get("value") or {} for pair in holder.get("attributes") or ()}
        return all(
            any(str(value) == wanted for name in names for value in pairs.get(name, {}).values())
            for names, wanted in self._labels.items()
        )


def _has_points(data: Any) -> bool:
    return isinstance(data, dict) and bool(data.get("dataPoints"))
