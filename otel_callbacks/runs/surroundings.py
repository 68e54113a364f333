"""What a new run finds around it: the run that it is in, and the span that becomes its parent."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.trace import Span

from otel_callbacks.runs.context_variable import current_context
from otel_callbacks.runs.current_span import SPAN_KEY, STAND_IN_KEY, CurrentSpan, span_in
from otel_callbacks.runs.run import NO_BODY, BodyLabels, Run
from otel_callbacks.runtime.execution_context import current_execution_context

_SUPPRESSED = context_api._SUPPRESS_INSTRUMENTATION_KEY  # set by opentelemetry-instrumentation
_SUPPRESSED_ONCE = "suppress_instrumentation"  # set by what was written before that key
SUPPRESSING = frozenset((_SUPPRESSED, _SUPPRESSED_ONCE))
"""The entries of a context that may want no telemetry of what happens in it."""


class Surroundings(NamedTuple):
    """What a new run finds around it.

    Attributes:
        context: the current context.
        span: the innermost live span in it.
        outer: the same span as it stands in the context, which gives way when a run around ends before the new one.
        enclosing: stands for the run that the span is in.
        run: that run.
        vanished: runs that are over although the framework has not reported their end.
    """

    context: Context
    span: Span
    outer: Span
    enclosing: CurrentSpan | None
    run: Run | None
    vanished: Sequence[Run]

    @property
    def labels(self) -> BodyLabels:
        """Who pays for what happens here, without a scope that is open here."""
        return self.enclosing.body_labels() if self.enclosing is not None else NO_BODY

    def labels_at(self, base: Run | None, parent: Run | None, named: BodyLabels | None) -> BodyLabels:
        """Returns who pays, without a scope that is open here, where a run starts.

        Args:
            base: the run that the framework names as the parent.
            parent: the parent.
            named: who pays in the body that the framework names by id, that of `base` or of a hidden run below it.
        """
        if parent is None:
            return NO_BODY
        if parent is base and named is not None:
            return named
        hidden = self.enclosing.hidden_labels if self.enclosing is not None and parent is self.run else None
        return parent.body_labels if hidden is None else hidden

    def are_within(self, run: Run) -> bool:
        """Tells whether all this is in the body of `run`."""
        return self.run is run or (self.run is not None and self.run.is_within(run))


def find_surroundings(base: Run | None, open_runs: dict[Any, Run]) -> Surroundings:
    """Finds the innermost live span in the current context, and the run that it is in.

    Passes over runs that have ended, runs whose body the caller is not in or has not begun, and runs of another tracer
    provider, but not over `base`, the parent that the framework names. A user's span belongs to the innermost of the
    remaining runs, or to the base even if that has ended: work that outlives its parent.
    """
    context = current_context()
    if base is not None and (here := stand_in_of(base, context)) is not None:  # nearly always
        return tuple.__new__(Surroundings, (context, base.span, here, here, base, ()))
    span = span_in(context)
    enclosing: CurrentSpan | None = context.get(STAND_IN_KEY)  # type: ignore[assignment]
    vanished: list[Run] = []
    while type(span) is CurrentSpan:
        run = span.run
        if run.open_runs is open_runs and (run is base or run.begun is None or run.begun()):
            if span.is_current():
                return tuple.__new__(Surroundings, (context, run.span, span, span, run, vanished))
            if (
                run.open
                and run.may_vanish
                and run.execution_context == current_execution_context()
                and not run.is_current()
            ):
                vanished.append(run)
        enclosing, span = span.enclosing, span.outer
    around = _first_current(enclosing, open_runs, base)
    return Surroundings(context, span, span, around, around.run if around is not None else None, vanished)


def enclosing_run(context: Context, open_runs: dict[Any, Run] | None = None) -> Run | None:
    """Returns the innermost run whose body `context` is in, perhaps within a user's span.

    Looks only among `open_runs` if they are given.
    """
    found = _first_current(context.get(STAND_IN_KEY), open_runs, None)  # type: ignore[arg-type]
    return found.run if found is not None else None


def _first_current(
    stand_in: CurrentSpan | None, open_runs: dict[Any, Run] | None, base: Run | None
) -> CurrentSpan | None:
    """Returns the first stand-in, from this one outwards, whose run the caller is in; or that of `base`, even ended."""
    while stand_in is not None:
        run = stand_in.run
        if (open_runs is None or run.open_runs is open_runs) and (run is base or stand_in.is_current()):
            return stand_in
        stand_in = stand_in.enclosing
    return None


def outside_every_run(context: Context) -> Context:
    """Returns `context` without the runs that it is in."""
    return Context({key: value for key, value in context.items() if key != STAND_IN_KEY})


def ended_run() -> Run | None:
    """Returns the run that was last made current here, if it has ended.

    Work that outlives its parent (a background task) still belongs to the parent's trace.
    """
    stand_in: CurrentSpan | None = current_context().get(STAND_IN_KEY)  # type: ignore[assignment]
    return stand_in.run if stand_in is not None and not stand_in.run.open else None


def enclosing_labels(context: Context) -> BodyLabels:
    """Returns who pays in the innermost body that `context` is in, without a scope that is open there."""
    found = _first_current(context.get(STAND_IN_KEY), None, None)  # type: ignore[arg-type]
    return found.body_labels() if found is not None else NO_BODY


def stand_in_of(run: Run, context: Context) -> CurrentSpan | None:
    """Returns what stands for `run` in a context; None unless that is the innermost, and the caller is in its body."""
    span = context.get(SPAN_KEY)
    return span if type(span) is CurrentSpan and span.run is run and span.is_current() else None


def own_stand_in(run: Run, context: Context) -> CurrentSpan | None:
    """Returns what stands for `run` in a context; None unless that is the innermost, and not that of a hidden run.

    It need not be current yet: the body of a stream is where LangChain sets the config of a run below it.
    """
    stand_in: CurrentSpan | None = run.stand_in
    return stand_in if stand_in is not None and context.get(SPAN_KEY) is stand_in else None


def make_hidden_run_current(
    run: Run, key: Any, inside: Callable[[], bool] | None, around: Surroundings, labels: BodyLabels
) -> None:
    """Makes `run` current for a hidden run that was added to it, if it is not, or if other labels hold there.

    The hidden body may run in another context, or where a sibling is current.

    Args:
        run: the nearest run that has a span.
        key: the framework's id of the hidden run.
        inside: tells whether the calling code is in the body of the hidden run, see `Run`.
        around: what the hidden run finds around it, given `run`.
        labels: who pays in the body of the hidden run.
    """
    if not around.are_within(run) or around.labels is not labels:
        others = None if labels is run.body_labels else labels
        stand_in = CurrentSpan(run, around.outer, around.enclosing, inside, others)
        run.hold_hidden_runs()[key] = stand_in
        stand_in.attach(around.context)


def suppressed(context: Context) -> bool:
    """Tells whether the application wants no telemetry of what happens in this context."""
    return bool(context.get(_SUPPRESSED) or context.get(_SUPPRESSED_ONCE))
