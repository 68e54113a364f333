"""Turns operations into telemetry: the table of open runs, and what happens when a run starts and ends.

The recorder knows no framework. A handler starts a run with an operation, completes that same operation, and
finishes or fails the run; every run ends its span exactly once.
"""

import asyncio
import atexit
import functools
import time
import weakref
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal, get_args

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry._logs import LoggerProvider
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Link, Span, SpanContext, TracerProvider

from otel_callbacks import operations, semconv
from otel_callbacks.cost import attribution
from otel_callbacks.cost.budget import Budgets
from otel_callbacks.cost.call_cost import OperationPricer
from otel_callbacks.privacy.content_scope import find_content_scope, scoped_policy
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.rag import prompt_sources
from otel_callbacks.recording import content_recording, span_attributes
from otel_callbacks.recording.cost_metrics import LabelRules
from otel_callbacks.recording.end_of_run import RunEnd, is_charged
from otel_callbacks.recording.events import Events
from otel_callbacks.recording.metrics import instruments
from otel_callbacks.runs.current_span import CurrentSpan, Run, enclosing_run, suppressed, surroundings
from otel_callbacks.runs.open_runs import OpenRuns, open_runs_of
from otel_callbacks.runs.sampling import is_dropped, without_span
from otel_callbacks.runtime.execution_context import current_execution_context
from otel_callbacks.runtime.faults import guarded

Detail = Literal["operations", "standard", "everything"]
DETAILS: tuple[Detail, ...] = get_args(Detail)

_MAX_OPEN = 100_000
_MAX_GAPS = 100_000  # between the chunks of one stream


