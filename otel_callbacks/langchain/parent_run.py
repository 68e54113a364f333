"""Finds the run that encloses a new run.

LangChain passes a parent id with each callback, but not always the right one: `with_fallbacks` passes the id of its
own parent, and an inner `invoke` with its own callbacks passes none. LangChain also sets a child config around every
body, in a context variable, and that one is right, except that a run silenced with `{"callbacks": []}` is never
reported.
"""

from collections.abc import Mapping
from types import FrameType
from typing import Any
from uuid import UUID

from langchain_core.runnables.config import var_child_runnable_config
from opentelemetry.context import get_current

from otel_callbacks.operations.payload import mapping
from otel_callbacks.runs.handed_down import readers
from otel_callbacks.runs.run import NO_BODY, BodyLabels, Run
from otel_callbacks.runs.surroundings import enclosing_run, ended_run, find_surroundings


def body_key() -> Any:
    """Returns the key of the run whose body is running, from LangChain's child config."""
    config = var_child_runnable_config.get()
    run_id = getattr(config.get("callbacks"), "parent_run_id", None) if config else None
    return getattr(run_id, "int", run_id)


def key_of(run_id: UUID | None) -> Any:
    """Returns the key of the run with this id: its number, because the hash of a UUID is Python code.

    The callbacks that come most often do this themselves.
    """
    return getattr(run_id, "int", run_id)


def find_parent(
    runs: dict[Any, Run], above: Any, named: Run | None, config_key: Any
) -> tuple[Run | None, BodyLabels | None]:
    """Finds the parent of a new run: the child config's run if it is below the one that LangChain names, else that.

    The child config's run may be unknown, because the application silenced it with `{"callbacks": []}`; then the run
    around it is the parent. A parent that has just ended still counts, for work that outlives it.

    Args:
        runs: the open runs.
        above: the key that LangChain names.
        named: the run with that key.
        config_key: what the child config names, see `body_key`.

    Returns:
        The parent, and who pays in its body, or in that of the hidden run whose id led to it. No labels, if LangChain
        names nobody, and so hands nothing down; None, if what it names is not traced.
    """
    found, id_ = named, above or config_key
    if config_key is not None and (named is None or config_key != above):
        configured = runs.get(config_key)
        if configured is not None and (named is None or configured.is_within(named)):
            found, id_ = configured, config_key
        elif named is None and configured is None:
            found = find_surroundings(None, runs).run
            if found is not None and not found.has_id(id_):
                return found, None
    if found is None and id_ is not None:
        ended = ended_run()
        found = ended if ended is not None and ended.has_id(id_) else None
    if found is None:
        return None, NO_BODY if id_ is None else None
    if found.hidden_labels is not None and (hidden := found.hidden_labels.get(id_)) is not None:
        return found, hidden
    return found, found.body_labels


def _handed_down() -> Mapping[str, Any] | None:
    """Returns the metadata of the child config, if its run is not traced; of a traced run it is known."""
    config = var_child_runnable_config.get()
    if not config:
        return None
    callbacks = config.get("callbacks")
    around = enclosing_run(get_current())
    if around is not None and key_of(getattr(callbacks, "parent_run_id", None)) in around.open_runs:
        return None
    return {**mapping(config.get("metadata")), **mapping(getattr(callbacks, "metadata", None))}


readers.metadata = _handed_down


def component_of(frame: FrameType | None) -> Any:
    """Returns the object whose method fired the callback, such as the retriever; None outside a method."""
    return frame.f_locals.get("self") if frame is not None else None
