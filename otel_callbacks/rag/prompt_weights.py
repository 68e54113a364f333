"""The weights of a prompt's parts, in estimated tokens.

A message is read and weighed once per agent, however often it is sent, and the definitions of tools once per process.
"""

import json
import marshal
from collections.abc import Hashable, Mapping, Sequence
from itertools import islice
from typing import Any

from otel_callbacks import limits
from otel_callbacks.operations import (
    Media,
    Message,
    OtherPart,
    Part,
    PromptPart,
    Reasoning,
    ServerToolCall,
    ServerToolCallResponse,
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
from otel_callbacks.rag.token_estimate import estimate
from otel_callbacks.rag.weighed_prompt import MessageForm, WeighedMessage, WeighedPrompt

_MEDIA_TOKENS = 750.0  # an image; providers count 250 to 1,600, and nothing in the message says how many
_MEDIA = ("image", "audio", "video", "file", "media", "document")
_TOOL_ROLES = ("tool", "function")
_CHARACTERS_PER_ITEM = 500  # a text of so many takes as long to read as one item of a value
_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_VALUE = 50.0  # a call's arguments or a tool's definition, roughly
_SCALARS = {bool, float, type(None)}
_to_json = json.JSONEncoder(ensure_ascii=False).encode  # `json.dumps` would make an encoder each time
_NOTHING = WeighedPrompt()


class PromptWeights:
    """The weights of the messages that one agent has sent, by keys that the framework's translation chooses.

    When there are too many, all weights are forgotten and estimated again. The messages themselves are kept only of the
    prompts that may go on; there are several at a time if the agent's tools call models, too.
    """

    def __init__(self) -> None:
        self._weighed: dict[Hashable, WeighedMessage] = {}
        self._definitions: dict[Sequence[str | None], Sequence[PromptPart]] = {}
        self._tools: dict[str, str] = {}  # the tool's name by the id of a call
        self._prompts: list[WeighedPrompt] = []  # the one sent last comes first
        self._tools_sent: tuple[Any, Hashable] = (None, None)  # the definitions sent last, and their key

    def weigh(self, chat: Sequence[Any], tools: Any, form: MessageForm) -> WeighedPrompt:
        """Returns the weighed prompt of a model call. Reads only the messages that no earlier prompt begins with.

        Args:
            chat: the messages, in the framework's form.
            tools: the definitions of tools, in the framework's form.
            form: how messages are read.
        """
        chat = chat[: limits.PROMPT_PARTS + 1]
        contents = form.contents(chat)
        kept, before = 0, _NOTHING
        for each in self._prompts:
            if (shared := each.shared_with(chat, contents, form.key)) > kept:
                kept, before = shared, each
        left = [limits.PROMPT_VALUES_READ]
        keeps_most = before.keeps_most(kept)
        prompt = before.beginning(kept, keeps_most=keeps_most)
        if (
            kept
            and not before.begins_with(chat[0], contents[0])
            and (key := form.key(chat[0])) != before.weighed[0].key
        ):
            prompt = prompt.with_first(self._weighed.get(key) or self._weigh(key, form.read(chat[0]), left))
        definitions = () if tools is None else self.definitions(tools)
        if definitions is not prompt.definitions:
            prompt.define(definitions)
        self._add_new(prompt, chat, form, left)
        prompt.note_sent(chat, contents)
        others = [each for each in self._prompts if each is not before or not keeps_most]
        self._prompts = [prompt, *others][: limits.PROMPTS_CONTINUED]
        return prompt

    def _add_new(
        self, prompt: WeighedPrompt, chat: Sequence[Any], form: MessageForm, left: list[int]
    ) -> None:
        most, new = limits.PROMPT_PARTS - len(prompt.definitions), 0
        for message in chat[len(prompt.weighed) :]:
            key = form.key(message)
            known = self._weighed.get(key)
            if prompt.parts > most or (known is None and new >= limits.NEW_PROMPT_PARTS):
                return
            if known is None:
                known = self._weigh(key, form.read(message), left)
                new += len(known.parts)
            prompt.add(known)

    def _weigh(self, key: Hashable, message: Message, left: list[int]) -> WeighedMessage:
        """Weighs a message. The model's calls must be weighed before their results, the order they have in a prompt."""
        parts = tuple([self._weigh_part(part, message, key, left) for part in message.parts])
        if len(self._weighed) >= limits.MESSAGE_WEIGHTS:
            self._weighed.clear()
            self._tools.clear()
        weighed = self._weighed[key] = WeighedMessage(key, parts)
        return weighed

    def definitions(self, tools: Any) -> Sequence[PromptPart]:
        """Returns the weighed definitions of tools. Within an agent, the same names mean the same definitions."""
        read_tools = [tool for tool in map(mapping, items(tools)[: limits.TOOLS_WEIGHED]) if tool]
        names = tuple(map(_name, read_tools))
        known = self._definitions.get(names)
        if known is None:
            if len(self._definitions) >= limits.MESSAGE_WEIGHTS:
                self._definitions.clear()
            known = self._definitions[names] = _definitions(read_tools, names)
        return known

    def tools_key(self, tools: Any) -> Hashable:
        """Returns a hash of the definitions of tools; None without any. Of very large ones it knows names and sizes."""
        sent, key = self._tools_sent
        if not tools or sent == tools:  # quick, although agents write their definitions anew for each call
            return key if tools else None
        if not _is_small(tools):
            return hash(tuple(self.definitions(tools)))
        key = hash(_to_json(tools))
        self._tools_sent = tools, key
        return key

    def _weigh_part(self, part: Part, message: Message, key: Hashable, left: list[int]) -> PromptPart:
        match part:
            case Text(content) | Reasoning(content):
                weighed = _weighed(content, left)
            case ToolCall(name, call_id, arguments):
                if call_id is not None:
                    self._tools[call_id] = name
                return PromptPart("call", estimate(name) + _weighed(arguments, left), name)
            case ToolCallResponse(response, call_id):
                tool = message.name or self._tools.get(call_id or "")
                return PromptPart("result", _weighed(response, left), tool, call_id or key)
            case Media():
                weighed = _MEDIA_TOKENS
            case ServerToolCall() | ServerToolCallResponse() | OtherPart():
                weighed = _weighed(part.fields, left)
        if message.role in _TOOL_ROLES:
            return PromptPart("result", weighed, message.name, key)
        return PromptPart("other", weighed)


_weighed_definitions: dict[int | None, Sequence[PromptPart]] = {}


def _definitions(tools: list[Any], names: Sequence[str | None]) -> Sequence[PromptPart]:
    """Weighs definitions, each set once per process, because every run of an agent offers the same set."""
    try:  # fast, and calls no method of the values
        key = hash(marshal.dumps(tools)) if _is_small(tools) else None
    except ValueError:  # it holds more than plain values
        key = None
    known = _weighed_definitions.get(key)
    if known is None:
        left = [limits.DEFINITION_VALUES_READ]
        weights = (_weighed(tool, left) for tool in tools)
        known = tuple(
            PromptPart("definition", weighed, name) for weighed, name in zip(weights, names, strict=True)
        )
        if len(_weighed_definitions) >= limits.TOOL_DEFINITION_WEIGHTS:
            _weighed_definitions.clear()
        if key is not None:
            _weighed_definitions[key] = known
    return known


def _is_small(value: Any) -> bool:
    """Tells whether a value holds nothing but plain values, and so few that they are read quickly."""
    rest, left = [value], limits.DEFINITION_VALUES_READ
    while rest and left > 0:
        each = rest.pop()
        kind = type(each)
        if kind is str:
            left -= len(each) // _CHARACTERS_PER_ITEM
        elif kind is int:
            left -= each.bit_length() // _CHARACTERS_PER_ITEM
        elif kind is dict or kind is list or kind is tuple:
            left -= len(each)
            if left > 0:
                rest += each
                rest += each.values() if kind is dict else ()
        elif kind not in _SCALARS:
            return False
    return left > 0


def weight(value: Any) -> float:
    """Estimates the tokens of a text, or of the JSON of anything else; an image counts as an image, not as its bytes.

    Reads only the first items of a value that has very many, and takes the others to be like them.
    """
    return _weight(value, [limits.VALUE_ITEMS_READ], limits.VALUE_DEPTH_READ)


def _weighed(value: Any, left: list[int]) -> float:
    """Estimates the tokens of one of many values; only roughly, once no items may be read any more."""
    left[0] -= 1
    if type(value) is not str:
        return _weight(value, left, limits.VALUE_DEPTH_READ) if left[0] > 0 else _TOKENS_PER_VALUE
    left[0] -= min(len(value), limits.ESTIMATED_CHARACTERS) // _CHARACTERS_PER_ITEM
    return estimate(value) if left[0] > 0 else len(value) / _CHARACTERS_PER_TOKEN


def _weight(value: Any, left: list[int], depth: int) -> float:
    """Estimates the tokens of a value; `left` holds how many items may still be read."""
    if value is None or depth == 0:
        return 0.0
    if type(value) is not dict:  # as the arguments of a call are
        if is_a(value, str):
            return estimate(text(value) or "")
        if is_list(value):
            listed = items(value)
            head = _taken(listed, left)
            return sum(_weight(item, left, depth - 1) for item in head) * len(listed) / max(1, len(head))
    known = mapping(value)
    if "type" in known and (text(known["type"]) or "").startswith(_MEDIA):
        return _MEDIA_TOKENS
    plain = _plain(value, left, depth)
    share = len(plain) / len(known) if known else 1.0
    return estimate(_to_json(plain)) / share


def _plain(value: Any, left: list[int], depth: int) -> Any:
    """Returns as much of a value as JSON can hold and may be read."""
    if type(value) is str:  # nearly all are
        return _beginning(value, left)
    if value is None or type(value) is bool:
        return value
    if type(value) is not dict and is_list(value):
        return [_plain(item, left, depth - 1) for item in _taken(items(value), left)] if depth else []
    if depth and (known := mapping(value)):
        keys = _taken(tuple(islice(known, max(1, left[0]))), left)
        return {str(name(key)): _plain(known[key], left, depth - 1) for key in keys}
    for read in (text, integer, number):
        if (found := read(value)) is not None:
            return _beginning(found, left) if isinstance(found, str) else found
    return type(value).__name__


def _beginning(text: str, left: list[int]) -> str:
    if len(text) < _CHARACTERS_PER_ITEM:
        return text
    text = text[: _CHARACTERS_PER_ITEM * max(1, left[0])]
    left[0] -= len(text) // _CHARACTERS_PER_ITEM
    return text


def _taken(listed: Sequence[Any], left: list[int]) -> Sequence[Any]:
    head = listed[: max(1, left[0])]
    left[0] -= len(head)
    return head


def _name(tool: Mapping[str, Any]) -> str | None:
    described = tool.get("function")
    return word((mapping(described) or tool).get("name"))
