"""Who it is, model, usage and output survive the SDK's limit of attributes, whatever else a span carries."""

from typing import Any

import pytest
from every_operation import PRICES
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_callbacks import attribution, inference, retrieval
from otel_callbacks.handlers.options import recorder
from otel_callbacks.profiles import PROFILES
from otel_callbacks.recording.process_recorder import set_process_recorder

KEPT = {
    *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model"),
    *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.output.messages"),
    *("gen_ai.usage.cost_usd", "app.tenant_id", "user.id", "session.id"),
}
COMBINATIONS = [
    *[(name,) for name in PROFILES],
    ("released_genai", "openinference", "mlflow", "langfuse", "langsmith"),
]


@pytest.mark.parametrize("limit", [128, 80, None])
@pytest.mark.parametrize("profiles", COMBINATIONS, ids="+".join)
def test_what_matters_survives(profiles: tuple[str, ...], limit: int | None) -> None:
    exported = InMemorySpanExporter()
    limits = SpanLimits(max_span_attributes=limit) if limit else SpanLimits()
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    by_hand = recorder(tracer_provider=provider, content="spans", prices=PRICES, profiles=profiles)
    set_process_recorder(COMBINATIONS, lambda: by_hand)
    try:
        labels = {"tenant": "acme", "user": "u", "session": "s", **{f"label{n}": "x" for n in range(29)}}
        variables = {f"variable{n}": "x" for n in range(40)}
        template: Any = {"name": "template", "version": "1", "variables": variables}
        with attribution(**labels):
            with inference(
                "gpt-x", provider="openai", prompt_template=template, response_model="gpt-x-1"
            ) as call:
                call.messages(input="q", output="a")
                call.usage(
                    input_tokens=100, output_tokens=20, cache_read_input_tokens=4, reasoning_output_tokens=5
                )
            with retrieval("docs", query="q") as found:
                found.documents([{"id": f"d{n}", "content": "text", "score": 0.5} for n in range(90)])
    finally:
        set_process_recorder(COMBINATIONS, None)
    chat, search = exported.get_finished_spans()
    for span in (chat, search):
        assert span.dropped_attributes == 0
        assert len(span.attributes or {}) <= (limit or 128)
    assert set(chat.attributes or {}) >= KEPT
    assert set(search.attributes or {}) >= {"gen_ai.operation.name", "gen_ai.data_source.id", "rag.query"}
    if "openinference" in profiles:
        assert (chat.attributes or {}).get("openinference.span.kind") == "LLM"
