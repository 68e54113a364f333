"""Spans in SQLite, so that one trace among many opens at once and questions can be asked in SQL."""

import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from otel_callbacks.explore.files.reading import fingerprint, parsed_lines, spans_of_line
from otel_callbacks.explore.index.schema import (
    INSERT_SPAN,
    INSERT_TRACE,
    SCHEMA,
    SELECT_SPANS,
    VERSION,
    span_record,
    span_row,
    trace_row,
)
from otel_callbacks.explore.spans.attributes import Attributes, attributes_to_json
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree, spans_by_trace

_BATCH = 10_000  # spans that are in memory at once while they are added
_PATIENCE = 60.0  # seconds to wait for another process that is building the same index


class Index:
    """A database of spans, in a file that only its owner may read, or in memory.

    Threads may share it. A span that is added twice is there once, as it was added last.

    Raises:
        OSError: The file cannot be made or written.
        sqlite3.Error: Also later: the file is no database, or the disk is full.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.RLock()
        if path is not None:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(
            path or ":memory:", timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
        weakref.finalize(self, self._connection.close)  # else Python warns of it when it is collected
        [version] = self._connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            self._connection.executescript(SCHEMA)

    def add(self, spans: Iterable[SpanRecord], file: int | None = None) -> None:
        """Add spans, to the traces that are there or as new ones."""
        with self._transaction():
            spans = iter(spans)
            while batch := list(islice(spans, _BATCH)):
                for own in spans_by_trace(batch).values():
                    self._add(SpanTree.of(own), file)

    def sync(self, files: Iterable[Path]) -> None:
        """Make the index hold what `files` hold: read what is new in them, forget what is no longer there.

        Raises:
            ValueError: One of them holds something else than traces.
        """
        with self._transaction():
            present = dict(_fingerprinted(files))
            known = {
                mark: (number, size, position)
                for number, mark, size, position in self._connection.execute("SELECT * FROM files")
            }
            for mark in known.keys() - present.keys():
                self._forget(known[mark][0])
            for mark, file in present.items():
                number, size, position = known.get(mark) or (self._number_of_file(mark), 0, 0)
                if file.stat().st_size != size:
                    self._read(file, number, position)

    def retain(self, trace_ids: Collection[str]) -> None:
        """Forget all other traces."""
        kept = json.dumps(list(trace_ids))
        with self._transaction():
            for table in ("spans", "traces"):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE trace_id NOT IN (SELECT value FROM json_each(?))", (kept,)
                )

    def spans(self, trace_id: str) -> list[SpanRecord]:
        """Returns the spans of the trace with that id.

        Raises:
            LookupError: The index does not hold the trace, or does not hold it any more.
        """
        spans = self._spans(trace_id)
        if not spans:
            raise LookupError(f"there is no trace {trace_id} here (any more)")
        return spans

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows a query gives, by column name; nothing can be changed by it.

        Raises:
            sqlite3.Error: The query is not valid, or would change something.
        """
        with self._lock:
            self._connection.execute("PRAGMA query_only = 1")
            try:
                cursor = self._connection.execute(sql, parameters)
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor]
            finally:
                self._connection.execute("PRAGMA query_only = 0")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:  # an interrupted notebook cell, too, must not leave half a file indexed
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _add(self, trace: SpanTree, file: int | None) -> None:
        """Add the spans of `trace`; if there are earlier ones, count anew what adds up to the totals."""
        earlier = self._spans(trace.trace_id)
        whole = SpanTree.of([*earlier, *trace.spans]) if earlier else trace
        counted = {span.span_id for span in whole.model_calls}
        resources = {id(span.resource): span.resource for span in trace.spans}  # many spans share one
        numbers = {key: self._number_of_resource(resource) for key, resource in resources.items()}
        self._connection.executemany(
            INSERT_SPAN,
            [
                span_row(span, span.span_id in counted, file, numbers[id(span.resource)])
                for span in trace.spans
            ],
        )
        if earlier:
            self._connection.executemany(
                "UPDATE spans SET counted = ? WHERE trace_id = ? AND span_id = ?",
                [(span.span_id in counted, span.trace_id, span.span_id) for span in earlier],
            )
        self._put_totals(whole)

    def _put_totals(self, trace: SpanTree) -> None:
        self._connection.execute(INSERT_TRACE, trace_row(trace))

    def _spans(self, trace_id: str) -> list[SpanRecord]:
        with self._lock:
            return list(map(span_record, self._connection.execute(SELECT_SPANS, (trace_id,))))

    def _number_of_resource(self, resource: Attributes) -> int:
        text = attributes_to_json(resource)
        self._connection.execute("INSERT OR IGNORE INTO resources (attributes) VALUES (?)", (text,))
        [number] = self._connection.execute(
            "SELECT id FROM resources WHERE attributes = ?", (text,)
        ).fetchone()
        return int(number)

    def _number_of_file(self, mark: str) -> int:
        cursor = self._connection.execute("INSERT INTO files VALUES (NULL, ?, 0, 0)", (mark,))
        return int(cursor.lastrowid or 0)

    def _read(self, path: Path, number: int, position: int) -> None:
        size = path.stat().st_size

        reached = position

        def spans() -> Iterator[SpanRecord]:
            nonlocal reached
            for end, found in parsed_lines(path, spans_of_line, position):
                yield from found
                reached = end

        self.add(spans(), number)
        self._connection.execute(
            "UPDATE files SET size = ?, position = ? WHERE id = ?", (size, reached, number)
        )

    def _forget(self, file: int) -> None:
        touched = self._connection.execute("SELECT DISTINCT trace_id FROM spans WHERE file = ?", (file,))
        trace_ids = [trace_id for (trace_id,) in touched]
        self._connection.execute("DELETE FROM spans WHERE file = ?", (file,))
        self._connection.execute("DELETE FROM files WHERE id = ?", (file,))
        for trace_id in trace_ids:
            self._connection.execute("DELETE FROM traces WHERE trace_id = ?", (trace_id,))
            if spans := self._spans(trace_id):
                self._put_totals(SpanTree.of(spans))


def _fingerprinted(files: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    for file in files:
        with suppress(FileNotFoundError):  # was set aside just now, and has another name at the next look
            yield fingerprint(file), file
