"""Translates LangChain's tool runs into operations."""

from typing import Any

from langchain_core.messages import ToolMessage

from otel_callbacks.langchain.workflows import Metadata, conversation_id
from otel_callbacks.limits import DESCRIPTION_CHARACTERS, TOOL_RESULT_BLOCKS_COUNTED
from otel_callbacks.operations import AgentInvocation, Failure, ToolExecution
from otel_callbacks.operations.payload import attribute, is_a, items, mapping, text, word
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.faults import guarded


def start_tool(
    serialized: Any, name: Any, call_id: Any, metadata: Metadata, parent: Run | None
) -> ToolExecution:
    """Returns the operation of a tool that starts, with the name of the agent that runs it."""
    described = mapping(serialized)
    return ToolExecution(
        name=word(described.get("name")) or word(name) or "tool",
        description=word(described.get("description"), DESCRIPTION_CHARACTERS),
        call_id=word(call_id),
        conversation_id=conversation_id(metadata),
        agent_name=_agent_above(parent),
    )


def _agent_above(run: Run | None) -> str | None:
    while run is not None:
        if isinstance(run.operation, AgentInvocation):
            return run.operation.name
        run = run.parent
    return None


@guarded
def finish_tool(operation: ToolExecution, output: Any, *, with_content: bool) -> Failure | None:
    """Adds a tool's result to its operation. Returns a failure if the result is a message with an error status."""
    is_message = is_a(output, ToolMessage)
    result = attribute(output, "content") if is_message else output
    operation.result_size = _size(result)
    if is_message and operation.call_id is None:  # langchain-core 1.0 does not pass it at the start
        operation.call_id = word(attribute(output, "tool_call_id"))
    if with_content:
        operation.result = result
    if is_message and word(attribute(output, "status")) == "error":
        return Failure("tool_error", text(result))
    return None


def _size(result: Any) -> int | None:
    """Returns the number of characters in a text or in a list of content blocks; None for anything else."""
    if is_a(result, str):
        return len(text(result) or "")
    if not is_a(result, list) or len(blocks := items(result)) > TOOL_RESULT_BLOCKS_COUNTED:
        return None
    return sum(len(text(mapping(block).get("text")) or text(block) or "") for block in blocks)
