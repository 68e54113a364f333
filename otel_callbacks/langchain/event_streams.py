"""Chat models that stream protocol events (`stream_events(version="v3")`), whose body does not run where they start.

LangChain starts such a run in a function that returns before the body runs. The synchronous body runs later, in the
frames of whoever reads the stream. The asynchronous body runs in a task of its own, which gets a copy of the context.
"""

import contextvars
import inspect
import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from otel_callbacks.langchain.parent_run import key_of
from otel_callbacks.runtime.execution_context import current_execution_context

_MODELS = "langchain_core.language_models.chat_models"
_bodies: contextvars.ContextVar[tuple[int, ...]] = contextvars.ContextVar("otel_callbacks-bodies", default=())
"""In the context of an asynchronous body, and of the tasks and threads that it starts: the ids of its run and of those
around it that are of the same kind."""


def when_collected(frame: FrameType, end: Callable[[], None]) -> None:
    """Calls `end` when the application has dropped the stream that starts in `frame`, without reading it to its end.

    LangChain does not report that.
    """
    stream = frame.f_locals.get("stream")
    if stream is not None:
        weakref.finalize(stream, end).atexit = False


class InEventStream:
    """Tells whether the caller is in the body of the run `key`. It must not hold the stream, nor a frame that does.

    LangChain's frames on the stack tell it. Where the body has started another task or thread, a mark in the context
    does: an asynchronous body is marked at its first event, before the application gets that. Until then, every other
    task or thread counts as the body's.
    """

    __slots__ = ("_is_async", "_is_marked", "_key", "_started_in")

    def __init__(self, key: Any, frame: FrameType) -> None:
        self._key = key
        self._started_in = current_execution_context()
        self._is_async = bool(frame.f_code.co_flags & inspect.CO_COROUTINE)
        self._is_marked = False

    def note_event(self) -> None:
        """Marks the context of an asynchronous body. Call it where the body reports an event."""
        if self._is_async and self._key not in (around := _bodies.get()):
            _bodies.set((*around, self._key))
            self._is_marked = True

    def __call__(self) -> bool:
        """Tells whether the caller is in the body."""
        if self._is_driven():
            return True
        if not self._is_async or current_execution_context() == self._started_in:
            return False
        return not self._is_marked or self._key in _bodies.get()

    def _is_driven(self) -> bool:
        """Tells whether LangChain's frames of this run are among the callers."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_globals.get("__name__") == _MODELS:
                manager = frame.f_locals.get("run_manager")
                if key_of(getattr(manager, "run_id", None)) == self._key:
                    return True
            frame = frame.f_back
        return False
