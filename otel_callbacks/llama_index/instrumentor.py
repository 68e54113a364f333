"""The process-wide switch. Nothing is patched: LlamaIndex's dispatcher reports every operation anyway."""

from typing import Any

from otel_callbacks.llama_index.handler import OTelCallbackHandler, _gate
from otel_callbacks.options import handler_for
from otel_callbacks.recording.in_charge import put_in_charge


def instrument(handler: OTelCallbackHandler | None = None, **options: Any) -> OTelCallbackHandler:
    """Traces every LlamaIndex operation of the process, and the operations by hand around them.

    An operation that a handler of ours is in charge of uses that one instead. Called again, it replaces the handler.

    Args:
        handler: the handler to use; by default a new one.
        options: the arguments of the new one, see `OTelCallbackHandler`.

    Returns:
        The handler.

    Raises:
        TypeError: there is a handler and options, or an option is wrong.
    """
    handler = handler_for(handler, OTelCallbackHandler, options)
    _gate.instrumented = handler
    put_in_charge(_gate, lambda: handler._recorder)
    return handler


def uninstrument() -> None:
    """Switches the process-wide handler off. Runs that are open end as usual."""
    _gate.instrumented = None
    put_in_charge(_gate, None)
