"""Finds the run that encloses a new run, and tells whether code runs inside a run's body.

LangChain passes a parent id with each callback, but not always the right one: `with_fallbacks` passes the id of its
own parent, and an inner `invoke` with its own callbacks passes none. LangChain also sets a child config around every
body, in a context variable, and that one is right. The child config also tells whether code runs inside a chain or
only beside it, like the consumer of a stream. Chat models and retrievers set no child config; for them the frame
that called them tells it, while it is on the stack.
"""

import inspect
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any
from uuid import UUID

from langchain_core.runnables.config import var_child_runnable_config

from otel_callbacks.runs.run import Run
from otel_callbacks.runs.surroundings import ended_run
from otel_callbacks.runtime.execution_context import current_execution_context, is_called_from

_BETWEEN = ("langchain_core.callbacks.", "otel_callbacks.")


def child_config_run_id() -> UUID | None:
    """Returns the id of the run whose body is running, from LangChain's child config."""
    config = var_child_runnable_config.get()
    return getattr(config.get("callbacks"), "parent_run_id", None) if config else None


def parent_run(runs: dict[Any, Run], parent_run_id: UUID | None) -> Run | None:
    """Returns the parent of a new run: the child config's run if it is below the one that LangChain names, else that.

    A parent that has just ended still counts, for work that outlives it.
    """
    config_id = child_config_run_id()
    named = runs.get(parent_run_id) if parent_run_id is not None else None
    configured = runs.get(config_id) if config_id is not None else None
    if configured is not None and (named is None or configured.is_within(named)):
        return configured
    wanted = parent_run_id or config_id
    if named is None and wanted is not None:
        ended = ended_run()
        return ended if ended is not None and ended.has_id(wanted) else None
    return named


def inside_chain(runs: dict[Any, Run], key: UUID, frame: FrameType | None) -> Callable[[], bool] | None:
    """Returns a function that tells whether the caller is inside the chain `key`, which started in `frame`.

    None means: as long as the chain is open. A stream needs the function, because its body pauses between chunks.
    """
    return inside_by_config(runs, key) if frame is not None and is_generator(frame) else None


def inside_by_config(runs: dict[Any, Run], key: UUID) -> Callable[[], bool]:
    """Returns a function that tells whether the child config belongs to the run `key` or to a run below it."""

    def inside() -> bool:
        config_id = child_config_run_id()
        if config_id == key:
            return True
        configured, run = runs.get(config_id), runs.get(key)
        return configured is not None and run is not None and configured.is_within(run)

    return inside


def inside_by_frame(frame: FrameType) -> Callable[[], bool]:
    """Returns a function that tells whether `frame`, in which a run started, is on the call stack.

    In another thread or task it returns True. It holds the frame, and LangChain's local variables, until the run is
    closed, because a later frame may get the same id.
    """
    started_in = current_execution_context()

    def inside() -> bool:
        return current_execution_context() != started_in or is_called_from(frame)

    return inside


def calling_frame() -> FrameType | None:
    """Returns the frame that fired the callback: the first one outside the callback machinery."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_BETWEEN):
        frame = frame.f_back
    return frame


def is_generator(frame: FrameType) -> bool:
    """Tells whether the frame is a generator's, which can pause together with its run."""
    return bool(frame.f_code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR))


def component_of(frame: FrameType | None) -> Any:
    """Returns the object whose method fired the callback, such as the retriever; None outside a method."""
    return frame.f_locals.get("self") if frame is not None else None
