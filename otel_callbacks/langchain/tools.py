"""Translates LangChain's tool runs into operations."""

from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage

from otel_callbacks.limits import (
    COMMAND_VALUES_SEARCHED,
    DESCRIPTION_CHARACTERS,
    TOOL_RESULT_BLOCKS_COUNTED,
    log_reached,
)
from otel_callbacks.operations import Failure, ToolExecution
from otel_callbacks.operations.payload import (
    attribute,
    is_a,
    is_list,
    items,
    mapping,
    mapping_or_fields,
    text,
    word,
)
from otel_callbacks.runtime.faults import guarded

_SCALARS = (str, int, float, bool, bytes, type(None))


def start_tool(serialized: Any, name: Any, call_id: Any) -> ToolExecution:
    """Returns the operation of a tool that starts."""
    described = mapping(serialized)
    return ToolExecution(
        name=word(described.get("name")) or word(name) or "tool",
        description=word(described.get("description"), DESCRIPTION_CHARACTERS),
        call_id=word(call_id),
    )


@guarded
def finish_tool(operation: ToolExecution, output: Any, *, with_content: bool) -> Failure | None:
    """Adds a tool's result to its operation. Returns a failure if one of its messages has an error status.

    The result is a value, a message, a LangGraph command that puts messages into the state, or a list of these. The
    messages that answer this call count; if none does, all of them.
    """
    answers = [output] if is_a(output, ToolMessage) else list(_tool_messages(output))
    if operation.call_id is None and answers:  # langchain-core 1.0 does not pass it at the start
        operation.call_id = word(attribute(answers[0], "tool_call_id"))
    own = answers
    if len(answers) > 1:
        called = operation.call_id
        own = [each for each in answers if word(attribute(each, "tool_call_id")) == called] or answers
    results, failure = [], None
    for message in own:
        results.append(attribute(message, "content"))
        if failure is None and word(attribute(message, "status")) == "error":
            failure = Failure("tool_error", text(results[-1]))
    if not own and not _is_command(output):
        results = [output]
    sizes = [size for size in map(_size, results) if size is not None]
    operation.result_size = sum(sizes) if sizes else None
    if with_content and results:
        operation.result = results[0] if len(results) == 1 else results
    return failure


def _is_command(output: Any) -> bool:
    """Tells whether a tool returned a command or a list of them, which have no text that a model reads."""
    listed = items(output) if is_list(output) else (output,)
    return bool(listed) and all(_langgraph_type(each) == "Command" for each in listed)


def _tool_messages(output: Any) -> Iterator[ToolMessage]:
    """Yields the messages of tools in a tool's output: a message, a command, or a list of these."""
    listed = items(output)[:COMMAND_VALUES_SEARCHED] if is_list(output) else (output,)
    rest = [each for each in listed if is_a(each, ToolMessage) or _langgraph_type(each) is not None][::-1]
    for _ in range(COMMAND_VALUES_SEARCHED):
        if not rest:
            return
        value = rest.pop()
        if is_a(value, ToolMessage):
            yield value
        else:
            rest += _inside(value)[COMMAND_VALUES_SEARCHED::-1]
    log_reached("COMMAND_VALUES_SEARCHED", "later messages of a command do not count for its tool's result")


def _inside(value: Any) -> Sequence[Any]:
    """Returns what a part of a command holds that may be or hold a message."""
    kind = _langgraph_type(value)
    if kind is not None:
        return (attribute(value, "update" if kind == "Command" else "value"),)
    if is_list(value):
        return items(value)
    if type(value) in _SCALARS or is_a(value, BaseMessage):
        return ()
    return tuple(mapping_or_fields(value).values())


def _langgraph_type(value: Any) -> str | None:
    """Returns "Command" or "Overwrite" for these types of LangGraph, which is not imported."""
    kind = type(value)
    known = kind.__module__ == "langgraph.types" and kind.__name__ in ("Command", "Overwrite")
    return kind.__name__ if known else None


def _size(result: Any) -> int | None:
    """Returns the number of characters in a text or in a list of content blocks; None for anything else."""
    if type(result) is str:  # nearly all are
        return len(result)
    if is_a(result, str):
        return len(text(result) or "")
    if not is_a(result, list) or len(blocks := items(result)) > TOOL_RESULT_BLOCKS_COUNTED:
        return None
    return sum(len(text(mapping(block).get("text")) or text(block) or "") for block in blocks)
