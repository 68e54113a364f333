"""LlamaIndex: the callback handler and its process-wide switch."""

from otel_callbacks.llama_index.handler import OTelCallbackHandler
from otel_callbacks.llama_index.instrumentor import instrument, uninstrument

__all__ = ["OTelCallbackHandler", "instrument", "uninstrument"]
