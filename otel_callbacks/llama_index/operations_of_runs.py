"""Reads what reports bring into the operations of their runs: prompts, answers and results."""

import functools
from typing import Any

from otel_callbacks.llama_index import inference, traced_methods
from otel_callbacks.llama_index.report import Report
from otel_callbacks.llama_index.reported_run import ReportedRun
from otel_callbacks.operations import Failure, Inference, Operation, ToolExecution
from otel_callbacks.runtime.faults import guarded


def start_answer(reported: ReportedRun, operation: Inference, report: Report, *, in_search: bool) -> None:
    """Makes room for the answer of a model call that has started, and reads its prompt.

    Of the prompt is read what its agent, its trace and an estimate of its tokens need.
    """
    run, recorder = reported.run, reported.run.recorder
    reported.received = inference.ReceivedAnswer(operation.provider, with_content=recorder.wants_content(run))
    run.complete = functools.partial(finish_operation, reported, None, GeneratorExit())
    if (
        isinstance(report.parent_id, str)
        and traced_methods.method_name(report.parent_id) in inference.PREDICT
    ):
        operation.prompt_template = inference.prompt_template()
    if in_search:
        run.in_search = True
    if recorder.estimates_usage:
        inference.estimate_prompt(operation, report.arguments)
    if (prompt := recorder.start_prompt(run)) is not None:
        inference.read_prompt(prompt, report.arguments)


def add_description(above: ReportedRun | None, repeat: Operation) -> None:
    """Adds a tool's description from its repeated report. The agent's step, which comes first, has none."""
    known = above.run.operation if above is not None else None
    if isinstance(known, ToolExecution) and isinstance(repeat, ToolExecution):
        known.description = known.description or repeat.description


@guarded
def finish_operation(reported: ReportedRun, result: Any, error: BaseException | None) -> Failure | None:
    """Adds the result to the operation. An unreadable result must not keep the span from ending."""
    run, operation, received = reported.run, reported.run.operation, reported.received
    if received is None:
        return traced_methods.finish(run, result) if error is None else None
    if isinstance(operation, Inference):  # it is not if the run was ended before
        with_content = run.recorder.wants_content(run)
        inference.finish_inference(operation, received, with_content=with_content, cut=error is not None)
        if run.prompt is not None:
            run.prompt.answer = inference.answer_text(received)
    return None
