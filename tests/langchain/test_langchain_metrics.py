"""Tests the conventions' metrics and events: names, units, buckets, attributes and values, and nothing beyond."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedModel, ScriptedReranker, ScriptedRetriever, call
from google.protobuf.json_format import MessageToDict
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.trace import ReadableSpan
from payloads import RECORDED, Answer, Payload, ReplayedModel, usage

from otel_callbacks.conformance import report
from otel_callbacks.conformance.registry import load
from otel_callbacks.langchain import OTelCallbackHandler, trace_reranker
from otel_callbacks.manual import retrieval, workflow
from otel_callbacks.testing import Captured, capture

ASK: Any = {"messages": [("user", "hi")]}
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "server.address": "api.openai.com",
    "server.port": 443,
}
TOKENS = {**CHAT, "gen_ai.token.modality": "unknown"}
USED = "gen_ai.client.inference.usage."


@pytest.fixture(autouse=True)
def default_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def config(captured: Captured) -> Any:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


@tool
def look_up(word: str) -> str:
    """Looks up."""
    return "found"


@tool
def broken(word: str) -> str:
    """Fails."""
    raise ValueError("no")


def looker(name: str = "librarian") -> Any:
    return create_agent(ScriptedModel(script=[call("look_up", word="x"), "done"]), [look_up], name=name)


def gpt() -> ReplayedModel:
    return ReplayedModel(payload=RECORDED["openai with cache and reasoning"])


def points(captured: Captured, name: str) -> list[Any]:
    return captured.metrics().get(name, [])


def only(captured: Captured, name: str) -> Any:
    (point,) = points(captured, name)
    return point


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None and span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_the_tokens_add_up_and_their_parts_have_counters_of_their_own(
    captured: Captured, config: Any
) -> None:
    gpt().invoke("q", config)
    found = captured.metrics()
    by_type = {point.attributes["token_type"]: point.value for point in found["gen_ai.tokens.total"]}
    assert by_type == {
        "input": only(captured, USED + "input_tokens").value,
        "output": only(captured, USED + "output_tokens").value,
    }
    attributes = captured.spans[0].attributes or {}
    assert sum(by_type.values()) == attributes["otel_callbacks.rollup.total_tokens"]
    for part in ("cache_read.input_tokens", "reasoning.output_tokens"):
        assert only(captured, USED + part).value == attributes[f"gen_ai.usage.{part}"]


def test_no_unit_repeats_the_name_in_prometheus() -> None:
    """Prometheus appends every unit that is not in braces to the name."""
    assert {unit for unit in UNITS.values() if not unit.startswith("{")} == {
        "s",
        "1",
    }  # 1 adds nothing to a histogram
    assert not [name for name, unit in UNITS.items() if unit == "s" and "second" in name]


# --- instruments ---------------------------------------------------------------------------------------------------

RELEASED = ("released_genai",)
UNITS = {
    "gen_ai.client.token.usage": "{token}",
    "gen_ai.client.operation.time_to_first_chunk": "s",
    "gen_ai.client.operation.time_per_output_chunk": "s",
    "gen_ai.tokens.total": "{token}",
    "gen_ai.cost.usd": "{USD}",
    "otel_callbacks.cost.unpriced": "{call}",
    "otel_callbacks.operations": "{operation}",
    "otel_callbacks.step.duration": "s",
    "otel_callbacks.rag.retrievals": "{retrieval}",
    "otel_callbacks.rag.documents": "{document}",
    "otel_callbacks.rag.documents_in_prompt": "{document}",
    "otel_callbacks.rag.documents_cited": "{document}",
    "otel_callbacks.rag.top_score": "1",
    "otel_callbacks.rerank.duration": "s",
    "otel_callbacks.tool.attributed_tokens": "{token}",
    "gen_ai.client.inference.duration": "s",
    "gen_ai.client.inference.time_to_first_chunk": "s",
    "gen_ai.client.inference.time_per_output_chunk": "s",
    "gen_ai.client.inference.usage.input_tokens": "{token}",
    "gen_ai.client.inference.usage.output_tokens": "{token}",
    "gen_ai.client.inference.usage.cache_read.input_tokens": "{token}",
    "gen_ai.client.inference.usage.cache_write.input_tokens": "{token}",
    "gen_ai.client.inference.usage.reasoning.output_tokens": "{token}",
    "gen_ai.client.inference.operation.input_tokens": "{token}",
    "gen_ai.client.inference.operation.output_tokens": "{token}",
    "gen_ai.client.operation.duration": "s",
    "gen_ai.invoke_workflow.duration": "s",
    "gen_ai.invoke_agent.duration": "s",
    "gen_ai.invoke_agent.inference_calls": "{inference_call}",
    "gen_ai.invoke_agent.tool_calls": "{tool_call}",
    "gen_ai.execute_tool.duration": "s",
    "otel_callbacks.spans.started": "{span}",
    "otel_callbacks.spans.ended": "{span}",
    "otel_callbacks.spans.swept": "{span}",
    "otel_callbacks.spans.errors": "{span}",
}


def run_everything(config: Any) -> None:
    looker().invoke(ASK, config)
    (ScriptedRetriever() | RunnableLambda(str) | gpt()).invoke("q", config)
    list(gpt().stream("q", config))
    ReplayedModel(payload=RECORDED["anthropic"]).invoke("q", config)
    with pytest.raises(ValueError, match="no"):
        broken.invoke({"word": "x"}, config)
    scored = Document("a b c d e f g h", id="d1")
    reranker = trace_reranker(ScriptedReranker(top_n=1))
    search = ScriptedRetriever(documents=[scored]) | RunnableLambda(
        lambda found: reranker.compress_documents(found, "q")
    )
    prompt = RunnableLambda(lambda found: found[0].page_content)
    (search | prompt | ScriptedModel(script=["It is [d1]."])).invoke("q", config)
    with workflow("by hand"), retrieval("wiki") as found:
        found.documents([("text", 0.9)])


def as_file(captured: Captured, folder: Path) -> Path:
    """Returns the metrics and log records in the collector's form."""
    lines = [
        encode_metrics(captured._metrics.get_metrics_data()),
        encode_logs(captured._logs.get_finished_logs()),
    ]
    path = folder / "telemetry.jsonl"
    documents = [MessageToDict(line, use_integers_for_enums=True) for line in lines]
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def test_all_telemetry_conforms(captured: Captured, config: Any, tmp_path: Path) -> None:
    run_everything(config)
    found = report([as_file(captured, tmp_path)], profiles=RELEASED)
    assert found.violations == []
    assert found.metrics_checked == len(UNITS)


