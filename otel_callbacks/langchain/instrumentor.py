"""The process-wide switch, through the hook that LangChain publishes for it.

Nothing is patched, unless embedding models or rerankers are asked for, for which there is no hook.
"""

import threading
from typing import Any

from langchain_core.tracers.context import register_configure_hook

from otel_callbacks.langchain.handler import OTelCallbackHandler
from otel_callbacks.langchain.switch import slot
from otel_callbacks.langchain.wrappers import trace_all, untrace_all

_lock = threading.Lock()
_registered = False


def instrument(
    handler: OTelCallbackHandler | None = None,
    *,
    embeddings: bool = False,
    rerankers: bool = False,
    **options: Any,
) -> OTelCallbackHandler:
    """Traces every LangChain and LangGraph call of the process.

    A call that brings a handler of ours along uses that one instead. Called again, it replaces the handler.

    Args:
        handler: the handler to use; by default a new one.
        embeddings: also trace every embedding model, see `trace_embeddings`.
        rerankers: also trace every document compressor, see `trace_reranker`.
        options: the arguments of the new handler, see `OTelCallbackHandler`.

    Returns:
        The handler.
    """
    global _registered
    handler = handler or OTelCallbackHandler(**options)
    with _lock:
        if not _registered:
            register_configure_hook(slot, True, OTelCallbackHandler)  # type: ignore[arg-type]
            _registered = True
        slot.handler = handler
        trace_all(embeddings=embeddings, rerankers=rerankers)
    return handler


def uninstrument() -> None:
    """Switches the process-wide handler off, and puts everything back. Runs that are open end as usual."""
    with _lock:
        slot.handler = None
        untrace_all()
