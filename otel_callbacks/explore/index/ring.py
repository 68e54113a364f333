"""Keeps the last traces of this process in memory, where they can be seen as soon as their spans have ended."""

import logging
import sys
from collections import deque
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from otel_callbacks import limits
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.by_identity import ByIdentity
from otel_callbacks.runtime.faults import guarded

_logger = logging.getLogger(__name__)

_SPAN_BYTES = 2_000  # about the size of a span without attributes
_VALUE_BYTES = 100  # about the size of an attribute without its value


@dataclass(slots=True)
class _HeldTrace:
    """The spans of one trace: those that wait to be indexed, whether others are indexed, and the size of all."""

    waiting: list[ReadableSpan] = field(default_factory=list)
    indexed: bool = False
    size: int = 0


class Ring(SpanProcessor):
    """Keeps the latest `max_traces` traces, in about `max_bytes` of memory at most.

    Beyond that, it forgets the oldest trace, and logs this once. If a single trace is bigger than `max_bytes`, it
    keeps the spans that ended last.
    """

    def __init__(
        self, max_traces: int = limits.RECENT_TRACES, max_bytes: int = limits.RECENT_TRACES_BYTES
    ) -> None:
        self._max_traces = max_traces
        self._max_bytes = max_bytes
        self._ended: deque[ReadableSpan] = deque()
        self._held: dict[int, _HeldTrace] = {}  # by trace id
        self._size = 0
        self._index = Index()
        self._lock = fork.safe_lock()
        self._logged = False

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Does nothing, because only ended spans are kept."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Does nothing, because nothing waits here; see `AttributionSpanProcessor`."""
        return True

    @guarded
    def on_end(self, span: ReadableSpan) -> None:
        """Keeps the span.

        It never waits for the lock, because the garbage collector may end a span while this very thread holds it.
        The thread that holds the lock, or takes it next, collects the span.
        """
        self._ended.append(span)
        if self._lock.acquire(blocking=False):
            try:
                self._collect_ended()
            finally:
                self._lock.release()

    def index(self) -> Index:
        """Returns the index of all traces that are kept now."""
        with self._lock:
            self._collect_ended()
            self._index.keep_only(
                [f"{trace_id:032x}" for trace_id, held in self._held.items() if held.indexed]
            )
            for held in self._held.values():
                self._index.add(map(SpanRecord.from_readable, held.waiting))
                held.waiting, held.indexed = [], True
            return self._index

    def _collect_ended(self) -> None:
        while self._ended:
            span = self._ended.popleft()
            trace_id, size = span.context.trace_id, _size(span)
            self._forget_oldest(size, is_new=trace_id not in self._held)
            held = self._held.setdefault(trace_id, _HeldTrace())
            held.waiting.append(span)
            held.size += size
            self._size += size

    def _forget_oldest(self, size: int, *, is_new: bool) -> None:
        limit = self._max_traces - is_new
        while self._held and (len(self._held) > limit or self._size + size > self._max_bytes):
            self._size -= self._held.pop(next(iter(self._held))).size
            if not self._logged:
                self._logged = True
                _logger.info("only the latest traces are kept in memory from now on")


def _size(span: ReadableSpan) -> int:
    """Returns about how many bytes a span takes in memory."""
    size = _SPAN_BYTES
    for attributes in (span.attributes, *(event.attributes for event in span.events)):
        for value in (attributes or {}).values():
            size += _VALUE_BYTES + sum(map(sys.getsizeof, value if isinstance(value, tuple) else (value,)))
    return size


def _add_ring(provider: TracerProvider) -> bool:
    if _process_ring is not None:
        provider.add_span_processor(_process_ring)
    return True


_process_ring: Ring | None = None
_kept_providers = ByIdentity[TracerProvider, bool](_add_ring, limits.PROVIDERS_KEPT)
_setup_lock = fork.safe_lock()


def keep_traces(provider: TracerProvider) -> None:
    """Makes the ring of this process keep the spans of `provider` from now on. A second call does nothing."""
    global _process_ring
    with _setup_lock:
        _process_ring = _process_ring or Ring()
        _kept_providers.of(provider)


def process_ring() -> Ring | None:
    """Returns the ring of this process; None before `keep_traces` is called."""
    return _process_ring
