"""The process-wide switch, through the hook that LangChain publishes for it.

Nothing is patched, unless embedding models or rerankers are asked for, for which there is no hook.
"""

from typing import Any

from langchain_core.tracers.context import register_configure_hook

from otel_callbacks.langchain.handler import OTelCallbackHandler
from otel_callbacks.langchain.wrappers import trace_all, untrace_all
from otel_callbacks.options import handler_for
from otel_callbacks.recording.in_charge import put_in_charge
from otel_callbacks.runtime import fork

_lock = fork.safe_lock()
_registered = False


class _Slot:
    """What LangChain asks for the handler at every call.

    It stands in for a `ContextVar`, of which LangChain only calls `get`: a value set in one is not seen by
    threads that are started later, and one with a default cannot be switched off.
    """

    def __init__(self) -> None:
        self.handler: OTelCallbackHandler | None = None

    def get(self) -> OTelCallbackHandler | None:
        return self.handler


_slot = _Slot()


def instrument(
    handler: OTelCallbackHandler | None = None,
    *,
    embeddings: bool = False,
    rerankers: bool = False,
    **options: Any,
) -> OTelCallbackHandler:
    """Traces every LangChain and LangGraph call of the process, and the operations by hand around them.

    A call that brings a handler of ours along uses that one instead. Called again, it replaces the handler.

    Args:
        handler: the handler to use; by default a new one.
        embeddings: also trace every embedding model, see `trace_embeddings`.
        rerankers: also trace every document compressor, see `trace_reranker`.
        options: the arguments of the new handler, see `OTelCallbackHandler`.

    Returns:
        The handler.

    Raises:
        TypeError: there is a handler and options, or an option is wrong.
    """
    global _registered
    handler = handler_for(handler, OTelCallbackHandler, options)
    with _lock:
        if not _registered:
            register_configure_hook(_slot, True, OTelCallbackHandler)  # type: ignore[arg-type]
            _registered = True
        _slot.handler = handler
        trace_all(embeddings=embeddings, rerankers=rerankers)
    put_in_charge(_slot, lambda: handler._recorder)
    return handler


def uninstrument() -> None:
    """Switches the process-wide handler off, and puts everything back. Runs that are open end as usual."""
    with _lock:
        _slot.handler = None
        untrace_all()
    put_in_charge(_slot, None)
