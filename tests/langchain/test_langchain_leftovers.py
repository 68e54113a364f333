"""Tests that the stand-ins which ended runs leave in the context have no effect."""

import asyncio
from typing import Any

import pytest
from fakes import ScriptedModel, UserSpans
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.graph import START, MessagesState, StateGraph
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import Tracer

import otel_callbacks
from otel_callbacks import semconv
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.runs.current_span import CurrentSpan
from otel_callbacks.testing import Captured

FOR_A: Any = {"metadata": {"app.tenant_id": "a"}}
CHAIN: Any = RunnableLambda(lambda question: str(question)) | ScriptedModel()


@pytest.fixture
def config(captured: Captured) -> Any:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


@pytest.fixture
def tracer(captured: Captured) -> Tracer:
    return UserSpans(captured.tracer_provider).tracer


def attributes(captured: Captured) -> list[dict[str, Any]]:
    """Returns the outermost spans of otel-callbacks, in the order of their start."""
    return [dict(span.attributes or {}) for span in captured.spans if span.name == "invoke_workflow"]


async def test_a_call_in_a_user_span_does_not_belong_to_the_call_before(
    captured: Captured, config: Any, tracer: Tracer
) -> None:
    await CHAIN.ainvoke("first", config | FOR_A)
    with tracer.start_as_current_span("request"):
        await CHAIN.ainvoke("second", config)
    first, second = attributes(captured)
    assert (first["app.tenant_id"], second.get("app.tenant_id")) == ("a", None)
    assert first[semconv.ROLLUP_INFERENCE_CALLS] == second[semconv.ROLLUP_INFERENCE_CALLS] == 1


async def test_a_manual_call_in_a_user_span_does_not_belong_to_the_call_before(
    captured: Captured, config: Any, tracer: Tracer
) -> None:
    await CHAIN.ainvoke("first", config | FOR_A)
    with tracer.start_as_current_span("request"), otel_callbacks.retrieval("search"):
        pass
    assert "app.tenant_id" not in (captured.span("retrieval search").attributes or {})


async def test_the_consumer_of_a_stream_is_outside_it_also_in_a_user_span(
    captured: Captured, config: Any, tracer: Tracer
) -> None:
    stream = CHAIN.astream("first", config)
    await anext(stream)
    with tracer.start_as_current_span("meanwhile"):
        await CHAIN.ainvoke("second", config)
    async for _ in stream:
        pass
    streamed, called = attributes(captured)
    assert streamed[semconv.ROLLUP_INFERENCE_CALLS] == called[semconv.ROLLUP_INFERENCE_CALLS] == 1


@pytest.mark.parametrize("in_a_chain", [False, True], ids=["model", "chain"])
@pytest.mark.parametrize("in_a_span", [False, True], ids=["bare", "in a span"])
async def test_work_that_outlives_its_parent_stays_in_the_trace(
    captured: Captured, config: Any, tracer: Tracer, in_a_chain: bool, in_a_span: bool
) -> None:
    background: list[asyncio.Task[Any]] = []
    over = asyncio.Event()

    async def work() -> None:
        await over.wait()
        called = CHAIN if in_a_chain else ScriptedModel()
        if in_a_span:
            with tracer.start_as_current_span("mine"):
                await called.ainvoke("later")
        else:
            await called.ainvoke("later")

    async def node(state: Any) -> Any:
        background.append(asyncio.create_task(work()))
        return {}

    graph = StateGraph(MessagesState)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    await graph.compile().ainvoke({"messages": []}, config)  # type: ignore[arg-type]
    over.set()
    await asyncio.gather(*background)
    after = "mine\n  chat scripted-1" if in_a_span else "    chat scripted-1"
    assert captured.tree() == f"invoke_workflow\n  node\n{after}"


async def test_work_that_outlives_a_hidden_parent_stays_in_the_trace(captured: Captured, config: Any) -> None:
    background: list[asyncio.Task[Any]] = []
    over = asyncio.Event()

    async def work() -> None:
        await over.wait()
        await ScriptedModel().ainvoke("later")

    async def start(question: str) -> str:
        background.append(asyncio.create_task(work()))
        return question

    unnamed: Any = RunnableLambda(start, name="RunnableLambda")
    await (unnamed | unnamed).ainvoke("q", config)
    over.set()
    await asyncio.gather(*background)
    assert captured.tree() == "invoke_workflow\n  chat scripted-1\n  chat scripted-1"


async def test_contexts_do_not_grow(captured: Captured, config: Any) -> None:
    async def many(question: str) -> None:
        for _ in range(50):
            await (CHAIN | CHAIN).abatch(["a", "b"])
            await RunnableParallel(one=CHAIN, two=CHAIN).ainvoke("c")
        assert depth() <= 2

    def depth() -> int:
        """Counts the stand-ins that are stacked in this context."""
        found, span = 0, trace.get_current_span()
        while isinstance(span, CurrentSpan):
            found, span = found + 1, span.outer
        return found

    await RunnableLambda(many).ainvoke("q", config)
    for _ in range(50):
        await CHAIN.ainvoke("q", config)
        CHAIN.batch(["a", "b"], config)
    assert depth() <= 1
    assert len(context_api.get_current()) <= 2


def test_the_only_remaining_input_of_a_batch_runs_in_the_callers_thread(
    captured: Captured, config: Any
) -> None:
    """The other inputs fail. The caller's current span stays the same."""
    seen: list[str] = []

    def check(item: str) -> str:
        if item != "a":
            raise ValueError(item)
        return item

    def note(item: str) -> str:
        seen.append(trace.format_span_id(trace.get_current_span().get_span_context().span_id))
        return item

    chain = RunnableLambda(lambda item: check(item)) | RunnableLambda(lambda item: note(item))
    before = trace.get_current_span()
    chain.batch(["a", "b", "c"], config, return_exceptions=True)
    assert seen == [trace.format_span_id(captured.spans[0].context.span_id)]
    assert trace.get_current_span() is before
