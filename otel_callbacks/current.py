"""The current span that heals itself.

Callbacks start and end in different copies of the context (an async end event runs in a copied one), so a
detach token taken at start is useless at end and the ended span would stay current for good. Therefore the
context gets a stand-in, attached once and never detached by token: it answers with its run's span while that
run is open, and afterwards with whatever was current outside.
"""

import asyncio
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, Status, StatusCode
from opentelemetry.util.types import Attributes, AttributeValue

from otel_callbacks.operations import AgentInvocation, Operation, Step, ToolExecution

_RUN_KEY = context_api.create_key("otel_callbacks-run")
_NO_LABELS: Mapping[str, str] = {}
_SUPPRESSED = context_api._SUPPRESS_INSTRUMENTATION_KEY  # set by opentelemetry-instrumentation
_SUPPRESSED_ONCE = "suppress_instrumentation"  # set by what was written before that key


class Place(NamedTuple):
    """A thread and the asyncio task in it (None outside a task)."""

    thread: int
    task: "asyncio.Task[Any] | None"


def here() -> Place:
    """Where this code runs."""
    # _get_running_loop is documented for event loops; get_running_loop would raise in synchronous code, and an
    # exception per run is dear.
    loop = asyncio._get_running_loop()
    return Place(threading.get_ident(), asyncio.current_task(loop) if loop is not None else None)


class Run:
    """An operation in progress.

    Attributes:
        key: the id the framework knows the run by.
        table: the open-run table the run is in; runs of different tracer providers never meet.
        parent: the run that encloses this one.
        content: the policy for the content of the run, and `scope`, from which it and the runs below have it.
        span: the span; once the run has ended only its identity is left here.
        inside: tells whether the calling code is really in the body of the run. Some bodies share their context
            with code around them (the consumer of a stream), and some runs end without telling anybody.
        found_by_id: children of this run name it by id, so that being current does not make it a parent. In
            `batch` the siblings of a run start while it is current.
        may_vanish: the framework may not tell the end of this run (cancellation).
        labels: who pays, by attribute; those that this run's call asked for are also in `asked`.
        totals: what the run and those below it used so far; handed to a run above once it is `added_up`.
        gaps: seconds between the chunks of a stream.
        found: of an outermost run, the documents of its trace; `prompt`, of a model call, and `prompts`, of an agent,
            what was sent; see `lineage`.
    """

    __slots__ = (
        "_context",
        "_outer_context",
        "added_up",
        "asked",
        "children",
        "content",
        "first_chunk",
        "found",
        "found_by_id",
        "gaps",
        "hidden",
        "inside",
        "interrupted",
        "key",
        "labels",
        "last_chunk",
        "may_vanish",
        "open",
        "operation",
        "parent",
        "place",
        "prompt",
        "prompts",
        "recorded_error",
        "recorder",
        "scope",
        "span",
        "started",
        "table",
        "totals",
        "watch",
    )

    def __init__(self, key: Any, operation: Operation, parent: "Run | None", table: dict[Any, "Run"]) -> None:
        self.key = key
        self.operation = operation
        self.parent = parent
        self.table = table
        self.open = True
        self.span: Span = trace.INVALID_SPAN
        self.recorder: Any = None
        self.content: Any = None
        self.scope: Any = None
        self.started = 0
        self.labels: Mapping[str, str] = _NO_LABELS
        self.asked: Mapping[str, str] = _NO_LABELS
        self.place: Place | None = None
        self.inside: Callable[[], bool] | None = None
        self.found_by_id = False
        self.may_vanish = False
        self.interrupted = False
        self.children: set[Run] | None = None
        self.hidden: list[Any] | None = None
        self.totals: Any = None
        self.found: Any = None
        self.prompt: Any = None
        self.prompts: Any = None
        self.added_up = False
        self.recorded_error: BaseException | None = None
        self.first_chunk: int | None = None
        self.last_chunk = 0
        self.gaps: array[float] | None = None
        self.watch: Callable[[Any], None] | None = None
        self._context: Context | None = None
        self._outer_context: Context | None = None

    def is_current(self) -> bool:
        """Whether the run is open and the caller is in its body."""
        return self.open and (self.inside is None or self.inside())

    def is_within(self, other: "Run") -> bool:
        """Whether the run is `other` or below it."""
        run: Run | None = self
        while run is not None:
            if run is other:
                return True
            run = run.parent
        return False

    def attach(self, outer: Span, outer_run: "Run | None", context: Context) -> None:
        """Makes the run current on top of `context`, in which `outer` is the live span."""
        self._outer_context = context
        beside: Run | None = context.get(_RUN_KEY)  # type: ignore[assignment]
        if beside is not None and beside is not outer_run and beside._context is context:
            self._outer_context = beside._outer_context  # a sibling in a batch, which may end before us
        stand_in = trace.set_span_in_context(CurrentSpan(self, outer, outer_run), context)
        self._context = context_api.set_value(_RUN_KEY, self, stand_in)
        context_api.attach(self._context)

    def close(self) -> None:
        """Ends the stand-in's answer, and puts the context back if nothing else was attached since.

        Drops everything but the run's identity: contexts of long-lived tasks may hold the run for a while.
        """
        self.open = False
        if self._context is not None and context_api.get_current() is self._context:
            assert self._outer_context is not None
            context_api.attach(self._outer_context)
        self._context = self._outer_context = None
        self.span = trace.NonRecordingSpan(self.span.get_span_context())
        self.operation = _ENDED
        self.inside = self.children = self.hidden = self.totals = self.recorded_error = self.watch = None
        self.found = self.prompt = self.prompts = None
        self.place = None


