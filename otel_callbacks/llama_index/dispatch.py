"""The dispatcher client: which of LlamaIndex's reports starts, completes or ends which run.

A report of a method that is not shown leads to the nearest run above it.
"""

import asyncio
import functools
from collections.abc import Callable
from inspect import BoundArguments
from typing import Any

from llama_index_instrumentation.dispatcher import active_instrument_tags
from llama_index_instrumentation.span import active_span_id
from opentelemetry.context import get_current
from workflows.errors import WorkflowCancelledByUser
from workflows.runtime.types.results import WaitingForEvent

from otel_callbacks import semconv
from otel_callbacks.llama_index import inference, streams, translate
from otel_callbacks.operations import Failure, Inference, Operation, Step, ToolExecution
from otel_callbacks.recording.inheritance import inherit
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.current_span import Run, enclosing_run, ended_run
from otel_callbacks.runtime.faults import guarded

RecorderFor = Callable[[Any], Recorder | None]

_ID_SUFFIX = 37  # of "Class.method-" + uuid4


class Shown:
    """A report that has a run.

    Attributes:
        id: LlamaIndex's id of the report.
        instance: the component, None for a step of a workflow.
        run: the run.
        agent: of an AgentWorkflow, the run of the agent whose turn it is.
        workflow: of a step, the workflow.
        received: of a model call, what has come back.
        outcome: how the run ends, if not as usual.
        speaker: of a stream, the report under whose id its events come: this one or one that it repeats.
        repeated: of a stream, the reports it repeats whose events are still to come.
    """

    __slots__ = ("agent", "id", "instance", "outcome", "received", "repeated", "run", "speaker", "workflow")

    def __init__(self, id_: str, instance: Any, run: Run, workflow: Any) -> None:
        self.id = id_
        self.instance = instance
        self.run = run
        self.workflow = workflow
        self.agent: Run | None = None
        self.received = inference.Received() if isinstance(run.operation, Inference) else None
        self.outcome: str | None = None
        self.speaker: str | None = None
        self.repeated: list[str] = []


