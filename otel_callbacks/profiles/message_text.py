"""The text of a recorded message, for people to read. What is damaged reads as empty."""

import json
from collections.abc import Mapping
from typing import Any


def message_text(message: Mapping[str, Any]) -> str:
    """Returns the parts of a message as text, one a line; a tool call reads `search({"q": "x"})`."""
    parts = message.get("parts")
    return "\n".join(_part(part) for part in parts if isinstance(part, Mapping)) if parts else ""


def _part(part: Mapping[str, Any]) -> str:
    match part.get("type"):
        case "text" | "reasoning":
            return str(part.get("content", ""))
        case "tool_call":
            return f"{part.get('name', '')}({as_text(part.get('arguments', ''))})"
        case "tool_call_response":
            response = part.get("response", part.get("result", ""))
            return "\n".join(map(_part, response)) if _are_parts(response) else as_text(response)
        case "server_tool_call":
            return f"{part.get('name', '')}({_details(part.get('server_tool_call'))})"
        case "server_tool_call_response":
            return _details(part.get("server_tool_call_response"))
        case "reference":
            return f"[a message that is not in this trace: {part.get('hash', '')}]"
        case "blob" | "file" | "uri" as kind:
            return f"[{part.get('modality') or kind}]"
        case kind:
            said = part.get("content")
            return f"[{kind}] {said if isinstance(said, str) else _details(part)}".strip()


def as_text(value: Any) -> str:
    """Returns a text unchanged, and any other value as JSON."""
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return "[nested too deep]"


def _are_parts(response: Any) -> bool:
    """Tells whether a tool's result is a list of parts, as that of a result with images is."""
    return isinstance(response, list) and all(
        isinstance(part, Mapping) and isinstance(part.get("type"), str) for part in response
    )


def _details(part: Any) -> str:
    """Returns a provider's own block as JSON, without its type."""
    fields = {key: value for key, value in part.items() if key != "type"} if isinstance(part, Mapping) else {}
    return as_text(fields) if fields else ""
