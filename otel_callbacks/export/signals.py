"""Deliveries of spans, events and metrics: the SDK fills an outbox, and an exporter empties it."""

import copy
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

from opentelemetry.context import Context
from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_callbacks.export.answers import attempt
from otel_callbacks.export.outbox import NotTaken, Outbox, QueueLimits, TryAgain
from otel_callbacks.export.profiled_spans import with_profiles
from otel_callbacks.export.resources import ResourceCleaner
from otel_callbacks.limits import METRIC_EXPORTS_WAITING, REQUEST_BYTES

SHUTDOWN_SECONDS = 2.0
"""How long a shutdown without a timeout waits, such as the one when the interpreter exits."""

_ITEM_BYTES = 500
"""About what the fixed fields of a span or event take in a request."""

_ITEMS_PER_TURN = 16
_PAUSE_SECONDS = 0.0005


class _Exporter(Protocol):
    def shutdown(self) -> None: ...


E = TypeVar("E", bound=_Exporter)
T = TypeVar("T")


class PerProcess(Generic[E]):
    """An exporter that every process makes for itself: two processes cannot share one connection.

    Raises:
        Exception: whatever `make` raises in the first process.
    """

    def __init__(self, make: Callable[[], E]) -> None:
        self._make = make
        self._made = {os.getpid(): make()}  # keeps inherited ones, too: only their own process may close them

    def __call__(self) -> E:
        """Returns this process's exporter."""
        pid = os.getpid()
        if pid not in self._made:
            self._made[pid] = self._make()
        return self._made[pid]

    def close(self) -> None:
        """Shuts this process's exporter down, if it has one."""
        exporter = self._made.pop(os.getpid(), None)
        if exporter is not None:
            exporter.shutdown()


class YieldingBatch(list[T]):
    """A batch that lets the application's threads run now and then while an exporter encodes it.

    Encoding 512 spans holds the interpreter for some 20 ms. A thread that wakes up meanwhile would wait 5 ms for
    its turn, each time a call waits for something. The batch does not pause while its outbox is behind.
    """

    def __init__(self, items: Iterable[T], outbox: Outbox[T]) -> None:
        super().__init__(items)
        self._outbox = outbox

    def __iter__(self) -> Iterator[T]:
        for at, item in enumerate(super().__iter__(), 1):
            yield item
            if at % _ITEMS_PER_TURN == 0 and not self._outbox.is_behind:
                time.sleep(_PAUSE_SECONDS)


