"""The traces at hand as one collection to look through: those of this process, or those in files."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

from otel_callbacks.explore.files.reading import StrPath, trace_files
from otel_callbacks.explore.files.writing import LOCAL_FOLDER
from otel_callbacks.explore.frames import documents_frame, rag_frame, spans_frame, to_dicts
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.index.filters import Filters, condition
from otel_callbacks.explore.index.ring import process_ring
from otel_callbacks.explore.index.trace_files import TraceFiles
from otel_callbacks.explore.spans.documents import RetrievedDocument
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.trace import Trace

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

    from otel_callbacks.cost.reporting.reports import Report


class Traces(Sequence[Trace]):
    """Traces in the order they started, looked up when they are asked for.

    `otel_callbacks.traces` are those of this process after `configure(local=True)`, else those in
    `.otel_callbacks/`, as of each question. What a method gives is as of then, though files may have grown.
    """

    def __init__(self, look: Callable[[], Index], trace_ids: Sequence[str] | None = None) -> None:
        self._look = look
        self._trace_ids = trace_ids

    @classmethod
    def open(cls, *paths: StrPath) -> Self:
        """The traces in files, whoever wrote them: `.jsonl`, `.jsonl.gz`, or folders of them.

        Raises:
            FileNotFoundError: A path does not exist.
        """
        trace_files(paths)
        return cls(TraceFiles(*map(Path, paths)).index)

    @classmethod
    def of(cls, spans: Iterable[SpanRecord]) -> Self:
        """The traces that `spans` form."""
        index = Index()
        index.add(spans)
        return cls(lambda: index)

    def __len__(self) -> int:
        return len(self._ids(self._look()))

    def __iter__(self) -> Iterator[Trace]:
        index = self._look()
        return (Trace.of(index.spans(trace_id)) for trace_id in self._ids(index))

    @overload
    def __getitem__(self, which: int) -> Trace: ...
    @overload
    def __getitem__(self, which: slice) -> Self: ...
    def __getitem__(self, which: int | slice) -> "Trace | Self":
        index = self._look()
        chosen = self._ids(index)[which]
        return Trace.of(index.spans(chosen)) if isinstance(chosen, str) else self._with(index, chosen)

    def __repr__(self) -> str:
        return f"<{len(self):,} traces>"

    def get(self, trace_id: str) -> Trace:
        """The trace whose id is, or begins with, `trace_id`.

        Raises:
            LookupError: There is none, or more than one.
        """
        begin = trace_id.lower()
        found = self._select("trace_id >= ? AND trace_id < ?", (begin, f"{begin}g"))  # after any hex digit
        if len(found) != 1:
            raise LookupError(f"{len(found) or 'no'} traces have an id that begins with {trace_id!r}")
        return found[0]

    def last(self) -> Trace:
        """The trace that started last.

        Raises:
            LookupError: There is none yet.
        """
        found = self._select(order="start_ns DESC", limit=1)
        if not found:
            if self._trace_ids is not None:
                raise LookupError("the selection is empty: no trace meets what was looked for")
            raise LookupError("no traces yet; configure(local=True) keeps those of this process")
        return found[0]

    def find(self, **filters: Unpack[Filters]) -> Self:
        """The traces that all filters hold for; see `Filters`.

        Raises:
            TypeError: A filter is not known, or its value is of the wrong type.
        """
        return self._select(*condition(filters))

    def errors(self) -> Self:
        """The traces in which something failed."""
        return self.find(error=True)

    def slowest(self, count: int = 5) -> Self:
        """The `count` traces that took longest, the slowest first."""
        return self._first(count, "duration DESC")

    def dearest(self, count: int = 5) -> Self:
        """The `count` traces that cost most, the dearest first; those without a cost last."""
        return self._first(count, "cost DESC NULLS LAST")

    def mark(self) -> int:
        """A mark for `since`, after all that has started by now: nanoseconds since the epoch."""
        return time.time_ns()

    def since(self, mark: int) -> Self:
        """The traces that started after `mark` was made."""
        return self.find(since=mark)

    def sql(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query; the tables are described in `otel_callbacks.explore.index.schema`.

        It is about all traces there are, also where `find` chose some of them.

        Raises:
            sqlite3.Error: The query is not valid, or would change something.
        """
        return self._look().query(query, parameters)

    def documents(self) -> list[RetrievedDocument]:
        """Every document that was retrieved or reranked."""
        return [document for trace in self for document in trace.documents()]

    def cost(self, by: Sequence[str] = ("tenant", "feature", "model")) -> "Report":
        """What the model calls used and cost, by what they have in common.

        Raises:
            ValueError: A name in `by` is not known.
        """
        from otel_callbacks.cost.reporting.reports import report

        return report(self, by=by)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary per span."""
        return to_dicts(self)

    def to_pandas(self) -> "pandas.DataFrame":
        """One row per span.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        return spans_frame(self)

    def documents_frame(self) -> "pandas.DataFrame":
        """One row per document that was retrieved or reranked, as evaluation libraries read them.

        Raises:
            ModuleNotFoundError: pandas is not installed.
        """
        return documents_frame(self)

    def rag_frame(self) -> "pandas.DataFrame":
        """One row per trace with a retrieval: question, contexts, answer, cost and latency.

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
        """Those of these traces whose row in the table `traces` meets a condition."""
        index = self._look()
        if self._trace_ids is not None:
            where = f"({where}) AND trace_id IN (SELECT value FROM json_each(?))"
            parameters = [*parameters, json.dumps(self._trace_ids)]
        query = f"SELECT trace_id FROM traces WHERE {where} ORDER BY {order} LIMIT ?"
        rows = index.query(query, [*parameters, limit])
        return self._with(index, [row["trace_id"] for row in rows])

    def _first(self, count: int, order: str) -> Self:
        if not isinstance(count, int) or count < 0:  # less than nothing would be all of them to SQLite
            raise ValueError(f"count must be a whole number of at least 0, not {count!r:.100}")
        return self._select(order=order, limit=count)

    def _with(self, index: Index, trace_ids: Sequence[str]) -> Self:
        return type(self)(lambda: index, trace_ids)


def _here() -> Index:
    if ring := process_ring():
        return ring.index()
    folder = LOCAL_FOLDER.absolute()
    return _files_in(folder).index() if folder.exists() else Index()


_files_in = cache(TraceFiles)  # by absolute path, as the current folder may change

traces = Traces(_here)
