"""Tests that the cost of a tool, or of any other paid call, counts once everywhere."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from canaries import Canaries
from click.testing import CliRunner
from fakes import ScriptedModel, ScriptedRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_callbacks import (
    Budget,
    BudgetExceeded,
    ContentPolicy,
    OTelCallbackHandler,
    agent,
    attribution,
    record_cost,
    record_usage,
    traces,
    workflow,
)
from otel_callbacks.cli import main
from otel_callbacks.conformance import check_file
from otel_callbacks.cost import recompute, report
from otel_callbacks.explore import JsonLinesSpanExporter, read_jsonl
from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import set_process_recorder
from otel_callbacks.testing import Captured, capture

PRICES = {"prices": {"scripted-1*": {"input": 2, "output": 10}}}  # a scripted call costs 0.0004 USD
SEARCH: Any = {"usd": "0.001", "what": "serper search"}
RECORDED = {
    "otel_callbacks.cost.recorded_usd": 0.001,
    "otel_callbacks.cost.recorded_what": ("serper search",),
}


@pytest.fixture(autouse=True)
def in_charge(captured: Captured) -> Any:
    by_hand = recorder(**captured.providers, prices=PRICES)
    set_process_recorder(in_charge, lambda: by_hand)
    yield
    set_process_recorder(in_charge, None)


def config(captured: Captured, **options: Any) -> Any:
    return {"callbacks": [OTelCallbackHandler(**captured.providers, prices=PRICES, **options)]}


def spent(captured: Captured) -> list[tuple[float, dict[str, Any]]]:
    points = captured.metrics()["gen_ai.cost.usd"]
    return sorted(((point.value, dict(point.attributes)) for point in points), key=str)


@tool
def search(query: str) -> str:
    """Searches."""
    record_cost(**SEARCH)
    return "found"


def application(text: str) -> str:
    search.invoke({"query": text})
    search.invoke({"query": text})
    return str(ScriptedModel().invoke(text).content)


def test_in_a_tool_it_is_on_the_tools_span_and_in_all_totals(captured: Captured) -> None:
    with attribution(tenant="acme"):
        RunnableLambda(application).invoke("q", config(captured))
    assert captured.tree() == (
        "invoke_workflow application\n  execute_tool search\n  execute_tool search\n  chat scripted-1"
    )
    root, first, second, call = captured.spans
    for each in (first, second):
        found = dict(each.attributes or {})
        assert {name: value for name, value in found.items() if ".cost" in name} == {
            **RECORDED,
            "otel_callbacks.rollup.cost_usd": 0.001,
        }
        assert not [name for name in found if name.startswith("gen_ai.usage")]
    assert (root.attributes or {})["otel_callbacks.rollup.cost_usd"] == 0.0024
    assert (root.attributes or {})["otel_callbacks.rollup.inference_calls"] == 1
    assert "otel_callbacks.cost.recorded_usd" not in (call.attributes or {})
    labels = {"app.tenant_id": "acme"}
    assert spent(captured) == [
        (
            0.0004,
            {
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "scripted-1",
                "gen_ai.operation.name": "chat",
                **labels,
            },
        ),
        (0.002, {"otel_callbacks.cost.what": "serper search", **labels}),
    ]


def test_reports_the_command_and_traces_count_it_once(captured: Captured, tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    captured.tracer_provider.add_span_processor(SimpleSpanProcessor(JsonLinesSpanExporter(file)))
    with attribution(tenant="acme"):
        RunnableLambda(application).invoke("q", config(captured))
    expected = [(("serper search",), 0, Decimal("0.002")), (("scripted-1-0613",), 1, Decimal("0.0004"))]
    for spans in (captured.spans, read_jsonl(file), [*captured.spans, *captured.spans]):
        found = report(spans, by=["model"])
        assert [(row.key, row.calls, row.cost_usd) for row in found.rows] == expected
        assert (found.total.calls, found.total.cost_usd, found.total.input_tokens) == (
            1,
            Decimal("0.0024"),
            100,
        )
    told = CliRunner().invoke(main, ["cost", str(file), "--by", "tenant", "--format", "json"])
    assert [(row["tenant"], row["cost_usd"]) for row in json.loads(told.output)["rows"]] == [
        ("acme", "0.0024")
    ]
    found = traces.open(file)
    assert found[0].cost == 0.0024
    assert found.sql(
        "SELECT sum(cost) FILTER (WHERE counted), sum(tokens) FILTER (WHERE counted) FROM spans"
    )[0]
    assert found.cost(by=["status"]).to_dicts()[0]["status"] == "recorded"
    assert recompute(captured.spans, PRICES, by=["tenant"]).total.recomputed.cost_usd == Decimal("0.0024")


def test_several_costs_on_one_span_add_up_exactly(captured: Captured) -> None:
    with workflow("research"):
        for usd in ("0.1", 0.2, Decimal("0.0003"), 1):
            record_cost(usd=usd, what="crawl")
        record_cost(usd=0, what="free")
    found = captured.spans[0].attributes or {}
    assert captured.tree() == "invoke_workflow research"
    assert found["otel_callbacks.cost.recorded_usd"] == 1.3003
    assert found["otel_callbacks.cost.recorded_what"] == ("crawl", "free")
    assert found["otel_callbacks.rollup.cost_usd"] == 1.3003
    assert [value for value, _ in spent(captured)] == [0, 1.3003]


def test_on_the_applications_own_span(captured: Captured) -> None:
    tracer = captured.tracer_provider.get_tracer("application")
    with attribution(tenant="acme"), tracer.start_as_current_span("http"):
        record_cost(**SEARCH)
        record_cost(**SEARCH)
    assert captured.tree() == "http"
    assert dict(captured.spans[0].attributes or {}) == {
        "app.tenant_id": "acme",
        "otel_callbacks.cost.recorded_usd": 0.002,
        "otel_callbacks.cost.recorded_what": ("serper search",),
    }


def test_on_the_applications_span_in_a_tool_it_counts_for_the_runs_above(captured: Captured) -> None:
    @tool
    def ask(query: str) -> str:
        """Asks."""
        with captured.tracer_provider.get_tracer("application").start_as_current_span("http"):
            record_cost(**SEARCH)
        return "found"

    ask.invoke({"query": "q"}, config(captured))
    assert captured.tree() == "execute_tool ask\n  http"
    assert (captured.spans[0].attributes or {})["otel_callbacks.rollup.cost_usd"] == 0.001
    assert report(captured.spans, by=["tenant"]).total.cost_usd == Decimal("0.001")


def test_outside_any_span_it_starts_a_trace(captured: Captured) -> None:
    with attribution(tenant="acme"):
        record_cost(**SEARCH)
    assert captured.tree() == "serper search"
    assert dict(captured.spans[0].attributes or {}) == {
        "app.tenant_id": "acme",
        **RECORDED,
        "otel_callbacks.rollup.cost_usd": 0.001,
    }


@pytest.mark.parametrize("where", ["model", "agent", "call by hand", "retriever"])
def test_beside_a_cost_or_usage_of_its_own_it_is_a_span_below(where: str, captured: Captured) -> None:
    def pay() -> None:
        record_cost(**SEARCH)

    match where:
        case "model":
            ScriptedModel(body=pay).invoke("q", config(captured))
        case "agent":
            with agent("a"):
                ScriptedModel().invoke("q", config(captured))
                pay()
        case "retriever":
            ScriptedRetriever(body=pay).invoke("q", config(captured))
        case _:
            with captured.tracer_provider.get_tracer("application").start_as_current_span("ask"):
                record_usage(model="scripted-1", input_tokens=100, output_tokens=20)
                pay()
    names = {
        "model": "chat scripted-1\n  serper search",
        "agent": "invoke_agent a\n  chat scripted-1\n  serper search",
        "call by hand": "ask\n  serper search",
        "retriever": "retrieval",
    }
    assert captured.tree() == names[where]
    both = Decimal("0.001") if where == "retriever" else Decimal("0.0014")
    assert report(captured.spans, by=["tenant"]).total.cost_usd == both
    assert sum(Decimal(str(value)) for value, _ in spent(captured)) == both
    if where != "call by hand":
        assert (captured.spans[0].attributes or {})["otel_callbacks.rollup.cost_usd"] == float(both)


def test_a_model_call_by_hand_after_it_is_a_span_below(captured: Captured) -> None:
    with captured.tracer_provider.get_tracer("application").start_as_current_span("ask"):
        record_cost(**SEARCH)
        record_usage(model="scripted-1", input_tokens=100, output_tokens=20)
    assert captured.tree() == "ask\n  chat scripted-1"
    assert report(captured.spans, by=["tenant"]).total.cost_usd == Decimal("0.0014")


def test_where_somebody_else_pays_it_is_a_span_below(captured: Captured) -> None:
    @tool
    def ask(query: str) -> str:
        """Asks."""
        with attribution(tenant="globex"):
            record_cost(**SEARCH)
        return "found"

    with attribution(tenant="acme"):
        ask.invoke({"query": "q"}, config(captured))
    assert captured.tree() == "execute_tool ask\n  serper search"
    assert [attributes["app.tenant_id"] for _, attributes in spent(captured)] == ["globex"]
    (row,) = report(captured.spans, by=["tenant"]).rows
    assert (row.key, row.cost_usd) == (("globex",), Decimal("0.001"))


def test_budgets_count_it(captured: Captured) -> None:
    crossings: list[Any] = []
    budget = Budget(tenant="acme", usd="0.0015", enforce=True, on_exceeded=crossings.append)
    given = config(captured, budgets=[budget])
    with attribution(tenant="acme"):
        RunnableLambda(lambda _: (search.invoke({"query": "q"}), search.invoke({"query": "q"}))).invoke(
            "q", given
        )
        assert [crossing.spent for crossing in crossings] == [Decimal("0.002")]
        with pytest.raises(BudgetExceeded):
            ScriptedModel().invoke("q", given)


def test_an_unsampled_trace_still_counts_it() -> None:
    with capture(ALWAYS_OFF) as captured:
        RunnableLambda(application).invoke("q", config(captured))
        assert captured.spans == []
        assert [value for value, _ in spent(captured)] == [0.0004, 0.002]


def test_it_is_cleaned_and_conforms(captured: Captured, tmp_path: Path) -> None:
    canaries = Canaries()
    file = tmp_path / "traces.jsonl"
    captured.tracer_provider.add_span_processor(SimpleSpanProcessor(JsonLinesSpanExporter(file)))
    by_hand = recorder(**captured.providers, content=ContentPolicy(redact=("emails",)))
    set_process_recorder(in_charge, lambda: by_hand)
    with workflow("w"):
        record_cost(usd=1, what=canaries.key)
        record_cost(usd=1, what="search for ann@example.com")
    left = repr((captured.spans[0].attributes, captured.metrics()))
    assert "recorded_what" in left and "ann@example.com" not in left
    assert not [secret for secret in canaries.secrets if secret in left]
    assert not [finding for finding in check_file(file) if finding.level == "violation"]


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"usd": -1}, ValueError, "usd must be an amount of USD from 0 to 1,000,000, such as 0.002, not -1"),
        ({"usd": float("nan")}, ValueError, "usd must be an amount"),
        ({"usd": float("inf")}, ValueError, "usd must be an amount"),
        (
            {"usd": "much"},
            ValueError,
            "usd must be an amount of USD from 0 to 1,000,000, such as 0.002, not 'much'",
        ),
        ({"usd": 10**9}, ValueError, "usd must be an amount"),
        ({"usd": True}, TypeError, "usd must be an amount of USD such as 0.002, not True"),
        ({"usd": None}, TypeError, "usd must be an amount of USD such as 0.002, not None"),
        ({"what": ""}, ValueError, "what='' is empty; it must say what the cost is for"),
        ({"what": "  "}, ValueError, "what='  ' is empty"),
        ({"what": None}, TypeError, "what must be a text such as 'serper search', not None"),
    ],
)
def test_wrong_arguments_are_refused(given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        record_cost(**{**SEARCH, **given})
