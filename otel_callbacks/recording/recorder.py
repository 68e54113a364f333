"""The recorder: turns the operations of one handler into telemetry, from the start of a run to its end.

It knows no framework. A handler starts a run with an operation, completes that same operation, and finishes or fails
the run. Every run ends its span exactly once.
"""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from opentelemetry import trace
from opentelemetry._logs import LoggerProvider
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import SpanContext, TracerProvider

from otel_callbacks import operations, semconv
from otel_callbacks.cost import attribution
from otel_callbacks.cost.budget import Budgets, Refusal
from otel_callbacks.cost.call_cost import OperationPricer
from otel_callbacks.privacy.content_scope import SCOPE_KEY, find_content_scope, scoped_policy
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.rag import prompt
from otel_callbacks.rag.prompt_cache import PromptCaches
from otel_callbacks.recording import exit_sweep, span_plans
from otel_callbacks.recording.cost_metrics import LabelRules
from otel_callbacks.recording.end_of_run import EndOfRun
from otel_callbacks.recording.events import Events
from otel_callbacks.recording.hidden_runs import hide, hide_dropped
from otel_callbacks.recording.instrumentation_scope import is_set, tracer_of, warn_of_no_provider
from otel_callbacks.recording.metrics import metrics_of
from otel_callbacks.recording.span_start import OfProvider, make_current, span_starter, start_span
from otel_callbacks.recording.unreported_ends import end_dependents, end_with_task, sweep
from otel_callbacks.runs.context_variable import current_context
from otel_callbacks.runs.open_runs import OpenRuns, open_runs_of
from otel_callbacks.runs.run import BodyLabels, Run
from otel_callbacks.runs.sampling import is_dropped
from otel_callbacks.runs.surroundings import SUPPRESSING, find_surroundings, suppressed
from otel_callbacks.runtime.execution_context import current_execution_context

Detail = Literal["operations", "standard", "everything"]
DETAILS: tuple[Detail, ...] = get_args(Detail)
InferenceSpans = Literal["own", "defer"]
INFERENCE_SPANS: tuple[InferenceSpans, ...] = get_args(InferenceSpans)


