"""A bound on what is remembered never costs a run that goes on: only what has ended may be forgotten."""

import asyncio
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest
from ends import assert_all_ended, edges, outcomes, run, told, traces
from fakes import USAGE, ScriptedModel, UserSpans, call
from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import StructuredTool
from langgraph.graph import START, StateGraph

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured

CHAT = "chat scripted-1"
MANY = 600  # each is three runs without a span: more than any table of them remembers
LONG = 400


def small() -> Any:
    """A prompt, a model and a parser: one span, and three runs without."""
    return ChatPromptTemplate.from_template("{x}") | ScriptedModel() | StrOutputParser()


def inputs(number: int) -> list[dict[str, int]]:
    return [{"x": each} for each in range(number)]


@pytest.fixture
def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


def assert_one_trace(captured: Captured, expected: Counter[Any]) -> None:
    assert traces(captured) == 1
    assert edges(captured) == expected
    assert outcomes(captured) == {}
    assert_all_ended(captured)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream", "batch", "abatch", "thread"])
async def test_six_hundred_items_in_one_call(mode: str, captured: Captured, config: Any) -> None:
    chain = RunnableLambda(lambda number: inputs(number)) | small().map()
    await run(chain, MANY, config, mode)
    assert_one_trace(captured, Counter({(None, "invoke_workflow"): 1, ("invoke_workflow", CHAT): MANY}))
    root = told(captured.span("invoke_workflow"))
    assert root["otel_callbacks.rollup.inference_calls"] == MANY
    assert root["otel_callbacks.rollup.total_tokens"] == MANY * USAGE["total_tokens"]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_the_root_has_what_all_of_them_cost(mode: str, captured: Captured) -> None:
    prices = {"prices": {"scripted-1-0613": {"input": 1, "output": 2}}}
    handler = OTelCallbackHandler(**captured.providers, prices=prices)
    chain = RunnableLambda(lambda number: inputs(number)) | small().map()
    await run(chain, MANY, {"callbacks": [handler]}, mode)
    each = (USAGE["input_tokens"] * 1 + USAGE["output_tokens"] * 2) / 1e6
    root = next(span for span in captured.spans if span.parent is None)
    assert told(root)["otel_callbacks.rollup.cost_usd"] == pytest.approx(MANY * each, rel=1e-9)


@pytest.mark.parametrize("how", ["batch", "abatch", "threads", "gather"])
async def test_many_at_once_in_a_named_step(how: str, captured: Captured, config: Any) -> None:
    chain = small()

    async def at_once(number: int) -> str:
        match how:
            case "batch":
                chain.batch(inputs(number))
            case "abatch":
                await chain.abatch(inputs(number))
            case "threads":
                with ThreadPoolExecutor(4) as pool:
                    for each in [
                        pool.submit(copy_context().run, chain.invoke, value) for value in inputs(number)
                    ]:
                        each.result()
            case "gather":
                await asyncio.gather(*map(chain.ainvoke, inputs(number)))
        return "done"

    await (RunnableLambda(at_once) | StrOutputParser()).ainvoke(MANY, config)
    assert_one_trace(
        captured,
        Counter({(None, "invoke_workflow"): 1, ("invoke_workflow", "at_once"): 1, ("at_once", CHAT): MANY}),
    )


# --- a tool that goes on for long --------------------------------------------------------------------------------


class Loops:
    """What a tool may do four hundred times, in a lambda without a span."""

    def __init__(self, captured: Captured) -> None:
        self.inside = UserSpans(captured.tracer_provider).inside("in the tool")

    def one_by_one(self, number: int) -> str:
        chain = small()

        def body(number: int) -> str:
            for value in inputs(number):
                chain.invoke(value)
            self.inside()
            return "done"

        return str(RunnableLambda(lambda number: body(number)).invoke(number))

    async def one_by_one_async(self, number: int) -> str:
        chain = small()

        async def body(number: int) -> str:
            for value in inputs(number):
                await chain.ainvoke(value)
            self.inside()
            return "done"

        body.__name__ = "RunnableLambda"  # a lambda cannot be asynchronous
        return str(await RunnableLambda(body).ainvoke(number))

    def streamed(self, number: int) -> str:
        chain = small()

        def body(number: int) -> str:
            for value in inputs(number):
                list(chain.stream(value))
            self.inside()
            return "done"

        return str(RunnableLambda(lambda number: body(number)).invoke(number))

    def batch(self, number: int) -> str:
        chain = small()

        def body(number: int) -> str:
            chain.batch(inputs(number - 1))
            self.inside()
            chain.invoke({"x": 1})
            return "done"

        return str(RunnableLambda(lambda number: body(number)).invoke(number))

    async def gather(self, number: int) -> str:
        chain = small()

        async def body(number: int) -> str:
            await asyncio.gather(*map(chain.ainvoke, inputs(number - 1)))
            self.inside()
            await chain.ainvoke({"x": 1})
            return "done"

        body.__name__ = "RunnableLambda"
        return str(await RunnableLambda(body).ainvoke(number))