def test_units_buckets_and_scope(captured: Captured, config: Any) -> None:
    run_everything(config)
    registry = load(RELEASED)
    data = captured._metrics.get_metrics_data()
    assert data is not None
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    assert [scope.scope.name for scope in scopes] == ["otel_callbacks"]
    for metric in scopes[0].metrics:
        assert metric.unit == UNITS[metric.name]
        point: Any = metric.data.data_points[0]
        if buckets := registry.metrics[metric.name].buckets:
            assert point.explicit_bounds == registry.buckets[buckets]
    assert {metric.name for metric in scopes[0].metrics} == set(UNITS)


# --- values and attributes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "span", "attributes"),
    [
        ("gen_ai.client.inference.duration", "chat gpt-4o", CHAT),
        ("gen_ai.invoke_workflow.duration", "invoke_workflow rag", {"gen_ai.workflow.name": "rag"}),
    ],
)
def test_duration_is_that_of_the_span(
    metric: str, span: str, attributes: dict[str, Any], captured: Captured, config: Any
) -> None:
    (ScriptedRetriever() | RunnableLambda(str) | gpt()).with_config(run_name="rag").invoke("q", config)
    point = only(captured, metric)
    assert (point.count, dict(point.attributes)) == (1, attributes)
    assert point.sum == pytest.approx(seconds(captured.span(span)), abs=1e-9)


def test_agent_and_tool_durations(captured: Captured, config: Any) -> None:
    looker().invoke(ASK, config)
    agent, execution = (
        only(captured, "gen_ai.invoke_agent.duration"),
        only(captured, "gen_ai.execute_tool.duration"),
    )
    assert dict(agent.attributes) == {"gen_ai.agent.name": "librarian"}
    assert dict(execution.attributes) == {
        "gen_ai.tool.name": "look_up",
        "gen_ai.tool.type": "function",
        "gen_ai.agent.name": "librarian",
    }
    assert agent.sum == pytest.approx(seconds(captured.span("invoke_agent librarian")), abs=1e-9)
    assert execution.sum == pytest.approx(seconds(captured.span("execute_tool look_up")), abs=1e-9)


