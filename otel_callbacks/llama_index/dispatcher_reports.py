"""Turns the reports of LlamaIndex's dispatcher into runs.

A report is one call of an instrumented method: the dispatcher reports its start, and then its result or its error. A
report without a run of its own belongs to the nearest run above it.
"""

import asyncio
import functools
from collections.abc import Callable
from inspect import BoundArguments
from typing import Any

from llama_index.core.chat_engine.types import StreamingAgentChatResponse
from llama_index.core.workflow import InputRequiredEvent
from llama_index.core.workflow import Workflow as LlamaWorkflow
from llama_index_instrumentation.dispatcher import active_instrument_tags
from llama_index_instrumentation.span import active_span_id
from opentelemetry.context import get_current
from workflows.errors import WorkflowCancelledByUser, WorkflowTimeoutError
from workflows.runtime.types.results import WaitingForEvent

from otel_callbacks import semconv
from otel_callbacks.llama_index import streams, workflows
from otel_callbacks.llama_index.announced_reranks import AnnouncedReranks, announcing, start_rerank
from otel_callbacks.llama_index.operations_of_runs import add_description, finish_operation, start_answer
from otel_callbacks.llama_index.passed_over import is_passed_over
from otel_callbacks.llama_index.report import Report
from otel_callbacks.llama_index.reported_run import ReportedRun
from otel_callbacks.llama_index.results import result_kind
from otel_callbacks.llama_index.search_reports import helps_search
from otel_callbacks.llama_index.traced_methods import QUALIFIED_NAME, method_name, method_of
from otel_callbacks.llama_index.waiting_steps import (
    Resumed,
    WaitingStep,
    step_that_waits,
    waiting_runs,
)
from otel_callbacks.operations import Inference, Operation, Rerank, Step, ToolExecution
from otel_callbacks.operations.failure import Failure
from otel_callbacks.operations.payload import is_a
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.handed_down import readers
from otel_callbacks.runs.run import Run
from otel_callbacks.runs.surroundings import enclosing_run, ended_run
from otel_callbacks.runtime.faults import caught, guarded

RecorderFor = Callable[[Any], Recorder | None]

_CANCELLING = (
    asyncio.CancelledError,
    WorkflowCancelledByUser,
    WorkflowTimeoutError,
)  # they end the steps, too
readers.tags = active_instrument_tags.get


