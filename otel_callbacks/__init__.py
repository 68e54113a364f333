"""OpenTelemetry traces, GenAI attributes and cost for LangChain, LangGraph and LlamaIndex, from callbacks alone.

Names are loaded when they are first used: importing the package pulls in neither a framework nor the SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_callbacks.content import ContentPolicy
    from otel_callbacks.cost.attribution import attribution, baggage_headers
    from otel_callbacks.cost.budget import Budget, BudgetExceeded
    from otel_callbacks.cost.prices import Price, PriceBook
    from otel_callbacks.export.configure import configure
    from otel_callbacks.export.telemetry import Telemetry
    from otel_callbacks.handler import OTelCallbackHandler, instrument, uninstrument
    from otel_callbacks.processors import AttributionSpanProcessor

__all__ = [
    "AttributionSpanProcessor",
    "Budget",
    "BudgetExceeded",
    "ContentPolicy",
    "OTelCallbackHandler",
    "Price",
    "PriceBook",
    "Telemetry",
    "attribution",
    "baggage_headers",
    "configure",
    "instrument",
    "uninstrument",
]

# A public name must not be that of a module: once that is imported, the package's attribute is the module.
_HOMES = {
    "AttributionSpanProcessor": "otel_callbacks.processors",
    "Budget": "otel_callbacks.cost.budget",
    "BudgetExceeded": "otel_callbacks.cost.budget",
    "ContentPolicy": "otel_callbacks.content",
    "OTelCallbackHandler": "otel_callbacks.handler",
    "Price": "otel_callbacks.cost.prices",
    "PriceBook": "otel_callbacks.cost.prices",
    "Telemetry": "otel_callbacks.export.telemetry",
    "attribution": "otel_callbacks.cost.attribution",
    "baggage_headers": "otel_callbacks.cost.attribution",
    "configure": "otel_callbacks.export.configure",
    "instrument": "otel_callbacks.handler",
    "uninstrument": "otel_callbacks.handler",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
