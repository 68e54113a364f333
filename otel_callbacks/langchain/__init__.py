"""LangChain and LangGraph: the callback handler and its process-wide switch."""

from otel_callbacks.langchain.handler import OTelCallbackHandler
from otel_callbacks.langchain.instrumentor import instrument, uninstrument

__all__ = ["OTelCallbackHandler", "instrument", "uninstrument"]
