"""The end of a run: records its cost, totals, metrics, content and span attributes, in this order."""

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from opentelemetry.trace import Span

from otel_callbacks import operations, semconv
from otel_callbacks.cost import call_cost, recorded_costs
from otel_callbacks.cost.budget import Budgets, Crossing
from otel_callbacks.cost.call_cost import CallCost, OperationPricer
from otel_callbacks.cost.pricing import Cost
from otel_callbacks.cost.totals import NO_TOTALS, Totals, add_totals, totals_of
from otel_callbacks.limits import OPERATIONS_WAITING
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.privacy.redactor import redact_attributes
from otel_callbacks.profiles import DEFAULT
from otel_callbacks.rag import prompt
from otel_callbacks.rag.trace_documents import Attributes as RagAttributes
from otel_callbacks.rag.trace_documents import DocumentCounts
from otel_callbacks.recording import content_recording, span_attributes, span_plans, span_room
from otel_callbacks.recording.attribute_table import Attributes
from otel_callbacks.recording.call_completion import complete_call, valid_usage
from otel_callbacks.recording.cost_metrics import LabelRules
from otel_callbacks.recording.events import Events
from otel_callbacks.recording.metrics import Metrics
from otel_callbacks.runs.recorded_messages import RecordedMessages
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded

_ToolTokens = Mapping[tuple[str, str], int]
_NO_TOKENS: _ToolTokens = {}

_totals_lock = fork.safe_lock()  # runs below one run end in different threads; held for a few additions only


