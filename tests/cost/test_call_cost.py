"""The cost of a call is the same on its span, in the totals of the spans above, and in the metrics."""

import asyncio
import logging
from decimal import Decimal
from typing import Any

import llama_fakes
import pytest
from fakes import ScriptedModel, call
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from payloads import Answer, Payload, ReplayedModel

from otel_callbacks import OTelCallbackHandler, PriceBook, attribution
from otel_callbacks.operations import (
    AgentInvocation,
    Embedding,
    Inference,
    Operation,
    Rerank,
    Step,
    ToolExecution,
    Usage,
    Workflow,
)
from otel_callbacks.options import recorder
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.testing import Captured, capture

pytestmark = llama_fakes.IGNORED

BOOK = PriceBook.of(
    {"prices": {"scripted-1*": {"input": 2, "output": 10}, "embed-1": {"input": 0.02}}, "version": "test"}
)
COST = 100 * 2e-6 + 20 * 10e-6  # of one scripted call

PRICED = {
    "gen_ai.usage.cost_usd": 0.0004,
    "gen_ai.usage.cost": 0.0004,
    "otel_callbacks.cost.status": "priced",
    "otel_callbacks.cost.source": "price_book",
    "otel_callbacks.cost.model": "scripted-1*",
    "otel_callbacks.cost.price_version": "test",
    "otel_callbacks.cost.input_usd": 0.0002,
    "otel_callbacks.cost.output_usd": 0.0002,
}


def handler(captured: Captured, **options: Any) -> OTelCallbackHandler:
    return OTelCallbackHandler(**captured.providers, **{"prices": BOOK, **options})


def costs(span: Any) -> dict[str, Any]:
    return {name: value for name, value in span.attributes.items() if "cost" in name and "rollup" not in name}


def rollup(captured: Captured, name: str, what: str) -> Any:
    return (captured.span(name).attributes or {}).get(f"otel_callbacks.rollup.{what}")


def total(captured: Captured, metric: str, **wanted: str) -> Decimal:
    return added(captured.metrics(), metric, **wanted)


def added(metrics: dict[str, Any], metric: str, **wanted: str) -> Decimal:
    points = [p for p in metrics.get(metric, ()) if wanted.items() <= dict(p.attributes).items()]
    return sum((exact(point.value) for point in points), Decimal(0))


def exact(value: Any) -> Decimal:
    return Decimal(str(value))


async def test_a_call_carries_its_cost_streamed_or_not(captured: Captured) -> None:
    config: Any = {"callbacks": [handler(captured)]}
    ScriptedModel().invoke("q", config)
    list(ScriptedModel().stream("q", config))
    async for _ in ScriptedModel().astream("q", config):
        pass
    assert [costs(span) for span in captured.spans] == [PRICED] * 3


def test_llama_index_too(captured: Captured, untouched_settings: None) -> None:  # noqa: F811
    Settings.callback_manager = CallbackManager([handler(captured)])
    llm = llama_fakes.ScriptedModel()
    llm.complete("q")
    list(llm.stream_complete("q"))
    assert [costs(span) for span in captured.spans] == [PRICED] * 2


def test_the_runs_above_carry_the_total_and_no_cost_of_their_own(captured: Captured) -> None:
    @tool
    def ask(question: str) -> str:
        """Asks."""
        return str(ScriptedModel().invoke(question).content)

    agent = create_agent(ScriptedModel(script=[call("ask", question="x"), "done"]), [ask], name="a")
    agent.invoke({"messages": [("user", "q")]}, {"callbacks": [handler(captured)]})
    assert rollup(captured, "invoke_agent a", "cost_usd") == pytest.approx(3 * COST, abs=1e-18)
    assert rollup(captured, "execute_tool ask", "cost_usd") == pytest.approx(COST, abs=1e-18)
    inner = [span for span in captured.spans if not span.name.startswith("chat")]
    assert [costs(span) for span in inner] == [{}] * len(inner)


UNPRICED = {
    "unknown_model": {"ls": {"ls_provider": "openai", "ls_model_name": "gpt-99"}},
    "unknown_provider": {"ls": {"ls_provider": "acme", "ls_model_name": "m"}},
    "local_endpoint": {
        "ls": {"ls_provider": "openai", "ls_model_name": "gpt-4o"},
        "address": {"openai_api_base": "http://127.0.0.1:8000/v1"},
    },
}


