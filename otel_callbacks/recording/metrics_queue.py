"""Ended operations that wait until metrics are collected."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from opentelemetry.trace import SpanContext

from otel_callbacks import operations
from otel_callbacks.cost.call_cost import CallCost
from otel_callbacks.cost.totals import Totals
from otel_callbacks.rag.trace_documents import DocumentCounts
from otel_callbacks.recording.cost_metrics import LabelRules
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded

_AT_A_TIME = 256
_PAUSE_SECONDS = 0.0005

EndedOperation = tuple[
    operations.Operation,
    float | None,
    str | None,
    Totals | None,
    SpanContext,
    CallCost | None,
    Mapping[str, str],
    LabelRules,
    Sequence[float] | None,
    Mapping[tuple[str, str], int],
    bool,
    str | None,
    tuple[int, float | None] | None,
    DocumentCounts,
]
"""What metrics need to know of an operation that has ended: a row of `EndedOperations`, as a plain tuple."""


class EndedOperations(NamedTuple):
    """What metrics need to know of operations that have ended, in columns: every field has a value for each of them.

    Attributes:
        operations: the operations, complete; their content is not read.
        seconds: how long each took; None if nobody measured that.
        error_types: why it failed, if it did.
        totals: what it used, with everything below it.
        spans: its span, for exemplars.
        costs: what it cost; None if it is not a call that costs something.
        labels: who pays. While an operation waits these are its labels by attribute; when it is recorded, pairs of
            attribute and value, of those that metrics carry.
        label_rules: which of the labels our own metrics carry.
        chunk_gaps: seconds between the chunks of a stream.
        tool_tokens: the input tokens of an agent's model call, by tool and kind of part.
        released_names: whether metrics go out under the names of the released conventions, too.
        outcomes: how it ended, unless it ended normally or failed.
        retrieved: of a retrieval, how many documents it returned, and the best of their scores; None if unknown.
        documents: the documents that the trace retrieved, had in a prompt or cited with it for the first time.
    """

    operations: Sequence[Any]
    seconds: Sequence[float | None]
    error_types: Sequence[str | None]
    totals: Sequence[Totals | None]
    spans: Sequence[SpanContext]
    costs: Sequence[CallCost | None]
    labels: Sequence[Any]
    label_rules: Sequence[LabelRules]
    chunk_gaps: Sequence[Sequence[float] | None]
    tool_tokens: Sequence[Mapping[tuple[str, str], int]]
    released_names: Sequence[bool]
    outcomes: Sequence[str | None]
    retrieved: Sequence[tuple[int, float | None] | None]
    documents: Sequence[DocumentCounts]


def in_columns(rows: Iterable[tuple[Any, ...]]) -> EndedOperations:
    """Returns the columns of rows, of which there is at least one."""
    return EndedOperations(*zip(*rows, strict=True))


class MetricsQueue:
    """Holds ended operations until metrics are collected, and then records them, many together.

    The end of a run only appends the operation to `waiting`, and makes room if there are too many. If nobody collects
    metrics, operations are recorded once the queue is full, a part at a time.

    Args:
        record: takes some operations; never called by two threads at once.
        finish: is called when as many as possible have been recorded.
    """

    def __init__(self, record: Callable[[EndedOperations], None], finish: Callable[[], None]) -> None:
        self._record = record
        self._finish = finish
        self.waiting: deque[EndedOperation] = deque()
        self._recording = fork.safe_lock()

    @guarded
    def make_room(self) -> None:
        """Records a part of the operations, for the queue is full."""
        # Not while somebody records: a run may end in the garbage collector, in the middle of the recording.
        if self._recording.acquire(blocking=False):
            try:
                self._record_some()
                self._finish()
            finally:
                self._recording.release()

    @guarded
    def drain(self) -> None:
        """Records all operations.

        A full queue may take a twentieth of a second, so the thread pauses again and again for the application's
        threads.
        """
        with self._recording:
            while self._record_some():
                time.sleep(_PAUSE_SECONDS)
            self._finish()

    def _record_some(self) -> bool:
        """Records some operations; tells whether more are waiting."""
        number = min(len(self.waiting), _AT_A_TIME)
        if number:
            # nobody else takes any, so there are as many
            self._record(in_columns(islice(iter(self.waiting.popleft, None), number)))
        return bool(self.waiting)