LOOPS = ("one_by_one", "one_by_one_async", "streamed", "batch", "gather")


@pytest.mark.parametrize("loop", LOOPS)
async def test_a_tool_that_loops_stays_the_one_it_is(loop: str, captured: Captured, config: Any) -> None:
    function = getattr(Loops(captured), loop)
    if asyncio.iscoroutinefunction(function):
        tool = StructuredTool.from_function(coroutine=function, name="loop", description="Loops.")
        await tool.ainvoke({"number": LONG}, config)
    else:
        tool = StructuredTool.from_function(function, name="loop", description="Loops.")
        tool.invoke({"number": LONG}, config)
    above = "execute_tool loop"
    assert_one_trace(captured, Counter({(None, above): 1, (above, CHAT): LONG, (above, "in the tool"): 1}))


@pytest.mark.parametrize("loop", LOOPS)
async def test_so_does_the_tool_of_an_agent(loop: str, captured: Captured, config: Any) -> None:
    function = getattr(Loops(captured), loop)
    kind = "coroutine" if asyncio.iscoroutinefunction(function) else "func"
    tool = StructuredTool.from_function(**{kind: function}, name="loop", description="Loops.")
    model = ScriptedModel(script=[call("loop", number=LONG), "done"], model="agent-1")
    agent = create_agent(model, [tool], name="looper")
    await agent.ainvoke({"messages": [("user", "go")]}, config)
    assert_one_trace(
        captured,
        Counter(
            {
                (None, "invoke_agent looper"): 1,
                ("invoke_agent looper", "model"): 2,
                ("model", "chat agent-1"): 2,
                ("invoke_agent looper", "tools"): 1,
                ("tools", "execute_tool loop"): 1,
                ("execute_tool loop", CHAT): LONG,
                ("execute_tool loop", "in the tool"): 1,
            }
        ),
    )
    assert told(captured.span("invoke_agent looper"))["otel_callbacks.rollup.inference_calls"] == LONG + 2


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
async def test_so_does_a_node_of_a_graph(mode: str, captured: Captured, config: Any) -> None:
    chain = small()

    def work(state: Any) -> Any:
        RunnableLambda(lambda state: [chain.invoke(value) for value in inputs(LONG)]).invoke(state)
        return {"done": True}

    graph = StateGraph(dict)
    graph.add_node("work", work)
    graph.add_edge(START, "work")
    await run(graph.compile(name="worker"), {}, config, mode)
    root = "invoke_workflow worker"
    assert_one_trace(captured, Counter({(None, root): 1, (root, "work"): 1, ("work", CHAT): LONG}))


# --- as the framework tells it -----------------------------------------------------------------------------------


def test_a_hundred_thousand_runs_that_go_on_at_once(captured: Captured) -> None:
    """None of them has a span; the run above them, which was there first, goes on."""
    handler = OTelCallbackHandler(**captured.providers)
    root, open_runs = uuid.uuid4(), [uuid.uuid4() for _ in range(100_100)]
    handler.on_chain_start(None, "q", run_id=root, name="root")
    for key in open_runs:
        handler.on_chain_start(None, "q", run_id=key, parent_run_id=root, name="RunnableLambda")
    late = uuid.uuid4()
    handler.on_tool_start({"name": "late"}, "q", run_id=late, parent_run_id=open_runs[0])
    handler.on_tool_end("found", run_id=late)
    assert [span.name for span in captured.spans] == ["execute_tool late"]
    for key in open_runs:
        handler.on_chain_end("a", run_id=key)
    handler.on_chain_end("a", run_id=root)
    assert captured.tree() == "invoke_workflow root\n  execute_tool late"
    assert outcomes(captured) == {}
