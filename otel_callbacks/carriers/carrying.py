"""Takes the current context along with a function: into a thread, a pool or another process."""

import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any, Generic, ParamSpec, TypeVar

from opentelemetry import context as context_api
from opentelemetry import propagate, trace
from opentelemetry.context import Context

from otel_callbacks.carriers import texts
from otel_callbacks.cost.attribution import context_with_labels, given_labels
from otel_callbacks.privacy.content_scope import content, find_content_scope
from otel_callbacks.runs.surroundings import enclosing_run
from otel_callbacks.runtime.faults import guarded

_P = ParamSpec("_P")
_R = TypeVar("_R")


def carry(function: Callable[_P, _R]) -> "Carried[_P, _R]":
    """Returns the function so that it runs in the context of this moment, wherever and however often it is called.

        pool.submit(carry(answer), question)

    In a thread of this process it runs in a copy of the context, so totals and labels are what they would be here. In
    another process (the result can be pickled if the function can) it runs below the current span, with all labels of
    this place. Content is off there if it is off here, or if a `with content(...)` sets a policy of its own here.

    Raises:
        TypeError: `function` is a coroutine function, which a task runs in its own context anyway, a generator
            function, or not callable.
    """
    if not callable(function):
        raise TypeError(f"carry() takes a function, not {type(function).__name__}")
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_kind(function) for is_kind in kinds):
        name = getattr(function, "__name__", repr(function))
        raise TypeError(
            f"carry() takes a plain function, not {name}: a coroutine runs in the context of its task, and a generator"
            " in that of its reader; carry the function that runs it"
        )
    return Carried(function)


def captured() -> dict[str, Any]:
    """Returns what holds here, for another process of the application: the span, baggage, labels, content or none.

    It can be pickled, and written as JSON. See `attach`.
    """
    context = context_api.get_current()
    carrier: dict[str, str] = {}
    texts.write(propagate.get_global_textmap(), carrier, context, ())
    run = enclosing_run(context)
    scope = find_content_scope(context, run.content_scope if run is not None else None)
    policy = None if scope is None else scope.policy if isinstance(scope.policy, str) else "none"
    return {"carrier": carrier, "labels": dict(given_labels(context)), "content": policy}


def is_here(sent: dict[str, Any]) -> bool:
    """Tells whether what was captured holds here anyway: the trace, the labels, and content or none."""
    here = captured()
    return sent | {"carrier": _trace_id(sent)} == here | {"carrier": _trace_id(here)}


def _trace_id(sent: Mapping[str, Any]) -> int:
    context = texts.read(propagate.get_global_textmap(), sent["carrier"], Context())
    return trace.get_current_span(context).get_span_context().trace_id


def attach(sent: Mapping[str, Any], context: Context) -> None:
    """Makes what another process captured hold here, on top of `context`."""
    context = texts.read(propagate.get_global_textmap(), sent["carrier"], context)
    context_api.attach(context_with_labels(sent["labels"], context))
    if sent["content"] is not None:
        content(sent["content"]).__enter__()


class Carried(Generic[_P, _R]):
    """A function and the context to run it in; see `carry`."""

    def __init__(self, function: Callable[_P, _R]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._context = copy_context()
        # now: a pool pickles later, when the span may have ended
        self._captured = guarded(captured)() or {"carrier": {}, "labels": {}, "content": "none"}

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Calls the function in the context."""
        return self._context.copy().run(self._function, *args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Elsewhere, (self._function, self._captured)


class _Elsewhere:
    """A carried function in another process."""

    def __init__(self, function: Callable[..., Any], captured: Mapping[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._captured = captured

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # not on top of the context here: a pool's process may have been forked in the middle of another call
        before = context_api.attach(Context())
        guarded(attach)(self._captured, Context())
        try:
            return self._function(*args, **kwargs)
        finally:
            context_api.detach(before)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Elsewhere, (self._function, self._captured)
