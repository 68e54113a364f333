"""Finds the run that encloses a new run, and the frame that started it.

LangChain passes a parent id with each callback, but not always the right one: `with_fallbacks` passes the id of its
own parent, and an inner `invoke` with its own callbacks passes none. LangChain also sets a child config around every
body, in a context variable, and that one is right, except that a run silenced with `{"callbacks": []}` is never
reported.
"""

import sys
from types import FrameType
from typing import Any
from uuid import UUID

from langchain_core.runnables.config import var_child_runnable_config

from otel_callbacks.runs.run import Run
from otel_callbacks.runs.surroundings import ended_run, find_surroundings

_BETWEEN = ("langchain_core.callbacks.", "otel_callbacks.")


def child_config_run_id() -> UUID | None:
    """Returns the id of the run whose body is running, from LangChain's child config."""
    config = var_child_runnable_config.get()
    return getattr(config.get("callbacks"), "parent_run_id", None) if config else None


def parent_run(runs: dict[Any, Run], parent_run_id: UUID | None) -> Run | None:
    """Returns the parent of a new run: the child config's run if it is below the one that LangChain names, else that.

    The child config's run may be unknown, because the application silenced it with `{"callbacks": []}`; then the run
    around it is the parent. A parent that has just ended still counts, for work that outlives it.
    """
    config_id = child_config_run_id()
    named = runs.get(parent_run_id) if parent_run_id is not None else None
    configured = runs.get(config_id) if config_id is not None else None
    if configured is not None and (named is None or configured.is_within(named)):
        return configured
    if named is None and config_id is not None and configured is None:
        named = find_surroundings(None, runs).run
    wanted = parent_run_id or config_id
    if named is None and wanted is not None:
        ended = ended_run()
        return ended if ended is not None and ended.has_id(wanted) else None
    return named


def calling_frame() -> FrameType | None:
    """Returns the frame that fired the callback: the first one outside the callback machinery."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_BETWEEN):
        frame = frame.f_back
    return frame


def component_of(frame: FrameType | None) -> Any:
    """Returns the object whose method fired the callback, such as the retriever; None outside a method."""
    return frame.f_locals.get("self") if frame is not None else None
