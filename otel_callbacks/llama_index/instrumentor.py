"""The process-wide switch. Nothing is patched: LlamaIndex's dispatcher reports every operation anyway."""

from typing import Any

from otel_callbacks.llama_index.handler import OTelCallbackHandler, _gate


def instrument(**options: Any) -> OTelCallbackHandler:
    """Traces every LlamaIndex operation of the process.

    An operation that a handler of ours is in charge of uses that one instead. Called again, it replaces the handler.

    Args:
        options: the arguments of `OTelCallbackHandler`.

    Returns:
        The handler.
    """
    handler = OTelCallbackHandler(**options)
    _gate.instrumented = handler
    return handler


def uninstrument() -> None:
    """Switches the process-wide handler off. Runs that are open end as usual."""
    _gate.instrumented = None
