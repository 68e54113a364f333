"""Which traces grow while an application runs, and which are complete."""

from dataclasses import dataclass

from otel_callbacks.explore.collection import Traces
from otel_callbacks.explore.trace import Trace

_PATIENCE = 5.0  # seconds without a new span, after which a trace without its root is taken for complete


@dataclass(frozen=True, slots=True)
class Grown:
    """Traces that are complete since the last look, and those that are still growing."""

    complete: list[Trace]
    growing: list[Trace]


class Follower:
    """Looks at a collection again and again, for what is new since it was made, or for all that is in it."""

    def __init__(self, traces: Traces, *, from_start: bool = False) -> None:
        self._traces = traces
        self._counts = {} if from_start else self._count()
        self._grew: dict[str, float] = {}  # when, by the id of the trace

    def look(self, now: float) -> Grown:
        """What has grown; `now` is in seconds, of any clock that goes on steadily.

        A trace is complete when its root is there, which ends last, or when nothing came for some seconds: the
        root may be another service's. What comes later makes it grow again.
        """
        counts = self._count()
        self._grew |= {each: now for each in counts if counts[each] != self._counts.get(each)}
        self._counts = counts
        growing = {each: self._traces.get(each) for each in self._grew if each in counts}
        complete = [
            trace
            for each, trace in growing.items()
            if _has_root(trace) or now - self._grew[each] >= _PATIENCE
        ]
        for trace in complete:
            counts[trace.trace_id] = len(trace.spans)  # of which some may have come since they were counted
            del self._grew[trace.trace_id], growing[trace.trace_id]
        return Grown(complete, list(growing.values()))

    def _count(self) -> dict[str, int]:
        rows = self._traces.sql("SELECT trace_id, spans FROM traces ORDER BY start_ns")
        return {row["trace_id"]: row["spans"] for row in rows}


def _has_root(trace: Trace) -> bool:
    return any(root.parent_id is None for root in trace.roots)
