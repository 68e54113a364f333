"""The current span that heals itself.

Callbacks start and end in different copies of the context (an async end event runs in a copied one), so a
detach token taken at start is useless at end and the ended span would stay current for good. Therefore the
context gets a stand-in, attached once and never detached by token: it answers with its run's span while that
run is open, and afterwards with whatever was current outside.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanContext, Status, StatusCode
from opentelemetry.util.types import Attributes, AttributeValue

from otel_callbacks.runtime.execution_context import ExecutionContext, current_execution_context

_STAND_IN_KEY = context_api.create_key("otel_callbacks-stand-in")
_MAX_HIDDEN = 1_000
_NO_LABELS: Mapping[str, str] = {}
_SUPPRESSED = context_api._SUPPRESS_INSTRUMENTATION_KEY  # set by opentelemetry-instrumentation
_SUPPRESSED_ONCE = "suppress_instrumentation"  # set by what was written before that key


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
        labels: who pays, by attribute, as given; `own_labels` are those of this run's own call.
        disowned: it was open when this process was forked, and is the parent process's to end.
        totals: what the run and those below it used so far; handed to a run above once it is `added_up`.
        gaps: seconds between the chunks of a stream.
        stand_in: stands for the span in the context.
        hidden: the ids of runs below without a span of their own, for which this one stands; of those that go on in
            a context where it was not current, with what was put there.
        found: of an outermost run, the documents of its trace; `prompt`, of a model call, and `prompts`, of an agent,
            what was sent; see `lineage`.
    """

    __slots__ = (
        "added_up",
        "children",
        "content",
        "disowned",
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
        "own_labels",
        "parent",
        "place",
        "prompt",
        "prompts",
        "recorded_error",
        "recorder",
        "scope",
        "span",
        "stand_in",
        "started",
        "table",
        "totals",
        "watch",
    )

    def __init__(self, key: Any, operation: Any, parent: "Run | None", table: dict[Any, "Run"]) -> None:
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
        self.own_labels: Mapping[str, str] = _NO_LABELS
        self.place: ExecutionContext | None = None
        self.inside: Callable[[], bool] | None = None
        self.found_by_id = False
        self.may_vanish = False
        self.interrupted = False
        self.children: set[Run] | None = None
        self.hidden: OrderedDict[Any, CurrentSpan | None] | None = None
        self.disowned = False
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
        self.stand_in: CurrentSpan | None = None

    def is_current(self) -> bool:
        """Whether the run is open and the caller is in its body."""
        return self.open and (self.inside is None or self.inside())

    def is_told_of(self) -> bool:
        """Whether a span is recorded of this run or of one above it."""
        run: Run | None = self
        while run is not None and not run.span.is_recording():
            run = run.parent
        return run is not None

    def is_within(self, other: "Run") -> bool:
        """Whether the run is `other` or below it."""
        run: Run | None = self
        while run is not None:
            if run is other:
                return True
            run = run.parent
        return False

    def stand_for(self, key: Any, inside: Callable[[], bool] | None) -> None:
        """Lets a run without a span be found as this one, the nearest above it that has one.

        This one becomes current if it is not: the hidden body may run in another context, or where a sibling is
        current.

        Args:
            key: the framework's id of the hidden run; all that is kept if this run has ended.
            inside: of the hidden run, see `Run`.
        """
        if key == self.key:
            return  # the same id again, after the end, and as its own parent
        hidden = self.hidden = OrderedDict() if self.hidden is None else self.hidden
        hidden[key] = None
        if len(hidden) > _MAX_HIDDEN:
            self.table.pop(hidden.popitem(last=False)[0], None)
        self.table[key] = self
        if self.table.get(self.key) is not self:  # perhaps it ended in another thread just now
            self.table.pop(key, None)
            return
        around = surroundings(self, self.table)
        if not around.are_within(self):
            stand_in = hidden[key] = CurrentSpan(self, around.outer, around.beneath, inside)
            stand_in.attach(around.context)

    def stands_for(self, key: Any) -> bool:
        """Whether `key` is the id of this run or of a hidden one below it."""
        return self.key == key or (self.hidden is not None and key in self.hidden)

    def end_hidden(self, key: Any) -> None:
        """Notes that a hidden run below is over; its id is kept, for those that come late."""
        if self.hidden is not None and (stand_in := self.hidden.get(key)) is not None:
            self.hidden[key] = None
            stand_in.close()

    def close(self) -> None:
        """Leaves the context to what is outside.

        Drops everything but the run's identity: contexts of long-lived tasks may hold the run for a while.
        """
        self.open = False
        for key in list(self.hidden or ()):
            self.end_hidden(key)
        if self.stand_in is not None:
            self.stand_in.close()
        self.span = trace.NonRecordingSpan(self.span.get_span_context())
        self.operation = _ENDED
        self.stand_in = self.inside = self.children = self.totals = self.recorded_error = self.watch = None
        self.found = self.prompt = self.prompts = None
        self.place = None


