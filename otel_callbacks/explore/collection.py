"""A collection of traces to search: the traces of this process, or those in trace files."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from otel_callbacks.explore.answers.why import Why, why
from otel_callbacks.explore.files.own import own_places
from otel_callbacks.explore.files.reading import StrPath, trace_files
from otel_callbacks.explore.frames import documents_frame, rag_frame, spans_frame, to_dicts
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.index.file_index import FileIndex
from otel_callbacks.explore.index.filters import Filters, condition
from otel_callbacks.explore.index.ring import process_ring
from otel_callbacks.explore.index.sessions import SESSIONS, Session
from otel_callbacks.explore.spans.documents import RetrievedDocument
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.trace import Trace
from otel_callbacks.explore.ui import check_installed
from otel_callbacks.runtime import fork

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

    from otel_callbacks.cost.reporting.reports import Report
    from otel_callbacks.explore.ui.server import LocalPage


_logger = logging.getLogger(__name__)


class Traces(Sequence[Trace]):
    """Traces in start order; each is read when it is needed.

    `otel_callbacks.traces` holds the traces in `.otel_callbacks/` and in the file that `configure` names, and, after
    `configure(local=True)`, those in memory. It is up to date at each use: what waits for a file is written first. A
    selection, such as `find` returns, does not grow.
    """

    def __init__(self, open_index: Callable[[], Index], trace_ids: Sequence[str] | None = None) -> None:
        self._open_index = open_index
        self._trace_ids = trace_ids
        self._page: LocalPage | None = None

    @classmethod
    def open(cls, *paths: StrPath) -> Self:
        """Opens trace files by any writer: `.jsonl`, `.jsonl.gz`, or folders of them.

        Raises:
            FileNotFoundError: A path does not exist.
        """
        trace_files(paths)
        return cls(FileIndex(*map(Path, paths)).index)

    @classmethod
    def of(cls, spans: Iterable[SpanRecord]) -> Self:
        """Returns the traces that `spans` form."""
        index = Index()
        index.add(spans)
        return cls(lambda: index)

    def __len__(self) -> int:
        return len(self._ids(self._open_index()))

    def __iter__(self) -> Iterator[Trace]:
        index = self._open_index()
        return (Trace.of(index.spans(trace_id)) for trace_id in self._ids(index))

    @overload
    def __getitem__(self, which: int) -> Trace: ...
    @overload
    def __getitem__(self, which: slice) -> Self: ...
    def __getitem__(self, which: int | slice) -> "Trace | Self":
        index = self._open_index()
        chosen = self._ids(index)[which]
        return Trace.of(index.spans(chosen)) if isinstance(chosen, str) else self._selection(index, chosen)

    def __repr__(self) -> str:
        return f"<{len(self):,} traces>"

    def get(self, trace_id: str) -> Trace:
        """Returns the trace whose id is, or begins with, `trace_id`.

        Raises:
            LookupError: No trace has such an id, or several have.
        """
        begin = trace_id.lower()
        end = f"{begin}g"  # "g" sorts after all hex digits
        found = self._select("trace_id >= ? AND trace_id < ?", (begin, end))
        if len(found) != 1:
            raise LookupError(f"{len(found) or 'no'} traces have an id that begins with {trace_id!r}")
        return found[0]

    def last(self) -> Trace:
        """Returns the trace that started last.

        Raises:
            LookupError: The collection is empty.
        """
        found = self._select(order="start_ns DESC", limit=1)
        if not found:
            if self._trace_ids is not None:
                raise LookupError("the selection is empty: no trace matches")
            raise LookupError(
                "no traces yet; configure() keeps traces in files, configure(local=True) in memory"
            )
        return found[0]

    def find(self, **filters: Unpack[Filters]) -> Self:
        """Returns the traces that match all filters; see `Filters`.

        Raises:
            TypeError: A filter is unknown, or its value has the wrong type.
            ValueError: A number is NaN.
        """
        return self._select(*condition(filters))

    def errors(self) -> Self:
        """Returns the traces in which something failed."""
        return self.find(error=True)

    def slowest(self, count: int = 5) -> Self:
        """Returns the `count` slowest traces, the slowest first."""
        return self._first_by(count, "duration DESC")

    def dearest(self, count: int = 5) -> Self:
        """Returns the `count` most expensive traces, the most expensive first; traces without a cost come last."""
        return self._first_by(count, "cost DESC NULLS LAST")

    def sessions(self) -> list[Session]:
        """Returns the sessions and conversations of these traces, the latest first."""
        rows = self._open_index().query(SESSIONS, [json.dumps(self._ids(self._open_index()))])
        return [Session(**row) for row in rows]

    def mark(self) -> int:
        """Returns a mark for `since`: the time now, in nanoseconds since the epoch."""
        return time.time_ns()

    def since(self, mark: int) -> Self:
        """Returns the traces that started after `mark`."""
        return self.find(since=mark)

    def sql(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Runs an SQL query and returns its rows; `otel_callbacks.explore.index.schema` describes the tables.

        The query sees all traces, also on a selection.

        Raises:
            sqlite3.Error: The query is invalid, or tries to do anything but read the tables of the index.
        """
        return self._open_index().query(query, parameters)

    def documents(self) -> list[RetrievedDocument]:
        """Returns every document that was retrieved or reranked."""
        return [document for trace in self for document in trace.documents()]

    def cost(self, by: Sequence[str] = ("tenant", "feature", "model")) -> "Report":
        """Reports tokens and costs of the model calls, grouped by `by`.

        Raises:
            ValueError: A name in `by` is unknown.
        """
        from otel_callbacks.cost.reporting.reports import report

        index = self._open_index()
        return report(index.counted(self._ids(index)), by=by)

    def why(
        self,
        a: Iterable[Trace] | None = None,
        b: Iterable[Trace] | None = None,
        *,
        slow: str | float = "p95",
        expensive: str | float = "p95",
    ) -> Why:
        """Says why runs are slow, expensive or failing; with `b`, what changed from `a` to `b`.

        Without `a`, these traces are asked; see `otel_callbacks.explore.why`.

        Raises:
            TypeError, ValueError: An argument has the wrong type or value.
            LookupError: There are no traces.
        """
        return why(self if a is None else a, b, slow=slow, expensive=expensive)

    def ui(self, *, host: str = "127.0.0.1", port: int = 0) -> "LocalPage":
        """Serves a page over these traces, in a thread of this process, and returns it: its `url` has the link.

        The page follows the traces as they come, and shows those that are here. Only this machine can read it, unless
        `host` says else, and only with the link. `port=0` takes a free port. A second call returns the running page;
        `stop()` ends it.

        Raises:
            ModuleNotFoundError: The extra `ui` is not installed.
            ValueError, TypeError: The host or port cannot be one, or the page runs at another one.
            OSError: The address is taken, or is not one of this machine.
        """
        check_installed()
        from otel_callbacks.explore.ui.listing import Source
        from otel_callbacks.explore.ui.server import LocalPage

        with _page_lock:
            if self._page is None or not self._page.is_running:
                self._page = LocalPage(Source(self._open_index, self._trace_ids), host, port)
            elif host != self._page.host or port not in (0, self._page.port):
                raise ValueError(
                    f"host={host!r:.100}, port={port!r:.100}: the page runs at {self._page.address}; stop() it first"
                )
            return self._page

    def to_dicts(self) -> list[dict[str, Any]]:
        """Returns one dictionary per span."""
        return to_dicts(self)

    def to_pandas(self) -> "pandas.DataFrame":
        """Returns a data frame with one row per span.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        return spans_frame(self)

    def documents_frame(self) -> "pandas.DataFrame":
        """Returns a data frame with one row per retrieved or reranked document, as evaluation libraries read them.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        return documents_frame(self)

    def rag_frame(self) -> "pandas.DataFrame":
        """Returns a data frame with one row per trace with a retrieval: question, contexts, answer, cost, latency.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        return rag_frame(self)

    def _ids(self, index: Index) -> Sequence[str]:
        if self._trace_ids is not None:
            return self._trace_ids
        return [row["trace_id"] for row in index.query("SELECT trace_id FROM traces ORDER BY start_ns")]

    def _select(
        self, where: str = "1", parameters: Sequence[Any] = (), order: str = "start_ns", limit: int = -1
    ) -> Self:
        """Selects the traces of this collection whose row in the table `traces` meets a condition."""
        index = self._open_index()
        if self._trace_ids is not None:
            where = f"({where}) AND trace_id IN (SELECT value FROM json_each(?))"
            parameters = [*parameters, json.dumps(self._trace_ids)]
        query = f"SELECT trace_id FROM traces WHERE {where} ORDER BY {order} LIMIT ?"
        rows = index.query(query, [*parameters, limit])
        return self._selection(index, [row["trace_id"] for row in rows])

    def _first_by(self, count: int, order: str) -> Self:
        if not isinstance(count, int) or count < 0:  # SQLite reads a negative limit as "no limit"
            raise ValueError(f"count must be a whole number of at least 0, not {count!r:.100}")
        return self._select(order=order, limit=count)

    def _selection(self, index: Index, trace_ids: Sequence[str]) -> Self:
        return type(self)(lambda: index, trace_ids)


def _current_index() -> Index:
    """Returns the traces in memory and in files together."""
    ring = process_ring()
    in_files = list(_in_files(is_all=ring is None))
    if ring is None and len(in_files) == 1:
        return in_files[0]
    index = ring.index() if ring is not None else _nothing()
    index.show_beside([each.path for each in in_files if each.path is not None])
    return index


def _in_files(*, is_all: bool) -> Iterator[Index]:
    """Yields the indexes of the files; what cannot be read is an error only if there `is_all` that there is."""
    for place in own_places():
        try:
            yield _file_index(place).index()
        except (OSError, ValueError) as error:
            if is_all:
                raise
            _logger.warning("%s", error)


_page_lock = fork.safe_lock()
_file_index = cache(FileIndex)  # keyed by absolute path, because the working directory may change
_nothing = cache(Index)

traces = Traces(_current_index)
