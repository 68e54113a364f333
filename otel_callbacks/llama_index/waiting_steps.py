"""Workflow steps that wait for an event from outside, and the runs that go on after somebody saved the context.

LlamaIndex reports a step that waits as one that returned None. Only its own frame around the step knows better. A step
may also return its question, and another step takes the answer: then no step waits, but the workflow does. A run
that goes on from a saved context is a new run, without a reference to the one before; but the context holds what waits.
"""

import sys
from collections import OrderedDict
from inspect import BoundArguments
from types import FrameType
from typing import Any, NamedTuple

from llama_index.core.workflow import HumanResponseEvent

from otel_callbacks import limits
from otel_callbacks.operations import Operation
from otel_callbacks.operations.payload import attribute, is_a, items, mapping
from otel_callbacks.runs.run import Run

_AROUND_STEP = "workflows.runtime.types.step_function"
_CAPTURED = "captured_waiting"


class WaitingStep(NamedTuple):
    """A step that waits. Its fields are the same in a context that was saved and loaded."""

    workflow: str
    step: str
    work_item: str | None
    waiter: str
    event: int

    @classmethod
    def of(cls, workflow: Any, step: Any, work_item: Any, waiter: Any, event: Any) -> "WaitingStep":
        """Returns the step; `event` is the one that the step received."""
        return cls(_name(workflow), str(step), work_item, str(waiter), _fingerprint(event))

    @classmethod
    def after_a_question(cls, workflow: Any) -> "WaitingStep":
        """Returns what stands for any step that waits for the answer to a question which a step before it returned."""
        return cls(_name(workflow), "", None, "", 0)

    @property
    def is_one_of_many(self) -> bool:
        """Whether other runs of the workflow wait with the same step."""
        return not self.step


def _name(workflow: Any) -> str:
    return str(attribute(workflow, "workflow_name") or type(workflow).__qualname__)


def _fingerprint(event: Any) -> int:
    try:
        return hash(repr(event))
    except Exception:  # the application's own event may fail; then its run is found by the other fields
        return 0


def _frame_around_step() -> FrameType | None:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if _CAPTURED in frame.f_code.co_cellvars and frame.f_globals.get("__name__") == _AROUND_STEP:
            return frame
        frame = frame.f_back
    return None


def step_that_waits() -> WaitingStep | None:
    """Returns the step whose end LlamaIndex is reporting, if it waits. A synchronous step cannot wait."""
    frame = _frame_around_step()
    if frame is None or (captured := frame.f_locals[_CAPTURED]) is None:
        return None
    found = frame.f_locals
    work_item, waiter = attribute(found["state"], "work_item_id"), attribute(captured.add, "waiter_id")
    return WaitingStep.of(found["workflow"], found["step_name"], work_item, waiter, found["event"])


def steps_that_wait(workflow: Any, arguments: BoundArguments) -> set[WaitingStep]:
    """Returns the steps that wait when a workflow run starts; none unless it goes on from a saved context."""
    state = arguments.arguments.get("init_state")
    workers = mapping(attribute(state, "workers"))
    if attribute(state, "is_running") is True and not any(map(_has_work, workers.values())):
        return {WaitingStep.after_a_question(workflow)}
    return {
        WaitingStep.of(
            workflow,
            attribute(step, "name") or step,
            attribute(waiter, "work_item_id"),
            attribute(waiter, "waiter_id"),
            attribute(waiter, "event"),
        )
        for step, worker in workers.items()
        for waiter in items(attribute(worker, "collected_waiters"))
    }


def _has_work(worker: Any) -> bool:
    """Tells whether a step has something to do, or waits for an event by name, in a saved context."""
    return any(items(attribute(worker, each)) for each in ("queue", "in_progress", "collected_waiters"))


