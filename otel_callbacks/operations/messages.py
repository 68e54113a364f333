"""Messages of a conversation with a model, and the parts of a message."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from otel_callbacks.limits import ITEMS_READ


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text of a message."""

    content: str


@dataclass(frozen=True, slots=True)
class Data:
    """A value in the place of a text: the state that goes into a chain, or the object that comes out."""

    value: Any


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The reasoning that a model reports beside its answer."""

    content: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model's request to run a tool."""

    name: str
    id: str | None = None
    arguments: Any = None


@dataclass(frozen=True, slots=True)
class ToolCallResponse:
    """The result of a tool, as it is sent to the model. `parts` has the same result if it holds more than texts."""

    response: Any
    id: str | None = None
    parts: Sequence["Part"] = ()


@dataclass(frozen=True, slots=True)
class ServerToolCall:
    """The call of a tool that the provider runs itself, such as a web search.

    `type` is the provider's name for this kind of block, and `fields` is what else the block holds.
    """

    name: str
    type: str
    fields: Mapping[str, Any]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class ServerToolCallResponse:
    """The result of a tool that the provider ran itself, in the form of `ServerToolCall`."""

    type: str
    fields: Mapping[str, Any]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class OtherPart:
    """A part of any other type, known or not: a refusal, a compaction, or what a provider invents tomorrow."""

    type: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Media:
    """An image, sound, video or document, given as `content` (base64), `uri` or `file_id`."""

    modality: str
    mime_type: str | None = None
    content: str | None = None
    uri: str | None = None
    file_id: str | None = None


Part = (
    Text
    | Data
    | Reasoning
    | ToolCall
    | ToolCallResponse
    | ServerToolCall
    | ServerToolCallResponse
    | Media
    | OtherPart
)


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """The template of a prompt, with a name and version if it has them, and the values that filled it in."""

    name: str | None = None
    version: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `skipped` counts the messages before it that were too many to read."""

    role: str
    parts: Sequence[Part]
    name: str | None = None
    finish_reason: str | None = None
    skipped: int = 0


def limit_parts(messages: Iterable[Message]) -> Iterator[Message]:
    """Yields messages until they have `ITEMS_READ` parts together."""
    left = ITEMS_READ
    for message in messages:
        yield message
        left -= len(message.parts)
        if left <= 0:
            return


def first_and_newest(
    chat: Sequence[Any], read: Callable[[Any], Message | None], most: int | None = None
) -> list[Message]:
    """Reads the messages of a chat; if it has more messages or parts than `ITEMS_READ`, the first and the newest.

    `most` is how many messages are wanted, if it is fewer.
    """
    most = ITEMS_READ if most is None else min(most, ITEMS_READ)
    newest_first = reversed(chat[-most:])
    newest = list(limit_parts(filter(None, map(read, newest_first))))[::-1]
    skipped = max(0, len(chat) - most) + len(list(newest_first))
    if not skipped:
        return newest
    first = filter(None, map(read, chat[:1]))
    return [*first, *(replace(message, skipped=skipped - 1) for message in newest[:1]), *newest[1:]]


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A piece of a prompt without its text: tokens are attributed to tools even when content recording is off.

    Attributes:
        kind: a tool's result, definition or call, or anything else.
        weight: the estimated size in tokens; only its proportion to the other pieces counts.
        tool: the tool's name; None if it is not known.
        key: identifies a result, so that sending it again is recognised.
    """

    kind: Literal["other", "result", "definition", "call"]
    weight: float
    tool: str | None = None
    key: Hashable = None