class EndOfRun:
    """Records the end of the runs of one handler.

    Args:
        metrics: the instruments.
        events: the log records.
        pricer: prices calls.
        budgets: what may be spent.
        label_rules: which labels our own metrics carry.
        profiles: what is added to every span, see the room of this name.
        agent_usage: whether the span of an agent has the tokens of its own model calls.
    """

    def __init__(
        self,
        metrics: Metrics,
        events: Events,
        pricer: OperationPricer,
        budgets: Budgets,
        label_rules: LabelRules,
        profiles: tuple[str, ...],
        *,
        agent_usage: bool,
    ) -> None:
        self._agent_usage = agent_usage
        self._metrics = metrics
        self._events = events
        self._pricer = pricer
        self._budgets = budgets
        self._label_rules = label_rules
        self._profiles = profiles
        self._profiles_on_all = bool(profiles) and profiles != DEFAULT  # that one is about calls with a cost
        self._released_names = "released_genai" in profiles

    def record(
        self,
        run: Run,
        ended: int,
        failure: operations.Failure | None,
        outcome: str | None,
        recorded: RecordedMessages | None,
    ) -> None:
        """Records everything about a run but the end of its span.

        Args:
            run: the run, still open; its operation is complete.
            ended: nanoseconds since 1970.
            failure: why it failed, if it did.
            outcome: how it ended, unless it ended normally.
            recorded: the messages that are in full on other spans; None if no content is recorded.
        """
        operation, policy, span = run.operation, run.content_policy, run.span
        failed = failure is not None or outcome is not None
        cost = self._complete(run, operation, outcome, failed=failed) if operation.NAMED_LATE else None
        late, tool_tokens, documents = self._add_totals(run, cost, failed=failed)
        rag_attributes: RagAttributes | None = None
        if run.prompt is not None or run.trace_documents is not None or run.agent_prompts is not None:
            rag_attributes = prompt.end_attributes(run)  # before the metrics, which count the documents in it
            documents = run.prompt.first_time if run.prompt is not None else documents
        if operation.IN_METRICS:
            self._add_to_metrics(run, ended, failure, outcome, cost, tool_tokens, documents)
        if isinstance(cost, Cost):
            self._add_to_budgets(span, policy, run.labels, run.started, cost.total)
        if span.is_recording():
            attributes = span_attributes.end_attributes(operation, policy.label)
            if failed or run.first_chunk is not None:
                self._add_how_it_ended(attributes, run, ended, failure, outcome)
            if recorded is not None:  # its event repeats these attributes, and none of our own that follow
                content_recording.record_content(run, attributes, self._events, ended, recorded)
            if cost is not None:
                attributes.update(call_cost.attributes(cost))
                attributes.update(call_cost.billing_attributes(operation))
            if run.totals is not None:
                _put_totals(attributes, run, run.totals, late=late, agent_usage=self._agent_usage)
            if rag_attributes:
                redact_attributes(rag_attributes, policy.label)
                attributes.update(rag_attributes)
            if run.parent is None:
                attributes.update(self._budgets.attributes(run.labels, run.started))
            if operation.USES_TOKENS or self._profiles_on_all:
                self._add_profiles(attributes, run, has_cost=cost is not None)
            put = getattr(span, "put_attributes", None) or span.set_attributes  # quick on spans of `sdk_span`
            put(attributes)

    def _complete(self, run: Run, operation: Any, outcome: str | None, *, failed: bool) -> CallCost | None:
        """Completes an operation with what only the end knows; returns what it cost, if it may cost anything."""
        span_plans.clean_names(operation)
        if not operation.USES_TOKENS:
            return None
        complete_call(run, operation, failed)
        ended_early = outcome is not None or (failed and run.first_chunk is not None)
        return self._cost_of_call(operation, run.started, failed=failed, ended_early=ended_early)

    def _add_profiles(self, attributes: Attributes, run: Run, *, has_cost: bool) -> None:
        filled_in = getattr(run.operation, "prompt_template", None) is not None
        if filled_in or self._profiles_on_all or (self._profiles and has_cost):
            span_room.add_profiles(attributes, run.span, self._profiles, run.started, has_variables=filled_in)

    def _add_how_it_ended(
        self,
        attributes: Attributes,
        run: Run,
        ended: int,
        failure: operations.Failure | None,
        outcome: str | None,
    ) -> None:
        if run.first_chunk is not None:
            attributes.update(_longest_gap(run, ended, cut=failure is not None or outcome is not None))
        if outcome is not None:
            attributes[semconv.OUTCOME] = outcome
        if failure is not None:
            attributes[semconv.ERROR_TYPE] = failure.type
            content_recording.record_failure(run, failure, self._events, ended)

    def _add_to_metrics(
        self,
        run: Run,
        ended: int,
        failure: operations.Failure | None,
        outcome: str | None,
        cost: CallCost | None,
        tool_tokens: _ToolTokens,
        documents: DocumentCounts,
    ) -> None:
        operation, retrieved = run.operation, None
        if (
            operation.IS_SEARCH
            and isinstance(operation, operations.Retrieval)
            and operation.documents is not None
        ):
            best = operations.top_score(operation.documents, operation.score_kind)
            retrieved = len(operation.documents) + operation.unread_documents, best
        waiting = self._metrics.waiting
        waiting.append(
            (
                operation,
                (ended - run.started) / 1e9,
                None if failure is None else failure.type,
                run.totals,
                run.span.get_span_context(),
                cost,
                run.recorded_labels,
                self._label_rules,
                None if run.first_chunk is None else run.chunk_gaps,
                tool_tokens,
                self._released_names,
                outcome,
                retrieved,
                documents,
            )
        )
        if len(waiting) > OPERATIONS_WAITING:
            self._metrics.make_room()

    def record_on_user_span(
        self,
        span: Span,
        run: Run | None,
        policy: ContentPolicy,
        labels: Mapping[str, str],
        call: operations.Inference,
    ) -> None:
        """Records a model call without a run: on a span of the application, in the metrics, and in the totals of a run.

        The span keeps its name and gets no `gen_ai.operation.name`.

        Args:
            span: the application's span, which is current.
            run: the run around the span; the call adds to its totals.
            policy: what content is recorded.
            labels: who pays.
            call: the model call, complete.
        """
        started = time.time_ns()
        span_plans.clean_names(call)
        cost = self._cost_of_call(call, started, failed=False)
        attributes = span_plans.start_attributes(call, policy.label)
        del attributes[semconv.OPERATION_NAME]
        if call.provider is None:
            del attributes[semconv.PROVIDER_NAME]  # required of a model call's own span only
        attributes.update(span_attributes.end_attributes(call, policy.label))
        redacted_labels = policy.labels(labels)
        attributes.update(redacted_labels)
        if cost is not None:
            attributes.update(call_cost.attributes(cost))
            attributes.update(call_cost.billing_attributes(call))
        span_room.add_profiles(attributes, span, self._profiles, started)
        span.set_attributes(attributes)
        with _totals_lock:
            above = _with_open_totals(run)
            if above is not None:
                above.totals = add_totals(above.totals, totals_of(call, cost))
        identity = span.get_span_context()
        self._metrics.waiting.append(
            (
                *(call, None, None, None, identity, cost, redacted_labels, self._label_rules),
                *(None, {}, self._released_names, None, None, {}),
            )
        )
        if len(self._metrics.waiting) > OPERATIONS_WAITING:
            self._metrics.make_room()
        if isinstance(cost, Cost):
            self._add_to_budgets(span, policy, labels, started, cost.total)

    def record_cost(
        self,
        span: Span,
        run: Run | None,
        policy: ContentPolicy,
        labels: Mapping[str, str],
        usd: Decimal,
        what: str,
    ) -> None:
        """Records the cost of something that is no model call: on a span, in the metric, totals and budgets.

        Args:
            span: the span, of a run or of the application. What it carries already is added up.
            run: the run that it belongs to, whose totals count the cost.
            policy: which redactors apply.
            labels: who pays.
            usd: the cost in USD.
            what: what it is for.
        """
        what, redacted_labels = policy.label(what), policy.labels(labels)
        with _totals_lock:
            above = _with_open_totals(run)
            if above is not None:
                above.totals = (above.totals or NO_TOTALS).with_cost(usd)
            if span.is_recording():
                known = getattr(span, "attributes", None) or {}
                span.set_attributes(recorded_costs.with_cost(known, usd, what))
        self._metrics.count_recorded_cost(usd, what, redacted_labels, self._label_rules)
        self._add_to_budgets(span, policy, labels, time.time_ns(), usd)

    def _cost_of_call(
        self, operation: Any, started: int, *, failed: bool, ended_early: bool = False
    ) -> CallCost | None:
        """Returns what a call cost; removes token counts that make no sense, so that no total includes them."""
        cost = self._pricer.price(operation, started, failed=failed, ended_early=ended_early)
        basis = cost.source if isinstance(cost, Cost) else cost and cost.reason
        if basis in ("reported", "invalid_usage") and operation.USES_TOKENS:
            operation.usage = valid_usage(operation.usage)
        return cost

    def _add_totals(
        self, run: Run, cost: CallCost | None, *, failed: bool
    ) -> tuple[bool, _ToolTokens, DocumentCounts]:
        """Completes the totals of a run and adds them to the nearest run above whose totals are still open.

        Returns:
            Whether they came too late for every run above; the tokens of a model call by tool and kind of part; and the
            documents of a retrieval that are new in the trace.
        """
        documents: DocumentCounts = {}
        tool_tokens, operation = _NO_TOKENS, run.operation
        with _totals_lock:
            if operation.IS_SEARCH:
                documents = prompt.add_to_trace_documents(run, operation, failed=failed)
            if run.agent_prompts is not None:
                prompt.add_tool_tokens_to_caller(run)
            if run.prompt is not None:
                tool_tokens = prompt.add_tool_tokens_to_agent(run)
            totals: Totals | None = run.totals
            if operation.IS_LEAF and not getattr(operation, "duplicate", None):
                totals = run.totals = add_totals(totals, totals_of(operation, cost))
            run.totals_final = True
            if totals is None:
                return False, tool_tokens, documents
            above = run.parent
            if above is not None and above.totals_final:
                above = _with_open_totals(above)
            if above is not None:
                counted = totals.without_own() if operation.IS_AGENT else totals
                above.totals = add_totals(above.totals, counted)
        return above is None and run.parent is not None, tool_tokens, documents

    def _add_to_budgets(
        self, span: Span, policy: ContentPolicy, labels: Mapping[str, str], started: int, usd: Decimal
    ) -> None:
        """Adds a cost to the budgets of those who pay, and reports each budget that it exceeds."""
        # with the labels as given: redacted ones may be the same for many people
        for crossing in self._budgets.spend(usd, labels, started):
            self.report_crossing(span, policy, crossing)

    @guarded
    def report_crossing(self, span: Span, policy: ContentPolicy, crossing: Crossing) -> None:
        """Reports that a budget is spent: on the span, in the metric, and last to the application."""
        budget, crossing = crossing.budget, crossing._replace(labels=policy.labels(crossing.labels))
        span.add_event(
            semconv.EVENT_BUDGET_EXCEEDED,
            {
                **policy.labels(budget.labels),
                semconv.BUDGET_USD: float(budget.usd),
                semconv.BUDGET_SPENT_USD: float(crossing.spent),
                semconv.BUDGET_PER: budget.per,
            },
        )
        self._metrics.count_exceeded_budget(budget.per, crossing.labels, self._label_rules)
        if budget.on_exceeded is not None:
            budget.on_exceeded(crossing)


