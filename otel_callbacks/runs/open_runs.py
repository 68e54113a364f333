"""What all recorders of one tracer provider share: the open runs, and what is remembered of those that ended."""

import weakref
from collections import OrderedDict
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanContext, TracerProvider

from otel_callbacks.runs import sampling
from otel_callbacks.runs.current_span import Run
from otel_callbacks.runtime import fork

_MAX_INTERRUPTED = 1_024
_MAX_ROOTS = 4_096


class OpenRuns:
    """The runs of a tracer provider, so that two handlers in one call make one span per run.

    Attributes:
        runs: the open runs by the framework's id. A hidden run's id leads to the nearest run above it that has
            a span.
        interrupted: the root spans of conversations that wait for somebody, the newest last.
        roots: the trace ids of the runs that started without one above them, ended or not, the newest last.
        drops_below: the provider's sampler need not be asked below a span that it dropped.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self.drops_below = sampling.drops_below(provider)
        self.runs: dict[Any, Run] = {}
        self.interrupted: OrderedDict[str, SpanContext] = OrderedDict()
        self.roots: OrderedDict[Any, int] = OrderedDict()

    def remember_root(self, run: Run) -> None:
        """Keeps the trace id of a run that started without one above it."""
        self.roots[run.key] = run.span.get_span_context().trace_id
        if len(self.roots) > _MAX_ROOTS:
            self.roots.popitem(last=False)

    def remember_interrupted(self, run: Run) -> None:
        """Keeps the root of a conversation that waits for somebody, so that what resumes it can point to it."""
        if run.parent is None and run.operation.conversation_id:
            self.interrupted[run.operation.conversation_id] = run.span.get_span_context()
            if len(self.interrupted) > _MAX_INTERRUPTED:
                self.interrupted.popitem(last=False)

    def trace_id(self, key: Any) -> str | None:
        """The trace of an open run, or of one that started without a run above it; in hex, None if not known."""
        run = self.runs.get(key)
        found = self.roots.get(key) if run is None else run.span.get_span_context().trace_id
        return trace.format_trace_id(found) if found else None


_open_runs: "weakref.WeakKeyDictionary[TracerProvider, OpenRuns]" = weakref.WeakKeyDictionary()


def open_runs_of(provider: TracerProvider) -> OpenRuns:
    """The table of a provider, made once."""
    return _open_runs.get(provider) or _open_runs.setdefault(provider, OpenRuns(provider))


def _disown() -> None:
    """Leaves the runs that are open at a fork to the parent process: in the child they are only there to be parents."""
    for table in _open_runs.values():
        for run in table.runs.values():
            run.span = trace.NonRecordingSpan(run.span.get_span_context())
            run.disowned = True


fork.run_in_child(_disown)
