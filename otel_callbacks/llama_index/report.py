"""What the dispatcher reports of the start of a method."""

from inspect import BoundArguments
from typing import Any, NamedTuple

from otel_callbacks.llama_index.reported_run import ReportedRun
from otel_callbacks.llama_index.traced_methods import Method


class Report(NamedTuple):
    """The start of a method that may get a run.

    Attributes:
        id: LlamaIndex's id of the report.
        method: what is known of the method.
        instance: the component; None for a workflow step.
        arguments: those of the call.
        parent_id: the id of the report above.
        above: the run that the report above has or belongs to; None outside every open report.
        workflow: for a workflow step, the run of its workflow, which is the one above.
    """

    id: str
    method: Method
    instance: Any
    arguments: BoundArguments
    parent_id: str | None
    above: ReportedRun | None
    workflow: ReportedRun | None
