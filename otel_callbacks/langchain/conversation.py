"""Finds the id of the conversation that a run belongs to."""

from collections.abc import Mapping
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from otel_callbacks.limits import CONFIG_FRAMES_SEARCHED
from otel_callbacks.operations import payload
from otel_callbacks.runs.run import Run

if TYPE_CHECKING:
    from otel_callbacks.recording.recorder import Recorder

_KEYS = ("thread_id", "session_id", "conversation_id")
_NAMES = frozenset(_KEYS)
_langchain_codes: dict[CodeType, bool] = {}
"""Whether a function of LangChain has a `config`; as many as start runs. To look at all variables takes long."""
_NOWHERE: Mapping[str, Any] = {}
_LANGCHAIN = ("langchain_core.", "langgraph.", "langchain.", "langchain_classic.")


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
    configurable = _configurable(frame)
    return None if _NAMES.isdisjoint(configurable) else _id_in(configurable)


def lend_to_parent(run: Run, recorder: "Recorder") -> None:
    """Gives the conversation of a run to the run above if that one started where no config could be seen.

    `abatch` fires the callbacks that start its runs in tasks of their own, which are over before a body starts.
    """
    parent = run.parent
    if parent is None or parent.operation.conversation_id:
        return
    started_in = parent.execution_context
    if started_in is None or started_in.task is None:
        return
    if started_in.running_task() is None and run.operation.conversation_id:
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
        has_config = _langchain_codes.get(frame.f_code)
        if has_config is None:
            if not frame.f_globals.get("__name__", "").startswith(_LANGCHAIN):
                break
            code = frame.f_code
            has_config = "config" in (*code.co_varnames, *code.co_cellvars, *code.co_freevars)
            _langchain_codes[code] = has_config
        if has_config and type(config := frame.f_locals.get("config")) is dict:
            return payload.mapping(config.get("configurable"))
        frame = frame.f_back
    return _NOWHERE
