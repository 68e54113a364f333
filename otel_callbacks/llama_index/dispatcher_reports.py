"""Turns the reports of LlamaIndex's dispatcher into runs.

A report is one call of an instrumented method: the dispatcher reports its start, and then its result or its error. A
report without a run of its own belongs to the nearest run above it.
"""

import asyncio
import functools
from collections.abc import Callable
from inspect import BoundArguments
from typing import Any

from llama_index.core.workflow import InputRequiredEvent
from llama_index_instrumentation.dispatcher import active_instrument_tags
from llama_index_instrumentation.span import active_span_id
from opentelemetry.context import get_current
from workflows.errors import WorkflowCancelledByUser, WorkflowTimeoutError
from workflows.runtime.types.results import WaitingForEvent

from otel_callbacks import semconv
from otel_callbacks.llama_index import inference, streams, traced_methods, workflows
from otel_callbacks.llama_index.announced_reranks import AnnouncedReranks, announcing, start_rerank
from otel_callbacks.llama_index.reported_run import ReportedRun
from otel_callbacks.llama_index.search_reports import SearchReports
from otel_callbacks.llama_index.waiting_steps import (
    WaitingStep,
    step_that_waits,
    steps_that_wait,
    waiting_runs,
)
from otel_callbacks.operations import Failure, Inference, Operation, Rerank, Step, ToolExecution
from otel_callbacks.operations.payload import is_a
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.handed_down import readers
from otel_callbacks.runs.run import Run
from otel_callbacks.runs.surroundings import enclosing_run, ended_run
from otel_callbacks.runtime.faults import guarded

RecorderFor = Callable[[Any], Recorder | None]

_CANCELLING = (
    asyncio.CancelledError,
    WorkflowCancelledByUser,
    WorkflowTimeoutError,
)  # they end the steps, too
readers.tags = active_instrument_tags.get

