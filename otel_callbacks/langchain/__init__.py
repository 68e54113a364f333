"""LangChain and LangGraph: the callback handler, its process-wide switch, and wrappers for calls without a callback.

The room turns LangChain's callbacks into operations and hands them to the recorder. It may import `operations`,
`runs`, `privacy`, `rag`, `recording` and `options`, but no attribute name, no SDK and no other framework. Open
`handler.py` first: it has one method per callback.
"""

from otel_callbacks.runtime.extras import needs_extra

needs_extra("langchain_core", "langchain")

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
