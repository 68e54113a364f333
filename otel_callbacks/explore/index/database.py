"""An SQLite index of spans, which finds one trace among many at once and answers SQL queries."""

import json
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from otel_callbacks.explore.files.private import open_private
from otel_callbacks.explore.files.reading import Skipped, file_fingerprint, span_lines
from otel_callbacks.explore.index.schema import (
    INSERT_SPAN,
    INSERT_TRACE,
    SCHEMA,
    SELECT_COUNTED,
    SELECT_SPANS,
    VERSION,
    span_record,
    span_row,
    trace_row,
    views,
)
from otel_callbacks.explore.spans.attributes import Attributes, attributes_to_json
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree, spans_by_trace
from otel_callbacks.limits import COUNTED_BATCH_TRACES, INDEX_BATCH_SPANS

_logger = logging.getLogger(__name__)

_LOCK_SECONDS = 60.0  # to wait for another process that builds the same index

_READING = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
_FORBIDDEN_FUNCTIONS = ("load_extension", "fts3_tokenizer")
_PRAGMAS = ("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo")


def _allow_reading(action: int, first: str | None, second: str | None, _: str | None, __: str | None) -> int:
    """Tells SQLite whether a query may do something: only read the tables of the index.

    `PRAGMA query_only` alone would let a query attach and create databases, and begin a transaction that stays open.
    """
    allowed = action in _READING
    if action == sqlite3.SQLITE_FUNCTION:
        allowed = second not in _FORBIDDEN_FUNCTIONS
    elif action == sqlite3.SQLITE_PRAGMA:
        allowed = first in _PRAGMAS
    elif (
        action == sqlite3.SQLITE_UPDATE
    ):  # what `json_each` asks for; SQLite itself forbids changes of this table
        allowed = first == "sqlite_master"
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


