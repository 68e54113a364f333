"""Ended operations that wait until metrics are collected."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from opentelemetry.trace import SpanContext

from otel_callbacks import limits, operations
from otel_callbacks.cost.call_cost import CallCost
from otel_callbacks.cost.totals import Totals
from otel_callbacks.recording.cost_metrics import LabelRules
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


class MetricsQueue:
    """Holds ended operations until metrics are collected, and then records them.

    The SDK takes a dozen microseconds to record one measurement, and three times that when its code is not in the
    processor's caches, as is always so inside an application. So an end callback only adds the operation here. If
    nobody collects metrics, operations are recorded a few at a time once the queue is full.
    """

    def __init__(self, record: Callable[[EndedOperation], None]) -> None:
        self._record = record
        self._waiting: deque[EndedOperation] = deque()

    def add(self, ended: EndedOperation) -> None:
        """Adds an operation."""
        self._waiting.append(ended)
        if len(self._waiting) > limits.OPERATIONS_WAITING:
            self.drain(_AT_A_TIME)

    def clear(self) -> None:
        """Drops all operations."""
        self._waiting.clear()

    @guarded
    def drain(self, most: int | None = None) -> None:
        """Records all operations, or at most so many.

        A full queue may take a tenth of a second, so the thread pauses again and again for the application's threads.
        """
        for number in range(len(self._waiting) if most is None else most):
            if number and number % _AT_A_TIME == 0:
                time.sleep(_PAUSE_SECONDS)
            try:
                ended = self._waiting.popleft()
            except IndexError:  # another thread drains too
                return
            self._record(ended)
