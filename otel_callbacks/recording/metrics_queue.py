"""Ended operations that wait until metrics are collected."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from opentelemetry.trace import SpanContext

from otel_callbacks import limits, operations
from otel_callbacks.cost.call_cost import CallCost
from otel_callbacks.cost.totals import Totals
from otel_callbacks.rag.trace_documents import DocumentCounts
from otel_callbacks.recording.cost_metrics import LabelRules
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded

_AT_A_TIME = 32
_PAUSE_SECONDS = 0.0005


class EndedOperation(NamedTuple):
    """What metrics need to know of an operation that has ended.

    Attributes:
        operation: the operation, complete; its content is not read.
        seconds: how long it took; None if nobody measured that.
        error_type: why it failed, if it did.
        totals: what it used, with everything below it.
        span: its span, for exemplars.
        cost: what it cost; None if it is not a call that costs something.
        labels: who pays.
        label_rules: which of the labels our own metrics carry.
        chunk_gaps: seconds between the chunks of a stream.
        tool_tokens: the input tokens of an agent's model call, by tool and kind of part.
        released_names: whether metrics go out under the names of the released conventions, too.
        outcome: how it ended, unless it ended normally or failed.
        retrieved: of a retrieval, how many documents it returned, and the best of their scores; None if unknown.
        documents: the documents that the trace retrieved, had in a prompt or cited with it for the first time.
    """

    operation: operations.Operation
    seconds: float | None
    error_type: str | None
    totals: Totals | None
    span: SpanContext
    cost: CallCost | None
    labels: Mapping[str, str]
    label_rules: LabelRules
    chunk_gaps: Sequence[float] = ()
    tool_tokens: Mapping[tuple[str, str], int] = {}
    released_names: bool = False
    outcome: str | None = None
    retrieved: tuple[int, float | None] | None = None
    documents: DocumentCounts = {}


class MetricsQueue:
    """Holds ended operations until metrics are collected, and then records them.

    An end callback only adds the operation here. If nobody collects metrics, operations are recorded once the queue is
    full, a few at a time.

    Args:
        record: takes one operation; never called by two threads at once.
        finish: is called when as many as possible have been recorded.
    """

    def __init__(self, record: Callable[[EndedOperation], None], finish: Callable[[], None]) -> None:
        self._record = record
        self._finish = finish
        self._waiting: deque[EndedOperation] = deque()
        self._recording = fork.safe_lock()

    def add(self, ended: EndedOperation) -> None:
        """Adds an operation."""
        self._waiting.append(ended)
        # Not while somebody records: a run may end in the garbage collector, in the middle of the recording.
        if len(self._waiting) > limits.OPERATIONS_WAITING and self._recording.acquire(blocking=False):
            try:
                self._record_some(_AT_A_TIME)
                self._finish()
            finally:
                self._recording.release()

    def clear(self) -> None:
        """Drops all operations."""
        self._waiting.clear()

    @guarded
    def drain(self) -> None:
        """Records all operations.

        A full queue may take a tenth of a second, so the thread pauses again and again for the application's threads.
        """
        with self._recording:
            while self._record_some(_AT_A_TIME):
                time.sleep(_PAUSE_SECONDS)
            self._finish()

    def _record_some(self, most: int) -> bool:
        """Records at most so many operations; tells whether more are waiting."""
        for _ in range(most):
            try:
                ended = self._waiting.popleft()
            except IndexError:
                return False
            self._record(ended)
        return bool(self._waiting)
