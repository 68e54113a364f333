"""A run: an operation in progress, from the framework's start callback to its end callback."""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from operator import sub, truediv
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.trace import Span

from otel_callbacks import limits
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.execution_context import ExecutionContext, current_execution_context

_NONE: Mapping[str, str] = {}
_room_lock = fork.safe_lock()  # the first hidden runs below a run may start in several threads at once


class BodyLabels(NamedTuple):
    """Who pays for what happens in the body of a run, or inside a `with attribution(...)` there.

    Attributes:
        key: the framework's id of the run; None outside every run.
        labels: all labels, by attribute, as given.
        metadata: what LangChain's metadata, which LangChain hands down to the calls in the body, says of labels.
        tags: the same of LlamaIndex's tags.
    """

    key: Any = None
    labels: Mapping[str, str] = _NONE
    metadata: Mapping[str, str] = _NONE
    tags: Mapping[str, str] = _NONE


NO_BODY = BodyLabels()
"""The labels outside every run and scope."""


class Run:
    """An operation in progress.

    Attributes:
        key: the framework's id of the run.
        open_runs: the open runs by id, this one among them. Runs of different tracer providers never meet.
        parent: the run that encloses this one.
        children: the open runs below, without those below another open one.
        recorder: the recorder that started the run and ends it.
        content_policy: what content of the run is recorded.
        content_scope: the `with content(...)` that the policy comes from; the runs below inherit it.
        plain_reports: what chunks report beside their text that need not be kept, because one before reported it.
        span: the span; once the run has ended, only its identity.
        started: nanoseconds since 1970.
        inside: tells whether the calling code is really in the body of the run; None if it always is while the run is
            open. Some bodies share their context with code around them (the consumer of a stream), and the end of
            some runs is never reported.
        begun: tells whether the body has begun; None if it has from the start. In `batch` the siblings of a run start
            while it is current, but before its body. Until it has, only what the framework says is below is below.
        may_vanish: the framework may never report the end of this run (cancellation), but its body is over for certain
            when `inside` says no in the thread and task where it started, and when that task is over. It is the
            attribute `may_vanish` of `inside`.
        body_labels: who pays for the run and for what happens in its body.
        of_parent_process: the run was open when this process was forked; the parent process ends it.
        execution_context: the thread and task in which the run started.
        on_task_done: the callback that ends the run when its task ends.
        totals: what the run and the runs below it used so far. After `totals_final`, further use goes to a run above.
        complete: adds what has arrived of the result to the operation, for a run that is ended without its own report.
        chunk_times: when the first chunks of a stream arrived, in nanoseconds since 1970.
        stand_in: stands for the span in the context, see `current_span.CurrentSpan`.
        hidden_runs: ids of the open runs below that have no span of their own and are found as this run; with what
            stands in the context for those that run where this one was not current.
        ended_hidden_runs: ids of those that have ended; they stay for children that start late.
        hidden_labels: by id, who pays in the bodies of the hidden runs whose calls added labels.
        in_search: the run is a retrieval, a reranker or a query transformer, or inside one.
        trace_documents: on an outermost run, the documents of its trace; on a retrieval, those that runs inside found.
        prompt: on a model call, what its prompt is made of.
        prompt_templates: templates whose messages wait for a model call, by the id of their chain.
        agent_prompts: on an agent, what it has sent to its model. See `rag.prompt` for all four.
        sent_messages: on an outermost run, the messages that models were sent, if content is recorded.
        reservations: on a model call, what it has reserved of budgets; None if nothing was asked.
        recorded_error: the exception that a run below has recorded already.
        recorded_labels: who pays, by attribute, as spans and metrics say it: redacted as the policy wants.
        inner_usages: on a model call, the usage of the model calls in its body.
        uncounted: the sampler dropped the span, and nothing counts what happens in the body, so runs below are hidden;
            of a dropped span, None until it is asked.
    """

    agent_prompts: Any = None
    begun: Callable[[], bool] | None = None
    body_labels = NO_BODY
    children: "set[Run] | None" = None
    chunk_times: "array[int] | None" = None
    complete: Callable[[], Any] | None = None
    content_policy: Any = None
    content_scope: Any = None
    ended_hidden_runs: "OrderedDict[Any, None] | None" = None
    execution_context: ExecutionContext | None = None
    first_chunk: int | None = None
    hidden_labels: dict[Any, BodyLabels] | None = None
    hidden_runs: dict[Any, Any] | None = None
    in_search = False
    inner_usages: list[Any] | None = None
    inside: Callable[[], bool] | None = None
    interrupted = False
    _late_chunk = 0
    may_vanish = False
    of_parent_process = False
    on_task_done: Callable[[Any], None] | None = None
    open = True
    operation: Any
    prompt: Any = None
    prompt_templates: dict[Any, Any] | None = None
    recorded_error: BaseException | None = None
    recorded_labels: Mapping[str, str] = _NONE
    recorder: Any = None
    reservations: Any = None
    sent_messages: Any = None
    plain_reports: tuple[Any, ...] | None = None
    span: Span = trace.INVALID_SPAN
    stand_in: Any = None
    started = 0
    totals: Any = None
    totals_final = False
    trace_documents: Any = None
    uncounted: bool | None = False

    def __init__(self, key: Any, operation: Any, parent: "Run | None", open_runs: dict[Any, "Run"]) -> None:
        if parent is not None:
            operation.inherit(parent.operation)
            if parent.in_search:
                self.in_search = True
        if operation.in_search:
            self.in_search = True
        self.key = key
        self.operation = operation
        self.parent = parent
        self.open_runs = open_runs

    @property
    def labels(self) -> Mapping[str, str]:
        """Who pays, by attribute, as given."""
        return self.body_labels.labels

    def is_current(self) -> bool:
        """Tells whether the run is open and the caller is in its body."""
        return self.open and (self.inside is None or self.inside())

    def add_chunk(self, now: int) -> None:
        """Notes that a chunk of a streamed answer arrived, at `now` nanoseconds since 1970."""
        times = self.chunk_times
        if times is None:
            self.first_chunk, self.chunk_times = now, array("q", (now,))
        elif len(times) <= limits.CHUNK_GAPS:
            times.append(now)
        else:
            self._late_chunk = now
            limits.log_reached(
                "CHUNK_GAPS", "the time per chunk is recorded for the beginning of a stream only"
            )

    @property
    def last_chunk(self) -> int:
        """When the last chunk of a stream arrived, in nanoseconds since 1970; 0 before the first."""
        return self._late_chunk or (self.chunk_times[-1] if self.chunk_times else 0)

    @property
    def chunk_gaps(self) -> Sequence[float]:
        """Seconds between the chunks of a stream."""
        times = self.chunk_times
        return () if times is None else [*map(truediv, map(sub, times[1:], times), repeat(1e9))]

    def enter_tree(self) -> None:
        """Adds the run to the `children` of the nearest run above that is open."""
        above = self.parent
        while above is not None and not above.open:
            above = above.parent
        if above is None:
            return
        if (siblings := above.children) is None:
            above.children = {self}
        else:
            siblings.add(self)

    def leave_tree(self) -> None:
        """Removes the run from the `children` of the nearest open run above, which gets those that it leaves behind."""
        above = self.parent
        while above is not None and not above.open:
            above = above.parent
        if above is None or (siblings := above.children) is None:
            return
        siblings.discard(self)
        if self.children:
            siblings.update(self.children)

    def goes_on_without(self, parent: "Run", *, given_up: bool) -> bool:
        """Tells whether this run may go on when the one above it ends, `given_up` (abandoned or cancelled) or not."""
        started_in = self.execution_context
        if self.may_vanish and started_in == parent.execution_context:
            return False
        if not given_up:
            return True
        if started_in is None or started_in in (parent.execution_context, current_execution_context()):
            return False
        return started_in.task is None or started_in.running_task() is not None  # a thread or task of its own

    def is_recorded(self) -> bool:
        """Tells whether the span of this run, or of one above it, is recorded."""
        run: Run | None = self
        while run is not None and not run.span.is_recording():
            run = run.parent
        return run is not None

    def is_within(self, other: "Run") -> bool:
        """Tells whether the run is `other` or below it."""
        run: Run | None = self
        while run is not None:
            if run is other:
                return True
            run = run.parent
        return False

    def outermost(self) -> "Run":
        """Returns the run at the top of the trace, perhaps this one."""
        run = self
        while run.parent is not None:
            run = run.parent
        return run

    def has_id(self, key: Any) -> bool:
        """Tells whether `key` is the id of this run or of a hidden one below it."""
        return self.key == key or key in (self.hidden_runs or ()) or key in (self.ended_hidden_runs or ())

    def hold_hidden_runs(self) -> dict[Any, Any]:
        """Makes room for hidden runs, and returns it."""
        with _room_lock:
            if self.hidden_runs is None:
                self.ended_hidden_runs = OrderedDict()
                self.hidden_runs = {}
            return self.hidden_runs

    def add_hidden_run(self, key: Any, labels: BodyLabels | None) -> bool:
        """Lets a run without a span be found as this one; returns whether this run is open.

        If it has ended, only the id is kept.

        Args:
            key: the framework's id of the hidden run.
            labels: who pays in its body; None if that is as in the body of this run.
        """
        hidden = self.hidden_runs
        if hidden is None:
            hidden = self.hold_hidden_runs()
        hidden[key] = None
        if labels is not None:
            self.hidden_labels = {} if self.hidden_labels is None else self.hidden_labels
            self.hidden_labels[key] = labels
        self.open_runs[key] = self
        if not self.open:  # perhaps it ended in another thread just now
            self.open_runs.pop(key, None)
            self.end_hidden_run(key)
        return self.open

    def end_hidden_run(self, key: Any) -> None:
        """Ends a hidden run below; its id stays, for children that start late."""
        hidden, ended = self.hidden_runs, self.ended_hidden_runs
        if hidden is None or ended is None or key not in hidden:
            return
        if (stand_in := hidden.pop(key)) is not None:
            stand_in.close()
        ended[key] = None
        if len(ended) > limits.ENDED_HIDDEN_RUNS:
            oldest = ended.popitem(last=False)[0]
            self.open_runs.pop(oldest, None)
            if self.hidden_labels is not None:
                self.hidden_labels.pop(oldest, None)
            limits.log_reached(
                "ENDED_HIDDEN_RUNS", "what starts late below the oldest may attach to another parent"
            )

    def close(self) -> None:
        """Ends the run and gives the context back to what is outside.

        Keeps only the run's identity: the context of a long-lived task may hold the run for a while.
        """
        self.open = False
        if self.hidden_runs is not None:
            for key in list(self.hidden_runs):
                self.end_hidden_run(key)
            for key in self.ended_hidden_runs or ():
                self.open_runs.pop(key, None)
        if self.stand_in is not None:
            self.stand_in.close()
        self.span = trace.NonRecordingSpan(self.span.get_span_context())
        self.__dict__.update(_RELEASED)


class _EndedOperation:
    """What is left of the operation of a run that has ended."""

    IS_AGENT = False
    name = None
    conversation_id = None
    agent_name = None


_RELEASED: Mapping[str, Any] = {
    "operation": _EndedOperation(),
    **dict.fromkeys(("agent_prompts", "begun", "children", "complete", "execution_context", "inner_usages")),
    **dict.fromkeys(("inside", "on_task_done", "prompt", "prompt_templates", "recorded_error", "stand_in")),
    **dict.fromkeys(("sent_messages", "totals", "trace_documents")),
}
"""What a run that has ended no longer holds."""
