"""Follows growing traces while an application runs, and tells which are complete."""

from dataclasses import dataclass

from otel_callbacks.explore.collection import Traces
from otel_callbacks.explore.trace import Trace

_QUIET_SECONDS = 5.0  # a trace without its root counts as complete after this long without a new span


@dataclass(frozen=True, slots=True)
class NewTraces:
    """The traces that have become complete since the last poll, and those that still grow."""

    complete: list[Trace]
    growing: list[Trace]


class Follower:
    """Polls a collection for traces that are new since the follower was made, or for all with `from_start`."""

    def __init__(self, traces: Traces, *, from_start: bool = False) -> None:
        self._traces = traces
        self._counts = {} if from_start else self._count()
        self._grew: dict[str, float] = {}  # when each trace last grew, by trace id

    def poll(self, now: float) -> NewTraces:
        """Returns the traces that have grown; `now` is the time in seconds of a monotonic clock.

        A trace is complete when its root, which ends last, has arrived. It is also complete when no span has come
        for 5 seconds, because its root may belong to another service. A later span makes it grow again.
        """
        counts = self._count()
        self._grew |= {each: now for each in counts if counts[each] != self._counts.get(each)}
        self._counts = counts
        growing = {each: self._traces.get(each) for each in self._grew if each in counts}
        complete = [
            trace
            for each, trace in growing.items()
            if _has_root(trace) or now - self._grew[each] >= _QUIET_SECONDS
        ]
        for trace in complete:
            counts[trace.trace_id] = len(trace.spans)  # more spans may have come since the count
            del self._grew[trace.trace_id], growing[trace.trace_id]
        return NewTraces(complete, list(growing.values()))

    def _count(self) -> dict[str, int]:
        rows = self._traces.sql("SELECT trace_id, spans FROM traces ORDER BY start_ns")
        return {row["trace_id"]: row["spans"] for row in rows}


def _has_root(trace: Trace) -> bool:
    return any(root.parent_id is None for root in trace.roots)
