"""When an answer that arrives in pieces has ended.

LlamaIndex reports a streaming call as over when the stream is handed out, before the first piece. The call's run goes
on until the stream is exhausted, closed, broken or collected:

- a model's stream tells its end by events, and by its collection if nobody ever iterated over it;
- a query engine's response has a public `response_gen`, which is replaced by one that runs in the context of the
  query, because the model is only called while it is read;
- a chat engine writes its answer to the history in the background, and ends with that.
"""

import contextvars
import functools
import types
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.chat_engine.types import StreamingAgentChatResponse

from otel_callbacks.runtime.execution_context import is_called_from

End = Callable[[BaseException | None, Any], Any]
"""Ends a run: with the error that broke its stream, `GeneratorExit` if nobody wanted the rest, or None; and with what
was said. It must not hold the stream, whose collection would then never come."""

_WRITERS = ("write_response_to_history", "awrite_response_to_history")


class _Tokens:
    """The runs that end with one stream of tokens, innermost first; and the tokens, if content is recorded."""

    def __init__(self) -> None:
        self._ends: list[End] = []
        self.said: list[str] | None = None

    def add(self, end: End) -> None:
        self._ends.append(end)

    def abandon(self, error: BaseException, said: None) -> None:
        self.end(error)

    def end(self, error: BaseException | None) -> None:
        ends, self._ends = self._ends, []
        said = "".join(self.said) if self.said is not None else None
        for end in ends:
            end(error, said)


_tokens: "weakref.WeakKeyDictionary[Any, _Tokens]" = weakref.WeakKeyDictionary()
_written: dict[int, list[End]] = {}
"""The runs that end with the writing of an answer, innermost first: an engine may answer for another."""


def follow(result: Any, end: End, *, with_content: bool) -> bool:
    """Has `end` called when `result`, a stream, is over; False if it is none that goes on.

    To be called in the context of the run's body.
    """
    match result:
        case StreamingResponse() | AsyncStreamingResponse():
            return _follow_tokens(result, end, with_content)
        case StreamingAgentChatResponse():
            return _follow_writing(result, end)
        case _ if is_stream(result):
            _when_collected(result, end)
            return True
    return False


def is_stream(result: Any) -> bool:
    """Whether a model handed out its answer as a stream of chunks."""
    return isinstance(result, types.GeneratorType | types.AsyncGeneratorType)


def running(stream: Any) -> Callable[[], bool]:
    """Tells whether the body of a generator is being run by the caller, who is then inside of it.

    Whether it runs at all is not enough: a chat engine reads its model's stream in a thread of its own.
    """
    reference = weakref.ref(stream)
    kind = "ag" if isinstance(stream, types.AsyncGeneratorType) else "gi"

    def inside() -> bool:
        generator = reference()
        return getattr(generator, f"{kind}_running", False) and is_called_from(
            getattr(generator, f"{kind}_frame")
        )

    return inside


def _when_collected(stream: Any, end: Callable[..., Any]) -> None:
    weakref.finalize(stream, end, GeneratorExit(), None).atexit = False


def _follow_tokens(
    response: StreamingResponse | AsyncStreamingResponse, end: End, with_content: bool
) -> bool:
    source: Any = response.response_gen
    if source is None:
        return False
    tokens = _tokens.get(source)
    if tokens is None:
        tokens = _Tokens()
        context = contextvars.copy_context()
        stream: Any
        if isinstance(response, StreamingResponse):
            stream = _read(source, context, tokens)
        else:
            stream = _aread(source, context, tokens)
        _tokens[stream] = tokens
        _when_collected(stream, tokens.abandon)
        response.response_gen = stream
    if with_content and tokens.said is None:
        tokens.said = []
    tokens.add(end)
    return True


def _read(source: Iterator[Any], context: contextvars.Context, tokens: _Tokens) -> Iterator[Any]:
    error: BaseException | None = None
    try:
        while True:
            try:
                token = context.run(next, source)
            except StopIteration:
                return
            if tokens.said is not None and isinstance(token, str):
                tokens.said.append(token)
            yield token
    except BaseException as raised:  # only passing through
        error = raised
        raise
    finally:
        if error is not None and (close := getattr(source, "close", None)) is not None:
            context.run(close)
        tokens.end(error)


async def _aread(
    source: AsyncIterator[Any], context: contextvars.Context, tokens: _Tokens
) -> AsyncIterator[Any]:
    error: BaseException | None = None
    try:
        while True:
            try:
                token = await _run_in(context, source.__anext__())
            except StopAsyncIteration:
                return
            if tokens.said is not None and isinstance(token, str):
                tokens.said.append(token)
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
    """Awaits in another context but the same task: a task per token would be dear, and be cancelled apart."""
    steps: Any = awaitable.__await__()
    resume, value = steps.send, None
    while True:
        try:
            waiting = context.run(resume, value)
        except StopIteration as stop:
            return stop.value
        try:
            resume, value = steps.send, (yield waiting)
        except BaseException as error:  # thrown in by the event loop, for the awaited to handle
            resume, value = steps.throw, error


def _follow_writing(response: StreamingAgentChatResponse, end: End) -> bool:
    key = id(response)
    _written.setdefault(key, []).append(end)
    _when_collected(response, functools.partial(_end_writing, key))
    if response.is_done:  # the writer may have ended before this was known to be waiting
        _end_writing(key, None, response.response)
    return True


def _end_writing(key: int, error: BaseException | None, said: str | None) -> None:
    for end in _written.pop(key, ()):
        end(error, said)


def written(instance: Any, method: str, error: BaseException | None) -> None:
    """A chat engine's answer has been written to the history, or that failed."""
    if method in _WRITERS and isinstance(instance, StreamingAgentChatResponse):
        _end_writing(id(instance), error, instance.response)