_ID_SUFFIX = 37  # of "Class.method-" + uuid4


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
        self._searches = SearchReports()
        self._had_runs = False
        self._reranks = AnnouncedReranks()

    @guarded
    def enter(self, id_: str, arguments: BoundArguments, instance: Any, parent_id: str | None) -> None:
        """Starts the run of a report, if its method gets one."""
        if self._reranks:
            self._reranks.end_silent(semconv.UNFINISHED)
        above = self.open.get(parent_id)
        recorder = self._recorder(above, instance, parent_id)
        if recorder is None:
            return
        method = _method(id_)
        of_workflow = _workflow_of(above, parent_id) if instance is None else None
        if of_workflow is not None:
            waiting_runs.step_starts(of_workflow.run)
        workflow = of_workflow.instance if of_workflow is not None else None
        in_search = self._searches.enter(id_, method, instance, above, parent_id)
        operation = None
        if (start := _start_function(method, instance, workflow)) is not None:
            with_content = recorder.may_record_content(above.run if above is not None else None)
            operation = start(arguments, with_content)
        if operation is not None and self._repeats(operation, instance, above, recorder):
            _add_description(above, operation)
            operation = None
        if operation is None and recorder.detail == "everything":
            operation = Step(name=id_[:-_ID_SUFFIX].rpartition("<locals>.")[2])
        if operation is None or (recorder.detail == "operations" and isinstance(operation, Step)):
            if above is not None:
                self._take_turn(above, workflow, arguments)
                self.open[id_] = above
            return
        parent = self._parent_run(above, workflow, arguments, recorder, parent_id)
        reported = self._start(id_, operation, instance, arguments, recorder, parent)
        if reported is None:
            return
        reported.workflow = of_workflow
        if isinstance(operation, Inference):
            if isinstance(parent_id, str) and _method(parent_id) in inference.PREDICT:
                operation.prompt_template = inference.prompt_template()
            reported.run.in_search = reported.run.in_search or in_search
            reported.run.complete = functools.partial(_finish_operation, reported, None, GeneratorExit())
            _read_prompt(recorder, reported.run, operation, arguments)

    def _start(
        self,
        id_: str,
        operation: Operation,
        instance: Any,
        arguments: BoundArguments,
        recorder: Recorder,
        parent: Run | None,
    ) -> ReportedRun | None:
        """Starts a run. One of a workflow that goes on from a saved context links to the run that waited."""
        waiting = steps_that_wait(instance, arguments) if workflows.is_workflow(instance) else set()
        interrupted = waiting_runs.take(waiting, recorder.runs) if waiting else None
        if interrupted is not None:
            operation.conversation_id = operation.conversation_id or interrupted.conversation_id
        run = recorder.start(id_, operation, parent, tags=active_instrument_tags.get())
        if run is None:
            return None
        if interrupted is not None:
            run.span.add_link(interrupted.span_context)
        for step in waiting:
            waiting_runs.add(step, run)
        self._had_runs = True
        reported = self.open[id_] = ReportedRun(id_, instance, run)
        return reported

    def _recorder(self, above: ReportedRun | None, instance: Any, parent_id: str | None) -> Recorder | None:
        """Returns the recorder of the run above, else of the handler that is active for the component."""
        if above is not None:
            recorder: Recorder = above.run.recorder
            return recorder
        found = self.recorder_for(instance)
        if found is None and parent_id is not None and self._had_runs:
            ended = ended_run()
            found = ended.recorder if ended is not None else None
        return found

    def _parent_run(
        self,
        above: ReportedRun | None,
        workflow: Any,
        arguments: BoundArguments | None,
        recorder: Recorder,
        parent_id: str | None,
    ) -> Run | None:
        """Returns the parent of a new run."""
        if above is not None:
            return self._take_turn(above, workflow, arguments) or above.run
        around = enclosing_run(get_current(), recorder.runs)
        if around is None and parent_id is not None:  # work that outlives what started it
            ended = ended_run()
            return ended if ended is not None and ended.open_runs is recorder.runs else None
        return around

    def _take_turn(self, above: ReportedRun, workflow: Any, arguments: BoundArguments | None) -> Run | None:
        """Returns the run of the agent that a step of an AgentWorkflow works for. A hand-off starts a new run."""
        agent = workflows.agent_of(workflow, arguments) if arguments is not None else None
        if agent is not None:
            operation = workflows.start_agent(agent, above.run.recorder.may_record_content(above.run))
            if above.agent is None or above.agent.operation.name != operation.name:
                recorder = above.run.recorder
                if above.agent is not None:
                    recorder.finish(above.agent)
                above.agent = recorder.start((above.id, object()), operation, above.run, attach=False)
        return above.agent

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

    @guarded
    def exit(self, id_: str, instance: Any, result: Any) -> None:
        """Finishes the run of a report. If the result is a stream, the run goes on until the stream is over."""
        self._searches.leave(id_)
        reported = self.open.get(id_)
        if reported is None:
            return
        if instance is None and result is None:
            self._end_waiting(reported, id_)
        elif instance is None and is_a(result, InputRequiredEvent):
            asked_by = reported.workflow if reported.id == id_ else reported
            if asked_by is not None:
                waiting_runs.add(WaitingStep.after_a_question(asked_by.instance), asked_by.run)
        workflows.note_answer(reported.agent or reported.run, result)
        if reported.id != id_:
            if reported.received is not None and streams.is_stream(result):
                reported.repeats.append(id_)
            else:
                del self.open[id_]
            streams.history_written(instance, _method(id_), None)
            return
        with_content = reported.run.recorder.wants_content(reported.run)
        if streams.follow(result, functools.partial(self._end, reported), with_content=with_content):
            self._keep_open(reported, result)
            return
        if reported.received is not None:
            reported.received.add(result, with_content=with_content)
        self._end(reported, None, result)

    def _end_waiting(self, reported: ReportedRun, id_: str) -> None:
        """Notes that a step has ended because it waits, if it does. A step without a run belongs to its workflow's."""
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
    def drop(self, id_: str, instance: Any, error: BaseException | None) -> None:
        """Fails the run of a report."""
        self._searches.leave(id_)
        reported = self.open.get(id_)
        if reported is None:
            return
        if reported.id == id_:
            self._end(reported, error)
            return
        del self.open[id_]
        if isinstance(error, WaitingForEvent):
            reported.outcome = semconv.INTERRUPTED  # an agent's tool waits; its step catches the exception
        streams.history_written(instance, _method(id_), error)

    @guarded
    def rerank_starts(self, event: Any, parent_id: str | None) -> None:
        """Starts the run of a rerank that is announced by an event, unless the report around it is the rerank's."""
        around = self.open.get(parent_id)
        found = announcing()
        if found is None or (around is not None and isinstance(around.run.operation, Rerank)):
            return
        reranker, inside = found
        recorder = self._recorder(around, reranker, parent_id)
        if recorder is None:
            return
        with_content = recorder.may_record_content(around.run if around is not None else None)
        operation = start_rerank(reranker, event, with_content)
        parent = self._parent_run(around, None, None, recorder, parent_id)
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
    def end_stream(self, reported: ReportedRun, error: BaseException | None) -> None:
        """Ends the run of a model's stream."""
        self._end(reported, error)

    @guarded
    def _end(self, reported: ReportedRun, error: BaseException | None, result: Any = None) -> None:
        if self.open.pop(reported.id, None) is None:
            return
        for repeat in reported.repeats:
            self.open.pop(repeat, None)
        run, recorder = reported.run, reported.run.recorder
        was_cancelled = reported.outcome == semconv.CANCELLED
        if (was_cancelled or isinstance(error, _CANCELLING)) and workflows.is_workflow(reported.instance):
            self._cancel_within(reported)
        cancelled = was_cancelled or isinstance(error, WorkflowCancelledByUser)
        if waiting_runs.run_ends(run, cancelled=cancelled):
            error, reported.outcome = None, semconv.INTERRUPTED
        if self._reranks:
            self._reranks.end_with(reported, error)
        self._streaming.discard(reported.id)
        failure = _finish_operation(reported, result, error)
        for each in (reported.agent, run):
            if each is None:
                continue
            if isinstance(error, WaitingForEvent):
                recorder.finish(each, semconv.INTERRUPTED)
            elif isinstance(error, WorkflowCancelledByUser):
                recorder.finish(each, semconv.CANCELLED)
            elif (cause := failure if error is None else error) is not None:
                recorder.fail(each, cause)
            else:
                recorder.finish(each, reported.outcome)

    def _cancel_within(self, reported: ReportedRun) -> None:
        """Ends the open steps of a cancelled workflow. LlamaIndex reports their end only when the event loop ends."""
        for other in reversed(list(self.open.values())):
            if other.run.open and other.run.is_within(reported.run):
                self._end(other, asyncio.CancelledError())

    def close(self) -> None:
        """Ends all runs, because the dispatcher was shut down."""
        for reported in list(self.open.values()):
            self._end(reported, GeneratorExit())
        self.open.clear()
        self._searches.clear()


