"""The open runs of a tracer provider, and what is remembered of those that ended."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, TracerProvider

from otel_callbacks import limits
from otel_callbacks.runs import sampling
from otel_callbacks.runs.recorded_messages import RecordedMessages
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.by_identity import ByIdentity


class OpenRuns:
    """The open runs of a tracer provider. All its recorders share them: two handlers make one span per run.

    Attributes:
        by_id: the open runs by the framework's id. The id of a hidden run leads to the nearest run above it that has
            a span.
        interrupted: the outermost spans of conversations that wait for somebody, by conversation, the newest last.
        root_trace_ids: the trace ids of runs that started without a run above, open or ended, the newest last.
        recorded_messages: the messages that are recorded in full, if the policy wants each in full only once.
        drops_children: the provider's sampler is sure to drop every span below a dropped one.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self.drops_children = sampling.drops_children(provider)
        self.by_id: dict[Any, Run] = {}
        self.interrupted: OrderedDict[str, SpanContext] = OrderedDict()
        self.root_trace_ids: OrderedDict[Any, int] = OrderedDict()
        self.recorded_messages = RecordedMessages()

    def remember_root(self, run: Run) -> None:
        """Keeps the trace id of a run that started without a run above it."""
        self.root_trace_ids[run.key] = run.span.get_span_context().trace_id
        if len(self.root_trace_ids) > limits.ROOT_TRACE_IDS:
            self.root_trace_ids.popitem(last=False)

    def remember_interrupted(self, run: Run) -> None:
        """Keeps the span of a conversation that waits for somebody; the run that resumes it links to it.

        The outermost run of the conversation ends last, and counts.
        """
        if run.operation.conversation_id:
            self.interrupted[run.operation.conversation_id] = run.span.get_span_context()
            if len(self.interrupted) > limits.INTERRUPTED_CONVERSATIONS:
                self.interrupted.popitem(last=False)
                limits.log_reached(
                    "INTERRUPTED_CONVERSATIONS", "the oldest, when resumed, have no link to their first trace"
                )

    def links_to_interrupted(self, conversation_id: str | None) -> Sequence[Link]:
        """Returns the link of a run that resumes a conversation to its interrupted span, and forgets that."""
        interrupted = self.interrupted.pop(conversation_id or "", None)
        return (Link(interrupted),) if interrupted is not None else ()

    def trace_id(self, key: Any) -> str | None:
        """Returns the trace id, in hex, of an open run or of a remembered root; None if it is not known."""
        run = self.by_id.get(key)
        found = self.root_trace_ids.get(key) if run is None else run.span.get_span_context().trace_id
        return trace.format_trace_id(found) if found else None


_by_provider = ByIdentity[TracerProvider, OpenRuns](OpenRuns, limits.PROVIDERS_KEPT)


def open_runs_of(provider: TracerProvider) -> OpenRuns:
    """Returns the open runs of a provider, the same object each time."""
    return _by_provider.of(provider)


def _leave_to_parent_process() -> None:
    """Leaves the runs that are open at a fork to the parent process; in the child they only serve as parents."""
    for open_runs in _by_provider.values():
        for run in open_runs.by_id.values():
            run.span = trace.NonRecordingSpan(run.span.get_span_context())
            run.of_parent_process = True


fork.run_in_child(_leave_to_parent_process)
