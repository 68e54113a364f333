"""Translates LlamaIndex's tool calls into operations."""

from inspect import BoundArguments
from typing import Any

from llama_index.core.agent.workflow.workflow_events import ToolCallResult
from llama_index.core.tools import ToolOutput

from otel_callbacks.limits import DESCRIPTION_CHARACTERS
from otel_callbacks.llama_index import messages
from otel_callbacks.operations import Failure, ToolExecution
from otel_callbacks.operations.payload import attribute, is_a, word

_PROGRAM_MODULE = "llama_index.core.program.function_program"


def start_tool(tool: Any, arguments: BoundArguments, with_content: bool) -> ToolExecution | None:
    """Returns the operation of a tool that starts; None for the fake tool by which a program gets structured output."""
    function = attribute(tool, "_real_fn") or attribute(tool, "_fn")
    if attribute(function, "__module__") == _PROGRAM_MODULE:
        return None
    metadata = attribute(tool, "metadata")
    operation = ToolExecution(
        name=word(attribute(metadata, "name")) or "tool",
        description=word(attribute(metadata, "description"), DESCRIPTION_CHARACTERS),
    )
    if with_content:
        operation.arguments = arguments.kwargs or list(arguments.args)
    return operation


def finish_tool(operation: ToolExecution, result: Any, *, with_content: bool) -> Failure | None:
    """Adds a tool's result to its operation. Returns a failure if the output is marked as an error."""
    output = attribute(result, "tool_output") if is_a(result, ToolCallResult) else result
    if not is_a(output, ToolOutput):
        return None
    content = messages.text_in(output)
    operation.result_size = len(content or "")
    if with_content:
        operation.result = content
    if attribute(output, "is_error") is not True:
        return None
    error = attribute(output, "exception")
    return Failure.from_exception(error) if is_a(error, BaseException) else Failure("tool_error", content)
