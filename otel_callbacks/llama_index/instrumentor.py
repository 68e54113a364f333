"""Switches the handler on for the whole process.

Nothing is patched, except rerankers on request: the dispatcher reports every other operation anyway.
"""

from typing import Unpack

from otel_callbacks.handlers.options import Options, handler_for
from otel_callbacks.llama_index.dispatcher_hooks import unregister
from otel_callbacks.llama_index.handler import OTelCallbackHandler, active_handlers
from otel_callbacks.llama_index.rerankers import trace_all_rerankers, untrace_all_rerankers
from otel_callbacks.recording.process_recorder import set_process_recorder


def instrument(
    handler: OTelCallbackHandler | None = None, *, rerankers: bool = False, **options: Unpack[Options]
) -> OTelCallbackHandler:
    """Traces every LlamaIndex operation of the process, and manual operations around them.

    An operation that has an `OTelCallbackHandler` in a callback manager uses that one instead. A second
    `instrument()` replaces the handler.

    Args:
        handler: the handler to use; by default a new one.
        rerankers: also trace every reranker in asynchronous calls, see `trace_reranker`.
        options: the arguments of the new handler, see `OTelCallbackHandler`.

    Returns:
        The handler in use.

    Raises:
        TypeError: both a handler and options are given, or an option is wrong.
    """
    handler = handler_for(handler, OTelCallbackHandler, options)
    active_handlers.instrumented = handler
    (trace_all_rerankers if rerankers else untrace_all_rerankers)()
    set_process_recorder(active_handlers, lambda: handler._recorder)
    return handler


def instrument_alone(
    handler: OTelCallbackHandler | None = None,
    *,
    embeddings: bool = False,
    rerankers: bool = False,
    **options: Unpack[Options],
) -> OTelCallbackHandler:
    """Is `instrument` with the arguments that it has for both frameworks. Embedding models always are traced."""
    return instrument(handler, rerankers=rerankers, **options)


def instrumented() -> OTelCallbackHandler | None:
    """Returns the process-wide handler; None if there is none."""
    return active_handlers.instrumented


def uninstrument() -> None:
    """Switches the process-wide handler off and restores what was patched. Open runs end as usual."""
    untrace_all_rerankers()
    if set(active_handlers.all) <= {active_handlers.instrumented}:
        unregister()
    active_handlers.instrumented = None
    set_process_recorder(active_handlers, None)
