"""The handler for the installed framework, or for both, and its process-wide switch."""

from typing import TYPE_CHECKING

from otel_callbacks.runtime.extras import is_installed
from otel_callbacks.switch import uninstrument

__all__ = ["OTelCallbackHandler", "instrument", "trace_reranker", "uninstrument"]

_LANGCHAIN, _LLAMA_INDEX = is_installed("langchain_core"), is_installed("llama_index.core")

if TYPE_CHECKING or (_LANGCHAIN and _LLAMA_INDEX):
    from otel_callbacks.both_frameworks import OTelCallbackHandler, instrument, trace_reranker
elif _LANGCHAIN:
    from otel_callbacks.langchain import OTelCallbackHandler, instrument, trace_reranker
elif _LLAMA_INDEX:
    from otel_callbacks.llama_index import OTelCallbackHandler, trace_reranker
    from otel_callbacks.llama_index.instrumentor import instrument_alone as instrument
else:
    raise ImportError(
        "neither LangChain nor LlamaIndex is installed: pip install 'otel-callbacks[langchain]',"
        " 'otel-callbacks[llama-index]' or 'otel-callbacks[all]'"
    )
