"""The run of a report of LlamaIndex's dispatcher, and what has been reported about it."""

from typing import Any

from otel_callbacks.llama_index.inference import ReceivedAnswer
from otel_callbacks.runs.run import Run


class ReportedRun:
    """The run of a report, and what the dispatcher has reported about it.

    Attributes:
        id: LlamaIndex's id of the report.
        instance: the component; None for a workflow step.
        run: the run.
        agent: for an AgentWorkflow, the run of the agent whose turn it is.
        workflow: for a step, the report of its workflow.
        received: for a model call, the answer so far.
        outcome: the outcome, such as "cancelled"; None for a run that just ends.
        chunk_source: for a stream, the id under which its chunks are reported. A repeated report may be the first to
            report them.
        text_source: the same, once only the times of chunks with nothing but text matter.
        repeats: for a stream, the ids of repeated reports whose events are still to come.
    """

    agent: Run | None = None
    chunk_source: str | None = None
    outcome: str | None = None
    received: ReceivedAnswer | None = None
    text_source: str | None = None
    repeats: tuple[str, ...] = ()

    def __init__(self, id_: str, instance: Any, run: Run, workflow: "ReportedRun | None" = None) -> None:
        self.id = id_
        self.instance = instance
        self.run = run
        self.workflow = workflow