class Recorder:
    """Records the operations of one handler.

    Args:
        tracer_provider: where spans go; None is the global provider, even if it is set later.
        meter_provider, logger_provider: where metrics and events go; None as above.
        detail, content_policy: which runs get a span of their own, see `Options`; what of them is recorded.
        pricer, attribution, budgets: what calls cost, who pays, and what may be spent.
        label_rules: which labels our own metrics carry.
        estimates_usage: whether model calls without usage get an estimated one.
        start_events: whether an event tells that an agent or workflow has started.
        profiles: what is added to every span, see the room of this name.
        inference_spans: "defer" leaves the usage of model calls to the span of another instrumentation.
        agent_usage: whether the span of an agent has the tokens of its own model calls.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        logger_provider: LoggerProvider | None = None,
        *,
        detail: Detail,
        content_policy: ContentPolicy,
        pricer: OperationPricer,
        attribution: attribution.LabelResolver,
        budgets: Budgets,
        label_rules: LabelRules,
        estimates_usage: bool = False,
        start_events: bool = False,
        profiles: tuple[str, ...] = (),
        inference_spans: InferenceSpans = "own",
        agent_usage: bool = True,
    ) -> None:
        self.detail, self.estimates_usage = detail, estimates_usage
        self._announced = (operations.AgentInvocation, operations.Workflow) if start_events else ()
        self.content_policy = content_policy
        self._provider = tracer_provider
        self.tracer, self._metrics = tracer_of(tracer_provider), metrics_of(meter_provider)
        self.counts, self.prompt_caches = self._metrics.counts, PromptCaches()
        self.attribution, self._budgets = attribution, budgets
        self.hide = functools.partial(hide, attribution)  # starts a run that gets no span
        self.events, self._defers = Events(logger_provider), inference_spans == "defer"
        self.end_of_run = EndOfRun(
            self._metrics, self.events, pricer, budgets, label_rules, profiles, agent_usage=agent_usage
        )
        self._known: OfProvider | None = None
        self._runs: dict[Any, Run] | None = None  # of the provider, unless that is the global one
        span_starter(self.tracer)  # imports what the first callback needs
        self._last_outermost: SpanContext | None = None
        exit_sweep.add_recorder(self)

    def _of_provider(self) -> "OfProvider":
        """Returns what belongs to the tracer provider; the application may set the global one late."""
        known = self._known
        if known is not None and self._runs is not None:
            return known  # the quick way, for every event: a provider that was given does not change
        provider = trace.get_tracer_provider() if self._provider is None else self._provider
        if known is None or known.provider is not provider:
            starter = span_starter(tracer_of(provider))
            known = self._known = OfProvider(provider, open_runs_of(provider), starter)
            self._runs = None if self._provider is None else known.open_runs.by_id
            exit_sweep.sweep_at_exit()
        return known

    @property
    def _open_runs(self) -> OpenRuns:
        return self._of_provider().open_runs

    @property
    def runs(self) -> dict[Any, Run]:
        """The open runs by id, those of other recorders with the same tracer provider included."""
        return self._of_provider().open_runs.by_id if self._runs is None else self._runs

    # --- the start of a run -------------------------------------------------------------------------------------

    def start(
        self,
        key: Any,
        operation: operations.Operation,
        base: Run | None = None,
        *,
        inside: Callable[[], bool] | None = None,
        begun: Callable[[], bool] | None = None,
        attach: bool = True,
        resumes: bool = False,
        body: BodyLabels | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> Run | None:
        """Starts a run with its span and makes it current.

        Args:
            key: the framework's id of the run.
            operation: what is being done; the caller completes it until the run ends.
            base: the run that the framework names as the parent. A live span within it (a user's, another
                framework's) becomes the parent instead.
            inside: see `Run`.
            begun: see `Run`.
            attach: False if several runs start before the first body runs.
            resumes: the run continues an interrupted conversation; its span links to the interrupted root.
            body: who pays in the body that the framework names by id, that of `base` or of a hidden run below it.
            metadata: the metadata of LangChain's call, which may name who pays.
            tags: the tags of LlamaIndex's call, which may name who pays.

        Returns:
            The run; None if instrumentation is suppressed, or if the id belongs to an open run.
        """
        of_provider = self._of_provider()
        runs = of_provider.open_runs.by_id
        around = find_surroundings(base, runs)
        context = around.context
        if key in runs or (not SUPPRESSING.isdisjoint(context) and suppressed(context)):
            return None
        for vanished in around.vanished:
            sweep(vanished, semconv.CANCELLED)
        if base is None or around.run is base or around.are_within(base):
            parent_span, parent = around.span, around.run
        else:
            parent_span, parent = base.span, base
        run = Run(key, operation, parent, runs)
        run.recorder, run.content_policy = self, self.content_policy
        if begun is not None:
            run.begun = begun
        if inside is not None:
            run.inside, run.may_vanish = inside, getattr(inside, "may_vanish", False)
        above = parent.content_scope if parent is not None else None
        if above is not None or SCOPE_KEY in context:
            run.content_scope = find_content_scope(context, above)
            run.content_policy = scoped_policy(run.content_scope, self.content_policy)
        here = body if body is not None and parent is base else around.labels_at(base, parent, body)
        run.body_labels = self.attribution.labels_of_run(key, here, body, context, metadata, tags)
        run.started = time.time_ns()
        start_span(of_provider, run, parent_span, context, resumes=resumes)
        self._add_open_run(run)
        if base is None:
            of_provider.open_runs.remember_root(run)
        make_current(run, around, attach=attach, defers=self._defers)
        if self._announced and isinstance(operation, self._announced) and run.span.is_recording():
            self.events.started(run)
        return run

    def passes_over(self, key: Any, parent: Run, parent_key: Any, metadata: Mapping[str, Any] | None) -> bool:
        """Hides a run below one that the sampler dropped, if nothing counts it either; tells whether it did.

        Args:
            key: the framework's id of the run.
            parent: the run above it, or the one that stands for a hidden run above it.
            parent_key: the id of the run above it.
            metadata: see `start`.
        """
        if parent.recorder is not self or not (parent.uncounted or self.is_uncounted(parent)):
            return False
        is_hidden = hide_dropped(self.attribution, key, parent, parent_key, metadata)
        self.prompt_caches.unseen += is_hidden  # it may be a model call
        return is_hidden

    def is_uncounted(self, run: Run) -> bool:
        """Tells whether the sampler dropped the span of a run, and nothing counts what happens in its body."""
        if run.uncounted is None:
            is_quiet = is_dropped(run.span) and self._open_runs.drops_children
            run.uncounted = is_quiet and not self.counts_elsewhere(run)
        return run.uncounted

    def _add_open_run(self, run: Run) -> None:
        """Adds the run to the open runs and to its parent; watches its task if its end may never be reported."""
        self.counts.started += 1
        run.open_runs[run.key] = run
        run.enter_tree()
        started_in = getattr(run.inside, "started_in", None) or current_execution_context()
        run.execution_context = started_in
        if run.may_vanish and started_in[1] is not None and (task := started_in.running_task()) is not None:
            run.on_task_done = functools.partial(end_with_task, run)
            task.add_done_callback(run.on_task_done)

    # --- what a handler asks before it reads a payload ----------------------------------------------------------

    def may_record_content(self, base: Run | None) -> bool:
        """Tells whether content of a run that starts here, below `base`, is recorded if its span is."""
        above, context = base.content_scope if base is not None else None, current_context()
        if above is None and SCOPE_KEY not in context:
            return self.content_policy.captures
        return scoped_policy(find_content_scope(context, above), self.content_policy).captures

    def wants_content(self, run: Run | None) -> bool:
        """Tells whether the content of this run is recorded; if not, the handler need not read it."""
        return run is not None and run.content_policy.captures and run.span.is_recording()

    def drops_span(self, context: Context, around: Run | None) -> bool:
        """Tells whether the sampler is sure to drop a span that starts in `context`, in the run `around`."""
        span = trace.get_current_span(context)
        if around is not None and span is around.stand_in:
            span = around.span  # the stand-in would have to look for it
        return is_dropped(span) and self._open_runs.drops_children

    def counts_elsewhere(self, run: Run | None) -> bool:
        """Tells whether a call inside `run` (None: outside every run) counts for a metric, a budget or a span above."""
        return bool(self._budgets) or self._metrics.have_provider() or (run is not None and run.is_recorded())

    @property
    def enforces_budgets(self) -> bool:
        """Whether a model call may be refused, see `refuse_over_budget`."""
        return self._budgets.enforce

    def refuse_over_budget(self, run: Run | None) -> None:
        """Fails a model call that has started but has not been sent, if its budget is spent.

        Raises:
            BudgetExceeded: the budget is spent. The exception is meant for the application.
        """
        if run is None or run.reservations is not None or not self._budgets.enforce:
            return
        reserved = self._budgets.reserve(run.labels, run.started)
        if not isinstance(reserved, Refusal):
            run.reservations = reserved
            return
        if reserved.crossing is not None:
            self.end_of_run.report_crossing(run.span, run.content_policy, reserved.crossing)
        self.fail(run, reserved.error)
        raise reserved.error

    def start_prompt(self, run: Run | None) -> prompt.Prompt | None:
        """Returns the prompt of a model call for the handler to fill in; None if no span or metric tells of it."""
        if run is None or not (run.span.is_recording() or self._metrics.have_provider()):
            self.prompt_caches.unseen += 1
            return None
        return prompt.start_prompt(run)

    def rename(self, run: Run) -> None:
        """Renames the span after its operation has learned its key, such as the model."""
        span_plans.clean_names(run.operation)
        run.span.update_name(span_plans.plan_of(run.operation).span_name)
        run.span.set_attributes(span_plans.start_attributes(run.operation, run.content_policy.label))

    def chunk(self, run: Run) -> None:
        """Notes the time at which a chunk of a streamed answer arrived."""
        if run.recorder is self:  # else another handler of ours sees the same stream
            run.add_chunk(time.time_ns())

    # --- the end of a run ---------------------------------------------------------------------------------------

    def finish(self, run: Run, outcome: str | None = None) -> None:
        """Ends a run that did not fail. `outcome` says how it ended, unless it ended normally."""
        if run.interrupted and not outcome:
            outcome = semconv.INTERRUPTED
        self._end(run, None, outcome)

    def interrupt(self, run: Run) -> None:
        """Ends a run that waits for somebody (a human in the loop), which is not a failure.

        The run above is interrupted too, even if the framework reports a normal end of it.
        """
        run.span.add_event(semconv.EVENT_INTERRUPT)
        if run.parent is not None:
            run.parent.interrupted = True
        self.finish(run, semconv.INTERRUPTED)

    def fail(self, run: Run, error: BaseException | operations.Failure) -> None:
        """Ends a run that raised an error. A cancelled or abandoned run has not failed."""
        if isinstance(error, operations.Failure):
            self._end(run, error, None)
        elif isinstance(error, GeneratorExit):
            self.finish(run, semconv.ABANDONED)
        elif isinstance(error, Exception):
            self._end(run, operations.Failure.from_exception(error), None)
        else:  # CancelledError, KeyboardInterrupt, SystemExit
            self.finish(run, semconv.CANCELLED)

    def _end(self, run: Run, failure: operations.Failure | None, outcome: str | None) -> None:
        """Ends a run: records its telemetry and ends its span, unless that has happened already."""
        found = run.open_runs.pop(run.key, None)
        if found is not run:  # ended before, by a sweep or another handler
            if found is not None:
                run.open_runs[run.key] = found  # the application uses the id again
            return
        if run.of_parent_process:
            run.close()
            return
        if run.children or run.on_task_done is not None:
            end_dependents(run, outcome)  # first, for the totals
        ended = time.time_ns()
        span = run.span
        try:
            if outcome == semconv.INTERRUPTED:
                self._open_runs.remember_interrupted(run)
            recorded = self._open_runs.recorded_messages if run.content_policy.captures else None
            self.end_of_run.record(run, ended, failure, outcome, recorded)
        except Exception:  # only counted here; the guard reports it
            self.counts.errors += 1
            raise
        finally:
            self.counts.ended += 1
            if run.reservations:
                for each in run.reservations:
                    each.release()
            run.leave_tree()
            if run.operation.CONTENT:
                run.operation.forget_content()  # metrics keep the operation for a while
            run.close()
            span.end(ended)
            parent, owner = run.parent, run.recorder
            if parent is None or parent.of_parent_process or parent.recorder is not owner:
                owner._remember_outermost(run)

    def sweep(self) -> None:
        """Ends every open run of this recorder, at the end of the process."""
        for run in list(self.runs.values()):  # a copy: other threads start and end runs meanwhile
            if run.recorder is self and not run.of_parent_process:
                sweep(run, semconv.UNFINISHED)

    def trace_id(self, key: Any) -> str | None:
        """Returns the trace id, in hex, of an open run or of a remembered root; None if it is not known."""
        return self._open_runs.trace_id(key)

    def _remember_outermost(self, run: Run) -> None:
        context = run.span.get_span_context()
        if context.trace_flags.sampled:
            self._last_outermost = context
        elif not self.has_provider:
            warn_of_no_provider()

    @property
    def has_provider(self) -> bool:
        """Tells whether spans go to a tracer provider that somebody has set."""
        return is_set(self._provider)

    @property
    def last_trace_id(self) -> str | None:
        """The trace id, in hex, of this recorder's sampled outermost run that ended last; None before the first."""
        context = self._last_outermost
        return trace.format_trace_id(context.trace_id) if context else None
