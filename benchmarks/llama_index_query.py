"""A LlamaIndex query with scripted parts, for `overhead.py`; on its own it measures itself.

python benchmarks/llama_index_query.py [--rounds 15] [--calls 50]
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata
from llama_index.core.callbacks import CallbackManager
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.llms import MockLLM
from llama_index.core.llms.callbacks import llm_chat_callback
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from otel_callbacks.llama_index import OTelCallbackHandler

ATTRIBUTES = {f"bench.attribute_{number}": value for number, value in enumerate([17, "text", 0.5, True] * 3)}
RAW = {
    "id": "chatcmpl-1",
    "model": "scripted-1",
    "usage": {"prompt_tokens": 900, "completion_tokens": 60},
    "choices": [{"finish_reason": "stop"}],
}


class ScriptedModel(MockLLM):
    """Answers at once, and reports usage as a provider would."""

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="scripted-1", is_chat_model=True)

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        return ChatResponse(message=ChatMessage(role="assistant", content="an answer"), raw=RAW)


def llama_index_workload() -> Callable[[list[Any]], Any]:
    """A query over four documents; it is given the handlers to put into `Settings`."""
    documents = [Document(text="a passage of text " * 20, id_=str(number)) for number in range(4)]
    index = VectorStoreIndex.from_documents(documents, embed_model=MockEmbedding(embed_dim=8))
    engine = index.as_query_engine(llm=ScriptedModel())
    without = CallbackManager([])

    def query(handlers: list[Any]) -> Any:
        Settings.callback_manager = CallbackManager(handlers) if handlers else without
        return engine.query("what?")

    return query


class Discard(SpanExporter):
    """Exports nothing, at no cost."""

    def __init__(self) -> None:
        self.count = 0

    def export(self, spans: Iterable[Any]) -> SpanExportResult:
        self.count += len(list(spans))
        return SpanExportResult.SUCCESS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=50)
    arguments = parser.parse_args()
    query, exporter, provider = llama_index_workload(), Discard(), TracerProvider()
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=131_072, max_export_batch_size=512)
    )
    meters = MeterProvider(metric_readers=[InMemoryMetricReader()])
    handler = OTelCallbackHandler(tracer_provider=provider, meter_provider=meters, content="none")
    tracer = provider.get_tracer("floor")
    query([handler])
    provider.force_flush()
    spans = exporter.count

    def by_hand() -> None:
        query([])
        root = tracer.start_span("root")
        parent = trace.set_span_in_context(root)
        for _ in range(spans - 1):
            span = tracer.start_span("span", parent)
            span.set_attributes(ATTRIBUTES)
            span.end()
        root.set_attributes(ATTRIBUTES)
        root.end()

    conditions: list[Callable[[], Any]] = [lambda: query([]), by_hand, lambda: query([handler])]
    added: list[tuple[float, float, float]] = []
    for number in range(-1, arguments.rounds):
        taken = [0.0, 0.0, 0.0]
        for place in range(3):
            condition = (place + number) % 3
            gc.collect()
            started = time.process_time()
            for _ in range(arguments.calls):
                conditions[condition]()
            provider.force_flush()
            taken[condition] = (time.process_time() - started) / arguments.calls * 1e6
        if number >= 0:  # the first round warms up
            added.append((taken[0], taken[1] - taken[0], taken[2] - taken[0]))
    bare, floor, ours = (statistics.median(column) for column in zip(*added, strict=True))
    ratio = statistics.median(with_us / by_hand for _, by_hand, with_us in added)
    print(
        f"LlamaIndex query: {spans} spans, bare {bare:.0f} µs, floor +{floor / spans:.1f} µs/span,"
        f" ours +{ours / spans:.1f} µs/span, ours / floor {ratio:.2f}"
    )


if __name__ == "__main__":
    main()
