"""What the end of a run puts on its span, into the metrics, and into the totals of the runs above."""

import time
from collections.abc import Mapping
from dataclasses import fields

from opentelemetry.trace import Span

from otel_callbacks import operations, semconv
from otel_callbacks.cost import call_cost
from otel_callbacks.cost.budget import Budgets, Crossing
from otel_callbacks.cost.call_cost import CallCost, OperationPricer
from otel_callbacks.cost.pricing import Cost
from otel_callbacks.cost.totals import Totals
from otel_callbacks.operations import providers
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.privacy.redactor import redact_attributes
from otel_callbacks.rag import prompt_sources
from otel_callbacks.recording import content_recording, span_attributes
from otel_callbacks.recording.cost_metrics import LabelRules
from otel_callbacks.recording.events import Events
from otel_callbacks.recording.metrics import Ended, Metrics
from otel_callbacks.runs.current_span import Run
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded

_LEAVES = (
    operations.Inference,
    operations.Embedding,
    operations.Rerank,
    operations.Retrieval,
    operations.ToolExecution,
)
_COUNTED = (operations.Inference, operations.Embedding)  # what carries token counts
ToolTokens = Mapping[tuple[str, str], int]

_adding = fork.safe_lock()  # runs below one run end in different threads; held for a few additions only


class RunEnd:
    """Describes the runs of one handler as they end.

    Args:
        metrics: the instruments.
        events: the log records.
        charges: prices calls.
        budgets: what may be spent.
        label_rules: the labels of our own metrics.
    """

    def __init__(
        self,
        metrics: Metrics,
        events: Events,
        charges: OperationPricer,
        budgets: Budgets,
        label_rules: LabelRules,
    ) -> None:
        self._metrics = metrics
        self._events = events
        self._charges = charges
        self._budgets = budgets
        self._label_rules = label_rules

    def describe(self, run: Run, ended: int, failure: operations.Failure | None, outcome: str | None) -> None:
        """Completes a run's telemetry.

        Args:
            run: the run, still open, its operation complete.
            ended: nanoseconds since 1970.
            failure: why it failed, if it did.
            outcome: how it ended, if it did not just end.
        """
        operation = run.operation
        span_attributes.clean_names(operation)
        failed = failure is not None or outcome is not None
        if isinstance(operation, operations.Inference):
            self._complete_inference(run, operation, failed)
        charge = self._charge(operation, run.started, failed=failed)
        totals, late, tool_tokens = self._add_up(run, charge)
        if not isinstance(operation, operations.Step):  # of which nothing is measured
            self._metrics.ended(
                Ended(
                    operation,
                    (ended - run.started) / 1e9,
                    failure.type if failure else None,
                    totals,
                    run.span.get_span_context(),
                    charge,
                    run.content.labels(run.labels),
                    self._label_rules,
                    run.gaps or (),
                    tool_tokens,
                )
            )
        if isinstance(charge, Cost):
            self._spend(run.span, run.content, run.labels, run.started, charge)
        if not run.span.is_recording():
            return
        attributes = span_attributes.end_attributes(operation, run.content.label)
        if outcome is not None:
            attributes[semconv.OUTCOME] = outcome
        if failure is not None:
            attributes[semconv.ERROR_TYPE] = failure.type
            content_recording.record_failure(run, failure, self._events, ended)
        if run.content.captures:
            content_recording.record_content(run, attributes, self._events, ended)
        if charge is not None:
            attributes.update(call_cost.attributes(charge))
        if told := prompt_sources.told(run):
            redact_attributes(told, run.content.label)
            attributes.update(told)
        if totals is not None:
            _put_totals(attributes, run, totals)
            if late:
                attributes[semconv.ROLLUP_LATE] = True
        run.span.set_attributes(attributes)

    def account(
        self,
        span: Span,
        run: Run | None,
        content: ContentPolicy,
        labels: Mapping[str, str],
        call: operations.Inference,
    ) -> None:
        """Puts a model call that has no run on a span, into the metrics, and into the totals of the run around it.

        The span is the application's: it keeps its name, and has no operation.
        """
        started = time.time_ns()
        span_attributes.clean_names(call)
        charge = self._charge(call, started, failed=False)
        attributes = span_attributes.start_attributes(call, content.label)
        del attributes[semconv.OPERATION_NAME]
        attributes.update(span_attributes.end_attributes(call, content.label))
        shown = content.labels(labels)
        attributes.update(shown)
        if charge is not None:
            attributes.update(call_cost.attributes(charge))
        span.set_attributes(attributes)
        with _adding:
            above = _still_adding(run)
            if above is not None:
                above.totals = above.totals or Totals()
                above.totals.count(call, charge)
        identity = span.get_span_context()
        self._metrics.ended(Ended(call, None, None, None, identity, charge, shown, self._label_rules))
        if isinstance(charge, Cost):
            self._spend(span, content, labels, started, charge)

    def _charge(self, operation: operations.Operation, started: int, *, failed: bool) -> CallCost | None:
        """What a call cost; of counts that make no sense, none is left to get into sums."""
        charge = self._charges.price(operation, started, failed=failed)
        basis = charge.source if isinstance(charge, Cost) else charge and charge.reason
        if basis in ("reported", "invalid_usage") and isinstance(operation, _COUNTED):
            operation.usage = _sensible(operation.usage)
        return charge

    def _complete_inference(self, run: Run, operation: operations.Inference, failed: bool) -> None:
        """Fills in what the run knows of a model call: its stream, how it ended, and whether it is the real one."""
        if run.first_chunk is not None:
            operation.stream = True
            operation.time_to_first_chunk = (run.first_chunk - run.started) / 1e9
        if failed:  # the reason was expected and never came
            operation.finish_reasons = operation.finish_reasons or ("error",)
        if run.totals is not None and (run.totals.inference_calls or run.totals.cached_calls):
            operation.duplicate = True  # a model that wraps another: the inner call is the real one
            operation.usage = None

    def _add_up(self, run: Run, charge: CallCost | None) -> tuple[Totals | None, bool, ToolTokens]:
        """Counts the run itself and hands its totals to the nearest run above that has not handed on its own.

        Returns:
            The totals, None if there is nothing to count; whether they came too late for every run above; and the
            tokens of a model call by tool and part.
        """
        operation = run.operation
        with _adding:
            prompt_sources.note_documents(run)
            prompt_sources.hand_on(run)
            tools = prompt_sources.tool_tokens(run) if run.prompt is not None else {}
            if isinstance(operation, _LEAVES) and not getattr(operation, "duplicate", None):
                run.totals = run.totals or Totals()
                run.totals.count(operation, charge)
            run.added_up = True
            totals: Totals | None = run.totals
            if totals is None:
                return None, False, tools
            above = _still_adding(run.parent)
            if above is not None:
                above.totals = above.totals or Totals()
                above.totals.add(totals, own=not isinstance(operation, operations.AgentInvocation))
        return totals, above is None and run.parent is not None, tools

    def _spend(
        self, span: Span, content: ContentPolicy, labels: Mapping[str, str], started: int, charge: Cost
    ) -> None:
        # budgets go by the labels as given: a redactor makes one of many people
        for crossing in self._budgets.spend(charge.total, labels, started):
            self._tell(span, content, crossing._replace(labels=content.labels(crossing.labels)))

    @guarded
    def _tell(self, span: Span, content: ContentPolicy, crossing: Crossing) -> None:
        """Tells of a budget that is exceeded: the span, the metric, and the application last."""
        budget = crossing.budget
        span.add_event(
            semconv.EVENT_BUDGET_EXCEEDED,
            {
                **content.labels(budget.labels),
                semconv.BUDGET_USD: float(budget.usd),
                semconv.BUDGET_SPENT_USD: float(crossing.spent),
                semconv.BUDGET_PER: budget.per,
            },
        )
        self._metrics.exceeded(budget.per, crossing.labels, self._label_rules)
        if budget.on_exceeded is not None:
            budget.on_exceeded(crossing)


