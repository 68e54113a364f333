"""Calls a model in every way, with its client instrumented by somebody else, and prints the spans as JSON.

    python calls.py FRAMEWORK PROVIDER INSTRUMENTOR MODE

Runs in an environment of `environments.py`. MODE is what the handler takes as `inference_spans`.
"""

import asyncio
import json
import sys
from importlib import import_module
from typing import Any

from model_server import Counted, model_server
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import AttributionSpanProcessor, OTelCallbackHandler

INPUT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
OUTPUT = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")


def langchain_model(provider: str, url: str) -> Any:
    if provider == "openai":
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model="gpt-4o", base_url=f"{url}/v1", api_key="x", stream_usage=True)
    from langchain_anthropic import ChatAnthropic

    return ChatAnthropic(model="claude-sonnet-4-5", base_url=url, api_key="x")


async def langchain(model: Any, handler: Any) -> None:
    config = {"callbacks": [handler]}
    model.invoke("q", config)
    await model.ainvoke("q", config)
    list(model.stream("q", config))
    [_ async for _ in model.astream("q", config)]


def llama_index_model(provider: str, url: str) -> Any:
    if provider == "openai":
        from llama_index.llms.openai_like import OpenAILike

        usage = {"stream_options": {"include_usage": True}}
        return OpenAILike(
            model="gpt-4o", api_base=f"{url}/v1", api_key="x", is_chat_model=True, additional_kwargs=usage
        )
    from llama_index.llms.anthropic import Anthropic

    return Anthropic(model="claude-sonnet-4-5", base_url=url, api_key="x")


async def llama_index(model: Any, handler: Any) -> None:
    from llama_index.core.callbacks import CallbackManager
    from llama_index.core.llms import ChatMessage

    model.callback_manager = CallbackManager([handler])
    said = [ChatMessage("q")]
    model.chat(said)
    await model.achat(said)
    list(model.stream_chat(said))
    [_ async for _ in await model.astream_chat(said)]


def read(exporter: InMemorySpanExporter) -> list[dict[str, Any]]:
    spans = exporter.get_finished_spans()
    scopes = {span.context.span_id: span.instrumentation_scope.name for span in spans}
    return [
        {
            "scope": span.instrumentation_scope.name,
            "parent": scopes.get(span.parent.span_id) if span.parent else None,
            "input": next((span.attributes[name] for name in INPUT if name in span.attributes), 0),
            "output": next((span.attributes[name] for name in OUTPUT if name in span.attributes), 0),
            "total": span.attributes.get("otel_callbacks.rollup.total_tokens", 0),
        }
        for span in spans
    ]


def main(framework: str, provider: str, instrumentor: str, mode: Any) -> None:
    exporter, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(AttributionSpanProcessor())
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(tracers)
    getattr(
        import_module(instrumentor), f"{'OpenAI' if provider == 'openai' else 'Anthropic'}Instrumentor"
    )().instrument()
    HTTPXClientInstrumentor().instrument()
    counted: Counted
    with model_server() as counted:
        model = (langchain_model if framework == "langchain" else llama_index_model)(provider, counted.url)
        handler = OTelCallbackHandler(inference_spans=mode)
        asyncio.run((langchain if framework == "langchain" else llama_index)(model, handler))
    print(json.dumps({"spans": read(exporter), **vars(counted)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
