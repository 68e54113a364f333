"""OpenTelemetry traces, GenAI attributes and cost for LangChain, LangGraph and LlamaIndex, from callbacks alone.

Names are loaded when they are first used: importing the package pulls in neither a framework nor the SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_callbacks.configure import Telemetry, configure
    from otel_callbacks.content import ContentPolicy
    from otel_callbacks.feedback import current_trace_id, record_feedback
    from otel_callbacks.handler import OTelCallbackHandler, instrument, uninstrument
    from otel_callbacks.manual import (
        agent,
        embedding,
        inference,
        rerank,
        retrieval,
        step,
        tool,
        workflow,
    )

__all__ = [
    "ContentPolicy",
    "OTelCallbackHandler",
    "Telemetry",
    "agent",
    "configure",
    "current_trace_id",
    "embedding",
    "inference",
    "instrument",
    "record_feedback",
    "rerank",
    "retrieval",
    "step",
    "tool",
    "uninstrument",
    "workflow",
]

_HOMES = {
    "ContentPolicy": "otel_callbacks.content",
    "OTelCallbackHandler": "otel_callbacks.handler",
    "Telemetry": "otel_callbacks.configure",
    "agent": "otel_callbacks.manual",
    "configure": "otel_callbacks.configure",
    "current_trace_id": "otel_callbacks.feedback",
    "embedding": "otel_callbacks.manual",
    "inference": "otel_callbacks.manual",
    "instrument": "otel_callbacks.handler",
    "record_feedback": "otel_callbacks.feedback",
    "rerank": "otel_callbacks.manual",
    "retrieval": "otel_callbacks.manual",
    "step": "otel_callbacks.manual",
    "tool": "otel_callbacks.manual",
    "uninstrument": "otel_callbacks.handler",
    "workflow": "otel_callbacks.manual",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