def _longest_gap(run: Run, ended: int, *, cut: bool) -> Attributes:
    """Returns where a stream stalled. If it was cut, the wait for the chunk that never came counts, too."""
    wait = ((ended - run.last_chunk) / 1e9,) if cut else ()
    return span_attributes.longest_gap((*run.chunk_gaps, *wait))


def _with_open_totals(run: Run | None) -> Run | None:
    """Returns the nearest run, from this one upwards, whose totals are not final."""
    while run is not None and run.totals_final:
        run = run.parent
    return run


def _put_totals(attributes: Attributes, run: Run, totals: Totals, *, late: bool, agent_usage: bool) -> None:
    is_root, operation = run.parent is None, run.operation
    if late:
        attributes[semconv.ROLLUP_LATE] = True
    if operation.USES_TOKENS and not is_root and isinstance(operation, operations.Inference):
        return  # a leaf's totals are its own usage; it repeats them only where it is the root
    attributes.update(totals.attributes())
    if operation.IS_AGENT:
        sums = totals.sums
        if agent_usage and (sums.own_input_tokens or sums.own_output_tokens):  # else nobody reported any
            attributes[semconv.USAGE_INPUT_TOKENS] = sums.own_input_tokens
            attributes[semconv.USAGE_OUTPUT_TOKENS] = sums.own_output_tokens
        if totals.finish_reasons:
            attributes[semconv.RESPONSE_FINISH_REASONS] = totals.finish_reasons
    if is_root and totals.retrieved and (total := totals.sums.input_tokens + totals.sums.output_tokens):
        attributes[semconv.RAG_TOTAL_TOKENS] = total
