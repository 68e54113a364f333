"""What the parts of a prompt weigh, in estimated tokens.

A message is weighed once per agent, however often sent, and the definitions of tools once per process.
"""

import json
import marshal
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from otel_callbacks.cost.tokens import estimate
from otel_callbacks.operations import (
    Media,
    Message,
    Part,
    PromptPart,
    Reasoning,
    Text,
    ToolCall,
    ToolCallResponse,
)
from otel_callbacks.reading import integer, is_a, is_list, items, mapping, name, number, text, word

_M = TypeVar("_M")

_MEDIA_TOKENS = 750.0  # an image; providers count 250 to 1,600, and nothing in the message says how many
_MEDIA = ("image", "audio", "video", "file", "media", "document")
_TOOL_ROLES = ("tool", "function")
_MAX_MESSAGES = 4_096
_MAX_TOOLS = 200
_MAX_OFFERED = 1_000  # sets of tools
_MAX_ITEMS = 200  # of one value
_MAX_DEPTH = 12
_MAX_TEXT = 100_000  # characters
_to_json = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` would make an encoder each time


class PromptWeights:
    """Remembers the weights of the messages that one agent has sent, under keys of the framework's side.

    No text is kept. When too many messages were remembered, all are forgotten and weighed again.
    """

    def __init__(self) -> None:
        self._parts: dict[Hashable, Sequence[PromptPart]] = {}
        self._tools: dict[str, str] = {}  # the name of the tool that a call's id stands for

    def parts(
        self,
        chat: Iterable[_M],
        tools: Any,
        key: Callable[[_M], Hashable],
        read: Callable[[_M], Message],
    ) -> list[PromptPart]:
        """What is sent to a model: the definitions of tools, then messages in the framework's form.

        `key` tells whether a message was sent before, `read` turns one that was not into the conventions' form.
        """
        parts = list(self.definitions(tools))
        for message in chat:
            known = key(message)
            parts += self.known(known) or self.weigh(known, read(message))
        return parts

    def known(self, key: Hashable) -> Sequence[PromptPart] | None:
        """The parts of a message that was weighed before."""
        return self._parts.get(key)

    def weigh(self, key: Hashable, message: Message) -> Sequence[PromptPart]:
        """Weighs a message; the model's calls have to come before their results, as they do in a prompt."""
        of_tool = message.role in _TOOL_ROLES
        parts = tuple(self._weigh(part, message, key, of_tool) for part in message.parts)
        self._remember(key, parts)
        return parts

    def definitions(self, offered: Any) -> Sequence[PromptPart]:
        """The tools that the model was offered; within an agent, the same names stand for the same definitions."""
        tools = [tool for tool in map(mapping, items(offered)[:_MAX_TOOLS]) if tool]
        names = tuple(map(_name, tools))
        known = self._parts.get(names)
        if known is None:
            known = _definitions(tools, names)
            self._remember(names, known)
        return known

    def _weigh(self, part: Part, message: Message, key: Hashable, of_tool: bool) -> PromptPart:
        match part:
            case ToolCall(name, call_id, arguments):
                if call_id is not None:
                    self._tools[call_id] = name
                return PromptPart("call", estimate(name) + weight(arguments), name)
            case ToolCallResponse(response, call_id):
                tool = message.name or self._tools.get(call_id or "")
                return PromptPart("result", weight(response), tool, call_id or key)
            case Text(content) | Reasoning(content):
                weighed = estimate(content)
            case Media():
                weighed = _MEDIA_TOKENS
        return PromptPart("result", weighed, message.name, key) if of_tool else PromptPart("other", weighed)

    def _remember(self, key: Hashable, parts: Sequence[PromptPart]) -> None:
        if len(self._parts) >= _MAX_MESSAGES:
            self._parts.clear()
            self._tools.clear()
        self._parts[key] = parts


_offered: dict[int | None, Sequence[PromptPart]] = {}


def _definitions(tools: list[Any], names: Sequence[str | None]) -> Sequence[PromptPart]:
    """Weighs definitions; those seen before in the process are known, as every run of an agent offers the same."""
    try:
        key = hash(marshal.dumps(tools))  # all of it, quickly, and running nothing that is in it
    except ValueError:  # there is more in it than plain values
        key = None
    known = _offered.get(key)
    if known is None:
        known = tuple(
            PromptPart("definition", weight(tool), name) for tool, name in zip(tools, names, strict=True)
        )
        if len(_offered) >= _MAX_OFFERED:
            _offered.clear()
        if key is not None:
            _offered[key] = known
    return known


def weight(value: Any) -> float:
    """The tokens of a text, or of the JSON of anything else; an image within counts as one, not as its bytes.

    Of what has very many items only the first are looked at, and stand for the others.
    """
    return _weight(value, [_MAX_ITEMS], _MAX_DEPTH)


def _weight(value: Any, left: list[int], depth: int) -> float:
    """The tokens of a value, with so many items `left` to be looked at."""
    if value is None or depth == 0:
        return 0.0
    if is_a(value, str):
        return estimate(text(value) or "")
    if is_list(value):
        listed = items(value)
        head = _taken(listed, left)
        return sum(_weight(item, left, depth - 1) for item in head) * len(listed) / max(1, len(head))
    known = mapping(value)
    if (text(known.get("type")) or "").startswith(_MEDIA):
        return _MEDIA_TOKENS
    shown = _shown(value, left, depth)
    share = len(shown) / len(known) if known else 1.0
    return estimate(_to_json(shown)) / share


def _shown(value: Any, left: list[int], depth: int) -> Any:
    """As much of a value as JSON can hold and as there are items left."""
    if type(value) is str:  # nearly all are
        return value[:_MAX_TEXT]
    if value is None or type(value) is bool:
        return value
    if is_list(value):
        return [_shown(item, left, depth - 1) for item in _taken(items(value), left)] if depth else []
    if depth and (known := mapping(value)):
        return {str(name(key)): _shown(known[key], left, depth - 1) for key in _taken(tuple(known), left)}
    for read in (text, integer, number):
        if (found := read(value)) is not None:
            return found[:_MAX_TEXT] if isinstance(found, str) else found
    return type(value).__name__


def _taken(listed: Sequence[Any], left: list[int]) -> Sequence[Any]:
    head = listed[: max(1, left[0])]
    left[0] -= len(head)
    return head


def _name(tool: Mapping[str, Any]) -> str | None:
    described = tool.get("function")
    return word((mapping(described) or tool).get("name"))