class Index:
    """A database of spans, in memory or in a file that only its owner may read.

    Threads may share it. If a span is added twice, the later one replaces the earlier.

    Raises:
        OSError: The file cannot be created or written.
        sqlite3.Error: The file is not a database, or the disk is full. Every method may raise this.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.RLock()
        self.path = path
        self._attached: Sequence[Path] = ()
        self._said: set[str] = set()  # files whose unreadable parts this index has already logged
        if path is not None:
            os.close(open_private(path, os.O_RDWR))
        self._connection = sqlite3.connect(
            path or ":memory:", timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        # Python warns about connections that are collected unclosed.
        weakref.finalize(self, self._connection.close)
        self._connection.execute("PRAGMA trusted_schema = 0")  # a file that somebody else made runs nothing
        [version] = self._connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            self._connection.executescript(SCHEMA)

    def add(self, spans: Iterable[SpanRecord], file: int | None = None) -> None:
        """Adds spans, to existing traces or as new ones."""
        with self._transaction():
            spans = iter(spans)
            while batch := list(islice(spans, INDEX_BATCH_SPANS)):
                self._add(spans_by_trace(batch), file)

    def sync(self, files: Sequence[Path]) -> None:
        """Brings the index up to date with `files`: reads new lines, and forgets files that are gone.

        What cannot be read is skipped, and the log says so once for each file.

        Raises:
            ValueError, OSError: The only file is not a trace file, or cannot be read.
        """
        with self._transaction():
            present = dict(_fingerprinted(files))
            known = {row[1]: row for row in self._connection.execute("SELECT * FROM files")}
            for fingerprint in known.keys() - present.keys():
                self._forget(known[fingerprint][0])
            for fingerprint, file in present.items():
                found = file.stat()
                number, _, size, position, inode, skipped = known.get(fingerprint) or self._new_file(
                    fingerprint
                )
                if size and (found.st_size < size or found.st_ino != inode):  # it was rewritten
                    self._forget(number)
                    number, _, size, position, inode, skipped = self._new_file(fingerprint)
                if found.st_size != size:
                    self._read(file, number, position, skipped, alone=len(present) == 1)
                elif skipped and fingerprint not in self._said:
                    _logger.warning("%s: %s", file, skipped)
                self._said.add(fingerprint)

    def show_beside(self, files: Sequence[Path]) -> None:
        """Shows the traces in the database files of other indexes as well, to `query` and `spans`, from now on.

        Only an index in memory can do so: others would see in its file what they cannot read.
        """
        with self._lock:
            names = [f"beside_{place}" for place in range(max(len(files), len(self._attached)))]
            for table in ("spans", "traces", "resources"):
                self._connection.execute(f"DROP VIEW IF EXISTS temp.{table}")
            for name in names[: len(self._attached)]:
                self._connection.execute(f"DETACH {name}")
            for name, file in zip(names, files, strict=False):
                self._connection.execute(f"ATTACH ? AS {name}", (str(file),))
            self._attached = tuple(files)
            for statement in views(names[: len(files)]) if files else ():
                self._connection.execute(statement)

    def keep_only(self, trace_ids: Collection[str]) -> None:
        """Forgets all other traces."""
        kept = json.dumps(list(trace_ids))
        with self._transaction():
            for table in ("spans", "traces"):
                self._connection.execute(
                    f"DELETE FROM main.{table} WHERE trace_id NOT IN (SELECT value FROM json_each(?))",
                    (kept,),
                )

    def spans(self, trace_id: str) -> list[SpanRecord]:
        """Returns the spans of the trace with that id.

        Raises:
            LookupError: The index does not hold the trace, or does not hold it any more.
        """
        spans = self._spans(trace_id)
        if not spans:
            raise LookupError(f"trace {trace_id} is not here, or not any more")
        return spans

    def counted(self, trace_ids: Sequence[str]) -> Iterator[SpanRecord]:
        """Yields the spans of some traces whose tokens and costs may count, without their events and links."""
        for begin in range(0, len(trace_ids), COUNTED_BATCH_TRACES):
            some = json.dumps(trace_ids[begin : begin + COUNTED_BATCH_TRACES])
            with self._lock:
                rows = self._connection.execute(SELECT_COUNTED, {"some": some}).fetchall()
            yield from map(span_record, rows)

    def query(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
        """Runs a read-only query, with parameters by place or by name, and returns its rows by column name.

        Raises:
            sqlite3.Error: The query is invalid, or tries to do anything but read the tables of the index.
        """
        with self._lock:
            self._connection.execute("PRAGMA query_only = 1")
            self._connection.set_authorizer(_allow_reading)
            try:
                cursor = self._connection.execute(sql, parameters)
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor]
            except sqlite3.DatabaseError as error:
                if "authoriz" in str(error):
                    raise sqlite3.OperationalError(f"the index is readonly for queries ({error})") from error
                raise
            finally:
                self._connection.set_authorizer(None)
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
            except BaseException:  # an interrupted notebook cell must not leave half a file indexed either
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _add(self, added: Mapping[str, Sequence[SpanRecord]], file: int | None) -> None:
        """Adds spans, and judgements, by trace. Decides again which model calls count in traces that are known."""
        earlier = {trace_id: self._spans(trace_id, "main.") for trace_id in self._known(added)}
        trees = {
            trace_id: tree
            for trace_id, own in added.items()
            if (tree := _tree_of([*earlier.get(trace_id, ()), *own])) is not None
        }
        counted = {(tree.trace_id, span.span_id) for tree in trees.values() for span in tree.counted}
        resources = {id(span.resource): span.resource for own in added.values() for span in own}
        numbers = {key: self._resource_id(resource) for key, resource in resources.items()}
        self._connection.executemany(
            INSERT_SPAN,
            (
                span_row(span, (span.trace_id, span.span_id) in counted, file, numbers[id(span.resource)])
                for own in added.values()
                for span in own
            ),
        )
        self._connection.executemany(
            "UPDATE main.spans SET counted = ? WHERE trace_id = ? AND span_id = ?",
            (
                ((span.trace_id, span.span_id) in counted, span.trace_id, span.span_id)
                for before in earlier.values()
                for span in before
            ),
        )
        self._connection.executemany(INSERT_TRACE, map(trace_row, trees.values()))

    def _known(self, trace_ids: Iterable[str]) -> list[str]:
        """Returns those of some trace ids of which spans, or judgements, are here already."""
        found = self._connection.execute(
            "SELECT trace_id FROM main.spans WHERE trace_id IN (SELECT value FROM json_each(:some))"
            " UNION SELECT evaluates FROM main.spans WHERE evaluates IN (SELECT value FROM json_each(:some))",
            {"some": json.dumps(list(trace_ids))},
        )
        return [trace_id for (trace_id,) in found]

    def _spans(self, trace_id: str, database: str = "") -> list[SpanRecord]:
        with self._lock:
            query = SELECT_SPANS.format(database)
            return list(map(span_record, self._connection.execute(query, {"trace": trace_id})))

    def _resource_id(self, resource: Attributes) -> int:
        text = attributes_to_json(resource)
        self._connection.execute("INSERT OR IGNORE INTO main.resources (attributes) VALUES (?)", (text,))
        [number] = self._connection.execute(
            "SELECT id FROM main.resources WHERE attributes = ?", (text,)
        ).fetchone()
        return int(number)

    def _new_file(self, fingerprint: str) -> tuple[int, str, int, int, int, str]:
        cursor = self._connection.execute("INSERT INTO files VALUES (NULL, ?, 0, 0, 0, '')", (fingerprint,))
        return int(cursor.lastrowid or 0), fingerprint, 0, 0, 0, ""

    def _read(self, path: Path, number: int, position: int, before: str, *, alone: bool) -> None:
        """Reads a file from a position on; one that cannot be read at all is an error only if it is alone."""
        found = path.stat()
        reached, skipped = position, Skipped()

        def spans() -> Iterator[SpanRecord]:
            nonlocal reached
            for end, found in span_lines(path, position, skipped):
                yield from found
                reached = end

        try:
            self.add(spans(), number)
        except ValueError as error:
            if alone:
                raise
            _logger.warning("%s", error)
        said = str(skipped) if skipped.lines or skipped.spans else before
        self._connection.execute(
            "UPDATE files SET size = ?, position = ?, inode = ?, skipped = ? WHERE id = ?",
            (found.st_size, reached, found.st_ino, said, number),
        )

    def _forget(self, file: int) -> None:
        touched = self._connection.execute("SELECT DISTINCT trace_id FROM spans WHERE file = ?", (file,))
        trace_ids = [trace_id for (trace_id,) in touched]
        self._connection.execute("DELETE FROM spans WHERE file = ?", (file,))
        self._connection.execute("DELETE FROM files WHERE id = ?", (file,))
        for trace_id in trace_ids:
            self._connection.execute("DELETE FROM traces WHERE trace_id = ?", (trace_id,))
            if (rest := _tree_of(self._spans(trace_id))) is not None:
                self._connection.execute(INSERT_TRACE, trace_row(rest))


def _tree_of(spans: Sequence[SpanRecord]) -> SpanTree | None:
    """Returns the tree of `spans`; None if there are only judgements of a trace that is not here."""
    return None if all(span.evaluates for span in spans) else SpanTree.of(spans)


def _fingerprinted(files: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Yields the hash of each file with it; one that cannot be read is an error only if it is alone."""
    for file in files:
        try:
            yield file_fingerprint(file), file
        except FileNotFoundError:
            continue  # rotated just now; the next sync finds its new name
        except OSError as error:
            if len(files) == 1:
                raise
            _logger.warning("%s", error)
