"""Finds the id of the conversation that a run belongs to."""

from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

from otel_callbacks.limits import CONFIG_FRAMES_SEARCHED
from otel_callbacks.operations import payload
from otel_callbacks.runs.run import Run

if TYPE_CHECKING:
    from otel_callbacks.recording.recorder import Recorder

_KEYS = ("thread_id", "session_id", "conversation_id")
_NAMES = frozenset(_KEYS)
_LANGCHAIN = ("langchain_core.", "langgraph.", "langchain.", "langchain_classic.")


def conversation_id(metadata: Mapping[str, Any], frame: FrameType | None) -> str | None:
    """Returns the id of the conversation from the metadata, else from `configurable`; None if neither has one.

    LangChain passes `configurable` to no callback. It is in the config of the call: a local variable of the frame
    that fires the callback, or of one of the few frames of LangChain above that.

    Args:
        metadata: the run's metadata, which includes the metadata of the runs above.
        frame: the frame that fired the callback that starts the run.
    """
    found = _id_in(metadata)
    return _id_in(_configurable(frame)) if found is None else found


def lend_to_parent(run: Run | None, recorder: "Recorder") -> None:
    """Gives the conversation of a run to the run above if that one started where no config could be seen.

    `abatch` fires the callbacks that start its runs in tasks of their own, which are over before a body starts.
    """
    parent = run.parent if run is not None else None
    started_in = parent.execution_context if parent is not None else None
    if run is None or parent is None or started_in is None or parent.operation.conversation_id:
        return
    if started_in.task is not None and started_in.running_task() is None and run.operation.conversation_id:
        parent.operation.conversation_id = run.operation.conversation_id
        recorder.rename(parent)


def _id_in(holder: Mapping[str, Any]) -> str | None:
    if _NAMES.isdisjoint(holder):
        return None
    for key in _KEYS:
        if key in holder and (found := payload.name(holder[key])):
            return found
    return None


def _configurable(frame: FrameType | None) -> Mapping[str, Any]:
    for _ in range(CONFIG_FRAMES_SEARCHED):
        if frame is None or not frame.f_globals.get("__name__", "").startswith(_LANGCHAIN):
            break
        config = frame.f_locals.get("config")
        if type(config) is dict:
            return payload.mapping(config.get("configurable"))
        frame = frame.f_back
    return {}