class Client:
    """Turns reports into runs.

    Attributes:
        shown: the open reports by id; that of a report without a run leads to the one above it that has one.
        recorder_for: says which recorder is in charge of a component that nothing traced encloses.
    """

    def __init__(self) -> None:
        self.shown: dict[str | None, Shown] = {}
        self.recorder_for: RecorderFor = lambda instance: None
        self._streaming: set[str] = set()  # the open streams of models
        self._used = False  # whether there ever was a run

    @guarded
    def enter(self, id_: str, arguments: BoundArguments, instance: Any, parent_id: str | None) -> None:
        """Starts the run of a report, if it is to have one."""
        above = self.shown.get(parent_id)
        recorder = self._recorder(above, instance, parent_id)
        if recorder is None:
            return
        method = id_[:-_ID_SUFFIX].rpartition(".")[2]
        workflow = _workflow_of(above, parent_id) if instance is None else None
        operation = None
        if (describe := _describer(method, instance, workflow)) is not None:
            with_content = recorder.may_want_content(above.run if above is not None else None)
            operation = describe(arguments, with_content)
        if operation is not None and self._repeats(operation, instance, above, recorder):
            _adopt(above, operation)
            operation = None
        if operation is None and recorder.detail == "everything":
            operation = Step(name=id_[:-_ID_SUFFIX].rpartition("<locals>.")[2])
        if operation is None or (recorder.detail == "operations" and isinstance(operation, Step)):
            if above is not None:
                self._take_turn(above, workflow, arguments)
                self.shown[id_] = above
            return
        base = self._base(above, workflow, arguments, recorder, parent_id)
        inherit(operation, base)
        run = recorder.start(id_, operation, base, tags=active_instrument_tags.get())
        if run is not None:
            self._used = True
            self.shown[id_] = Shown(id_, instance, run, workflow)
            if isinstance(operation, Inference) and (prompt := recorder.prompt_of(run)) is not None:
                inference.read_prompt(prompt, arguments)

    def _recorder(self, above: Shown | None, instance: Any, parent_id: str | None) -> Recorder | None:
        """The recorder of the run above; without one, of the handler in charge."""
        if above is not None:
            recorder: Recorder = above.run.recorder
            return recorder
        found = self.recorder_for(instance)
        if found is None and parent_id is not None and self._used:
            ended = ended_run()
            found = ended.recorder if ended is not None else None
        return found

    def _base(
        self,
        above: Shown | None,
        workflow: Any,
        arguments: BoundArguments,
        recorder: Recorder,
        parent_id: str | None,
    ) -> Run | None:
        """The run that encloses a new one, whatever the context says."""
        if above is not None:
            return self._take_turn(above, workflow, arguments) or above.run
        around = enclosing_run(get_current(), recorder.runs)
        if around is None and parent_id is not None:  # work that outlives what started it
            ended = ended_run()
            return ended if ended is not None and ended.table is recorder.runs else None
        return around

    def _take_turn(self, above: Shown, workflow: Any, arguments: BoundArguments) -> Run | None:
        """The run of the agent that a step of an AgentWorkflow works for; a hand-off starts another."""
        agent = translate.agent_of(workflow, arguments) if workflow is not None else None
        if agent is not None:
            operation = translate.agent(agent)
            if above.agent is None or above.agent.operation.name != operation.name:
                recorder = above.run.recorder
                if above.agent is not None:
                    recorder.finish(above.agent)
                operation.conversation_id = above.run.operation.conversation_id
                above.agent = recorder.start((above.id, object()), operation, above.run, attach=False)
        return above.agent

    def _repeats(self, operation: Operation, instance: Any, above: Shown | None, recorder: Recorder) -> bool:
        """Whether this is the operation above once more: a method that calls another of its own component.

        So do `acomplete` and `complete`, `chat` and `complete`, a tool and what it wraps. A lazy stream may call
        while nothing above is open but the stream itself.
        """
        if self._streaming and isinstance(operation, Inference):
            around = enclosing_run(get_current(), recorder.runs)
            above = self.shown.get(around.key, above) if around is not None else above
        if above is None or type(above.run.operation) is not type(operation):
            return False
        if isinstance(operation, ToolExecution):
            return above.run.operation.name == operation.name
        return above.instance is instance and instance is not None

    @guarded
    def exit(self, id_: str, instance: Any, result: Any) -> None:
        """Finishes the run of a report, or lets it go on if its result is a stream."""
        shown = self.shown.get(id_)
        if shown is None:
            return
        if shown.id != id_:
            if shown.received is not None and streams.is_stream(result):
                shown.repeated.append(id_)
            else:
                del self.shown[id_]
            streams.written(instance, id_[:-_ID_SUFFIX].rpartition(".")[2], None)
            return
        with_content = shown.run.recorder.wants_content(shown.run)
        if streams.follow(result, functools.partial(self._end, shown), with_content=with_content):
            self._go_on(shown, result)
            return
        if shown.received is not None:
            shown.received.add(result, with_content=with_content)
        elif shown.workflow is not None and shown.outcome is None:
            name = id_[:-_ID_SUFFIX].rpartition(".")[2]
            if translate.waits(shown.workflow, name, result):
                shown.outcome = semconv.INTERRUPTED
        self._end(shown, None, result)

    def _go_on(self, shown: Shown, result: Any) -> None:
        shown.run.place = None  # a task holds its result, the stream, which then would never be collected
        if shown.received is not None:
            self._streaming.add(shown.id)
            shown.run.inside = streams.running(result)
        else:
            shown.run.inside = lambda: self._is_within(shown.run)

    def _is_within(self, run: Run) -> bool:
        """Whether LlamaIndex says that the caller is in the body of a run whose report is over."""
        here = self.shown.get(active_span_id.get())
        return here is not None and here.run.is_within(run)

    @guarded
    def drop(self, id_: str, instance: Any, error: BaseException | None) -> None:
        """Fails the run of a report."""
        shown = self.shown.get(id_)
        if shown is None:
            return
        if shown.id == id_:
            self._end(shown, error)
            return
        del self.shown[id_]
        if isinstance(error, WaitingForEvent):
            shown.outcome = semconv.INTERRUPTED  # a tool of an agent, which its step hides from us
        streams.written(instance, id_[:-_ID_SUFFIX].rpartition(".")[2], error)

    def cancelled(self, shown: Shown) -> None:
        """The report of a run that was cancelled will look as if it had just ended."""
        shown.outcome = semconv.CANCELLED

    @guarded
    def end_stream(self, shown: Shown, error: BaseException | None) -> None:
        """A model's stream is over."""
        self._end(shown, error)

    @guarded
    def _end(self, shown: Shown, error: BaseException | None, result: Any = None) -> None:
        if self.shown.pop(shown.id, None) is None:
            return
        for repeated in shown.repeated:
            self.shown.pop(repeated, None)
        if isinstance(error, asyncio.CancelledError) and translate.is_workflow(shown.instance):
            self._cancel_within(shown)
        run, recorder = shown.run, shown.run.recorder
        self._streaming.discard(shown.id)
        failure = _complete(shown, result, error)
        for ending in (shown.agent, run):
            if ending is None:
                continue
            if isinstance(error, WaitingForEvent):
                recorder.finish(ending, semconv.INTERRUPTED)
            elif isinstance(error, WorkflowCancelledByUser):
                recorder.finish(ending, semconv.CANCELLED)
            elif (broken := failure if error is None else error) is not None:
                recorder.fail(ending, broken)
            else:
                recorder.finish(ending, shown.outcome)

    def _cancel_within(self, shown: Shown) -> None:
        """Ends what a cancelled workflow leaves running: its steps are only told when the loop ends."""
        for other in reversed(list(self.shown.values())):
            if other.run.open and other.run.is_within(shown.run):
                self._end(other, asyncio.CancelledError())

    def close(self) -> None:
        """Forgets all reports; the dispatcher was shut down."""
        for shown in list(self.shown.values()):
            self._end(shown, GeneratorExit())
        self.shown.clear()


