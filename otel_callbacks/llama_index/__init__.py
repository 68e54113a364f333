"""LlamaIndex: the callback handler and its process-wide switch.

The room turns the reports of LlamaIndex's dispatcher into operations and hands them to the recorder. It may import
`operations`, `runs`, `rag`, `recording` and `options`, but no attribute name, no SDK and no other framework. Open
`dispatcher_reports.py` first: it starts and ends the runs. `traced_methods.py` lists the methods that get a span. The
other names are loaded on first use, so that importing the handler is quick.
"""

from typing import TYPE_CHECKING

from otel_callbacks.runtime.extras import needs_extra
from otel_callbacks.runtime.lazy_names import lazy_names

needs_extra("llama_index.core", "llama-index")

from otel_callbacks.llama_index.handler import OTelCallbackHandler

if TYPE_CHECKING:
    from otel_callbacks.llama_index.instrumentor import instrument, uninstrument
    from otel_callbacks.llama_index.rerankers import trace_reranker

__all__ = ["OTelCallbackHandler", "instrument", "trace_reranker", "uninstrument"]

_HOMES = {
    "instrument": "otel_callbacks.llama_index.instrumentor",
    "trace_reranker": "otel_callbacks.llama_index.rerankers",
    "uninstrument": "otel_callbacks.llama_index.instrumentor",
}
__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
