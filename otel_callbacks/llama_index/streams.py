"""Finds the end of a streamed answer, which ends the run.

LlamaIndex reports the end of a streaming call when it returns the stream, before the first chunk. The run goes on
until the stream is exhausted, closed, broken or collected:

- A model reports the end of its stream by events. A stream that nobody iterates over ends when it is collected.
- A query engine calls the model while the application reads `response_gen`. That public attribute is replaced by a
  generator that runs in the context of the query.
- A workflow, and its last step, return a stream in their stop event. There, it is replaced in the same way.
- A chat engine writes its answer to the history in the background. The run ends with that.
"""

import contextvars
import functools
import types
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.chat_engine.types import StreamingAgentChatResponse
from llama_index.core.workflow import StopEvent

from otel_callbacks.operations.payload import attribute, text
from otel_callbacks.runtime.execution_context import is_called_from

End = Callable[[BaseException | None, Any], Any]
"""Ends a run. The arguments are the error that broke the stream (`GeneratorExit` if it was not read up, or None)
and the answer. It must not hold a reference to the stream, which then would never be collected."""

_RESPONSES = (StreamingResponse, AsyncStreamingResponse, StreamingAgentChatResponse)
_HISTORY_WRITERS = ("write_response_to_history", "awrite_response_to_history")


class _TokenStream:
    """A stream of tokens: the functions that end its runs, innermost first, and its text if content is recorded."""

    def __init__(self) -> None:
        self._ends: list[End] = []
        self.texts: list[str] | None = None

    def add(self, end: End) -> None:
        self._ends.append(end)

    def abandon(self, error: BaseException, answer: None) -> None:
        self.end(error)

    def end(self, error: BaseException | None) -> None:
        ends, self._ends = self._ends, []
        answer = "".join(self.texts) if self.texts is not None else None
        for end in ends:
            end(error, answer)


_token_streams: "weakref.WeakKeyDictionary[Any, _TokenStream]" = weakref.WeakKeyDictionary()
_history_writes: dict[int, list[End]] = {}
"""The functions that end runs when an answer has been written to the history, innermost first, by id of the response.
One engine may answer for another."""


def is_stream(result: Any) -> bool:
    """Tells whether a model returned its answer as a stream of chunks."""
    return isinstance(result, types.GeneratorType | types.AsyncGeneratorType)


def inside_generator(stream: Any) -> Callable[[], bool]:
    """Returns a function that tells whether the caller is inside the body of a generator.

    That the generator is running is not enough: a chat engine reads its model's stream in another thread.
    """
    reference = weakref.ref(stream)
    kind = "ag" if isinstance(stream, types.AsyncGeneratorType) else "gi"

    def inside() -> bool:
        generator = reference()
        return getattr(generator, f"{kind}_running", False) and is_called_from(
            getattr(generator, f"{kind}_frame")
        )

    return inside


def _follow_collection(stream: Any, end: End, with_content: bool) -> bool:
    _when_collected(stream, end)
    return True


def _when_collected(stream: Any, end: Callable[..., Any]) -> None:
    weakref.finalize(stream, end, GeneratorExit(), None).atexit = False


def _follow_stop_event(event: StopEvent, end: End, with_content: bool) -> bool:
    """Follows the stream that is the result of a workflow, or a field of an application's own stop event."""
    for fields in (event.__pydantic_private__ or {}, event.__dict__, event._data):
        for name, value in fields.items():
            if isinstance(value, _RESPONSES) and (follow := follower_of(type(value))) is not None:
                return follow(value, end, with_content)
            if is_stream(value):
                fields[name] = _followed(value, end, with_content)
                return True
    return False


def _follow_tokens(
    response: StreamingResponse | AsyncStreamingResponse, end: End, with_content: bool
) -> bool:
    source: Any = response.response_gen
    if source is None:
        return False
    response.response_gen = _followed(source, end, with_content)
    return True


