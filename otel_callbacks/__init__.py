"""OpenTelemetry traces, GenAI attributes and cost for LangChain, LangGraph and LlamaIndex, from callbacks alone.

Names are loaded on first use: importing the package imports neither a framework nor the SDK. Open `handler.py` first;
CONTRIBUTING.md has the plan of the rooms.
"""

from typing import TYPE_CHECKING, Any

from otel_callbacks.runtime.lazy_names import lazy_names

if TYPE_CHECKING:
    from otel_callbacks.cost.attribution import attribution
    from otel_callbacks.cost.budget import Budget, BudgetExceeded
    from otel_callbacks.cost.price_book import PriceBook
    from otel_callbacks.cost.price_list import prices
    from otel_callbacks.cost.rates import Price
    from otel_callbacks.explore.answers.why import why
    from otel_callbacks.explore.collection import traces
    from otel_callbacks.export.attribution_processor import AttributionSpanProcessor
    from otel_callbacks.export.back_ends import BackEnd
    from otel_callbacks.export.configure import configure
    from otel_callbacks.export.keep import Keep
    from otel_callbacks.export.process_end import flush_on_signal, flushing_lifespan
    from otel_callbacks.export.telemetry import Telemetry
    from otel_callbacks.handler import OTelCallbackHandler, instrument, trace_reranker
    from otel_callbacks.langchain import trace_embeddings, trace_retriever
    from otel_callbacks.manual import agent, embedding, inference, rerank, retrieval, step, tool, workflow
    from otel_callbacks.manual.costs import record_cost
    from otel_callbacks.manual.feedback import current_trace_id, record_feedback
    from otel_callbacks.manual.usage import record_usage
    from otel_callbacks.privacy.content_scope import content
    from otel_callbacks.privacy.policy import ContentPolicy
    from otel_callbacks.switch import uninstrument

__all__ = [
    "AttributionSpanProcessor",
    "BackEnd",
    "Budget",
    "BudgetExceeded",
    "ContentPolicy",
    "Keep",
    "OTelCallbackHandler",
    "Price",
    "PriceBook",
    "Telemetry",
    "agent",
    "attribution",
    "configure",
    "content",
    "current_trace_id",
    "embedding",
    "flush_on_signal",
    "flushing_lifespan",
    "inference",
    "instrument",
    "prices",
    "record_cost",
    "record_feedback",
    "record_usage",
    "rerank",
    "retrieval",
    "step",
    "tool",
    "trace_embeddings",
    "trace_reranker",
    "trace_retriever",
    "traces",
    "uninstrument",
    "why",
    "workflow",
]

_HOMES = {
    "AttributionSpanProcessor": "otel_callbacks.export.attribution_processor",
    "BackEnd": "otel_callbacks.export.back_ends",
    "Budget": "otel_callbacks.cost.budget",
    "BudgetExceeded": "otel_callbacks.cost.budget",
    "ContentPolicy": "otel_callbacks.privacy.policy",
    "Keep": "otel_callbacks.export.keep",
    "OTelCallbackHandler": "otel_callbacks.handler",
    "Price": "otel_callbacks.cost.rates",
    "PriceBook": "otel_callbacks.cost.price_book",
    "Telemetry": "otel_callbacks.export.telemetry",
    "agent": "otel_callbacks.manual",
    "attribution": "otel_callbacks.cost.attribution",
    "configure": "otel_callbacks.export.configure",
    "current_trace_id": "otel_callbacks.manual.feedback",
    "embedding": "otel_callbacks.manual",
    "flush_on_signal": "otel_callbacks.export.process_end",
    "flushing_lifespan": "otel_callbacks.export.process_end",
    "inference": "otel_callbacks.manual",
    "content": "otel_callbacks.privacy.content_scope",
    "instrument": "otel_callbacks.handler",
    "load_ipython_extension": "otel_callbacks.extension",
    "prices": "otel_callbacks.cost.price_list",
    "record_cost": "otel_callbacks.manual.costs",
    "record_feedback": "otel_callbacks.manual.feedback",
    "record_usage": "otel_callbacks.manual.usage",
    "rerank": "otel_callbacks.manual",
    "retrieval": "otel_callbacks.manual",
    "step": "otel_callbacks.manual",
    "tool": "otel_callbacks.manual",
    "traces": "otel_callbacks.explore.collection",
    "why": "otel_callbacks.explore.answers.why",
    "trace_embeddings": "otel_callbacks.langchain",
    "trace_reranker": "otel_callbacks.handler",
    "trace_retriever": "otel_callbacks.langchain",
    "uninstrument": "otel_callbacks.switch",
    "unload_ipython_extension": "otel_callbacks.extension",
    "workflow": "otel_callbacks.manual",
}
_load = lazy_names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("otel-callbacks")
    return _load(name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
