"""LangChain and LangGraph: the callback handler, its process-wide switch, and the wrappers for what has no callback."""

from otel_callbacks.langchain.handler import OTelCallbackHandler
from otel_callbacks.langchain.instrumentor import instrument, uninstrument
from otel_callbacks.langchain.wrappers import trace_embeddings, trace_reranker, trace_retriever

__all__ = [
    "OTelCallbackHandler",
    "instrument",
    "trace_embeddings",
    "trace_reranker",
    "trace_retriever",
    "uninstrument",
]