def _followed(source: Any, end: End, with_content: bool) -> Any:
    """Returns a stream of the same items that calls `end` when it is over."""
    stream, tokens = source, _token_streams.get(source)
    if tokens is None:
        tokens = _TokenStream()
        read = _aread if hasattr(source, "__anext__") else _read
        stream = read(source, contextvars.copy_context(), tokens)
        _token_streams[stream] = tokens
        _when_collected(stream, tokens.abandon)
    if with_content and tokens.texts is None:
        tokens.texts = []
    tokens.add(end)
    return stream


def _add_text(texts: list[str], token: Any) -> None:
    if delta := text(token) or text(attribute(token, "delta")):
        texts.append(delta)


def _read(source: Iterator[Any], context: contextvars.Context, tokens: _TokenStream) -> Iterator[Any]:
    error: BaseException | None = None
    try:
        while True:
            try:
                token = context.run(next, source)
            except StopIteration:
                return
            if tokens.texts is not None:
                _add_text(tokens.texts, token)
            yield token
    except BaseException as raised:  # only passing through
        error = raised
        raise
    finally:
        if error is not None and (close := getattr(source, "close", None)) is not None:
            context.run(close)
        tokens.end(error)


async def _aread(
    source: AsyncIterator[Any], context: contextvars.Context, tokens: _TokenStream
) -> AsyncIterator[Any]:
    error: BaseException | None = None
    try:
        while True:
            try:
                token = await _run_in(context, source.__anext__())
            except StopAsyncIteration:
                return
            if tokens.texts is not None:
                _add_text(tokens.texts, token)
            yield token
    except BaseException as raised:  # only passing through
        error = raised
        raise
    finally:
        if error is not None and (close := getattr(source, "aclose", None)) is not None:
            await _run_in(context, close())
        tokens.end(error)


@types.coroutine
def _run_in(context: contextvars.Context, awaitable: Awaitable[Any]) -> Generator[Any, Any, Any]:
    """Awaits in another context but in the same task. A task per token would be slow, and miss a cancellation."""
    steps: Any = awaitable.__await__()
    resume, value = steps.send, None
    while True:
        try:
            waiting = context.run(resume, value)
        except StopIteration as stop:
            return stop.value
        try:
            resume, value = steps.send, (yield waiting)
        except BaseException as error:  # thrown in by the event loop; the awaitable handles it
            resume, value = steps.throw, error


def _follow_writing(response: StreamingAgentChatResponse, end: End, with_content: bool) -> bool:
    key = id(response)
    _history_writes.setdefault(key, []).append(end)
    _when_collected(response, functools.partial(_end_writing, key))
    if response.is_done:  # the background writer may be faster than this code
        _end_writing(key, None, response.response)
    return True


def _end_writing(key: int, error: BaseException | None, answer: str | None) -> None:
    for end in _history_writes.pop(key, ()):
        end(error, answer)


def history_written(response: StreamingAgentChatResponse, method: str, error: BaseException | None) -> None:
    """Ends the runs of a chat engine if `method` is the one that wrote its answer to the history, or failed to."""
    if method in _HISTORY_WRITERS:
        _end_writing(id(response), error, response.response)


Follow = Callable[[Any, End, bool], bool]
"""Calls `End` when the stream in a result is over; takes the result, `End`, and whether content is recorded. Returns
False if there is no open stream. It is called in the context of the run's body."""

_FOLLOWERS: tuple[tuple[type, Follow], ...] = (
    (StreamingResponse, _follow_tokens),
    (AsyncStreamingResponse, _follow_tokens),
    (StreamingAgentChatResponse, _follow_writing),
    (StopEvent, _follow_stop_event),
    (types.GeneratorType, _follow_collection),
    (types.AsyncGeneratorType, _follow_collection),
)


def follower_of(kind: type) -> Follow | None:
    """Returns the function that follows the stream in results of a class; None if they have none."""
    return next((follow for base, follow in _FOLLOWERS if issubclass(kind, base)), None)