def test_tokens(captured: Captured, config: Any) -> None:
    for _ in range(2):
        gpt().invoke("q", config)
    counted = {
        "input_tokens": 200,
        "output_tokens": 100,
        "cache_read.input_tokens": 160,
        "reasoning.output_tokens": 60,
    }
    for name, total in counted.items():
        point = only(captured, USED + name)
        assert (point.value, dict(point.attributes)) == (total, TOKENS)
    for direction, total in (("input", 200), ("output", 100)):
        point = only(captured, f"gen_ai.client.inference.operation.{direction}_tokens")
        assert (point.count, point.sum, dict(point.attributes)) == (2, total, CHAT)
    assert points(captured, USED + "cache_write.input_tokens") == []


def test_cache_writes(captured: Captured, config: Any) -> None:
    ReplayedModel(payload=RECORDED["anthropic"]).invoke("q", config)
    assert only(captured, USED + "cache_write.input_tokens").value == 20


def test_modalities_are_counted_apart(captured: Captured, config: Any) -> None:
    report = usage(100, 50, {"audio": 60, "text": 30, "cache_read": 20}, {"image": 50})
    payload = Payload(
        ls={"ls_provider": "openai", "ls_model_name": "m"}, expected={}, answer=Answer({}, report)
    )
    ReplayedModel(payload=payload).invoke("q", config)
    for counter, expected in (
        ("input_tokens", {"audio": 60, "text": 30, "unknown": 10}),
        ("output_tokens", {"image": 50}),
        ("cache_read.input_tokens", {"unknown": 20}),
    ):
        found = points(captured, USED + counter)
        assert {point.attributes["gen_ai.token.modality"]: point.value for point in found} == expected
    said = captured.spans[0].attributes or {}
    assert {
        name: said[name] for name in said if name.count(".") == 3 and name.startswith("gen_ai.usage.")
    } == {
        "gen_ai.usage.audio.input_tokens": 60,
        "gen_ai.usage.text.input_tokens": 30,
        "gen_ai.usage.image.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 20,
    }


@pytest.mark.parametrize("kind", ["no usage", "from the framework's cache"])
def test_no_tokens_are_counted(kind: str, captured: Captured) -> None:
    model = (
        ScriptedModel(cache=InMemoryCache())
        if "cache" in kind
        else ReplayedModel(payload=Payload(ls={"ls_provider": "acme", "ls_model_name": "m"}, expected={}))
    )
    model.invoke("q")
    model.invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    found = captured.metrics()
    assert not [name for name in found if "tokens" in name]
    assert found["gen_ai.client.inference.duration"][0].count == 1


def test_failures(captured: Captured, config: Any) -> None:
    chain = ScriptedModel(script=[ValueError("no")]) | StrOutputParser()
    with pytest.raises(ValueError, match="no"):
        chain.invoke("q", config)
    with pytest.raises(ValueError, match="no"):
        broken.invoke({"word": "x"}, config)
    for name in ("client.inference", "invoke_workflow", "execute_tool"):
        assert only(captured, f"gen_ai.{name}.duration").attributes["error.type"] == "ValueError"


def test_a_failed_agent_tells_its_calls_without_the_error(captured: Captured, config: Any) -> None:
    agent = create_agent(ScriptedModel(script=[call("broken", word="x")]), [broken], name="a")
    with pytest.raises(ValueError, match="no"):
        agent.invoke(ASK, config)
    assert only(captured, "gen_ai.invoke_agent.duration").attributes["error.type"] == "ValueError"
    for calls in ("inference_calls", "tool_calls"):
        point = only(captured, f"gen_ai.invoke_agent.{calls}")
        assert (point.sum, dict(point.attributes)) == (1, {"gen_ai.agent.name": "a"})


def test_an_agent_counts_its_own_calls(captured: Captured, config: Any) -> None:
    inner = looker("researcher")

    @tool
    def research(question: str) -> str:
        """Asks the researcher."""
        inner.invoke(ASK)
        return "x"

    script = [call("research", question="x"), call("research", "call_2", question="y"), "done"]
    create_agent(ScriptedModel(script=script), [research], name="boss").invoke(ASK, config)
    for calls, expected in (
        ("inference_calls", {"boss": (1, 3), "researcher": (2, 3)}),
        ("tool_calls", {"boss": (1, 2), "researcher": (2, 1)}),
    ):
        found = points(captured, f"gen_ai.invoke_agent.{calls}")
        assert {p.attributes["gen_ai.agent.name"]: (p.count, p.sum) for p in found} == expected