_ENDED = Operation()


class CurrentSpan(Span):
    """Stands in the context for the span of a run, and for the span outside once the run has ended."""

    def __init__(self, run: Run, outer: Span, outer_run: Run | None) -> None:
        self._run = run
        self._outer = outer
        self._outer_run = outer_run

    def _live(self) -> Span:
        span: Span = self
        while isinstance(span, CurrentSpan):
            span = span._run.span if span._run.is_current() else span._outer
        return span

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._live(), name)

    def get_span_context(self) -> SpanContext:
        """The identity of the live span."""
        return self._live().get_span_context()

    def is_recording(self) -> bool:
        """Whether the live span records."""
        return self._live().is_recording()

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Writes to the live span."""
        self._live().set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Writes to the live span."""
        self._live().set_attributes(attributes)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Adds an event to the live span."""
        self._live().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Adds a link to the live span."""
        self._live().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Renames the live span."""
        self._live().update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Sets the status of the live span."""
        self._live().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Records an exception on the live span."""
        self._live().record_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        """Does nothing: the run ends its span, not whoever finds it current."""


class Surroundings(NamedTuple):
    """What a new run finds around it: the context, the live span in it, and the run that span is in.

    `outer` is that span as it stands in the context: a stand-in, which heals when its run ends before ours.
    """

    context: Context
    span: Span
    outer: Span
    run: Run | None
    vanished: Sequence[Run]


def surroundings(base: Run | None, table: dict[Any, Run]) -> Surroundings:
    """Looks through the stand-ins in the current context for the innermost live span.

    Passed over are runs that have ended or that we are not inside of, runs of another table, and runs that are
    found by id, except `base`, the one that was named. `vanished` are the runs that turn out to be over although
    nobody said so.
    """
    context = context_api.get_current()
    span = trace.get_current_span(context)
    run: Run | None = context.get(_RUN_KEY)  # type: ignore[assignment]
    vanished: list[Run] = []
    while isinstance(span, CurrentSpan):
        candidate = span._run
        usable = candidate.table is table and (not candidate.found_by_id or candidate is base)
        if usable and candidate.is_current():
            return Surroundings(context, candidate.span, span, candidate, vanished)
        if usable and candidate.open and candidate.may_vanish and candidate.place == here():
            vanished.append(candidate)
        run, span = span._outer_run, span._outer
    while run is not None and run.table is not table:
        run = run.parent
    return Surroundings(context, span, span, run, vanished)


def last_run() -> Run | None:
    """The run that was last made current here, whether it is still open or not."""
    run: Run | None = context_api.get_current().get(_RUN_KEY)  # type: ignore[assignment]
    return run


def enclosing_run(context: Context) -> Run | None:
    """The innermost run that is current where `context` is, of whatever table; there may be the user's spans within."""
    span = trace.get_current_span(context)
    run: Run | None = context.get(_RUN_KEY)  # type: ignore[assignment]
    while isinstance(span, CurrentSpan) and not span._run.is_current():
        run, span = span._outer_run, span._outer
    while run is not None and not run.is_current():
        run = run.parent
    return run


def closed_run(key: Any) -> Run | None:
    """The run that was last current here, if it is the one called `key` and has ended.

    Work that outlives its parent (a background task) still belongs to the parent's trace.
    """
    run = last_run()
    return run if run is not None and run.key == key and not run.open else None


def live_run(table: dict[Any, Run]) -> Run | None:
    """The run of `table` whose body this code is in, as a span that the application opens here would see it."""
    span = trace.get_current_span()
    while isinstance(span, CurrentSpan):
        if span._run.is_current() and span._run.table is table:
            return span._run
        span = span._outer
    return None


def inherit(operation: Operation, base: Run | None) -> None:
    """Takes over the conversation, and for a tool the agent, from the nearest runs above that have one."""
    if isinstance(operation, Step):
        return
    agent: AgentInvocation | None = None
    run = base
    while run is not None:
        above = run.operation
        operation.conversation_id = operation.conversation_id or above.conversation_id
        if agent is None and isinstance(above, AgentInvocation):
            agent = above
        run = run.parent
    if agent is not None and isinstance(operation, ToolExecution):
        operation.agent_name = operation.agent_name or agent.name


def suppressed(context: Context) -> bool:
    """Whether the application wants no telemetry of what happens in this context."""
    return bool(context.get(_SUPPRESSED) or context.get(_SUPPRESSED_ONCE))
