"""Functions made into operations: plain and asynchronous ones, generators of both kinds, methods.

What is returned is of the same kind as the function, so that whoever asks (a web framework, a test runner) finds
it unchanged.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from opentelemetry import context as context_api
from opentelemetry.context import Context

from otel_callbacks.manual import results
from otel_callbacks.manual.parameters import Parameters
from otel_callbacks.manual.span import OperationSpan, passed_over
from otel_callbacks.operations import (
    AgentInvocation,
    Embedding,
    Inference,
    Operation,
    Rerank,
    Retrieval,
    Step,
    ToolExecution,
    Workflow,
)
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runtime.faults import guarded

_Told = Callable[..., dict[str, Any] | None]
"""What the arguments tell: the fields that hold `content`, or the others."""

_NAMED_BY_FUNCTION = (Workflow, Step, AgentInvocation, ToolExecution)


class Call(OperationSpan):
    """The operation of one call of a function; whoever begins it has asked whether it is passed over."""

    def __init__(self, kind: type[Operation], fields: Mapping[str, Any], told: _Told) -> None:
        super().__init__(kind, fields)
        self._told: _Told | None = told
        self._kept: list[Any] = []

    def __enter__(self) -> Self:
        self._begin()
        return self

    def _given(self) -> Mapping[str, Any]:
        assert self._told is not None
        return {**(self._told(content=False) or {}), **self._fields}

    def _begin(self) -> None:
        super()._begin()
        if self._wants_messages() and self._told is not None and (operation := self._operation()) is not None:
            for field, value in (self._told(content=True) or {}).items():
                if field not in self._fields:
                    setattr(operation, field, value)
        self._told = None  # the arguments are not held while a generator waits to be read

    @guarded
    def yielded(self, item: Any) -> None:
        """Notes what a generator yields: as a chunk of an answer, and for its result."""
        operation = self._operation()
        if operation is None or isinstance(operation, Embedding):
            return
        assert self._run is not None
        recorder: Recorder = self._run.recorder
        if isinstance(operation, Inference):
            recorder.chunk(self._run)
            results.response(operation, item, with_content=False)
            item = results.piece(item)
        listed = isinstance(operation, Retrieval | Rerank | ToolExecution) and self._is_told_of()
        if listed or self._wants_messages():
            self._kept.append(item)

    @property
    def traced(self) -> bool:
        """Whether there is a span, which has not ended."""
        return self._run is not None

    def _end(self, error: BaseException | None) -> None:
        if self._kept:
            kept, self._kept = self._kept, []
            listed = issubclass(self._kind, Retrieval | Rerank) or not all(
                isinstance(each, str) for each in kept
            )
            self.result(kept if listed else "".join(kept))
        super()._end(error)


class _Body:
    """Where the body of a generator runs, piece by piece: in the context that its last piece left.

    So the operation is current in the body and only there, whoever asks for the next item, and wherever.
    """

    def __init__(self, call: Call, *, is_passed_over: bool = False) -> None:
        self.closing = False
        self._call = call
        self._begun = is_passed_over
        self._inside: Context | None = None
        self._outside = Context()

    def __enter__(self) -> None:
        self._outside = context_api.get_current()
        if not self._begun:
            self._begun = True
            self._call.__enter__()
        elif self._inside is not None:
            context_api.attach(self._inside)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        if not self._call.traced:
            return
        if isinstance(error, StopIteration | StopAsyncIteration):
            error = GeneratorExit() if self.closing else None
            self._call.__exit__(None, error, None)
        elif error is not None:
            self._call.__exit__(kind, error, stack)
        self._inside = context_api.get_current()
        context_api.attach(self._outside)


@dataclass(frozen=True, slots=True)
class _Calls:
    """What the calls of a function have in common."""

    kind: type[Operation]
    fields: Mapping[str, Any]
    parameters: Parameters

    def one(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Call:
        """The operation of a call with these arguments."""
        return Call(self.kind, self.fields, functools.partial(self.parameters.read, args, kwargs))


def decorate(function: Any, kind: type[Operation], fields: Mapping[str, Any]) -> Any:
    """Makes every call of a function an operation; of one that yields, from the first item to the last.

    Raises:
        TypeError: it is no function, method, class method or static method.
    """
    if isinstance(function, classmethod | staticmethod):
        return type(function)(decorate(function.__func__, kind, fields))
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"only a function or method can be made an operation, not {function!r:.100}")
    if issubclass(kind, _NAMED_BY_FUNCTION) and fields.get("name") is None:
        fields = {**fields, "name": getattr(function, "__name__", None)}
    wrap = next(wrap for is_this, wrap in _WRAPPERS if is_this(function))
    return wrap(function, _Calls(kind, fields, Parameters(function, kind)))


def _plain(function: Callable[..., Any], calls: _Calls) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if passed_over(calls.kind):
            return function(*args, **kwargs)
        with calls.one(args, kwargs) as call:
            result = function(*args, **kwargs)
            call.result(result)
            return result

    return wrapper


def _asynchronous(function: Callable[..., Any], calls: _Calls) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        if passed_over(calls.kind):
            return await function(*args, **kwargs)
        with calls.one(args, kwargs) as call:
            result = await function(*args, **kwargs)
            call.result(result)
            return result

    return wrapper


def _generator(function: Callable[..., Any], calls: _Calls) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        source = function(*args, **kwargs)
        if passed_over(calls.kind):
            return (yield from source)
        call = calls.one(args, kwargs)
        body = _Body(call)
        resume, value = source.send, None
        while True:
            try:
                with body:
                    item = resume(value)
            except StopIteration as stop:
                return stop.value
            finally:
                value = None  # an error that was thrown in must not hold the frame that its traceback holds
            call.yielded(item)
            try:
                value = yield item
                resume = source.send
            except BaseException as thrown:  # by the consumer, for the generator to handle
                body.closing = isinstance(thrown, GeneratorExit)
                resume, value = source.throw, thrown

    return wrapper


def _asynchronous_generator(function: Callable[..., Any], calls: _Calls) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        source = function(*args, **kwargs)
        call = calls.one(args, kwargs)
        body = _Body(call, is_passed_over=passed_over(calls.kind))
        resume, value = source.asend, None
        while True:
            try:
                with body:
                    item = await resume(value)
            except StopAsyncIteration:
                return
            finally:
                value = None  # as above
            call.yielded(item)
            try:
                value = yield item
                resume = source.asend
            except BaseException as thrown:  # by the consumer, for the generator to handle
                body.closing = isinstance(thrown, GeneratorExit)
                resume, value = source.athrow, thrown

    return wrapper


_WRAPPERS: Sequence[tuple[Callable[[Any], bool], Callable[..., Any]]] = (
    (inspect.isasyncgenfunction, _asynchronous_generator),
    (inspect.iscoroutinefunction, _asynchronous),
    (inspect.isgeneratorfunction, _generator),
    (callable, _plain),
)
