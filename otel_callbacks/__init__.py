"""OpenTelemetry traces, GenAI attributes and cost for LangChain, LangGraph and LlamaIndex, from callbacks alone.

Names are loaded when they are first used: importing the package pulls in neither a framework nor the SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_callbacks.configure import Telemetry, configure
    from otel_callbacks.content import ContentPolicy
    from otel_callbacks.handler import OTelCallbackHandler, instrument, uninstrument
    from otel_callbacks.langchain import trace_embeddings, trace_reranker, trace_retriever

__all__ = [
    "ContentPolicy",
    "OTelCallbackHandler",
    "Telemetry",
    "configure",
    "instrument",
    "trace_embeddings",
    "trace_reranker",
    "trace_retriever",
    "uninstrument",
]

_HOMES = {
    "ContentPolicy": "otel_callbacks.content",
    "OTelCallbackHandler": "otel_callbacks.handler",
    "Telemetry": "otel_callbacks.configure",
    "configure": "otel_callbacks.configure",
    "instrument": "otel_callbacks.handler",
    "trace_embeddings": "otel_callbacks.langchain",
    "trace_reranker": "otel_callbacks.langchain",
    "trace_retriever": "otel_callbacks.langchain",
    "uninstrument": "otel_callbacks.handler",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
