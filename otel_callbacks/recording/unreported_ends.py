"""Ends runs whose end the framework does not report: cancelled, abandoned, or left open by what is around them."""

import asyncio
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.faults import guarded


def sweep(run: Run, outcome: str) -> None:
    """Ends a run whose end the framework has not reported; `outcome` says how it ended."""
    if run.open:
        run.recorder.counts.swept += 1
        if run.complete is not None:
            run.complete()
        run.recorder.finish(run, outcome)


@guarded
def end_dependents(run: Run, outcome: str | None) -> None:
    """Ends what depends on a run: the watch on its task, and runs that vanished in it or are given up with it."""
    given_up = outcome in (semconv.ABANDONED, semconv.CANCELLED)
    started_in = run.execution_context
    if run.on_task_done is not None and started_in and (task := started_in.running_task()) is not None:
        task.remove_done_callback(run.on_task_done)
    for child in list(run.children or ()):
        if not child.goes_on_without(run, given_up=given_up):
            sweep(child, outcome if given_up and outcome else semconv.CANCELLED)


@guarded
def end_with_task(run: Run, task: "asyncio.Task[Any]") -> None:
    """Ends a run because the task that it started in is over."""
    sweep(run, semconv.CANCELLED)
