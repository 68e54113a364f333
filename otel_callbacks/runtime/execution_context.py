"""Where code runs: in which thread and task, and below which frame."""

import asyncio
import sys
import threading
from types import FrameType
from typing import Any, NamedTuple


class ExecutionContext(NamedTuple):
    """A thread and the asyncio task in it (None outside a task)."""

    thread: int
    task: "asyncio.Task[Any] | None"


def current_execution_context() -> ExecutionContext:
    """Returns the thread and task that call this function."""
    # _get_running_loop is documented for authors of event loops. get_running_loop would raise in synchronous code,
    # and one exception per run is too slow.
    loop = asyncio._get_running_loop()
    return ExecutionContext(threading.get_ident(), asyncio.current_task(loop) if loop is not None else None)


def is_called_from(wanted: FrameType) -> bool:
    """Tells whether a frame is among the callers of the calling function."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame is wanted:
            return True
        frame = frame.f_back
    return False