async def test_chunks(captured: Captured, config: Any) -> None:
    async for _ in ScriptedModel(script=["a b c"], delay=0.03).astream("q", config):
        await asyncio.sleep(0)
    first = only(captured, "gen_ai.client.inference.time_to_first_chunk")
    later = only(captured, "gen_ai.client.inference.time_per_output_chunk")
    span = captured.span("chat scripted-1").attributes or {}
    assert (first.count, first.sum) == (1, span["gen_ai.response.time_to_first_chunk"])
    assert later.count == 2
    assert later.min >= 0.025
    assert "gen_ai.response.model" in first.attributes
    assert later.attributes == first.attributes


def test_a_whole_answer_has_no_chunk_metrics(captured: Captured, config: Any) -> None:
    gpt().invoke("q", config)
    assert not [name for name in captured.metrics() if "chunk" in name]


def test_exemplars_lead_to_the_span(captured: Captured, config: Any) -> None:
    (gpt() | StrOutputParser()).invoke("q", config)
    (exemplar,) = only(captured, "gen_ai.client.inference.duration").exemplars
    assert exemplar.span_id == captured.span("chat gpt-4o").context.span_id


def test_spans_of_our_own_are_counted(captured: Captured, config: Any) -> None:
    looker().invoke(ASK, config)
    names = ("started", "ended", "swept", "errors")
    assert [only(captured, f"otel_callbacks.spans.{name}").value for name in names] == [7, 7, 0, 0]


# --- events --------------------------------------------------------------------------------------------------------

DETAILS = "gen_ai.client.inference.operation.details"


def run_with(captured: Captured, **options: Any) -> None:
    handler = OTelCallbackHandler(**captured.providers, **options)
    (gpt() | StrOutputParser()).invoke("Grüß Gott", {"callbacks": [handler]})


@pytest.mark.parametrize(("content", "number"), [("none", 0), ("spans", 0), ("events", 1), ("both", 1)])
def test_details_event(content: str, number: int, captured: Captured, tmp_path: Path) -> None:
    run_with(captured, content=content)
    assert [event.event_name for event in captured.events] == [DETAILS] * number
    assert ("gen_ai.input.messages" in (captured.span("chat gpt-4o").attributes or {})) == (
        content in ("spans", "both")
    )
    found = report([as_file(captured, tmp_path)], profiles=RELEASED)
    assert (found.violations, found.events_checked) == ([], number)


def test_details_event_is_structured_and_in_the_spans_context(captured: Captured) -> None:
    run_with(captured, content="events")
    (event,) = captured.events
    span = captured.span("chat gpt-4o")
    assert (event.severity_number.value, event.body, event.timestamp) == (5, None, span.end_time)
    assert (event.trace_id, event.span_id) == (span.context.trace_id, span.context.span_id)
    (question,) = event.attributes["gen_ai.input.messages"]
    assert question["role"] == "user"
    assert question["parts"][0]["content"] == "Grüß Gott"
    described = {name: value for name, value in (span.attributes or {}).items() if "cost" not in name}
    assert described.items() <= dict(event.attributes).items()


EXCEPTIONS = [("", 1, 0), ("logs", 0, 1), ("logs/dup", 1, 1), ("database, logs", 0, 1)]


@pytest.mark.parametrize(("opt_in", "on_span", "as_log"), EXCEPTIONS)
def test_exception(opt_in: str, on_span: int, as_log: int, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", opt_in)
    with capture() as captured:
        handler = OTelCallbackHandler(**captured.providers)
        with pytest.raises(ValueError, match="secret"):
            (ScriptedModel(script=[ValueError("secret")]) | StrOutputParser()).invoke(
                "q", {"callbacks": [handler]}
            )
        span = captured.span("chat scripted-1")
        assert len(span.events) == on_span
        assert [event.event_name for event in captured.events] == [
            "gen_ai.client.operation.exception"
        ] * as_log
        for event in captured.events:
            assert event.severity_number.value == 13
            assert event.attributes["exception.type"] == "ValueError"
            assert "secret" not in str(event.attributes)
            assert event.span_id == span.context.span_id
        assert report([as_file(captured, tmp_path)], profiles=RELEASED).violations == []
