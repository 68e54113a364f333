"""LlamaIndex: the callback handler and its process-wide switch.

The room turns the reports of LlamaIndex's dispatcher into operations and hands them to the recorder. It may import
`operations`, `runs`, `rag`, `recording` and `options`, but no attribute name, no SDK and no other framework. Open
`dispatcher_reports.py` first: it starts and ends the runs. `traced_methods.py` lists the methods that get a span.
"""

from otel_callbacks.runtime.extras import needs_extra

needs_extra("llama_index.core", "llama-index")

from otel_callbacks.llama_index.handler import OTelCallbackHandler
from otel_callbacks.llama_index.instrumentor import instrument, uninstrument
from otel_callbacks.llama_index.rerankers import trace_reranker

__all__ = ["OTelCallbackHandler", "instrument", "trace_reranker", "uninstrument"]
