"""LangChain and LangGraph: the callback handler, its process-wide switch, and wrappers for calls without a callback.

The room turns LangChain's callbacks into operations and hands them to the recorder. It may import `operations`,
`runs`, `privacy`, `rag`, `recording` and `options`, but no attribute name, no SDK and no other framework. Open
`handler.py` first: it has one method per callback. The other names are loaded on first use, so that importing the
handler is quick.
"""

from typing import TYPE_CHECKING

from otel_callbacks.runtime.extras import needs_extra
from otel_callbacks.runtime.lazy_names import lazy_names

needs_extra("langchain_core", "langchain")

from otel_callbacks.langchain.handler import OTelCallbackHandler

if TYPE_CHECKING:
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

_HOMES = {
    "instrument": "otel_callbacks.langchain.instrumentor",
    "trace_embeddings": "otel_callbacks.langchain.wrappers",
    "trace_reranker": "otel_callbacks.langchain.wrappers",
    "trace_retriever": "otel_callbacks.langchain.wrappers",
    "uninstrument": "otel_callbacks.langchain.instrumentor",
}
__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