@pytest.mark.parametrize("reason", UNPRICED)
def test_a_call_without_a_price_has_no_cost_and_is_logged_once(
    reason: str, captured: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    usage: Any = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    given = UNPRICED[reason]
    payload = Payload(**given, expected={}, answer=Answer(usage=usage))
    config: Any = {"callbacks": [handler(captured)]}
    with caplog.at_level(logging.WARNING, "otel_callbacks"):
        for _ in range(2):
            ReplayedModel(payload=payload).invoke("q", config)
    assert [costs(span) for span in captured.spans] == [
        {"otel_callbacks.cost.status": "unpriced", "otel_callbacks.cost.unpriced_reason": reason}
    ] * 2
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert f"({reason})" in warnings[0]
    assert f'{{"prices": {{"{given["ls"]["ls_model_name"]}": {{"input": ' in warnings[0]
    unpriced = total(
        captured, "otel_callbacks.cost.unpriced", **{"otel_callbacks.cost.unpriced_reason": reason}
    )
    assert unpriced == 2
    assert "gen_ai.cost.usd" not in captured.metrics()


def test_a_failed_call_is_neither_priced_nor_unpriced(captured: Captured) -> None:
    model = ScriptedModel(script=[ConnectionError("no")]).with_fallbacks([ScriptedModel()])
    model.invoke("q", {"callbacks": [handler(captured)]})
    assert [costs(span) for span in captured.spans if span.name.startswith("chat")] == [{}, PRICED]
    root = captured.spans[0].attributes or {}
    assert root["otel_callbacks.rollup.cost_usd"] == 0.0004
    assert "otel_callbacks.rollup.unpriced_calls" not in root


def test_an_answer_from_the_frameworks_cache_costs_nothing_and_says_what_it_saved(captured: Captured) -> None:
    model, config = ScriptedModel(cache=InMemoryCache()), {"callbacks": [handler(captured)]}
    model.invoke("q", config)  # type: ignore[arg-type]
    model.invoke("q", config)  # type: ignore[arg-type]
    first, hit = captured.spans
    assert costs(first) == PRICED
    assert costs(hit) == {
        "gen_ai.usage.cost_usd": 0.0,
        "gen_ai.usage.cost": 0.0,
        "otel_callbacks.cost.status": "cached",
        "otel_callbacks.cost.source": "cache",
        "otel_callbacks.cost.saved_usd": 0.0004,
        "otel_callbacks.cost.model": "scripted-1*",
        "otel_callbacks.cost.price_version": "test",
    }
    assert total(captured, "gen_ai.cost.usd") == exact(0.0004)
    assert total(captured, "gen_ai.tokens.total", token_type="total") == 120


def test_a_cost_that_the_gateway_reports_overrides_every_price(captured: Captured) -> None:
    answer = Answer(
        usage={"input_tokens": 100, "output_tokens": 20, "total_tokens": 120},  # type: ignore[arg-type]
    )
    payload = Payload(
        ls={"ls_provider": "openai", "ls_model_name": "scripted-1"},
        expected={},
        answer=answer,
        output={"token_usage": {"prompt_tokens": 100, "completion_tokens": 20, "cost": 0.0123}},
    )
    ReplayedModel(payload=payload).invoke("q", {"callbacks": [handler(captured)]})
    assert costs(captured.spans[0]) == {
        "gen_ai.usage.cost_usd": 0.0123,
        "gen_ai.usage.cost": 0.0123,
        "otel_callbacks.cost.status": "reported",
        "otel_callbacks.cost.source": "reported",
    }


def test_a_reranker_is_billed_by_the_call(captured: Captured) -> None:
    prices = {"prices": {"rerank-v3.5": {"per_request": 0.002}}}
    one = recorder(**captured.providers, prices=prices)
    for model in ("rerank-v3.5", "other", None):
        run = one.start(object(), Rerank(name=model))
        assert run is not None
        one.finish(run)
    status = [costs(span).get("otel_callbacks.cost.status") for span in captured.spans]
    assert status == ["priced", "unpriced", None]
    assert costs(captured.spans[0])["gen_ai.usage.cost_usd"] == 0.002


def test_who_paid_for_what_is_in_the_metrics(captured: Captured) -> None:
    config: Any = {"callbacks": [handler(captured)]}
    for tenant, calls in (("acme", 2), ("globex", 1)):
        with attribution(tenant=tenant, feature="search", user="u-7"):
            for _ in range(calls):
                ScriptedModel().invoke("q", config)
    points = {
        point.attributes["app.tenant_id"]: (point.value, dict(point.attributes))
        for point in captured.metrics()["gen_ai.cost.usd"]
    }
    model = {"gen_ai.provider.name": "openai", "gen_ai.request.model": "scripted-1"}
    assert points == {
        tenant: (
            value,
            {**model, "gen_ai.operation.name": "chat", "app.tenant_id": tenant, "app.feature": "search"},
        )
        for tenant, value in (("acme", 0.0008), ("globex", 0.0004))
    }


def test_ten_thousand_tenants_give_101_label_values_and_exact_sums(captured: Captured) -> None:
    one = recorder(**captured.providers, prices=BOOK)
    usage = Usage(input_tokens=1, output_tokens=0)
    for number in range(10_000):
        with attribution(tenant=f"t{number}"):
            run = one.start(number, Inference(name="scripted-1"))
        assert run is not None
        run.operation.usage = usage  # type: ignore[attr-defined]
        one.finish(run)
    points = captured.metrics()["gen_ai.cost.usd"]
    assert len({point.attributes["app.tenant_id"] for point in points}) == 101
    assert sum(Decimal(str(point.value)) for point in points) == Decimal("0.02")


def test_metric_labels_can_be_listed_by_value(captured: Captured) -> None:
    config: Any = {"callbacks": [handler(captured, metric_labels={"tenant": ["acme"]})]}
    for tenant in ("acme", "globex"):
        with attribution(tenant=tenant, feature="f"):
            ScriptedModel().invoke("q", config)
    points = captured.metrics()["gen_ai.cost.usd"]
    assert {point.attributes["app.tenant_id"] for point in points} == {"acme", "__other__"}
    assert not [point for point in points if "app.feature" in point.attributes]


def test_an_unsampled_call_is_counted(captured: Captured) -> None:
    with capture(ALWAYS_OFF) as unsampled:
        ScriptedModel().invoke("q", {"callbacks": [handler(unsampled)]})
        assert unsampled.spans == []
        assert total(unsampled, "gen_ai.cost.usd") == exact(0.0004)


async def test_a_child_that_ends_too_late_is_marked_and_still_counted(captured: Captured) -> None:
    tasks, over = [], asyncio.Event()

    class Late(ScriptedModel):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            await over.wait()
            return await super()._agenerate(*args, **kwargs)

    async def start(question: str) -> str:
        tasks.append(asyncio.create_task(Late().ainvoke(question)))
        await asyncio.sleep(0)
        return "done"

    chain = (RunnableLambda(start) | StrOutputParser()).with_config(run_name="chain")
    await chain.ainvoke("q", {"callbacks": [handler(captured)]})
    over.set()
    await asyncio.gather(*tasks)
    assert rollup(captured, "invoke_workflow chain", "cost_usd") is None
    assert rollup(captured, "chat scripted-1", "late") is True
    assert total(captured, "gen_ai.cost.usd") == exact(0.0004)


# --- the invariant, on random trees -------------------------------------------------------------------------------

LEAVES = st.builds(
    lambda kind, sent, received, ending: (kind, sent, received, ending),
    st.sampled_from(["inference", "embedding", "cached", "unpriced", "tool", "wrapper"]),
    st.integers(0, 10**9),
    st.integers(0, 10**7),
    st.sampled_from(["finish", "fail", "cancel"]),
)
TREES = st.recursive(
    LEAVES,
    lambda below: st.tuples(st.sampled_from([AgentInvocation, Step, Workflow]), st.lists(below, max_size=4)),
    max_leaves=20,
)


def leaf(kind: str, usage: Usage) -> Operation:
    match kind:
        case "embedding":
            return Embedding(name="embed-1", usage=Usage(input_tokens=usage.input_tokens))
        case "tool":
            return ToolExecution(name="t")
        case "unpriced":
            return Inference(name="other", usage=usage)
        case _:
            return Inference(name="scripted-1", usage=usage, cached=kind == "cached")


def play(one: Recorder, tree: Any, parent: Any) -> None:
    """Runs a random tree; a `wrapper` is a model call that wraps the same model call."""
    if len(tree) == 2:
        run = one.start(object(), tree[0](name="n"), parent)
        for below in tree[1]:
            play(one, below, run)
        one.finish(run)  # type: ignore[arg-type]
        return
    kind, sent, received, ending = tree
    usage = Usage(input_tokens=sent, output_tokens=received)
    run = one.start(object(), leaf(kind, usage), parent)
    assert run is not None
    if kind == "wrapper":
        play(one, ("inference", sent, received, ending), run)
    if ending == "fail":
        one.fail(run, ValueError("no"))
    elif ending == "cancel":
        one.fail(run, asyncio.CancelledError())
    else:
        one.finish(run)


@settings(max_examples=60)
@given(TREES)
def test_leaves_root_and_metric_agree(tree: Any) -> None:
    with capture() as captured:
        one = recorder(**captured.providers, prices=BOOK)
        play(one, (Workflow, [tree]), None)
        spans = [span.attributes or {} for span in captured.spans]
        root = spans[0]
        cost = sum((exact(span.get("gen_ai.usage.cost_usd", 0)) for span in spans), Decimal(0))
        assert exact(root.get("otel_callbacks.rollup.cost_usd", 0)) == cost
        metrics = captured.metrics()
        assert added(metrics, "gen_ai.cost.usd") == cost
        leaves = [span for span in spans if span.get("gen_ai.operation.name") in ("chat", "embeddings")]
        for field in ("input_tokens", "output_tokens"):
            used = sum(span.get(f"gen_ai.usage.{field}", 0) for span in leaves)
            assert root.get(f"otel_callbacks.rollup.{field}", 0) == used
            kind = field.removesuffix("_tokens")
            assert added(metrics, "gen_ai.tokens.total", token_type=kind) == used
        unpriced = [span for span in spans if span.get("otel_callbacks.cost.status") == "unpriced"]
        partial = [span for span in spans if span.get("otel_callbacks.cost.status") == "partial"]
        assert root.get("otel_callbacks.rollup.unpriced_calls", 0) == len(unpriced) + len(partial)
        assert added(metrics, "otel_callbacks.cost.unpriced") == len(unpriced) + len(partial)
        assert not [span for span in unpriced if "gen_ai.usage.cost_usd" in span]