class Recorder:
    """Records the operations of one handler.

    Args:
        tracer_provider: where spans go; None is the global provider, also one that is set later.
        meter_provider: where metrics go; None as above.
        logger_provider: where events go; None as above.
        detail: which runs get a span of their own, see `Detail`.
        content: what content is recorded.
        charges: prices calls.
        attribution: who pays.
        budgets: what may be spent.
        metric_labels: which labels our own metrics carry.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        *,
        detail: Detail,
        content: ContentPolicy,
        charges: OperationPricer,
        attribution: attribution.LabelResolver,
        budgets: Budgets,
        metric_labels: LabelRules,
    ) -> None:
        self.detail = detail
        self.content = content
        self._provider = tracer_provider
        self._tracer = trace.get_tracer(
            semconv.SCOPE, version("otel-callbacks"), tracer_provider, semconv.SCHEMA_URL
        )
        self._metrics = instruments(meter_provider)
        self.counts = self._metrics.counts
        self._attribution = attribution
        self._budgets = budgets
        self._events = Events(logger_provider)
        self._run_end = RunEnd(self._metrics, self._events, charges, budgets, metric_labels)
        self._shared: tuple[TracerProvider, OpenRuns] | None = None
        self._last_outermost: SpanContext | None = None
        _recorders.add(self)

    @property
    def _table(self) -> OpenRuns:
        provider = self._provider or trace.get_tracer_provider()
        if self._shared is None or self._shared[0] is not provider:
            self._shared = (provider, open_runs_of(provider))
            _sweep_at_exit()
        return self._shared[1]

    @property
    def runs(self) -> dict[Any, Run]:
        """The open runs by id, see `Table`."""
        shared = self._shared
        if shared is not None and shared[0] is self._provider:
            return shared[1].runs  # as `_table`, which is asked at every event
        return self._table.runs

    def start(
        self,
        key: Any,
        operation: operations.Operation,
        base: Run | None = None,
        *,
        inside: Callable[[], bool] | None = None,
        found_by_id: bool = False,
        may_vanish: bool = False,
        attach: bool = True,
        resumes: bool = False,
        tags: Mapping[str, Any] | None = None,
    ) -> Run | None:
        """Starts a run and makes it current; None if instrumentation is suppressed or the id is taken.

        Args:
            key: the framework's id of the run.
            operation: what is being done; completed by the caller until the run ends.
            base: the run that the framework names as the parent. A live span within it (a user's, another
                framework's) takes its place.
            inside: see `Run`.
            found_by_id: see `Run`.
            may_vanish: see `Run`.
            attach: False if several runs start before the first body runs.
            resumes: the run continues a conversation that was interrupted, to which it is then linked.
            tags: the metadata or tags of the framework's call, which may name who pays.
        """
        runs = self.runs
        around = surroundings(base, runs)
        context = around.context
        if key in runs or suppressed(context):
            return None
        for vanished in around.vanished:
            self._sweep(vanished, semconv.CANCELLED)
        if base is None or around.are_within(base):
            parent_span, parent = around.span, around.run
        else:
            parent_span, parent = base.span, base
        run = Run(key, operation, parent, runs)
        run.recorder = self
        run.inside, run.found_by_id, run.may_vanish = inside, found_by_id, may_vanish
        run.scope = find_content_scope(context, parent.scope if parent is not None else None)
        run.content = scoped_policy(run.scope, self.content)
        span_attributes.clean_names(operation)
        run.own_labels = attribution.labels_from_tags(tags)
        run.labels = self._attribution.labels_of_run(parent, context, run.own_labels)
        run.started = time.time_ns()
        if is_dropped(parent_span) and self._table.drops_below:
            run.span = without_span(parent_span)
        else:
            links = self._links(operation) if resumes else ()
            run.span = self._span(run, trace.set_span_in_context(parent_span, context), links)
        self._enter(run)
        if base is None:
            self._table.remember_root(run)
        if attach:
            run.stand_in = CurrentSpan(run, around.outer, around.beneath)
            run.stand_in.attach(context)
        return run

    def _span(self, run: Run, context: Context, links: Sequence[Link]) -> Span:
        attributes = span_attributes.start_attributes(run.operation, run.content.label)
        attributes.update(run.content.labels(run.labels))
        return self._tracer.start_span(
            span_attributes.span_name(run.operation),
            context,
            span_attributes.span_kind(run.operation),
            attributes,
            links,
            run.started,
        )

    def _enter(self, run: Run) -> None:
        """Puts the run in the table, under its parent, and under watch if its end may not be told."""
        self.counts.started += 1
        run.table[run.key] = run
        if run.parent is not None and run.parent.open:
            if run.parent.children is None:
                run.parent.children = set()
            run.parent.children.add(run)
        run.place = current_execution_context()
        if run.may_vanish and run.place.task is not None:
            run.watch = functools.partial(self._task_ended, run)
            run.place.task.add_done_callback(run.watch)
        if len(run.table) > _MAX_OPEN:
            self._sweep(next(iter(run.table.values())), semconv.UNFINISHED)

    def may_want_content(self, base: Run | None) -> bool:
        """Whether content of what starts here, below `base`, would be recorded if the span is."""
        scope = find_content_scope(context_api.get_current(), base.scope if base is not None else None)
        return scoped_policy(scope, self.content).captures

    def drops(self, context: Context, around: Run | None) -> bool:
        """Whether the sampler is sure to drop what starts in `context`, in the run `around`, below a dropped span."""
        span = trace.get_current_span(context)
        if around is not None and span is around.stand_in:
            span = around.span  # the stand-in would look for it
        return is_dropped(span) and self._table.drops_below

    def counts_within(self, run: Run | None) -> bool:
        """Whether what happens within a run (None: outside of any) counts for more than its own span.

        For metrics, for a budget, or for the totals of a span above.
        """
        return bool(self._budgets) or self._metrics.are_kept() or (run is not None and run.is_told_of())

    @property
    def enforces(self) -> bool:
        """Whether a model call may be refused; see `refuse`."""
        return self._budgets.enforce

    def refuse(self, run: Run | None) -> None:
        """Fails a model call that has started but not been sent, if its budget is spent.

        Raises:
            BudgetExceeded: it is; for the application.
        """
        if run is None or not self._budgets.enforce:
            return
        refusal = self._budgets.exceeded(run.labels, run.started)
        if refusal is not None:
            self.fail(run, refusal)
            raise refusal

    def wants_content(self, run: Run | None) -> bool:
        """Whether the content of this run is recorded; if not, it need not even be looked at."""
        return run is not None and run.content.captures and run.span.is_recording()

    def prompt_of(self, run: Run | None) -> prompt_sources.Prompt | None:
        """Asks what the prompt of a model call is made of; None if nothing is to be told of it."""
        return prompt_sources.prompt_of(run) if run is not None and run.span.is_recording() else None

    def rename(self, run: Run) -> None:
        """Names the span again, after its operation has learned its key, such as the model."""
        span_attributes.clean_names(run.operation)
        run.span.update_name(span_attributes.span_name(run.operation))
        run.span.set_attributes(span_attributes.start_attributes(run.operation, run.content.label))

    def chunk(self, run: Run) -> None:
        """Notes that a piece of the answer arrived."""
        if run.recorder is not self:  # another handler of ours sees the same stream
            return
        now = time.time_ns()
        if run.first_chunk is None:
            run.first_chunk = now
        elif run.gaps is None:
            run.gaps = array("d", ((now - run.last_chunk) / 1e9,))
        elif len(run.gaps) < _MAX_GAPS:
            run.gaps.append((now - run.last_chunk) / 1e9)
        run.last_chunk = now

    def finish(self, run: Run, outcome: str | None = None) -> None:
        """Ends a run that did not fail; `outcome` says how, when it did not just end."""
        self._end(run, None, outcome or (semconv.INTERRUPTED if run.interrupted else None))

    def interrupt(self, run: Run) -> None:
        """Ends a run that waits for somebody (a human in the loop); it is not a failure.

        The run above, which may end as if nothing was, is interrupted too.
        """
        run.span.add_event(semconv.EVENT_INTERRUPT)
        if run.parent is not None:
            run.parent.interrupted = True
        self.finish(run, semconv.INTERRUPTED)

    def fail(self, run: Run, error: BaseException | operations.Failure) -> None:
        """Ends a run that raised. Being cancelled or abandoned is not a failure."""
        if isinstance(error, operations.Failure):
            self._end(run, error, None)
        elif isinstance(error, GeneratorExit):
            self.finish(run, semconv.ABANDONED)
        elif isinstance(error, Exception):
            self._end(run, operations.Failure.from_exception(error), None)
        else:  # CancelledError, KeyboardInterrupt, SystemExit
            self.finish(run, semconv.CANCELLED)

    def account(self, call: operations.Inference) -> None:
        """Charges a model call that the application made by hand to the span that is current.

        Inside a run that is a model call it completes that run's usage. A span of ours is another operation's, and
        one that carries a call already has no room for a second: those get a span below them.
        """
        context = context_api.get_current()
        run, span = enclosing_run(context), trace.get_current_span(context)
        if run is not None and isinstance(run.operation, operations.Inference):
            run.operation.usage = call.usage
            run.operation.reported_usd = call.reported_usd
            run.operation.response_model = run.operation.response_model or call.response_model
        elif isinstance(span, CurrentSpan) or not span.is_recording() or is_charged(span):
            below = self.start(object(), call, attach=False)
            if below is not None:
                self.finish(below)
        else:
            scope = find_content_scope(context, run.scope if run is not None else None)
            labels = self._attribution.labels_of_run(run, context, attribution.NO_LABELS)
            self._run_end.account(span, run, scoped_policy(scope, self.content), labels, call)

    def sweep(self) -> None:
        """Ends every open run of this recorder; for the end of the process."""
        for run in list(self.runs.values()):  # a copy: other threads start and end runs meanwhile
            if run.recorder is self and not run.disowned:
                self._sweep(run, semconv.UNFINISHED)

    def _sweep(self, run: Run, outcome: str) -> None:
        if run.open:
            self.counts.swept += 1
            run.recorder.finish(run, outcome)

    @guarded
    def _task_ended(self, run: Run, task: "asyncio.Task[Any]") -> None:
        self._sweep(run, semconv.CANCELLED)

    def _end(self, run: Run, failure: operations.Failure | None, outcome: str | None) -> None:
        found = run.table.pop(run.key, None)
        if found is not run:  # ended before, by a sweep or another handler
            if found is not None:
                run.table[run.key] = found  # the application uses the id again
            return
        if run.disowned:
            run.close()
            return
        ended = time.time_ns()
        span, parent = run.span, run.parent
        try:
            self._leave(run)
            if outcome == semconv.INTERRUPTED:
                self._table.remember_interrupted(run)
            self._run_end.describe(run, ended, failure, outcome)
        except Exception:  # only counted here; the guard reports it
            self.counts.errors += 1
            raise
        finally:
            self.counts.ended += 1
            if parent is not None and parent.children is not None:
                parent.children.discard(run)
            run.operation.forget_content()  # metrics keep the operation for a while
            run.close()
            span.end(ended)
            run.recorder._remember_outermost(run)

    def _leave(self, run: Run) -> None:
        """Takes along what belongs to the run: hidden ids, the watch on its task, what vanished in it."""
        for key in list(run.hidden or ()):
            run.table.pop(key, None)
        if run.watch is not None and run.place is not None and run.place.task is not None:
            run.place.task.remove_done_callback(run.watch)
        for child in list(run.children or ()):
            if child.may_vanish and child.place == run.place:
                self._sweep(child, semconv.CANCELLED)

    def trace_id(self, key: Any) -> str | None:
        """The trace of an open run, or of one that started without a run above it; in hex, None if not known."""
        return self._table.trace_id(key)

    def _remember_outermost(self, run: Run) -> None:
        if run.parent is None or run.parent.disowned or run.parent.recorder is not self:
            context = run.span.get_span_context()
            if context.trace_flags.sampled:
                self._last_outermost = context

    @property
    def last_trace_id(self) -> str | None:
        """The trace, in hex, of the sampled run without one of this recorder's above it that ended last."""
        context = self._last_outermost
        return trace.format_trace_id(context.trace_id) if context else None

    def evaluated(
        self, subject: SpanContext, attributes: span_attributes.Attributes, explanation: Mapping[str, str]
    ) -> None:
        """Records what somebody thinks of a span; `explanation` holds those attributes that are content."""
        context = context_api.get_current()
        policy = scoped_policy(find_content_scope(context), self.content)
        labels = attribution.labels_in(context, policy)
        content_recording.record_evaluation(
            subject, attributes, explanation, labels, policy, self._tracer, self._events
        )

    def _links(self, operation: operations.Operation) -> Sequence[Link]:
        interrupted = self._table.interrupted.pop(operation.conversation_id or "", None)
        return (Link(interrupted),) if interrupted is not None else ()


_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


@functools.cache
def _sweep_at_exit() -> None:
    """Has what is still open ended when the interpreter exits.

    Registered when the first run starts: exit functions run last in, first out, and the provider, which shuts
    down in one of its own, is there by then.
    """
    atexit.register(sweep_all)


def sweep_all() -> None:
    """Ends every open run of the process."""
    recorders: Iterable[Recorder] = list(_recorders)
    for recorder in recorders:
        guarded(recorder.sweep)()