def _method(id_: str) -> str:
    """Returns the method that a report is about, from its id."""
    return id_[:-_ID_SUFFIX].rpartition(".")[2]


def _workflow_of(above: ReportedRun | None, parent_id: str | None) -> ReportedRun | None:
    """Returns the report of the workflow if a report without a component is one of its steps."""
    if above is None or above.id != parent_id or not workflows.is_workflow(above.instance):
        return None
    return above


def _start_function(
    method: str, instance: Any, workflow: Any
) -> Callable[[BoundArguments, bool], Operation | None] | None:
    """Returns the function that makes the operation of a report from its arguments; None if it gets no operation."""
    if workflow is not None:
        return functools.partial(workflows.start_step, workflow, method)
    start = traced_methods.start_function(instance.__class__, method)
    return functools.partial(start, instance) if start is not None else None


def _add_description(above: ReportedRun | None, repeat: Operation) -> None:
    """Adds a tool's description from its repeated report. The agent's step, which comes first, has none."""
    known = above.run.operation if above is not None else None
    if isinstance(known, ToolExecution) and isinstance(repeat, ToolExecution):
        known.description = known.description or repeat.description


@guarded
def _finish_operation(reported: ReportedRun, result: Any, error: BaseException | None) -> Failure | None:
    """Adds the result to the operation. An unreadable result must not keep the span from ending."""
    operation, with_content = reported.run.operation, reported.run.recorder.wants_content(reported.run)
    if reported.received is not None and isinstance(operation, Inference):
        inference.finish_inference(
            operation, reported.received, with_content=with_content, cut=error is not None
        )
        if reported.run.prompt is not None:
            reported.run.prompt.answer = inference.answer_text(reported.received)
        return None
    return traced_methods.finish(operation, result, with_content=with_content) if error is None else None


reports = DispatcherReports()


def _read_prompt(recorder: Recorder, run: Run, operation: Inference, arguments: BoundArguments) -> None:
    """Reads from the prompt of a model call what its agent, its trace and an estimate of its tokens need."""
    if recorder.estimates_usage:
        inference.estimate_prompt(operation, arguments)
    if (prompt := recorder.start_prompt(run)) is not None:
        inference.read_prompt(prompt, arguments)
