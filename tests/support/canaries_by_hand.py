"""An application without a framework, with canaries in every place."""

import pytest
from canaries import Canaries
from opentelemetry import trace

from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.langchain import instrument, uninstrument
from otel_callbacks.manual import agent, embedding, inference, rerank, retrieval, tool, workflow
from otel_callbacks.manual.feedback import current_trace_id, record_feedback
from otel_callbacks.manual.usage import record_usage


def run(canaries: Canaries, handler: OTelCallbackHandler) -> None:
    instrument(handler)
    try:
        for _ in range(3):
            operations(canaries)
            calls(canaries)
            with pytest.raises(RuntimeError):
                failing(canaries)
    finally:
        uninstrument()


def operations(canaries: Canaries) -> None:
    text = canaries.both
    found = [
        {
            "id": f"{canaries.named} {canaries.key}",
            "text": text,
            "source": f"/home/{canaries.named}",
            "url": canaries.address,
            "token": canaries.hidden,
        }
    ]
    with workflow(f"answer {canaries.key}") as span:
        span.messages(input=canaries.both)
        with embedding(f"e1 {canaries.key}", provider=f"p {canaries.key}"):
            pass
        with retrieval("docs", query=canaries.both) as search:
            search.documents(found)
        with inference("gpt-4o", provider="openai") as answer:
            answer.messages(input=text, output=canaries.both)
        with rerank(f"r1 {canaries.key}", query=canaries.both) as reranking:
            reranking.candidates(found)
            reranking.documents(found)
        with (
            agent(f"agent {canaries.key}"),
            tool("look_up", arguments={"a": canaries.text, "api_key": canaries.hidden}) as t,
        ):
            t.result({"said": canaries.both, "password": canaries.hidden})
        trace_id = current_trace_id()
        assert trace_id is not None
        record_feedback(
            trace_id, name=f"helpful {canaries.key}", label=f"bad {canaries.key}", explanation=canaries.both
        )
        span.messages(output=canaries.both)


def calls(canaries: Canaries) -> None:
    asked = [{"role": "user", "content": canaries.both}]
    with inference("gpt-4o", provider="openai", conversation_id=f"c {canaries.key}") as span:
        span.messages(input=asked, output=canaries.both)
        span.usage(input_tokens=10, output_tokens=2)
    record_usage(
        model=f"m1 {canaries.key}",
        provider=f"p {canaries.key}",
        response_model=f"m2 {canaries.key}",
        base_url=canaries.address,
        service_tier=canaries.key,
        input_tokens=1,
    )
    with trace.get_tracer("application").start_as_current_span("application"):
        record_usage(model=f"m3 {canaries.key}", response_model=canaries.key, input_tokens=1)


@workflow
def failing(canaries: Canaries) -> None:
    raise RuntimeError(canaries.both)
