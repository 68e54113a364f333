"""LangChain and LangGraph: the callback handler, its process-wide switch, and wrappers for calls without a callback.

The room turns LangChain's callbacks into operations and hands them to the recorder. It may import `operations`,
`runs`, `privacy`, `rag`, `recording` and `options`, but no attribute name, no SDK and no other framework. Open
`handler.py` first: it has one method per callback. The other names are loaded on first use, so that importing the
handler is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from otel_callbacks.runtime.extras import needs_extra

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
    "instrument": "instrumentor",
    "trace_embeddings": "wrappers",
    "trace_reranker": "wrappers",
    "trace_retriever": "wrappers",
    "uninstrument": "instrumentor",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value
