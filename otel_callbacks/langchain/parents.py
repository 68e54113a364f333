"""Which run is my parent, and am I really inside it?

LangChain names a parent by id, but not always the right one: `with_fallbacks` passes its own parent's id on, and
an inner `invoke` with callbacks of its own passes none. The ambient child config, which LangChain sets around
every body, knows better. It also tells whether code runs inside a chain or only beside it, as the consumer of
a stream does. Chat models and retrievers set no such config; their caller's frame on the stack tells it.
"""

import inspect
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any
from uuid import UUID

from langchain_core.runnables.config import var_child_runnable_config

from otel_callbacks.runs.current_span import Run, ended_run
from otel_callbacks.runtime.execution_context import current_execution_context, is_called_from

_BETWEEN = ("langchain_core.callbacks.", "otel_callbacks.")
_MAX_FRAMES = 40


def ambient_run_id() -> UUID | None:
    """The run whose body this code is in, as LangChain's child config has it."""
    config = var_child_runnable_config.get()
    return getattr(config.get("callbacks"), "parent_run_id", None) if config else None


def named_parent(runs: dict[Any, Run], parent_run_id: UUID | None) -> Run | None:
    """The run that LangChain means as the parent: the ambient one, if it is below the one it names.

    A parent that has just ended still counts, for work that outlives it.
    """
    ambient_id = ambient_run_id()
    named = runs.get(parent_run_id) if parent_run_id is not None else None
    ambient = runs.get(ambient_id) if ambient_id is not None else None
    if ambient is not None and (named is None or ambient.is_within(named)):
        return ambient
    wanted = parent_run_id or ambient_id
    if named is None and wanted is not None:
        ended = ended_run()
        return ended if ended is not None and ended.stands_for(wanted) else None
    return named


def inside_chain(runs: dict[Any, Run], key: UUID, frame: FrameType | None) -> Callable[[], bool] | None:
    """Tells whether code is inside the chain called `key`, started in `frame`; None if it is while the chain is open.

    The frame of a stream is left between the chunks.
    """
    return inside_by_config(runs, key) if frame is not None and is_generator(frame) else None


def inside_by_config(runs: dict[Any, Run], key: UUID) -> Callable[[], bool]:
    """Tells whether the ambient config belongs to the run called `key` or to one below it."""

    def inside() -> bool:
        ambient_id = ambient_run_id()
        if ambient_id == key:
            return True
        ambient, run = runs.get(ambient_id), runs.get(key)
        return ambient is not None and run is not None and ambient.is_within(run)

    return inside


def inside_by_frame(frame: FrameType) -> Callable[[], bool]:
    """Tells whether `frame`, in which the run was started, is on the call stack; elsewhere, yes.

    The frame is held, and LangChain's locals with it, until the run is closed: its id alone could be that of a
    later frame.
    """
    place = current_execution_context()

    def inside() -> bool:
        return current_execution_context() != place or is_called_from(frame)

    return inside


def caller() -> FrameType | None:
    """The frame that fired the event: the first one outside the callback machinery."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_MAX_FRAMES):
        if frame is None or not frame.f_globals.get("__name__", "").startswith(_BETWEEN):
            return frame
        frame = frame.f_back
    return None


def is_generator(frame: FrameType) -> bool:
    """Whether the frame can be suspended, and its run with it: the body of a stream."""
    return bool(frame.f_code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR))


def component(frame: FrameType | None) -> Any:
    """The object whose method fired the event, such as the retriever; None if it was no method."""
    return frame.f_locals.get("self") if frame is not None else None
