"""Holds the spans of a trace until it is decided whether they are exported, see `keep.py`."""

import copy
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from otel_callbacks import limits, semconv
from otel_callbacks.export.keep import Keep
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded

_WATCH_SECONDS = 1.0
"""How often it is looked whether a trace is held for too long."""

Take = Callable[[ReadableSpan], None]
"""Sends a span to one destination."""


class KeptSpans(NamedTuple):
    """What became of the spans that ended; the first three add up to all of them.

    Attributes:
        held: they wait for the outermost span of their trace.
        kept: exported.
        left_out: not exported, as `Keep` says.
        decided_early: traces that were decided before their end, because of a bound.
    """

    held: int
    kept: int
    left_out: int
    decided_early: int


class _HeldTrace:
    """A trace of which a span is open: the spans that ended, the open ones, and those of them that are outermost."""

    __slots__ = ("first", "last", "open", "reason", "roots", "since", "spans")

    def __init__(self, now: float) -> None:
        self.spans: list[ReadableSpan] = []
        self.open: set[int] = set()
        self.roots: set[int] = set()
        self.reason: str | None = None
        self.first = self.last = 0
        self.since = now


class KeepProcessor(SpanProcessor):
    """Exports the traces that `Keep` keeps.

    A trace is decided when its outermost span ends. A span that ends later follows the decision if the trace is kept;
    else it is kept only if it gives a reason itself. The same holds when a trace was decided early: because it has too
    many spans, takes too long, or too many spans are held altogether.

    In a forked child it starts empty: what the parent holds is the parent's.

    Args:
        keep: the rules.
        destinations: what takes the spans that are kept.
    """

    def __init__(self, keep: Keep, destinations: Sequence[Take]) -> None:
        self._keep = keep
        self._destinations = destinations
        self._reset()
        fork.run_in_child(self._reset)

    def _reset(self) -> None:
        self._lock = threading.RLock()  # the garbage collector may end a span while this thread holds it
        self._traces: OrderedDict[int, _HeldTrace] = OrderedDict()  # the longest held first
        self._reasons: OrderedDict[int, str] = OrderedDict()  # of traces that are kept
        self._held = self._kept = self._left_out = self._early = 0
        self._watch: threading.Thread | None = None
        self._closed = threading.Event()

    def counts(self) -> KeptSpans:
        """Returns what became of the spans so far."""
        with self._lock:
            return KeptSpans(self._held, self._kept, self._left_out, self._early)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Notes an open span."""
        identity, parent = span.context, span.parent
        if identity is None or not identity.trace_flags.sampled:
            return
        with self._lock:
            if identity.trace_id in self._reasons:
                return
            trace = self._traces.get(identity.trace_id)
            if trace is None:
                trace = self._traces[identity.trace_id] = _HeldTrace(time.monotonic())
                self._start_watch()
            trace.open.add(identity.span_id)
            if parent is None or parent.span_id not in trace.open:
                trace.roots.add(identity.span_id)

    def on_end(self, span: ReadableSpan) -> None:
        """Holds a span, or sends it if its trace is kept; decides the trace if nothing outermost of it is open."""
        identity = span.context
        if identity is None or not identity.trace_flags.sampled:
            return
        with self._lock:
            trace_id, trace = identity.trace_id, self._traces.get(identity.trace_id)
            if trace is None or identity.span_id not in trace.open:
                ready = self._late(trace_id, span)
            else:
                self._hold(trace, span)
                if not trace.roots:
                    ready = self._decide(trace_id)
                elif len(trace.spans) >= limits.KEEP_TRACE_SPANS:
                    ready = self._decide_early(trace_id, "KEEP_TRACE_SPANS")
                elif self._held > limits.KEEP_SPANS:
                    ready = self._decide_early(next(iter(self._traces)), "KEEP_SPANS")
                else:
                    return
        self._send(ready)

    def decide_all(self) -> None:
        """Decides what is held, at the end of the process."""
        self._closed.set()
        while self._traces:
            with self._lock:
                ready = self._decide(next(iter(self._traces))) if self._traces else ()
            self._send(ready)

    def shutdown(self) -> None:
        """Decides what is held."""
        self.decide_all()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Returns True: what is held waits for the end of its trace."""
        return True

    def _hold(self, trace: _HeldTrace, span: ReadableSpan) -> None:
        identity = span.context
        trace.open.discard(identity.span_id)
        trace.roots.discard(identity.span_id)
        trace.spans.append(span)
        self._held += 1
        start, end = span.start_time or 0, span.end_time or 0
        trace.first = min(trace.first or start, start)
        trace.last = max(trace.last, end)
        trace.reason = trace.reason or self._keep.reason_of(span)

    def _late(self, trace_id: int, span: ReadableSpan) -> Sequence[ReadableSpan]:
        trace = _HeldTrace(0)
        self._hold(trace, span)
        return self._settle(trace_id, trace, self._reasons.get(trace_id))

    def _decide(self, trace_id: int) -> Sequence[ReadableSpan]:
        return self._settle(trace_id, self._traces.pop(trace_id), None)

    def _decide_early(self, trace_id: int, bound: str) -> Sequence[ReadableSpan]:
        limits.log_reached(bound, "traces were decided before their end; Telemetry.stats().keep counts them")
        self._early += 1
        trace = self._traces.pop(trace_id)
        trace.last = max(trace.last, trace.first + int((time.monotonic() - trace.since) * 1e9))
        return self._settle(trace_id, trace, None)

    def _settle(self, trace_id: int, trace: _HeldTrace, reason: str | None) -> Sequence[ReadableSpan]:
        """Decides about the spans of a trace; returns those to send, which say why."""
        keep, spans = self._keep, trace.spans
        reason = reason or trace.reason
        if reason is None and spans and keep.is_slow(trace.last - trace.first):
            reason = semconv.KEPT_SLOW
        if reason is None and keep.is_in_share(trace_id):
            reason = semconv.KEPT_SHARE
        self._held -= len(spans)
        if reason is None:
            self._left_out += len(spans)
            return ()
        self._kept += len(spans)
        self._reasons[trace_id] = reason
        if len(self._reasons) > limits.KEEP_DECISIONS:
            self._reasons.popitem(last=False)
        ratio = keep.ratio if reason == semconv.KEPT_SHARE else 1.0
        return [_marked(span, {semconv.KEEP_REASON: reason, semconv.KEEP_RATIO: ratio}) for span in spans]

    def _send(self, spans: Iterable[ReadableSpan]) -> None:
        for span in spans:
            for take in self._destinations:
                take(span)

    def _start_watch(self) -> None:
        if self._watch is None:
            self._watch = threading.Thread(target=self._watch_time, name="otel_callbacks keep", daemon=True)
            with suppress(RuntimeError):  # the process is about to exit, or has too many threads
                self._watch.start()

    def _watch_time(self) -> None:
        while not self._closed.wait(_WATCH_SECONDS):
            guarded(self._decide_overdue)(time.monotonic())

    def _decide_overdue(self, now: float) -> None:
        while True:
            with self._lock:
                trace_id, trace = next(iter(self._traces.items()), (0, None))
                if trace is None or now - trace.since < limits.KEEP_SECONDS:
                    return
                ready = self._decide_early(trace_id, "KEEP_SECONDS")
            self._send(ready)


def _marked(span: ReadableSpan, marks: Mapping[str, Any]) -> ReadableSpan:
    """Returns a copy of a span with further attributes; the span itself has ended and is read by others."""
    attributes: Any = {**(span.attributes or {}), **marks}
    if span.dropped_attributes:
        bounded = BoundedAttributes(attributes=attributes)
        bounded.dropped = span.dropped_attributes
        attributes = bounded
    marked = copy.copy(span)
    marked._attributes = attributes
    return marked
