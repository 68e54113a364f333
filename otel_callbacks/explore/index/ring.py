"""The last traces of this process in memory, to be looked at as soon as their spans have ended."""

import sys
import weakref
from collections import deque
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded

_SPAN_BYTES = 2_000  # a span without attributes, about
_VALUE_BYTES = 100  # an attribute beside its value


@dataclass(slots=True)
class _Held:
    """What is held of a trace: spans not yet in the index, whether others are, and the size of all."""

    fresh: list[ReadableSpan] = field(default_factory=list)
    indexed: bool = False
    size: int = 0


class Ring(SpanProcessor):
    """Keeps whole traces, the latest `max_traces` of them in at most about `max_bytes` of memory.

    When there are more, the one that was begun first is forgotten. Of a trace that alone is bigger, the part
    that ended last is kept.
    """

    def __init__(self, max_traces: int = 100, max_bytes: int = 32_000_000) -> None:
        self._max_traces = max_traces
        self._max_bytes = max_bytes
        self._ended: deque[ReadableSpan] = deque()
        self._held: dict[int, _Held] = {}  # by trace id
        self._size = 0
        self._index = Index()
        self._lock = fork.lock()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: only spans that have ended are kept."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here; see `AttributionSpanProcessor`."""
        return True

    @guarded
    def on_end(self, span: ReadableSpan) -> None:
        """Keep the span.

        Never waits: a span may be ended by the garbage collector, in the middle of the very work the lock is
        for. Whoever holds the lock, or gets it next, takes this span along.
        """
        self._ended.append(span)
        if self._lock.acquire(blocking=False):
            try:
                self._take()
            finally:
                self._lock.release()

    def index(self) -> Index:
        """All that is kept by now."""
        with self._lock:
            self._take()
            self._index.retain([f"{trace_id:032x}" for trace_id, held in self._held.items() if held.indexed])
            for held in self._held.values():
                self._index.add(map(SpanRecord.from_readable, held.fresh))
                held.fresh, held.indexed = [], True
            return self._index

    def _take(self) -> None:
        while self._ended:
            span = self._ended.popleft()
            trace_id, size = span.context.trace_id, _size(span)
            self._make_room(size, is_new=trace_id not in self._held)
            held = self._held.setdefault(trace_id, _Held())
            held.fresh.append(span)
            held.size += size
            self._size += size

    def _make_room(self, size: int, *, is_new: bool) -> None:
        most = self._max_traces - is_new
        while self._held and (len(self._held) > most or self._size + size > self._max_bytes):
            self._size -= self._held.pop(next(iter(self._held))).size


def _size(span: ReadableSpan) -> int:
    """About how many bytes a span takes in memory."""
    size = _SPAN_BYTES
    for attributes in (span.attributes, *(event.attributes for event in span.events)):
        for value in (attributes or {}).values():
            size += _VALUE_BYTES + sum(map(sys.getsizeof, value if isinstance(value, tuple) else (value,)))
    return size


_of_process: Ring | None = None
_watched: "weakref.WeakSet[TracerProvider]" = weakref.WeakSet()
_setup = fork.lock()


def keep_traces(provider: TracerProvider) -> None:
    """Have this process's ring keep what `provider` traces, from now on; again changes nothing."""
    global _of_process
    with _setup:
        _of_process = _of_process or Ring()
        if provider not in _watched:
            _watched.add(provider)
            provider.add_span_processor(_of_process)


def process_ring() -> Ring | None:
    """This process's ring, once `keep_traces` was called."""
    return _of_process
