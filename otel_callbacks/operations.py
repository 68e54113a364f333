"""What a framework did, in typed form: the one language the handlers speak and the recorder understands.

Values (`Usage`, `Document`, messages) are frozen. An operation is the one mutable kind: a handler creates it
when the work starts and completes the same object when the work ends.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, ClassVar, Literal

from otel_callbacks import semconv


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one model call, as the provider bills them; None means not reported.

    `input_tokens` includes the cache reads and writes, `output_tokens` includes the reasoning: the breakdowns
    are parts of the totals, never additions (GenAI conventions, "usage"). `cache_write_1h_input_tokens` is the part
    of the cache writes that is kept for an hour, which costs more.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    cache_write_1h_input_tokens: int | None = None


ScoreKind = Literal["similarity", "distance", "relevance"]
"""What a score measures: higher is better for `similarity` and `relevance` (from 0 to 1), lower for `distance`."""


@dataclass(frozen=True, slots=True)
class Document:
    """A retrieved document. `score` is None unless the framework reported one; it is never made up.

    `content` and `metadata` are the framework's own objects. They are here whatever the content policy, which
    decides what of them is recorded.
    """

    id: str | None = None
    score: float | None = None
    content: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an operation failed. `type` is the value of `error.type`, of low cardinality."""

    type: str
    message: str | None = None
    exception: BaseException | None = None

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Describes an exception: its class name, with the module unless it is built in."""
        kind = type(error)
        name = kind.__qualname__
        return cls(name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}", exception=error)

    def said(self) -> Any:
        """What was said about it: a text, or what would take an exception long to put into one."""
        return _said(self.exception) if self.message is None and self.exception is not None else self.message


def _said(error: BaseException) -> Any:
    """What an exception says. Its own `str` would write out all that it was made with."""
    given = error.args
    if type(error).__str__ is BaseException.__str__ and any(type(each) in _LARGE for each in given):
        return given[0] if len(given) == 1 else given
    try:
        return str(error)
    except Exception:  # the application's exception, whose __str__ may fail as it likes
        return f"<{type(error).__name__}>"


_LARGE = {dict, list, tuple, set, frozenset, bytes, bytearray}


@dataclass(slots=True, kw_only=True)
class Operation:
    """What all operations share. `name` is the key in the span's name: a model, an agent, a tool, a node."""

    operation: ClassVar[str | None] = None
    CONTENT: ClassVar[Sequence[str]] = ()
    """The fields that hold content, or objects of the application."""

    name: str | None = None
    conversation_id: str | None = None

    def forget_content(self) -> None:
        """Lets go of content, when all that is to be told of it has been told."""
        for field_ in self.CONTENT:
            setattr(self, field_, None)


@dataclass(slots=True, kw_only=True)
class Workflow(Operation):
    """The outermost chain or graph of a call, or a sub-graph that the application defined."""

    operation = semconv.INVOKE_WORKFLOW
    CONTENT = ("input_messages", "output_messages")
    input_messages: Sequence[Message] | None = None
    output_messages: Sequence[Message] | None = None


@dataclass(slots=True, kw_only=True)
class AgentInvocation(Operation):
    """One run of an agent. The recorder fills in the totals of the agent's own model calls at the end."""

    operation = semconv.INVOKE_AGENT
    CONTENT = ("input_messages", "output_messages")
    description: str | None = None
    finish_reasons: Sequence[str] | None = None
    input_messages: Sequence[Message] | None = None
    output_messages: Sequence[Message] | None = None


@dataclass(slots=True, kw_only=True)
class Step(Operation):
    """Anything else worth a span: a graph node, a named runnable, a workflow step."""

    node: str | None = None
    step: int | None = None
    path: str | None = None
    checkpoint_ns: str | None = None


@dataclass(slots=True, kw_only=True)
class ToolExecution(Operation):
    """A tool that the framework runs itself. `result_size` counts characters, also when content is off."""

    operation = semconv.EXECUTE_TOOL
    CONTENT = ("arguments", "result")
    type: str = "function"
    description: str | None = None
    call_id: str | None = None
    agent_name: str | None = None
    arguments: Any = None
    result: Any = None
    result_size: int | None = None


@dataclass(slots=True, kw_only=True)
class Retrieval(Operation):
    """A search. `name` is the data source, when it has an id of its own.

    `scored` is what the store behind a retriever scored, which the retriever itself does not tell: the store's
    document, its score and its kind.
    """

    operation = semconv.RETRIEVAL
    CONTENT = ("query", "documents")
    provider: str | None = None
    top_k: int | None = None
    server_address: str | None = None
    server_port: int | None = None
    embedding_model: str | None = None
    query: str | None = None
    documents: Sequence[Document] | None = None
    score_kind: ScoreKind | None = None
    scored: Sequence[tuple[Any, float, ScoreKind | None]] = ()


@dataclass(slots=True, kw_only=True)
class Embedding(Operation):
    """Texts turned into vectors, of which only the number and length are kept; `name` is the model."""

    operation = semconv.EMBEDDINGS
    provider: str | None = None
    server_address: str | None = None
    server_port: int | None = None
    encoding_formats: Sequence[str] | None = None
    response_model: str | None = None
    count: int | None = None
    dimension_count: int | None = None
    usage: Usage | None = None


@dataclass(slots=True, kw_only=True)
class Rerank(Operation):
    """Documents put in a better order; `name` is the model, `documents` are those that were kept."""

    operation = semconv.RERANK
    CONTENT = ("query", "candidates", "documents")
    provider: str | None = None
    top_n: int | None = None
    query: str | None = None
    candidates: Sequence[Document] | None = None
    documents: Sequence[Document] | None = None


@dataclass(slots=True, kw_only=True)
class Inference(Operation):
    """One model call; `name` is the requested model.

    `cached` marks an answer that the framework took from its own cache: nothing was sent, nothing is owed.
    `duplicate` marks the call of a model that wraps another; its usage is the inner call's. `reported_usd` is what
    the provider or a gateway says it cost. Times are seconds.
    """

    operation = semconv.CHAT
    CONTENT = ("input_messages", "output_messages", "tool_definitions")
    text_completion: bool = False
    provider: str | None = None
    server_address: str | None = None
    server_port: int | None = None

    choice_count: int | None = None
    frequency_penalty: float | None = None
    max_tokens: int | None = None
    presence_penalty: float | None = None
    previous_response_id: str | None = None
    reasoning_level: str | None = None
    seed: int | None = None
    stop_sequences: Sequence[str] | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    output_type: str | None = None
    request_service_tier: str | None = None

    response_model: str | None = None
    response_id: str | None = None
    response_service_tier: str | None = None
    system_fingerprint: str | None = None
    finish_reasons: Sequence[str] | None = None
    time_to_first_chunk: float | None = None
    usage: Usage | None = None
    reported_usd: Decimal | None = None
    cached: bool = False
    duplicate: bool | None = None

    input_messages: Sequence[Message] | None = None
    output_messages: Sequence[Message] | None = None
    tool_definitions: Sequence[Mapping[str, Any]] | None = None
