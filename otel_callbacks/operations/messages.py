"""Messages of a conversation with a model, and the parts that they consist of."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text of a message."""

    content: str


@dataclass(frozen=True, slots=True)
class Data:
    """What is no text but stands where one is: the state that goes into a chain, the object that comes out."""

    value: Any


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a reasoning model thought aloud."""

    content: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model's request to run a tool."""

    name: str
    id: str | None = None
    arguments: Any = None


@dataclass(frozen=True, slots=True)
class ToolCallResponse:
    """What a tool answered."""

    response: Any
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Media:
    """An image, sound, video or document; `content` (base64), `uri` or `file_id` says where it is."""

    modality: str
    mime_type: str | None = None
    content: str | None = None
    uri: str | None = None
    file_id: str | None = None


Part = Text | Data | Reasoning | ToolCall | ToolCallResponse | Media


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `skipped` is how many before it were not read, for there were too many."""

    role: str
    parts: Sequence[Part]
    name: str | None = None
    finish_reason: str | None = None
    skipped: int = 0


_MOST = 1_000  # messages, and parts in them, that are read


def with_few_parts(messages: Iterable[Message]) -> Iterator[Message]:
    """As many of the messages as can be read quickly, by their parts."""
    left = _MOST
    for message in messages:
        yield message
        left -= len(message.parts)
        if left <= 0:
            return


def first_and_newest(chat: Sequence[Any], read: Callable[[Any], Message | None]) -> list[Message]:
    """The messages of a chat; of one with very many of them, or very many parts, the first and the newest."""
    newest_first = reversed(chat[-_MOST:])
    newest = list(with_few_parts(filter(None, map(read, newest_first))))[::-1]
    skipped = max(0, len(chat) - _MOST) + len(list(newest_first))
    if not skipped:
        return newest
    first = filter(None, map(read, chat[:1]))
    return [*first, *(replace(message, skipped=skipped - 1) for message in newest[:1]), *newest[1:]]


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A piece of a prompt without its text, so that tokens can be attributed also when content is off.

    Attributes:
        kind: a tool's result, definition or call, or anything else.
        tool: the tool's name; None if it is not known.
        weight: about how many tokens the piece is; only its proportion to the others counts.
        key: what tells that the same result was sent before.
    """

    kind: Literal["other", "result", "definition", "call"]
    weight: float
    tool: str | None = None
    key: Hashable = None
