"""The handler for the installed framework, or for both, and its process-wide switch."""

from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from otel_callbacks.handlers.options import Options, handler_for
from otel_callbacks.handlers.switch import uninstrument
from otel_callbacks.runtime.extras import is_installed

__all__ = ["OTelCallbackHandler", "instrument", "trace_reranker", "uninstrument"]

_LANGCHAIN, _LLAMA_INDEX = is_installed("langchain_core"), is_installed("llama_index.core")

if TYPE_CHECKING or (_LANGCHAIN and _LLAMA_INDEX):
    from otel_callbacks import langchain, llama_index
    from otel_callbacks.llama_index.rerankers import is_node_postprocessor

    _R = TypeVar("_R")

    class OTelCallbackHandler(langchain.OTelCallbackHandler, llama_index.OTelCallbackHandler):
        """Traces LangChain, LangGraph and LlamaIndex. All arguments are optional; `__init__` says what they mean."""

    def instrument(
        handler: OTelCallbackHandler | None = None,
        *,
        embeddings: bool = False,
        rerankers: bool = False,
        **options: Unpack[Options],
    ) -> OTelCallbackHandler:
        """Traces every call of the process in both frameworks.

        Args:
            handler: the handler to use; by default a new one.
            embeddings: also trace LangChain's embedding models, which have no callbacks. LlamaIndex's always are.
            rerankers: also trace every reranker. LlamaIndex's always are, except in asynchronous calls.
            options: the arguments of the new handler.
        """
        handler = handler_for(handler, OTelCallbackHandler, options)
        langchain.instrument(handler, embeddings=embeddings, rerankers=rerankers)
        llama_index.instrument(handler, rerankers=rerankers)
        return handler

    def trace_reranker(reranker: _R, *, handler: OTelCallbackHandler | None = None) -> _R:
        """Traces a reranker: a document compressor of LangChain, or a node postprocessor of LlamaIndex.

        See `otel_callbacks.langchain.trace_reranker` and `otel_callbacks.llama_index.trace_reranker`.
        """
        trace: Any = (
            llama_index.trace_reranker if is_node_postprocessor(reranker) else langchain.trace_reranker
        )
        return trace(reranker, handler=handler)  # type: ignore[no-any-return]

elif _LANGCHAIN:
    from otel_callbacks.langchain import OTelCallbackHandler, instrument, trace_reranker
elif _LLAMA_INDEX:
    from otel_callbacks import llama_index
    from otel_callbacks.llama_index import OTelCallbackHandler, trace_reranker

    def instrument(
        handler: OTelCallbackHandler | None = None,
        *,
        embeddings: bool = False,
        rerankers: bool = False,
        **options: Unpack[Options],
    ) -> OTelCallbackHandler:
        """Traces every call of the process. Embedding models always are traced."""
        return llama_index.instrument(handler, rerankers=rerankers, **options)

else:
    raise ImportError(
        "neither LangChain nor LlamaIndex is installed: pip install 'otel-callbacks[langchain]',"
        " 'otel-callbacks[llama-index]' or 'otel-callbacks[all]'"
    )
