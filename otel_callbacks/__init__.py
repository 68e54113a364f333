"""OpenTelemetry traces, GenAI attributes and cost for LangChain, LangGraph and LlamaIndex, from callbacks alone.

Names are loaded when they are first used: importing the package pulls in neither a framework nor the SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_callbacks.configure import Telemetry, configure
    from otel_callbacks.handler import OTelCallbackHandler, instrument, uninstrument
    from otel_callbacks.privacy.policy import ContentPolicy
    from otel_callbacks.privacy.scope import content

__all__ = [
    "ContentPolicy",
    "OTelCallbackHandler",
    "Telemetry",
    "configure",
    "content",
    "instrument",
    "uninstrument",
]

_HOMES = {
    "ContentPolicy": "otel_callbacks.privacy.policy",
    "OTelCallbackHandler": "otel_callbacks.handler",
    "Telemetry": "otel_callbacks.configure",
    "configure": "otel_callbacks.configure",
    "content": "otel_callbacks.privacy.scope",
    "instrument": "otel_callbacks.handler",
    "uninstrument": "otel_callbacks.handler",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