def _workflow_of(above: Shown | None, parent_id: str | None) -> Any:
    """The workflow of which a report without a component is a step."""
    if above is None or above.id != parent_id or not translate.is_workflow(above.instance):
        return None
    return above.instance


def _describer(
    method: str, instance: Any, workflow: Any
) -> Callable[[BoundArguments, bool], Operation | None] | None:
    """What makes the operation of a report from its arguments; None if such a report has none."""
    if workflow is not None:
        return functools.partial(translate.step, workflow, method)
    describe = translate.describe(instance.__class__, method)
    return functools.partial(describe, instance) if describe is not None else None


def _adopt(above: Shown | None, repeated: Operation) -> None:
    """Takes from the repetition of a tool what the agent's step did not know of it."""
    known = above.run.operation if above is not None else None
    if isinstance(known, ToolExecution) and isinstance(repeated, ToolExecution):
        known.description = known.description or repeated.description


@guarded
def _complete(shown: Shown, result: Any, error: BaseException | None) -> Failure | None:
    """Completes the operation; an unreadable result must not cost the span its end."""
    operation, with_content = shown.run.operation, shown.run.recorder.wants_content(shown.run)
    if shown.received is not None and isinstance(operation, Inference):
        inference.finish(operation, shown.received, with_content=with_content, cut=error is not None)
        if shown.run.prompt is not None:
            shown.run.prompt.answer = inference.answer_text(shown.received)
        return None
    return translate.finish(operation, result, with_content=with_content) if error is None else None


client = Client()