class WaitingRun:
    """A workflow run with steps that wait.

    Attributes:
        span_context: the identity of its span.
        conversation_id: the conversation that it belongs to.
        open_runs: see `Run`.
        steps: the steps that wait.
        questions: how many questions that steps returned have no answer yet.
    """

    __slots__ = ("conversation_id", "open_runs", "questions", "span_context", "steps")

    def __init__(self, run: Run) -> None:
        self.span_context = run.span.get_span_context()
        self.conversation_id: str | None = run.operation.conversation_id
        self.open_runs = run.open_runs
        self.steps: set[WaitingStep] = set()
        self.questions = 0


class WaitingRuns:
    """The workflow runs that wait, for the runs that will go on from a saved context; the open ones in `open`."""

    def __init__(self) -> None:
        self.open: dict[Any, WaitingRun] = {}
        self._ended: OrderedDict[Any, WaitingRun] = OrderedDict()

    def add(self, step: WaitingStep, run: Run) -> None:
        """Notes that a step of `run` waits."""
        waiting = self.open.get(run.key) or self.open.setdefault(run.key, WaitingRun(run))
        waiting.steps.add(step)
        waiting.questions += step.is_one_of_many

    def step_starts(self, run: Run) -> None:
        """Notes that the step of `run` whose start LlamaIndex is reporting no longer waits, or has its answer."""
        waiting = self.open.get(run.key)
        frame = _frame_around_step() if waiting is not None else None
        if waiting is None or frame is None:
            return
        found = frame.f_locals
        started = (found["step_name"], attribute(found["state"], "work_item_id"))
        waiting.questions -= is_a(found["event"], HumanResponseEvent)
        waiting.steps = {
            step
            for step in waiting.steps
            if (step.step, step.work_item) != started and (waiting.questions > 0 or not step.is_one_of_many)
        }

    def run_ends(self, run: Run, *, cancelled: bool) -> bool:
        """Notes the end of a workflow run. Returns True if it was cancelled while it waited, and may go on later."""
        waiting = self.open.pop(run.key, None)
        if waiting is None or not waiting.steps or not cancelled:
            return False
        self._ended[run.key] = waiting
        if len(self._ended) > limits.INTERRUPTED_CONVERSATIONS:
            self._ended.popitem(last=False)
            limits.log_reached(
                "INTERRUPTED_CONVERSATIONS", "the oldest, when resumed, have no link to their first trace"
            )
        return True

    def take(self, steps: set[WaitingStep], open_runs: Any) -> WaitingRun | None:
        """Returns the newest run that waits with one of these steps, and forgets it if it has ended; None without one.

        None, too, if runs of different conversations wait for the same, or several after a question: a wrong link is
        worse than none.
        """
        found = [
            (key, waiting)
            for key, waiting in (*self.open.items(), *self._ended.items())
            if waiting.open_runs is open_runs and not steps.isdisjoint(waiting.steps)
        ]
        several = any(step.is_one_of_many for step in steps) and len(found) > 1
        if several or len({waiting.conversation_id for _, waiting in found}) != 1:
            return None
        key, newest = found[-1]
        self._ended.pop(key, None)
        return newest


waiting_runs = WaitingRuns()


class Resumed:
    """A workflow run that starts, and may go on from a saved context: then it links to the run that waited.

    Args:
        workflow: the workflow.
        arguments: those of the call, with the saved context.
        operation: the operation of the run, which gets the conversation of the one that waited.
        open_runs: see `Run`.
    """

    def __init__(
        self, workflow: Any, arguments: BoundArguments, operation: Operation, open_runs: Any
    ) -> None:
        self._steps = steps_that_wait(workflow, arguments)
        self._waited = waiting_runs.take(self._steps, open_runs) if self._steps else None
        if self._waited is not None:
            operation.conversation_id = operation.conversation_id or self._waited.conversation_id

    def start(self, run: Run) -> None:
        """Links the run that has started, and notes the steps in which it still waits."""
        if self._waited is not None:
            run.span.add_link(self._waited.span_context)
        for step in self._steps:
            waiting_runs.add(step, run)
