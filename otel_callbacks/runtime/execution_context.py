"""Where code runs: in which thread and task, and below which frame."""

import asyncio
import inspect
import sys
import threading
import weakref
from asyncio import _get_running_loop
from threading import get_ident
from types import FrameType
from typing import Any, NamedTuple


class ExecutionContext(NamedTuple):
    """What has a call stack of its own.

    Attributes:
        thread: the thread.
        task: a weak reference to the asyncio task in it; None outside a task. A cancelled task holds the frames of its
            error, and so perhaps the very stream whose end a run waits for.
        greenlet: the greenlet in it; None in the main one. SQLAlchemy's asynchronous drivers switch to others.
    """

    thread: int
    task: "weakref.ref[asyncio.Task[Any]] | None"
    greenlet: Any

    def running_task(self) -> "asyncio.Task[Any] | None":
        """Returns the task unless it is done."""
        task = self.task() if self.task is not None else None
        return task if task is not None and not task.done() else None


class _OfThread(threading.local):
    """What a thread has outside tasks and greenlets, made once."""

    def __init__(self) -> None:
        self.alone = ExecutionContext(get_ident(), None, None)


_of_thread = _OfThread()


def current_execution_context() -> ExecutionContext:
    """Returns the thread, task and greenlet that call this function."""
    # _get_running_loop is documented for authors of event loops. get_running_loop would raise in synchronous code,
    # and one exception per run is too slow.
    loop, module = _get_running_loop(), sys.modules.get("greenlet")
    current = None if module is None else module.getcurrent()
    greenlet = None if current is None or current.parent is None else current
    if loop is None and greenlet is None:
        return _of_thread.alone
    task = asyncio.current_task(loop) if loop is not None else None
    reference = None if task is None else weakref.ref(task)
    # a third of the named tuple's own constructor
    return tuple.__new__(ExecutionContext, (get_ident(), reference, greenlet))


def is_called_from(wanted: FrameType) -> bool:
    """Tells whether a frame is among the callers of the calling function."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame is wanted:
            return True
        frame = frame.f_back
    return False


def is_generator(frame: FrameType) -> bool:
    """Tells whether the frame is a generator's, which can pause."""
    return bool(frame.f_code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR))


class InFrame:
    """Tells whether `frame`, in which a run started and its body runs, is on the call stack.

    In another thread or task it says yes. It holds the frame and its local variables until the run is closed, because
    a later frame may get the same id.

    Attributes:
        may_vanish: the frame may be left without a report. A generator's is told when it is closed.
        started_in: the thread and task in which the run started.
    """

    __slots__ = ("frame", "may_vanish", "started_in")

    def __init__(self, frame: FrameType) -> None:
        self.frame = frame
        self.may_vanish = not is_generator(frame)
        self.started_in = current_execution_context()

    def __call__(self) -> bool:
        """Tells whether the caller is in the body."""
        return current_execution_context() != self.started_in or is_called_from(self.frame)