class _Ended:
    """What is left of the operation of a run that has ended."""

    name = None
    conversation_id = None


_ENDED = _Ended()


class CurrentSpan(Span):
    """Stands in the context for the span of a run, and for the span outside once the run has ended.

    Args:
        run: the run.
        outer: the live span outside.
        beneath: stands for the run outside, which `outer` is the span of or within.
        inside: as of a run; given for a hidden run, which is over when this is closed.
    """

    def __init__(
        self,
        run: Run,
        outer: Span,
        beneath: "CurrentSpan | None",
        inside: Callable[[], bool] | None = None,
    ) -> None:
        self._run = run
        self._outer = outer
        self._beneath = beneath
        self._inside = inside
        self._open = True
        self._attached: Context | None = None
        self._outside: Context | None = None

    def attach(self, context: Context) -> None:
        """Becomes current, on top of `context`."""
        self._outside = context
        beside: CurrentSpan | None = context.get(_STAND_IN_KEY)  # type: ignore[assignment]
        if beside is not None and beside is not self._beneath and beside._attached is context:
            self._outside = beside._outside  # a sibling in a batch, which may end before us
        self._attached = trace.set_span_in_context(self, Context({**context, _STAND_IN_KEY: self}))
        context_api.attach(self._attached)

    def close(self) -> None:
        """Answers for the span outside from now on, and puts the context back if nothing was attached since."""
        self._open = False
        if self._attached is not None and context_api.get_current() is self._attached:
            assert self._outside is not None
            context_api.attach(self._outside)
        self._attached = self._outside = self._inside = None

    def _is_current(self) -> bool:
        return self._open and self._run.is_current() and (self._inside is None or self._inside())

    def _live(self) -> Span:
        span: Span = self
        while type(span) is CurrentSpan:  # `isinstance` is slow with abstract classes such as `Span`
            span = span._run.span if span._is_current() else span._outer
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

    `outer` is that span as it stands in the context, and `beneath` stands for the run: stand-ins, which heal when
    their run ends before ours.
    """

    context: Context
    span: Span
    outer: Span
    beneath: CurrentSpan | None
    vanished: Sequence[Run]

    @property
    def run(self) -> Run | None:
        """The run that the span is in."""
        return self.beneath._run if self.beneath is not None else None

    def are_within(self, run: Run) -> bool:
        """Whether all this is in the body of `run`."""
        return self.beneath is not None and self.beneath._run.is_within(run)


def surroundings(base: Run | None, table: dict[Any, Run]) -> Surroundings:
    """Looks through the stand-ins in the current context for the innermost live span.

    Passed over are runs that have ended or that we are not inside of, runs of another table, and runs that are
    found by id, except `base`, the one that was named. A user's span is in the innermost of the others, or in the
    base even if that has ended: work that outlives its parent. `vanished` are the runs that turn out to be over
    although nobody said so.
    """
    context = context_api.get_current()
    span = trace.get_current_span(context)
    beneath: CurrentSpan | None = context.get(_STAND_IN_KEY)  # type: ignore[assignment]
    vanished: list[Run] = []
    while type(span) is CurrentSpan:
        run = span._run
        if run.table is table and (not run.found_by_id or run is base):
            if span._is_current():
                return Surroundings(context, run.span, span, span, vanished)
            if (
                run.open
                and run.may_vanish
                and run.place == current_execution_context()
                and not run.is_current()
            ):
                vanished.append(run)
        beneath, span = span._beneath, span._outer
    return Surroundings(context, span, span, _enclosing(beneath, table, base), vanished)


def enclosing_run(context: Context, table: dict[Any, Run] | None = None) -> Run | None:
    """The innermost run, of `table` if one is given, in whose body `context` is; the user's spans may be within."""
    found = _enclosing(context.get(_STAND_IN_KEY), table, None)  # type: ignore[arg-type]
    return found._run if found is not None else None


def _enclosing(
    stand_in: CurrentSpan | None, table: dict[Any, Run] | None, base: Run | None
) -> CurrentSpan | None:
    """The first stand-in from this one down whose run we are in; or that of `base`, be that over or not."""
    while stand_in is not None:
        run = stand_in._run
        if (table is None or run.table is table) and (run is base or stand_in._is_current()):
            return stand_in
        stand_in = stand_in._beneath
    return None


def ended_run() -> Run | None:
    """The run that was last made current here, if it has ended.

    Work that outlives its parent (a background task) still belongs to the parent's trace.
    """
    stand_in: CurrentSpan | None = context_api.get_current().get(_STAND_IN_KEY)  # type: ignore[assignment]
    return stand_in._run if stand_in is not None and not stand_in._run.open else None


def suppressed(context: Context) -> bool:
    """Whether the application wants no telemetry of what happens in this context."""
    return bool(context.get(_SUPPRESSED) or context.get(_SUPPRESSED_ONCE))