class DispatcherReports:
    """Starts and ends runs as the dispatcher reports method calls.

    Attributes:
        open: the runs of open reports, by report id. A report without a run of its own has the nearest run above it.
        recorder_for: returns the recorder for a component outside any traced run; None if it is not traced.
    """

    def __init__(self) -> None:
        self.open: dict[str | None, ReportedRun] = {}
        self.recorder_for: RecorderFor = lambda instance: None
        self._streaming: set[str] = set()  # the ids of model calls whose stream is open
        self._searches: set[str | None] = set()  # the ids of reports whose model calls help a search
        self._had_runs = False
        self._reranks = AnnouncedReranks()

    def enter(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: Any = None,
        parent_id: str | None = None,
        tags: Any = None,
        **_: Any,
    ) -> None:
        """Starts the run of a report, if its method gets one. The arguments are those that the dispatcher gives."""
        try:
            if self._reranks.open:
                self._reranks.end_silent(semconv.UNFINISHED)
            above = self.open.get(parent_id)
            if above is not None:
                recorder = above.run.recorder
            elif (outside := self._recorder_outside(instance, parent_id)) is not None:
                recorder = outside
            else:
                return
            method, workflow = method_of(instance.__class__, id_[QUALIFIED_NAME]), None
            if instance is None and (workflow := _workflow_of(above, parent_id)) is not None:
                waiting_runs.step_starts(workflow.run)
            in_search = parent_id in self._searches
            if (role := method.role) is not None:
                in_search = helps_search(role, instance, above, parent_id, is_in_search=in_search)
            if in_search:
                self._searches.add(id_)
            if method.start is not None or recorder.detail == "everything":
                report = tuple.__new__(
                    Report, (id_, method, instance, bound_args, parent_id, above, workflow)
                )
                if self._begin(report, recorder, in_search=in_search):
                    return
            if above is not None:
                self.open[id_] = above
        except Exception as error:  # as `guarded` does, without a call around every report
            caught("DispatcherReports.enter", error)

    def _begin(self, report: Report, recorder: Recorder, *, in_search: bool) -> bool:
        """Starts the run of a report whose method may get one; tells whether the run above does not stand for it."""
        id_, _, instance, arguments, parent_id, above, workflow = report
        parent = above.run if above is not None else self._run_around(recorder, parent_id)
        if parent is not None and parent.uncounted is not False and is_passed_over(parent, recorder, report):
            return False
        operation = self._operation(report, recorder)
        if workflow is not None:
            self._take_turn(workflow, arguments)
        if operation is None:
            return False
        resumed = None
        if isinstance(instance, LlamaWorkflow):
            resumed = Resumed(instance, arguments, operation, recorder.runs)
        if above is not None and above.agent is not None:
            parent = above.agent
        run = recorder.start(id_, operation, parent, tags=active_instrument_tags.get())
        if run is None:
            return True
        if resumed is not None:
            resumed.start(run)
        self._had_runs = True
        reported = self.open[id_] = ReportedRun(id_, instance, run, workflow)
        if isinstance(operation, Inference):
            start_answer(reported, operation, report, in_search=in_search)
        return True

    def _operation(self, report: Report, recorder: Recorder) -> Operation | None:
        """Returns the operation of a report; None if it gets no run of its own."""
        (_, method, component, arguments, _, above, workflow), operation = report, None
        if workflow is not None:
            component = workflow.instance
        if component is not None and (start := method.start) is not None:
            with_content = recorder.may_record_content(above.run if above is not None else None)
            operation = start(component, arguments, with_content)
        if operation is not None and self._repeats(operation, component, above, recorder):
            add_description(above, operation)
            operation = None
        detail = recorder.detail
        if operation is None and detail == "everything":
            operation = Step(name=report.id[QUALIFIED_NAME].rpartition("<locals>.")[2])
        return None if detail == "operations" and isinstance(operation, Step) else operation

    def _recorder_outside(self, instance: Any, parent_id: str | None) -> Recorder | None:
        """Returns the recorder of the handler that is active for a component outside every open run."""
        found = self.recorder_for(instance)
        if found is not None or parent_id is None or not self._had_runs:
            return found
        ended = ended_run()
        return None if ended is None else ended.recorder

    def _run_around(self, recorder: Recorder, parent_id: str | None) -> Run | None:
        """Returns the run around a report that is outside every open report."""
        around = enclosing_run(get_current(), recorder.runs)
        if around is None and parent_id is not None:  # work that outlives what started it
            ended = ended_run()
            return ended if ended is not None and ended.open_runs is recorder.runs else None
        return around

    def _take_turn(self, workflow: ReportedRun, arguments: BoundArguments) -> None:
        """Starts the run of the agent that a step of an AgentWorkflow works for, if a hand-off makes it another one."""
        agent = workflows.agent_of(workflow.instance, arguments)
        if agent is None:
            return
        recorder = workflow.run.recorder
        operation = workflows.start_agent(agent, recorder.may_record_content(workflow.run))
        if workflow.agent is None or workflow.agent.operation.name != operation.name:
            if workflow.agent is not None:
                recorder.finish(workflow.agent)
            workflow.agent = recorder.start((workflow.id, object()), operation, workflow.run, attach=False)

    def _repeats(
        self, operation: Operation, instance: Any, above: ReportedRun | None, recorder: Recorder
    ) -> bool:
        """Tells whether a report repeats the operation above: a method that calls another one of its own component.

        Examples are `acomplete` and `complete`, `chat` and `complete`, a tool and the tool it wraps. When a lazy
        stream makes such a call, only the stream itself is still open above it.
        """
        if self._streaming and isinstance(operation, Inference):
            around = enclosing_run(get_current(), recorder.runs)
            above = self.open.get(around.key, above) if around is not None else above
        if above is None or type(above.run.operation) is not type(operation):
            return False
        if isinstance(operation, ToolExecution):
            return above.run.operation.name == operation.name
        return above.instance is instance and instance is not None

    def exit(
        self, id_: str, bound_args: BoundArguments, instance: Any = None, result: Any = None, **_: Any
    ) -> None:
        """Finishes the run of a report. If the result is a stream, the run goes on until the stream is over."""
        try:
            self._searches.discard(id_)
            reported = self.open.get(id_)
            if reported is None:
                return
            if instance is None:
                self._step_ends(reported, id_, result)
            try:
                means = result_kind(type(result))  # type: ignore[arg-type]
            except Exception:  # a class of the application's that has no hash
                means = None
            if means is not None and means.is_agent_output:
                workflows.note_answer(reported.agent or reported.run, result)
            if reported.id != id_:
                if reported.received is not None and streams.is_stream(result):
                    reported.repeats = (*reported.repeats, id_)
                else:
                    del self.open[id_]
                if isinstance(instance, StreamingAgentChatResponse):
                    streams.history_written(instance, method_name(id_), None)
                return
            if means is not None and means.follow is not None:
                with_content = reported.run.recorder.wants_content(reported.run)
                if means.follow(result, functools.partial(self.end, reported), with_content):
                    self._keep_open(reported, result)
                    return
            if reported.received is not None:
                reported.received.add(result, is_whole=True)
            self._end(reported, None, result)
        except Exception as error:  # as `guarded` does, without a call around every report
            caught("DispatcherReports.exit", error)

    def _step_ends(self, reported: ReportedRun, id_: str, result: Any) -> None:
        """Notes that a step asks somebody, or ends because it waits. One without a run belongs to its workflow's."""
        if is_a(result, InputRequiredEvent):
            asked_by = reported.workflow if reported.id == id_ else reported
            if asked_by is not None:
                waiting_runs.add(WaitingStep.after_a_question(asked_by.instance), asked_by.run)
        if result is not None:
            return
        step = step_that_waits()
        if step is None:
            return
        workflow = reported.workflow
        if reported.id == id_:
            reported.outcome = semconv.INTERRUPTED
            reported.run.span.add_event(semconv.EVENT_INTERRUPT)
        else:
            workflow = reported
        if workflow is not None:
            waiting_runs.add(step, workflow.run)

    def _keep_open(self, reported: ReportedRun, result: Any) -> None:
        reported.run.execution_context = (
            None  # it holds the task, and so the stream that the task returned, which could not be collected
        )
        if reported.received is not None:
            self._streaming.add(reported.id)
            reported.run.inside = streams.inside_generator(result)
        else:
            reported.run.inside = lambda: self._is_inside(reported.run)

    def _is_inside(self, run: Run) -> bool:
        """Tells whether the caller is in the body of a run whose report has ended, by LlamaIndex's active span."""
        active = self.open.get(active_span_id.get())
        return active is not None and active.run.is_within(run)

    @guarded
    def drop(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: Any = None,
        err: BaseException | None = None,
        **_: Any,
    ) -> None:
        """Fails the run of a report."""
        self._searches.discard(id_)
        reported = self.open.get(id_)
        if reported is None:
            return
        if reported.id == id_:
            self._end(reported, err)
            return
        del self.open[id_]
        if isinstance(err, WaitingForEvent):
            reported.outcome = semconv.INTERRUPTED  # an agent's tool waits; its step catches the exception
        if isinstance(instance, StreamingAgentChatResponse):
            streams.history_written(instance, method_name(id_), err)

    @guarded
    def rerank_starts(self, event: Any, parent_id: str | None) -> None:
        """Starts the run of a rerank that is announced by an event, unless the report around it is the rerank's."""
        around = self.open.get(parent_id)
        found = announcing()
        if found is None or (around is not None and isinstance(around.run.operation, Rerank)):
            return
        reranker, inside = found
        recorder = around.run.recorder if around is not None else self._recorder_outside(reranker, parent_id)
        if recorder is None:
            return
        with_content = recorder.may_record_content(around.run if around is not None else None)
        operation = start_rerank(reranker, event, with_content)
        parent = (around.agent or around.run) if around else self._run_around(recorder, parent_id)
        run = recorder.start(object(), operation, parent, inside=inside, tags=active_instrument_tags.get())
        if run is not None:
            self._reranks.add(run, inside, around)

    @guarded
    def rerank_ends(self, event: Any) -> None:
        """Finishes the run of a rerank whose end is announced by an event."""
        self._reranks.end_announced(event)

    def cancelled(self, reported: ReportedRun) -> None:
        """Notes that a run was cancelled; its report will end without an error."""
        reported.outcome = semconv.CANCELLED

    @guarded
    def end(self, reported: ReportedRun, error: BaseException | None, result: Any = None) -> None:
        """Ends a run whose report has ended before, such as that of a stream."""
        self._end(reported, error, result)

    def _end(self, reported: ReportedRun, error: BaseException | None, result: Any = None) -> None:
        if self.open.pop(reported.id, None) is None:
            return
        for repeat in reported.repeats:
            self.open.pop(repeat, None)
        run, cancelled = reported.run, False
        if error is not None or reported.outcome is not None:
            cancelled = self._cancel_within(reported, error)
        if waiting_runs.open and waiting_runs.run_ends(run, cancelled=cancelled):
            error, reported.outcome = None, semconv.INTERRUPTED
        if self._reranks.open:
            self._reranks.end_with(reported, error)
        if self._streaming:
            self._streaming.discard(reported.id)
        failure = finish_operation(reported, result, error)
        cause = failure if error is None else error
        if reported.agent is not None:
            _finish(reported.agent, reported.outcome, cause)
        _finish(run, reported.outcome, cause)

    def _cancel_within(self, reported: ReportedRun, error: BaseException | None) -> bool:
        """Ends the open steps of a cancelled workflow, and tells whether it or another run was cancelled from outside.

        LlamaIndex reports the end of the steps only when the event loop ends.
        """
        was_cancelled = reported.outcome == semconv.CANCELLED
        if (was_cancelled or isinstance(error, _CANCELLING)) and workflows.is_workflow(reported.instance):
            for other in reversed(list(self.open.values())):
                if other.run.open and other.run.is_within(reported.run):
                    self.end(other, asyncio.CancelledError())
        return was_cancelled or isinstance(error, WorkflowCancelledByUser)

    def close(self) -> None:
        """Ends all runs, because the dispatcher was shut down."""
        for reported in list(self.open.values()):
            self.end(reported, GeneratorExit())
        self.open.clear()
        self._searches.clear()


def _finish(run: Run, outcome: str | None, cause: BaseException | Failure | None) -> None:
    if cause is None:
        run.recorder.finish(run, outcome)
    elif isinstance(cause, WaitingForEvent):
        run.recorder.finish(run, semconv.INTERRUPTED)
    elif isinstance(cause, WorkflowCancelledByUser):
        run.recorder.finish(run, semconv.CANCELLED)
    else:
        run.recorder.fail(run, cause)


def _workflow_of(above: ReportedRun | None, parent_id: str | None) -> ReportedRun | None:
    """Returns the report of the workflow if a report without a component is one of its steps."""
    is_step = above is not None and above.id == parent_id and workflows.is_workflow(above.instance)
    return above if is_step else None


reports = DispatcherReports()
