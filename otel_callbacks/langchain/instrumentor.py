"""Switches the handler on for the whole process, through LangChain's public configure hook.

Nothing is patched, except embedding models and rerankers on request: LangChain has no hook for them.
"""

from typing import Unpack

from langchain_core.tracers import context as tracers
from langchain_core.tracers.context import register_configure_hook

from otel_callbacks.handlers.options import Options, handler_for
from otel_callbacks.langchain.handler import OTelCallbackHandler
from otel_callbacks.langchain.wrappers import trace_all, untrace_all
from otel_callbacks.recording.process_recorder import set_process_recorder
from otel_callbacks.runtime import fork

_lock = fork.safe_lock()
_registered = False


class _HandlerSlot:
    """Holds the process-wide handler. LangChain calls `get` for every call.

    LangChain expects a `ContextVar` and uses only its `get`. A real one would not do: threads that start later do
    not see its value, and a default cannot be switched off.
    """

    def __init__(self) -> None:
        self.handler: OTelCallbackHandler | None = None

    def get(self) -> OTelCallbackHandler | None:
        return self.handler


_slot = _HandlerSlot()


def instrument(
    handler: OTelCallbackHandler | None = None,
    *,
    embeddings: bool = False,
    rerankers: bool = False,
    **options: Unpack[Options],
) -> OTelCallbackHandler:
    """Traces every LangChain and LangGraph call of the process, and manual operations around them.

    A call that has an `OTelCallbackHandler` among its callbacks uses that one instead. A second `instrument()`
    replaces the handler.

    Args:
        handler: the handler to use; by default a new one.
        embeddings: also trace every embedding model, see `trace_embeddings`.
        rerankers: also trace every document compressor, see `trace_reranker`.
        options: the arguments of the new handler, see `OTelCallbackHandler`.

    Returns:
        The handler in use.

    Raises:
        TypeError: both a handler and options are given, or an option is wrong.
    """
    global _registered
    handler = handler_for(handler, OTelCallbackHandler, options)
    with _lock:
        if not _registered:
            register_configure_hook(_slot, True, OTelCallbackHandler)  # type: ignore[arg-type]
            _registered = True
        _slot.handler = handler
        trace_all(embeddings=embeddings, rerankers=rerankers)
    set_process_recorder(_slot, lambda: handler._recorder)
    return handler


def instrumented() -> OTelCallbackHandler | None:
    """Returns the process-wide handler; None if there is none."""
    return _slot.handler


def uninstrument() -> None:
    """Switches the process-wide handler off and restores what was changed. Open runs end as usual."""
    with _lock:
        _slot.handler = None
        untrace_all()
        _unregister()
    set_process_recorder(_slot, None)


def _unregister() -> None:
    """Takes our hook out of LangChain's list, which has no public way to do so; an empty hook may also stay there."""
    global _registered
    hooks = getattr(tracers, "_configure_hooks", None)
    if isinstance(
        hooks, list
    ):  # replaced by another list, because calls in other threads go through this one
        tracers._configure_hooks = [hook for hook in hooks if hook[0] is not _slot]
        _registered = False
