"""Makes functions, coroutine functions and generators run inside a scope (a context manager)."""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar, cast

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Scope = Callable[..., AbstractContextManager[object]]


def run_inside(scope: _Scope, function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Wraps a function so that each call runs in a new scope; of a generator, each step.

    Between two steps of a generator its consumer runs, outside the scope. `scope` is called with the arguments of the
    call.
    """
    if inspect.isasyncgenfunction(function):
        wrapper: Any = _async_generator(scope, function)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator(scope, function)
    elif inspect.iscoroutinefunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with scope(*args, **kwargs):
                return await function(*args, **kwargs)

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with scope(*args, **kwargs):
                return function(*args, **kwargs)

    return cast(Callable[_P, _R], functools.wraps(function)(wrapper))


def _generator(scope: _Scope, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with scope(*args, **kwargs):
            steps = function(*args, **kwargs)
        resume = functools.partial(next, steps)
        while True:
            try:
                with scope(*args, **kwargs):
                    item = resume()
            except StopIteration as end:
                return end.value
            try:
                resume = functools.partial(steps.send, (yield item))
            except GeneratorExit:
                with scope(*args, **kwargs):
                    steps.close()
                raise
            except BaseException as error:  # the consumer threw it in for the generator to handle
                resume = functools.partial(steps.throw, error)

    return wrapper


def _async_generator(scope: _Scope, function: Callable[..., Any]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with scope(*args, **kwargs):
            steps = function(*args, **kwargs)
        resume = functools.partial(anext, steps)
        while True:
            try:
                with scope(*args, **kwargs):
                    item = await resume()
            except StopAsyncIteration:
                return
            try:
                resume = functools.partial(steps.asend, (yield item))
            except GeneratorExit:
                with scope(*args, **kwargs):
                    await steps.aclose()
                raise
            except BaseException as error:  # the consumer threw it in for the generator to handle
                resume = functools.partial(steps.athrow, error)

    return wrapper
