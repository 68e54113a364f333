"""Finds the id of the conversation that a run belongs to."""

from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

from otel_callbacks.langchain.functions import function_of
from otel_callbacks.limits import CONFIG_FRAMES_SEARCHED
from otel_callbacks.operations import payload
from otel_callbacks.runs.run import Run

if TYPE_CHECKING:
    from otel_callbacks.recording.recorder import Recorder

_KEYS = ("thread_id", "session_id", "conversation_id")
_NAMES = frozenset(_KEYS)
_NOWHERE: Mapping[str, Any] = {}


def conversation_id(metadata: Mapping[str, Any], frame: FrameType | None) -> str | None:
    """Returns the id of the conversation from the metadata, else from `configurable`; None if neither has one.

    LangChain passes `configurable` to no callback. It is in the config of the call: a local variable of the frame
    that fires the callback, or of one of the few frames of LangChain above that.

    Args:
        metadata: the run's metadata, which includes the metadata of the runs above.
        frame: the frame that fired the callback that starts the run.
    """
    if not _NAMES.isdisjoint(metadata) and (found := _id_in(metadata)) is not None:
        return found
    if frame is None:
        return None
    configurable = _configurable(frame)
    return None if _NAMES.isdisjoint(configurable) else _id_in(configurable)


def may_lend(parent: Run) -> bool:
    """Tells whether a run may have started where no config could be seen.

    `abatch` fires the callbacks that start its runs in tasks of their own, which are over before a body starts.
    """
    started_in = parent.execution_context
    return started_in is not None and started_in.task is not None


def lend_to_parent(run: Run, recorder: "Recorder") -> None:
    """Gives the conversation of a run to the run above if that one started where no config could be seen."""
    parent = run.parent
    if parent is None or parent.operation.conversation_id or not may_lend(parent):
        return
    started_in = parent.execution_context
    if started_in is not None and started_in.running_task() is None and run.operation.conversation_id:
        parent.operation.conversation_id = run.operation.conversation_id
        recorder.rename(parent)


def _id_in(holder: Mapping[str, Any]) -> str | None:
    for key in _KEYS:
        if key in holder and (found := payload.name(holder[key])):
            return found
    return None


def _configurable(frame: FrameType | None) -> Mapping[str, Any]:
    for _ in range(CONFIG_FRAMES_SEARCHED):
        if frame is None:
            break
        function = function_of(frame)
        if not function.is_frameworks:
            break
        if function.has_config and type(config := frame.f_locals.get("config")) is dict:
            return payload.mapping(config.get("configurable"))
        frame = frame.f_back
    return _NOWHERE
