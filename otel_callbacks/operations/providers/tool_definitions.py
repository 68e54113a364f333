"""Tool definitions: from OpenAI's or Anthropic's form to the conventions' flat one."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from otel_callbacks.limits import ITEMS_READ
from otel_callbacks.operations.payload import items, mapping, mapping_or_fields, text, word


def tool_definitions(offered: Any) -> list[Mapping[str, Any]] | None:
    """Returns the tools that a model was offered: `type`, `name`, `description`, `parameters`; None without tools."""
    tools = (mapping(tool) for tool in items(offered)[:ITEMS_READ])
    return [_tool_definition(tool) for tool in tools if tool] or None


def definitions_without_parameters(tools: Iterable[tuple[Any, Any]]) -> list[Mapping[str, Any]] | None:
    """Returns the tools of an agent, from their names and descriptions. Their parameters are in its model calls."""
    described = ((word(name), text(description)) for name, description in islice(tools, ITEMS_READ))
    return [
        {"type": "function", "name": name} | ({"description": description} if description else {})
        for name, description in described
        if name is not None
    ] or None


def _tool_definition(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    described = mapping_or_fields(tool.get("function")) or tool
    kind = word(tool.get("type"))
    definition = {
        "type": kind or "function",
        "name": word(described.get("name")) or kind or "tool",
        "description": text(described.get("description")),
        "parameters": described.get("parameters", described.get("input_schema")),
    }
    return {key: value for key, value in definition.items() if value is not None}
