"""Wraps functions so that every call is an operation: plain and asynchronous functions, generators and methods.

The wrapper is of the same kind as the function, because web frameworks and test runners inspect it.
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
from otel_callbacks.manual.function_arguments import FunctionArguments
from otel_callbacks.manual.operation_span import OperationSpan, is_skipped
from otel_callbacks.manual.streamed_answer import StreamedAnswer
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

_ReadArguments = Callable[..., dict[str, Any] | None]
"""Returns the fields in the arguments: those with content if called with `content=True`, else the others."""

_NAMED_BY_FUNCTION = (Workflow, Step, AgentInvocation, ToolExecution)


class FunctionCall(OperationSpan):
    """The operation of one call of a function. Check `is_skipped` before starting it."""

    def __init__(
        self, kind: type[Operation], fields: Mapping[str, Any], read_arguments: _ReadArguments
    ) -> None:
        super().__init__(kind, fields)
        self._read_arguments: _ReadArguments | None = read_arguments
        self._yielded: list[Any] = []
        self._answer: StreamedAnswer | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def _start_fields(self) -> Mapping[str, Any]:
        assert self._read_arguments is not None
        return {**(self._read_arguments(content=False) or {}), **self._fields}

    def _start(self) -> None:
        super()._start()
        if (
            self._wants_messages()
            and self._read_arguments is not None
            and (operation := self._operation()) is not None
        ):
            for field, value in (self._read_arguments(content=True) or {}).items():
                if field not in self._fields:
                    setattr(operation, field, value)
        self._read_arguments = None  # a waiting generator must not hold the arguments

    @guarded
    def yielded(self, item: Any) -> None:
        """Adds an item that a generator yields: as a chunk of an answer, and to the result."""
        operation = self._operation()
        if operation is None or isinstance(operation, Embedding):
            return
        assert self._run is not None
        recorder: Recorder = self._run.recorder
        if isinstance(operation, Inference):
            recorder.chunk(self._run)
            results.read_response(operation, item, with_content=False)
            if self._wants_messages():
                self._answer = self._answer or StreamedAnswer()
                self._answer.add(item)
            return
        needed = isinstance(operation, Retrieval | Rerank | ToolExecution) and self._is_recorded()
        if needed or self._wants_messages():
            self._yielded.append(item)

    @property
    def is_open(self) -> bool:
        """Tells whether the run has started and not ended."""
        return self._run is not None

    def _end(self, error: BaseException | None) -> None:
        self._keep_answer()
        if self._yielded:
            items, self._yielded = self._yielded, []
            listed = issubclass(self._kind, Retrieval | Rerank) or not all(
                isinstance(each, str) for each in items
            )
            self.result(items if listed else "".join(items))
        super()._end(error)

    @guarded
    def _keep_answer(self) -> None:
        operation, answer, self._answer = self._operation(), self._answer, None
        if answer is not None and isinstance(operation, Inference):
            reason = operation.finish_reasons[0] if operation.finish_reasons else None
            operation.output_messages = answer.messages(reason) or operation.output_messages


class _GeneratorBody:
    """Runs the body of a generator, one step at a time, in the context that the previous step left.

    So the operation is current inside the body and nowhere else, whoever requests the next item.
    """

    def __init__(self, call: FunctionCall, *, skipped: bool = False) -> None:
        self.closing = False
        self._call = call
        self._started = skipped
        self._inside: Context | None = None
        self._outside = Context()

    def __enter__(self) -> None:
        self._outside = context_api.get_current()
        if not self._started:
            self._started = True
            self._call.__enter__()
        elif self._inside is not None:
            context_api.attach(self._inside)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        if not self._call.is_open:
            return
        if isinstance(error, StopIteration | StopAsyncIteration):
            error = GeneratorExit() if self.closing else None
            self._call.__exit__(None, error, None)
        elif error is not None:
            self._call.__exit__(kind, error, stack)
        self._inside = context_api.get_current()
        context_api.attach(self._outside)


@dataclass(frozen=True, slots=True)
class _DecoratedFunction:
    """What all calls of a decorated function share."""

    kind: type[Operation]
    fields: Mapping[str, Any]
    arguments: FunctionArguments

    def call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> FunctionCall:
        """Returns the operation of a call with these arguments."""
        return FunctionCall(self.kind, self.fields, functools.partial(self.arguments.read, args, kwargs))


def decorate(function: Any, kind: type[Operation], fields: Mapping[str, Any]) -> Any:
    """Returns the function with every call recorded as an operation; a generator's lasts from first to last item.

    Raises:
        TypeError: `function` is not a function, method, class method or static method.
    """
    if isinstance(function, classmethod | staticmethod):
        return type(function)(decorate(function.__func__, kind, fields))
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"only a function or method can be decorated, not {function!r:.100}")
    if issubclass(kind, _NAMED_BY_FUNCTION) and fields.get("name") is None:
        fields = {**fields, "name": getattr(function, "__name__", None)}
    wrap = next(wrap for matches, wrap in _WRAPPERS if matches(function))
    return wrap(function, _DecoratedFunction(kind, fields, FunctionArguments(function, kind)))


def _wrap_function(function: Callable[..., Any], decorated: _DecoratedFunction) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if is_skipped(decorated.kind):
            return function(*args, **kwargs)
        with decorated.call(args, kwargs) as call:
            result = function(*args, **kwargs)
            call.result(result)
            return result

    return wrapper


def _wrap_coroutine(function: Callable[..., Any], decorated: _DecoratedFunction) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        if is_skipped(decorated.kind):
            return await function(*args, **kwargs)
        with decorated.call(args, kwargs) as call:
            result = await function(*args, **kwargs)
            call.result(result)
            return result

    return wrapper


def _wrap_generator(function: Callable[..., Any], decorated: _DecoratedFunction) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        source = function(*args, **kwargs)
        if is_skipped(decorated.kind):
            return (yield from source)
        call = decorated.call(args, kwargs)
        body = _GeneratorBody(call)
        resume, value = source.send, None
        while True:
            try:
                with body:
                    item = resume(value)
            except StopIteration as stop:
                return stop.value
            finally:
                value = (
                    None  # a thrown error holds this frame by its traceback, which must not hold the error
                )
            call.yielded(item)
            try:
                value = yield item
                resume = source.send
            except BaseException as thrown:  # the consumer threw it in; the generator handles it
                body.closing = isinstance(thrown, GeneratorExit)
                resume, value = source.throw, thrown

    return wrapper


def _wrap_async_generator(function: Callable[..., Any], decorated: _DecoratedFunction) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        source = function(*args, **kwargs)
        call = decorated.call(args, kwargs)
        body = _GeneratorBody(call, skipped=is_skipped(decorated.kind))
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
            except BaseException as thrown:  # the consumer threw it in; the generator handles it
                body.closing = isinstance(thrown, GeneratorExit)
                resume, value = source.athrow, thrown

    return wrapper


_WRAPPERS: Sequence[tuple[Callable[[Any], bool], Callable[..., Any]]] = (
    (inspect.isasyncgenfunction, _wrap_async_generator),
    (inspect.iscoroutinefunction, _wrap_coroutine),
    (inspect.isgeneratorfunction, _wrap_generator),
    (callable, _wrap_function),
)