def _sensible(usage: operations.Usage | None) -> operations.Usage | None:
    """A usage without the counts that are none."""
    if usage is None:
        return None
    return operations.Usage(*(providers.token_count(getattr(usage, field.name)) for field in fields(usage)))


def is_charged(span: Span) -> bool:
    """Whether a span of the application's carries a model call already."""
    attributes: Mapping[str, object] = getattr(span, "attributes", None) or {}
    return semconv.COST_STATUS in attributes


def _still_adding(run: Run | None) -> Run | None:
    """The nearest run, from this one up, whose totals are not final."""
    while run is not None and run.added_up:
        run = run.parent
    return run


def _put_totals(attributes: span_attributes.Attributes, run: Run, totals: Totals) -> None:
    if run.parent is not None and isinstance(run.operation, operations.Inference):
        return  # a leaf's totals are its own usage; only a root repeats them
    attributes.update(totals.attributes())
    if isinstance(run.operation, operations.AgentInvocation):
        if totals.own_input_tokens or totals.own_output_tokens:  # else nobody reported any
            attributes[semconv.USAGE_INPUT_TOKENS] = totals.own_input_tokens
            attributes[semconv.USAGE_OUTPUT_TOKENS] = totals.own_output_tokens
        if totals.own_finish_reasons:
            attributes[semconv.RESPONSE_FINISH_REASONS] = totals.own_finish_reasons
    if run.parent is None and totals.retrieved and (total := totals.input_tokens + totals.output_tokens):
        attributes[semconv.RAG_TOTAL_TOKENS] = total
