"""The cost of a call is the same on its span, in the totals of the spans above, and in the metrics."""

import asyncio
import logging
from dataclasses import replace
from decimal import Decimal
from typing import Any

import llama_fakes
import pytest
from fakes import ScriptedModel, call
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import Generation, LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from payloads import Answer, Payload, ReplayedModel

from otel_callbacks import OTelCallbackHandler, PriceBook, attribution
from otel_callbacks.cost import recompute, report
from otel_callbacks.handlers.options import recorder
from otel_callbacks.operations import (
    AgentInvocation,
    Billing,
    Embedding,
    Inference,
    Operation,
    Rerank,
    Step,
    ToolExecution,
    Usage,
    Workflow,
)
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
    assert total(captured, "gen_ai.tokens.total") == 120


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


# --- what a cost leaves out, and whose it is ------------------------------------------------------------------------


def record(one: Recorder, operation: Operation, parent: Any = None, **ending: Any) -> None:
    run = one.start(object(), operation, parent)
    assert run is not None
    one.finish(run, **ending)


def test_the_log_says_once_what_to_add_to_the_price_book(
    captured: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    one = recorder(**captured.providers, prices=BOOK)
    with caplog.at_level(logging.WARNING, "otel_callbacks"):
        for _ in range(2):
            flex = Billing("flex", {"speed": "fast"})
            record(one, Inference(name="scripted-1", usage=Usage(100, 20), billing=flex))
            searched = Billing(units={"web_searches": 2})
            record(one, Inference(name="scripted-1", usage=Usage(100, 20), billing=searched))
    terms, fees = (each.getMessage() for each in caplog.records)
    assert '"scripted-1": {"service_tier": "flex", "speed": "fast", "input": ' in terms
    assert "scripted-1 (unknown provider) leaves out web_searches" in fees


def test_a_partial_cost_says_so_everywhere(captured: Captured) -> None:
    one = recorder(**captured.providers, prices=BOOK)
    root = one.start(object(), Workflow(name="w"))
    assert root is not None
    billing = Billing("Default", {"speed": "standard"}, {"web_searches": 2}, ("code_interpreter",))
    record(one, Inference(name="scripted-1", usage=Usage(100, 20), billing=billing), root)
    one.finish(root)
    assert costs(captured.spans[1]) == {
        **PRICED,
        "otel_callbacks.cost.status": "partial",
        "otel_callbacks.cost.unpriced_reason": "code_interpreter,web_searches",
    }
    told = captured.spans[1].attributes or {}
    assert told["otel_callbacks.usage.web_searches"] == 2
    assert told["otel_callbacks.usage.not_counted"] == ("code_interpreter",)
    assert rollup(captured, "invoke_workflow w", "cost_usd") == 0.0004
    assert rollup(captured, "invoke_workflow w", "unpriced_calls") == 1  # the total is a lower bound
    reason = {"otel_callbacks.cost.unpriced_reason": "code_interpreter,web_searches"}
    assert total(captured, "otel_callbacks.cost.unpriced", **reason) == 1
    assert total(captured, "gen_ai.cost.usd") == exact(0.0004)
    row = report(captured.spans, by=["status"]).rows[0]
    assert (row.key, row.cost_usd, dict(row.unpriced)) == (
        ("partial",),
        exact(0.0004),
        {"code_interpreter,web_searches": 1},
    )


BEGUN: list[tuple[Operation, str, bool, str | None]] = [
    # what is done, how it ends, whether a chunk had come: its status and reason
    (Inference(name="scripted-1"), "abandoned", True, "unpriced ended_early"),
    (Inference(name="scripted-1"), "cancelled", False, "unpriced ended_early"),
    (Inference(name="scripted-1"), "fail", True, "unpriced ended_early"),
    (Inference(name="scripted-1"), "fail", False, None),  # refused, most likely
    (Inference(name="scripted-1", usage=Usage(100, 2)), "abandoned", True, "partial ended_early"),
    (
        Inference(name="scripted-1", usage=Usage(100, 20), finish_reasons=["stop"]),
        "abandoned",
        True,
        "priced None",
    ),
    (Inference(name="scripted-1", usage=Usage(100, 20)), "fail", False, "priced None"),
    (Embedding(name="embed-1"), "cancelled", False, "unpriced ended_early"),
    (Embedding(name="embed-1"), "fail", False, None),
    (Rerank(name=None), "cancelled", False, None),
]


@pytest.mark.parametrize(("operation", "ending", "begun", "expected"), BEGUN)
def test_a_call_that_is_cut_short_may_have_cost_something(
    operation: Operation, ending: str, begun: bool, expected: str | None, captured: Captured
) -> None:
    one = recorder(**captured.providers, prices=BOOK)
    run = one.start(object(), replace(operation))
    assert run is not None
    if begun:
        one.chunk(run)
    one.fail(run, ValueError("no")) if ending == "fail" else one.finish(run, ending)
    found = costs(captured.spans[0])
    status = found.get("otel_callbacks.cost.status")
    assert (
        status is None
        if expected is None
        else expected == (f"{status} {found.get('otel_callbacks.cost.unpriced_reason')}")
    )


OWN = Usage(100, 20)
INNER: list[tuple[Usage | None, list[Usage | None], bool]] = [
    # what a model reports, what the models in its body report, and whether that is the same
    (OWN, [OWN], True),
    (None, [OWN], True),
    (OWN, [Usage(3, 1), OWN], True),  # a router passes on the answer of one of them
    (OWN, [OWN, Usage(3, 1)], True),
    (Usage(103, 21), [Usage(3, 1), OWN], True),  # or adds them up
    (OWN, [Usage(3, 1)], False),  # a guard was asked before
    (OWN, [None], False),  # the inner call reports nothing
]


@pytest.mark.parametrize(("outer", "inner", "repeats"), INNER)
def test_a_model_that_calls_models_keeps_what_is_its_own(
    outer: Usage | None, inner: list[Usage | None], repeats: bool, captured: Captured
) -> None:
    one = recorder(**captured.providers, prices=BOOK)
    run = one.start(object(), Inference(name="scripted-1", usage=outer))
    step = one.start(object(), Step(name="in the body"), run)
    assert run is not None and step is not None
    for usage in inner:
        record(one, Inference(name="scripted-1", usage=usage), step)
    one.finish(step)
    one.finish(run)
    told = captured.spans[0].attributes or {}
    assert told.get("otel_callbacks.duplicate") is (True if repeats else None)
    counted = [*inner, *([] if repeats else [outer])]
    assert told.get("otel_callbacks.rollup.inference_calls") == len(counted)
    assert told["otel_callbacks.rollup.input_tokens"] == sum(u.input_tokens or 0 for u in counted if u)
    assert exact(told["otel_callbacks.rollup.cost_usd"]) == total(captured, "gen_ai.cost.usd")
    told_in_report = report(captured.spans, by=["model"]).total
    assert told_in_report.calls == len(counted)
    assert told_in_report.cost_usd == exact(told["otel_callbacks.rollup.cost_usd"])


def test_a_reranker_that_asks_a_model_is_billed_as_that_model(captured: Captured) -> None:
    one = recorder(**captured.providers, prices=BOOK)
    run = one.start(object(), Rerank(name="scripted-1"))
    assert run is not None
    record(one, Inference(name="scripted-1", usage=OWN), run)
    one.finish(run)
    rerank, inference = captured.spans
    assert costs(rerank) == {} and costs(inference) == PRICED
    assert (rerank.attributes or {})["otel_callbacks.duplicate"] is True
    found = report(captured.spans, by=["model"]).total
    assert (found.calls, found.cost_usd, found.unpriced_calls) == (1, exact(0.0004), 0)


def test_an_embedding_that_reaches_no_provider_is_free(captured: Captured) -> None:
    one = recorder(**captured.providers, prices=BOOK)
    record(one, Embedding(name="embed-1", count=0, cached=True))
    record(one, Embedding(name="embed-1", usage=Usage(1_000), cached=True))
    assert [costs(span)["otel_callbacks.cost.status"] for span in captured.spans] == ["cached"] * 2
    assert [costs(span)["gen_ai.usage.cost_usd"] for span in captured.spans] == [0.0, 0.0]
    assert costs(captured.spans[1])["otel_callbacks.cost.saved_usd"] == 0.00002
    assert "gen_ai.usage.input_tokens" not in (captured.spans[1].attributes or {})
    assert not {"gen_ai.cost.usd", "gen_ai.tokens.total"} & captured.metrics().keys()
    assert report(captured.spans, by=["model"]).total.cached_calls == 2


class Together(FakeListLLM):
    """A text model that sends all prompts in one request, which has one usage."""

    usage: Any = {"prompt_tokens": 100, "completion_tokens": 20}

    def _generate(self, prompts: list[str], *args: Any, **kwargs: Any) -> LLMResult:
        output = {"token_usage": self.usage, "model_name": "scripted-1"}
        return LLMResult(generations=[[Generation(text="a")] for _ in prompts], llm_output=output)


@pytest.mark.parametrize(
    ("usage", "status"), [(Together(responses=[]).usage, ["priced", None]), ({}, ["unpriced", "unpriced"])]
)
def test_prompts_of_one_request_have_one_usage(
    usage: Any, status: list[str | None], captured: Captured
) -> None:
    Together(responses=[], usage=usage).generate(["p", "q"], callbacks=[handler(captured)])
    assert [costs(span).get("otel_callbacks.cost.status") for span in captured.spans] == status
    assert report(captured.spans, by=["model"]).total.calls == len(list(filter(None, status)))


def test_what_was_written_for_an_hour_can_be_priced_again(captured: Captured) -> None:
    prices = {"prices": {"m": {"input": 3, "output": 15, "cache_write": "3.75", "cache_write_1h": 6}}}
    one = recorder(**captured.providers, prices=prices)
    usage = Usage(300, 7, cache_write_input_tokens=300, cache_write_1h_input_tokens=100)
    record(one, Inference(name="m", usage=usage))
    again = recompute(captured.spans, prices, by=["model"]).total
    assert (
        again.recorded.cost_usd == again.recomputed.cost_usd == exact(200 * 3.75 + 100 * 6 + 7 * 15) / 10**6
    )


# --- the invariant, on random trees -------------------------------------------------------------------------------

LEAVES = st.builds(
    lambda kind, sent, received, ending: (kind, sent, received, ending),
    st.sampled_from(
        [
            *("inference", "embedding", "cached", "unpriced", "partial", "tool", "reranker"),
            *("wrapper", "wrapper with a call of its own", "reranker that asks a model"),
        ]
    ),
    st.integers(0, 10**9),
    st.integers(0, 10**7),
    st.sampled_from(["finish", "fail", "cancel", "nothing came"]),
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
        case "partial":
            return Inference(name="scripted-1", usage=usage, billing=Billing(units={"web_searches": 1}))
        case "reranker":
            return Rerank(name="scripted-1", usage=usage)
        case "reranker that asks a model":
            return Rerank(name="scripted-1")
        case "wrapper with a call of its own":
            return Inference(name="scripted-1", usage=replace(usage, input_tokens=usage.input_tokens + 1))
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
    if "wrapper" in kind or kind == "reranker that asks a model":
        play(one, ("inference", sent, received, ending), run)
    if ending == "nothing came" and hasattr(run.operation, "usage"):
        run.operation.usage = None
    if ending == "fail":
        one.fail(run, ValueError("no"))
    elif ending in ("cancel", "nothing came"):
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
        leaves = [
            span for span in spans if span.get("gen_ai.operation.name") in ("chat", "embeddings", "rerank")
        ]
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
        found = report(captured.spans, by=["model"]).total
        assert found.cost_usd == cost
        assert found.unpriced_calls == len(unpriced) + len(partial)
