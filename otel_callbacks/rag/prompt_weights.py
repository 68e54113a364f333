"""What the parts of a prompt weigh, in estimated tokens.

A message is weighed once per agent, however often sent, and the definitions of tools once per process.
"""

import json
import marshal
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar

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
from otel_callbacks.operations.payload import (
    integer,
    is_a,
    is_list,
    items,
    mapping,
    name,
    number,
    text,
    word,
)
from otel_callbacks.rag.token_estimate import WHOLE, estimate

_M = TypeVar("_M")

_MEDIA_TOKENS = 750.0  # an image; providers count 250 to 1,600, and nothing in the message says how many
_MEDIA = ("image", "audio", "video", "file", "media", "document")
_TOOL_ROLES = ("tool", "function")
_MAX_MESSAGES = 4_096
_MAX_PARTS = 2_000  # of a prompt
_MAX_NEW = 400  # of those, weighed for the first time
_MAX_TOOLS = 200
_MAX_OFFERED = 1_000  # sets of tools
_MAX_ITEMS = 200  # of one value
_MAX_DEPTH = 12
_AS_ITEM = 500  # characters of a text in it
_MAX_OF_TOOLS = 600  # of all definitions together
_MAX_OF_PROMPT = 400  # of all that is weighed for the first time
_CHARACTERS = 4  # of a token, roughly
_ROUGHLY = 50.0  # tokens of a call's arguments or a tool's definition
_PLAIN = {bool, float, type(None)}
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
        left, most_new = [_MAX_OF_PROMPT], len(parts) + _MAX_NEW
        for message in chat:
            known = key(message)
            weighed = self._parts.get(known)
            if weighed is None and len(parts) < most_new:
                weighed = self._weigh(known, read(message), left)
            elif weighed is not None:
                most_new += len(weighed)
            parts += weighed or ()
            if len(parts) > _MAX_PARTS:
                break
        return parts

    def _weigh(self, key: Hashable, message: Message, left: list[int]) -> Sequence[PromptPart]:
        """Weighs a message; the model's calls have to come before their results, as they do in a prompt."""
        parts = tuple(self._weigh_part(part, message, key, left) for part in message.parts)
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

    def _weigh_part(self, part: Part, message: Message, key: Hashable, left: list[int]) -> PromptPart:
        match part:
            case ToolCall(name, call_id, arguments):
                if call_id is not None:
                    self._tools[call_id] = name
                return PromptPart("call", estimate(name) + _weighed(arguments, left), name)
            case ToolCallResponse(response, call_id):
                tool = message.name or self._tools.get(call_id or "")
                return PromptPart("result", _weighed(response, left), tool, call_id or key)
            case Text(content) | Reasoning(content):
                weighed = _weighed(content, left)
            case Media():
                weighed = _MEDIA_TOKENS
        if message.role in _TOOL_ROLES:
            return PromptPart("result", weighed, message.name, key)
        return PromptPart("other", weighed)

    def _remember(self, key: Hashable, parts: Sequence[PromptPart]) -> None:
        if len(self._parts) >= _MAX_MESSAGES:
            self._parts.clear()
            self._tools.clear()
        self._parts[key] = parts


_offered: dict[int | None, Sequence[PromptPart]] = {}


def _definitions(tools: list[Any], names: Sequence[str | None]) -> Sequence[PromptPart]:
    """Weighs definitions; those seen before in the process are known, as every run of an agent offers the same."""
    try:  # quickly, and running nothing that is in it
        key = hash(marshal.dumps(tools)) if _is_small(tools) else None
    except ValueError:  # there is more in it than plain values
        key = None
    known = _offered.get(key)
    if known is None:
        left = [_MAX_OF_TOOLS]
        weights = (_weighed(tool, left) for tool in tools)
        known = tuple(
            PromptPart("definition", weighed, name) for weighed, name in zip(weights, names, strict=True)
        )
        if len(_offered) >= _MAX_OFFERED:
            _offered.clear()
        if key is not None:
            _offered[key] = known
    return known


def _is_small(value: Any) -> bool:
    """Whether there is no more in a plain value than can be read quickly."""
    rest, left = [value], _MAX_OF_TOOLS
    while rest and left > 0:
        each = rest.pop()
        kind = type(each)
        if kind is str:
            left -= len(each) // _AS_ITEM
        elif kind is int:
            left -= each.bit_length() // _AS_ITEM
        elif kind is dict or kind is list or kind is tuple:
            left -= len(each)
            if left > 0:
                rest += each
                rest += each.values() if kind is dict else ()
        elif kind not in _PLAIN:
            return False
    return left > 0


def weight(value: Any) -> float:
    """The tokens of a text, or of the JSON of anything else; an image within counts as one, not as its bytes.

    Of what has very many items only the first are looked at, and stand for the others.
    """
    return _weight(value, [_MAX_ITEMS], _MAX_DEPTH)


def _weighed(value: Any, left: list[int]) -> float:
    """The tokens of one of many values; roughly, when no items are left to be looked at."""
    left[0] -= 1
    if type(value) is not str:
        return _weight(value, left, _MAX_DEPTH) if left[0] > 0 else _ROUGHLY
    left[0] -= min(len(value), WHOLE) // _AS_ITEM
    return estimate(value) if left[0] > 0 else len(value) / _CHARACTERS


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
        return _beginning(value, left)
    if value is None or type(value) is bool:
        return value
    if is_list(value):
        return [_shown(item, left, depth - 1) for item in _taken(items(value), left)] if depth else []
    if depth and (known := mapping(value)):
        keys = _taken(tuple(islice(known, max(1, left[0]))), left)
        return {str(name(key)): _shown(known[key], left, depth - 1) for key in keys}
    for read in (text, integer, number):
        if (found := read(value)) is not None:
            return _beginning(found, left) if isinstance(found, str) else found
    return type(value).__name__


def _beginning(text: str, left: list[int]) -> str:
    text = text[: _AS_ITEM * max(1, left[0])]
    left[0] -= len(text) // _AS_ITEM
    return text


def _taken(listed: Sequence[Any], left: list[int]) -> Sequence[Any]:
    head = listed[: max(1, left[0])]
    left[0] -= len(head)
    return head


def _name(tool: Mapping[str, Any]) -> str | None:
    described = tool.get("function")
    return word((mapping(described) or tool).get("name"))