class SpanDelivery(SpanProcessor):
    """Sends sampled spans after they have ended."""

    def __init__(
        self,
        destination: str,
        make: Callable[[], SpanExporter],
        limits: QueueLimits,
        profiles: Sequence[str] = (),
    ) -> None:
        self._exporter = PerProcess(make)
        self._clean = ResourceCleaner()
        self._profiles = profiles
        self.outbox: Outbox[ReadableSpan] = Outbox(destination, self._send, limits, "spans")

    def on_end(self, span: ReadableSpan) -> None:
        """Queues a span that has ended."""
        if span.context is not None and span.context.trace_flags.sampled:
            self.outbox.put(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Tells whether the destination accepted all that waits in time."""
        return self.outbox.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Sends what waits, then stops."""
        self.outbox.close(SHUTDOWN_SECONDS)
        self._exporter.close()

    def _send(self, spans: Sequence[ReadableSpan]) -> int:
        exporter = self._exporter()
        spans = [with_profiles(self._without_secrets(span), self._profiles) for span in spans]
        parts = split_batch(YieldingBatch(spans, self.outbox), _span_bytes)
        requests = ((YieldingBatch(part, self.outbox), len(part)) for part in parts)
        return send_all(exporter, requests, self.outbox, SpanExportResult.SUCCESS, may_leave=False)

    def _without_secrets(self, span: ReadableSpan) -> ReadableSpan:
        """Returns a span without credentials in its resource."""
        cleaned = self._clean(span.resource)
        if cleaned is not span.resource:
            span = copy.copy(span)
            span._resource = cleaned
        return span


class EventDelivery(LogRecordProcessor):
    """Sends events (log records)."""

    def __init__(self, destination: str, make: Callable[[], LogRecordExporter], limits: QueueLimits) -> None:
        self._exporter = PerProcess(make)
        self._clean = ResourceCleaner()
        self.outbox: Outbox[ReadableLogRecord] = Outbox(destination, self._send, limits, "events")

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queues a copy of an event without its context.

        Other processors may still change the record, and the context may hold on to much memory.
        """
        record = copy.copy(log_record.log_record)
        record.context = Context()
        resource = self._clean(log_record.resource or Resource.get_empty())
        self.outbox.put(
            ReadableLogRecord(record, resource, log_record.instrumentation_scope, log_record.limits)
        )

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Tells whether the destination accepted all that waits in time."""
        return self.outbox.flush(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Sends what waits, then stops."""
        self.outbox.close(SHUTDOWN_SECONDS)
        self._exporter.close()

    def _send(self, records: Sequence[ReadableLogRecord]) -> int:
        exporter = self._exporter()
        parts = split_batch(YieldingBatch(records, self.outbox), _event_bytes)
        requests = ((YieldingBatch(part, self.outbox), len(part)) for part in parts)
        return send_all(exporter, requests, self.outbox, LogRecordExportResult.SUCCESS, may_leave=True)


class MetricDelivery(MetricExporter):
    """Sends metrics after they were collected, without holding up the collection."""

    def __init__(self, destination: str, make: Callable[[], MetricExporter]) -> None:
        self._exporter = PerProcess(make)
        first = self._exporter()
        super().__init__(first._preferred_temporality, first._preferred_aggregation)
        self._clean = ResourceCleaner()
        limits = QueueLimits(queue=METRIC_EXPORTS_WAITING, batch=1, delay=0)
        self.outbox: Outbox[MetricsData] = Outbox(destination, self._send, limits, "collections of metrics")

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """Queues what was collected."""
        self.outbox.put(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Tells whether the destination accepted all that waits in time."""
        return self.outbox.flush(timeout_millis / 1000)

    def shutdown(self, timeout_millis: float = SHUTDOWN_SECONDS * 1000, **kwargs: Any) -> None:
        """Sends what waits, then stops."""
        self.outbox.close(timeout_millis / 1000)
        self._exporter.close()

    def _send(self, collections: Sequence[MetricsData]) -> int:
        exporter = self._exporter()
        requests = ((self._without_secrets(each), 1) for each in collections)
        return send_all(exporter, requests, self.outbox, MetricExportResult.SUCCESS, may_leave=True)

    def _without_secrets(self, data: MetricsData) -> MetricsData:
        return MetricsData(
            [replace(each, resource=self._clean(each.resource)) for each in data.resource_metrics]
        )


def send_all(
    exporter: Any, requests: Iterable[tuple[Any, int]], outbox: Outbox[Any], success: Any, *, may_leave: bool
) -> int:
    """Sends the requests of a batch; returns how many items were accepted.

    Args:
        exporter: sends one request.
        requests: what the exporter takes, and how many items are in it.
        outbox: whose batch it is.
        success: what the exporter returns if all was accepted.
        may_leave: whether a back end may do without such items, as many do without metrics and events.

    Raises:
        TryAgain, NotTaken: see `Outbox`.
    """
    done = accepted = 0
    for request, number in requests:
        answer = attempt(exporter, request, success)
        if answer is None:
            accepted += number
        elif answer.rejected:
            outbox.refusal = answer.said
            accepted += max(number - answer.rejected, 0)
        elif answer.again:
            raise TryAgain(answer.said, done, accepted, answer.after)
        elif answer.not_taken and may_leave and not outbox.delivery().exported:
            raise NotTaken(answer.said)
        else:
            outbox.refusal = answer.said
        done += number
    return accepted


def split_batch(items: Sequence[T], size: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Splits a batch into requests that a back end accepts; an item that is too large goes alone."""
    start, total = 0, 0
    for at, item in enumerate(items):
        size_of_item = size(item)
        if at > start and total + size_of_item > REQUEST_BYTES:
            yield items[start:at]
            start, total = at, 0
        total += size_of_item
    yield items[start:]


def _span_bytes(span: ReadableSpan) -> int:
    parts: Iterable[Any] = (span.attributes, *(event.attributes for event in span.events))
    return _ITEM_BYTES + sum(map(_bytes, parts))


def _event_bytes(record: ReadableLogRecord) -> int:
    return _ITEM_BYTES + _bytes(record.log_record.body) + _bytes(record.log_record.attributes)


def _bytes(value: Any) -> int:
    """Estimates how many bytes a value takes in a request."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode(errors="replace"))
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(key) + 8 + _bytes(each) for key, each in value.items())
    if isinstance(value, Sequence):
        return sum(4 + _bytes(each) for each in value)
    return 8
