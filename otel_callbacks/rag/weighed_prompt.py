"""A prompt by the weights of its parts. An agent's prompts begin alike, so each is made from one before.

Messages that were sent before are not read again. They are recognised as the same objects, which is quick; a message
that was made again, as a memory or a checkpointer does, is recognised by its key.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import and_, attrgetter, is_, mul
from typing import Any, NamedTuple

from otel_callbacks.operations import Message, PromptPart

_WEIGHT_UNITS = 1_024  # of a token; whole numbers, so that taking a message away leaves what was there before
_KIND, _TOOL, _WEIGHT = map(attrgetter, ("kind", "tool", "weight"))  # of parts
_OF_NO_TOOL = frozenset(("other",))


def units_of(parts: Sequence[PromptPart]) -> Sequence[int]:
    """Returns what parts weigh, in whole units."""
    return tuple(map(round, map(mul, map(_WEIGHT, parts), repeat(_WEIGHT_UNITS))))


class MessageForm(NamedTuple):
    """How the messages of a framework are read.

    Attributes:
        content: the name of the attribute with the content. If it holds another object, the message has changed.
        key: returns the same key for a message each time it is sent, also if it was made again.
        read: turns a message into the conventions' form.
    """

    content: str
    key: Callable[[Any], Hashable]
    read: Callable[[Any], Message]

    def contents(self, chat: Sequence[Any]) -> Sequence[Any]:
        """Returns the contents of messages; None for all if one of them fails."""
        try:
            return tuple(map(getattr, chat, repeat(self.content), repeat(None)))
        except Exception:  # the application's own kind of message may fail
            return (None,) * len(chat)


class WeighedMessage:
    """A message by its parts.

    Attributes:
        key: the key of the message.
        parts: its parts.
        weights: the same with what each of them weighs.
        weight: what they weigh together.
        has_tools: whether one of them belongs to a tool.
    """

    __slots__ = ("has_tools", "key", "parts", "weight", "weights")

    def __init__(self, key: Hashable, parts: Sequence[PromptPart]) -> None:
        self.key = key
        self.parts = parts
        units = units_of(parts)
        self.weights = tuple(zip(parts, units, strict=True))
        self.weight = sum(units)
        self.has_tools = not _OF_NO_TOOL.issuperset(map(_KIND, parts))


Result = tuple[str | None, tuple[Hashable, int], int]
"""A tool's result in a prompt: tool, identity, weight. Some models give all calls the same id, so the identity has the
number of the result among its namesakes."""


@dataclass(slots=True, init=False)
class ToolWeights:
    """What one tool weighs in the messages of a prompt.

    Attributes:
        calls: the weight of the model's calls of the tool.
        starts: what stands before each result.
        sums: the weight of the results up to each one, from 0 to that of all.
    """

    calls: int
    starts: list[int]
    sums: list[int]

    def __init__(self, calls: int = 0, starts: Sequence[int] = (), sums: Sequence[int] = (0,)) -> None:
        self.calls = calls
        self.starts = [*starts]
        self.sums = [*sums]

    @property
    def results(self) -> int:
        """The weight of all results."""
        return self.sums[-1]

    def copy(self) -> "ToolWeights":
        """Returns a copy that can be changed."""
        return ToolWeights(self.calls, self.starts, self.sums)


class WeighedPrompt:
    """What a model was sent. It does not change once it was sent; the next prompt is a copy that goes on.

    Attributes:
        definitions: the definitions of tools, which stand first.
        weighed: the messages, in order.
        tools: what the tools weigh in the messages, by name.
        unsent: the last results, those of which no counted call is known to have sent them.
        parts: how many parts the messages have.
    """

    definitions: Sequence[PromptPart] = ()
    parts = 0
    _messages: Sequence[Any] = ()
    _contents: Sequence[Any] = ()
    _defined = 0  # the weight of the definitions
    _weight = 0  # of all messages
    _first = 0  # the weight of the first one, if that may change: it has nothing of tools

    def __init__(self) -> None:
        self.weighed: list[WeighedMessage] = []
        self.tools: dict[str | None, ToolWeights] = {}
        self.unsent: list[Result] = []
        self._namesakes: dict[Hashable, int] = {}

    def shared_with(
        self, chat: Sequence[Any], contents: Sequence[Any], key: Callable[[Any], Hashable]
    ) -> int:
        """Returns how many messages a chat shares with this prompt, from the start. The first of several may differ."""
        if all(map(is_, self._messages, chat)) and all(map(is_, self._contents, contents)):
            return min(len(self._messages), len(chat))  # nearly always
        same = bytes(map(and_, map(is_, self._messages, chat), map(is_, self._contents, contents)))
        other_first, at = False, same.find(False)
        while at >= 0:
            if key(chat[at]) != self.weighed[at].key:
                if at > 0:
                    break
                other_first = True
            at = same.find(False, at + 1)
        shared = len(same) if at < 0 else at
        return 0 if other_first and shared == 1 else shared

    def begins_with(self, message: Any, content: Any) -> bool:
        """Tells quickly whether the first message is this one, unchanged."""
        return self._messages[0] is message and self._contents[0] is content

    def beginning(self, messages: int, *, keeps_most: bool) -> "WeighedPrompt":
        """Returns a new prompt with the first messages of this one; it is quicker to make if that is most of them."""
        if not keeps_most:
            prompt = WeighedPrompt()
            for weighed in self.weighed[:messages]:
                prompt.add(weighed)
            return prompt
        prompt = self._copy()
        while len(prompt.weighed) > messages:
            prompt._remove_last()
        return prompt

    def keeps_most(self, messages: int) -> bool:
        """Tells whether the first messages are at least half of this prompt."""
        return 2 * messages >= len(self.weighed)

    def define(self, definitions: Sequence[PromptPart]) -> None:
        """Sets the definitions of tools."""
        self.definitions, self._defined = definitions, sum(units_of(definitions))

    def add(self, weighed: WeighedMessage) -> None:
        """Adds a message to a prompt that is being made."""
        start = self._weight - self._first
        if not weighed.has_tools and not self.weighed:
            self._first = weighed.weight
        for part, weight in weighed.weights if weighed.has_tools else ():
            kind = part.kind
            if kind != "other":
                tool = self.tools.get(part.tool)
                if tool is None:
                    tool = self.tools[part.tool] = ToolWeights()
                if kind == "call":
                    tool.calls += weight
                else:
                    tool.starts.append(start)
                    tool.sums.append(tool.sums[-1] + weight)
                    key = part.key
                    number = self._namesakes[key] = self._namesakes.get(key, 0) + 1
                    self.unsent.append((part.tool, (key, number), weight))
            start += weight
        self._weight += weighed.weight
        self.weighed.append(weighed)
        self.parts += len(weighed.parts)

    def with_first(self, weighed: WeighedMessage) -> "WeighedPrompt":
        """Returns the prompt with another first message; nothing of it if either of the two has to do with tools."""
        if weighed.has_tools or self.weighed[0].has_tools:
            return WeighedPrompt()
        self.parts += len(weighed.parts) - len(self.weighed[0].parts)
        self._weight += weighed.weight - self._first
        self._first = weighed.weight
        self.weighed[0] = weighed
        return self

    def note_sent(self, chat: Sequence[Any], contents: Sequence[Any]) -> None:
        """Keeps the messages of a chat, as far as they were added; the next chat is compared with them."""
        added = len(self.weighed)
        self._messages, self._contents = (
            (chat, contents) if added == len(chat) else (chat[:added], contents[:added])
        )

    def shares(self, tokens: int) -> Iterator[tuple[str | None, str, int]]:
        """Yields tool, kind of part and tokens for what belongs to tools; `tokens` is what the prompt has in all.

        The sums so far are rounded, not the shares: no share is off by a whole token, and all add up.
        """
        groups: list[tuple[str | None, str, int]] = []
        results: list[tuple[str | None, str, int]] = []
        if self.definitions:
            groups += zip(map(_TOOL, self.definitions), repeat("definition"), units_of(self.definitions))
        for name, tool in self.tools.items():
            if tool.calls:
                groups.append((name, "call", tool.calls))
            if tool.starts:
                results.append((name, "result", tool.sums[-1]))
        groups += results
        whole, reached, before = self.weight, 0, 0
        for name, kind, weight in groups if whole else ():
            reached += weight
            end = round(tokens * reached / whole)
            yield name, kind, end - before
            before = end

    def cached_part(self, tool: str | None, share: float) -> float:
        """Returns what part of a tool's results was cached if the first `share` of the prompt was; from 0 to 1."""
        known = self.tools[tool]
        border = share * self.weight - self._defined - self._first
        at = bisect_left(known.starts, border)  # so many results start before the border
        if not at or not known.results:
            return 0.0
        of_last = min(known.sums[at] - known.sums[at - 1], border - known.starts[at - 1])
        return (known.sums[at - 1] + of_last) / known.results

    def take_unsent(self) -> Sequence[Result]:
        """Returns the results that may be new to the model, once: the call that asks has sent them."""
        unsent, self.unsent = self.unsent, []
        return unsent

    @property
    def weight(self) -> int:
        """The weight of the whole prompt."""
        return self._defined + self._weight

    def _copy(self) -> "WeighedPrompt":
        copied = WeighedPrompt.__new__(WeighedPrompt)
        copied.__dict__.update(
            self.__dict__,
            weighed=self.weighed.copy(),
            tools={name: tool.copy() for name, tool in self.tools.items()},
            unsent=self.unsent.copy(),
            _namesakes=self._namesakes.copy(),
        )
        return copied

    def _remove_last(self) -> None:
        weighed = self.weighed.pop()
        if weighed.has_tools:
            self._remove_tools(weighed)
        self._weight -= weighed.weight
        self.parts -= len(weighed.parts)
        if not self.weighed:
            self._first = 0

    def _remove_tools(self, weighed: WeighedMessage) -> None:
        for part, weight in reversed(weighed.weights):
            if part.kind == "other":
                continue
            tool = self.tools.setdefault(part.tool, ToolWeights())  # gone, if its calls weigh nothing
            if part.kind == "call":
                tool.calls -= weight
            else:
                tool.starts.pop()
                tool.sums.pop()
                self._namesakes[part.key] -= 1
                del self.unsent[-1:]  # if any are unsent, this one is
            if not tool.calls and not tool.starts:
                del self.tools[part.tool]  # as if it had never been there
