"""Where code runs: in which thread and task, and called from where."""

import asyncio
import sys
import threading
from types import FrameType
from typing import Any, NamedTuple


class ExecutionContext(NamedTuple):
    """A thread and the asyncio task in it (None outside a task)."""

    thread: int
    task: "asyncio.Task[Any] | None"


def here() -> ExecutionContext:
    """Where this code runs."""
    # _get_running_loop is documented for event loops; get_running_loop would raise in synchronous code, and an
    # exception per run is dear.
    loop = asyncio._get_running_loop()
    return ExecutionContext(threading.get_ident(), asyncio.current_task(loop) if loop is not None else None)


def on_stack(wanted: FrameType) -> bool:
    """Whether this code was called from a frame."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame is wanted:
            return True
        frame = frame.f_back
    return False
