"""Tests bodies of hidden runs: spans opened in them are children of the nearest run above that has a span."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from itertools import count
from typing import Any, TypedDict
from uuid import UUID

import pytest
from fakes import ScriptedModel, UserSpans
from langchain_classic.chains.base import Chain
from langchain_core.output_parsers import BaseOutputParser
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import (
    Runnable,
    RunnableBranch,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.runnables.config import ensure_config
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from opentelemetry import trace

import otel_callbacks
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.recording.recorder import DETAILS, Detail
from otel_callbacks.testing import Captured, capture

ITEMS = ["q0", "q1", "q2"]


class Refused(Exception):
    """Raised by a body that is meant to fail."""


class State(TypedDict):
    item: str


class Bodies:
    """Runnables that open a user span and a manual operation in their bodies, both named after kind and input.

    Attributes:
        chain: has every kind of body; its answer is its input.
        shown: the identity of the span in whose run a body is, by LangChain's own account.
    """

    def __init__(self, handler: OTelCallbackHandler, captured: Captured) -> None:
        self._runs = handler._recorder.runs
        self._tracer = UserSpans(captured.tracer_provider).tracer
        self.shown: dict[str, Any] = {}
        self._failed: set[str] = set()
        self._numbers = count()

        async def in_async(item: str) -> str:
            return self.mark("async", item)

        @tool
        def look_up(item: str) -> str:
            """Looks up."""
            return self.mark("tool", item)

        class Prompt(PromptTemplate):
            def format(inner, **kwargs: Any) -> str:
                return self.mark("prompt", kwargs["item"])

        class Parser(BaseOutputParser[str]):
            def parse(inner, text: str) -> str:
                return self.mark("parser", text)

        self.body = RunnableLambda(lambda item: self.mark("lambda", item))
        self.parser = Parser()
        self.chain: Runnable[Any, Any] = (
            Prompt.from_template("{item}")
            | RunnableLambda(lambda prompt: prompt.to_string())
            | self.parser
            | RunnableLambda(lambda item: self.mark("lambda", item), afunc=in_async, name="RunnableLambda")
            | look_up
            | {"one": self.body, "two": RunnablePassthrough() | self.body}
            | RunnableLambda(lambda both: both["two"])
            | RunnableGenerator(self.generate, self.agenerate, name="RunnableGenerator")
        )

    def mark(self, kind: str, item: str, run_id: UUID | None = None) -> str:
        """Opens the spans, in the body of the given run or of the run in LangChain's child config."""
        config: Any = ensure_config()
        run = self._runs[(run_id or config["callbacks"].parent_run_id).int]
        name = f"{kind} {item} {next(self._numbers)}"
        self.shown[name] = run.span.get_span_context()
        with self._tracer.start_as_current_span(name):
            pass
        with otel_callbacks.retrieval(name):
            pass
        return item

    def flaky(self, item: str) -> str:
        """Fails the first time."""
        if self.mark("flaky", item) not in self._failed:
            self._failed.add(item)
            raise Refused(item)
        return item

    def broken(self, item: str) -> str:
        """Always fails."""
        raise Refused(self.mark("broken", item))

    def generate(self, items: Any) -> Any:
        for item in items:
            yield self.mark("generator", item)

    async def agenerate(self, items: Any) -> Any:
        async for item in items:
            yield self.mark("generator", item)


async def left_over() -> None:
    """Waits for the rest of a failed batch. LangChain raises the first error and does not cancel the others."""
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)


async def consume(stream: Any) -> None:
    async for _ in stream:
        pass


def graph(bodies: Bodies) -> Any:
    """A graph that runs the chain in a node, which is one more body."""

    def node(state: Any) -> Any:
        return {"item": bodies.mark("node", state["item"])}

    async def inner(state: Any) -> Any:
        return {"item": await bodies.chain.ainvoke(state["item"])}

    made = StateGraph(State)
    made.add_node("node", node)
    made.add_node("inner", RunnableLambda(lambda s: {"item": bodies.chain.invoke(s["item"])}, afunc=inner))
    made.add_edge(START, "node")
    made.add_edge("node", "inner")
    return {"item": bodies.body} | made.compile()


def nested(bodies: Bodies) -> Runnable[Any, Any]:
    """A chain whose body calls another chain for two inputs."""

    def call(item: str) -> None:
        bodies.chain.batch([item, item])
        bodies.mark("afterwards", item)

    async def acall(item: str) -> None:
        await bodies.chain.abatch([item, item])
        bodies.mark("afterwards", item)

    return RunnableLambda(call, afunc=acall, name="RunnableLambda")


SHAPES: dict[str, Callable[[Bodies], Runnable[Any, Any]]] = {
    "sequence": lambda b: b.chain,
    "sequence of sequences": lambda b: b.body | (b.chain | b.body) | b.parser,
    "named": lambda b: b.body | b.chain.with_config(run_name="named") | b.body,
    "parallel": lambda b: (
        RunnableParallel(one=b.chain, two=b.body) | RunnableLambda(lambda both: both["two"])
    ),
    "fallbacks": lambda b: RunnableLambda(lambda item: b.broken(item)).with_fallbacks([b.chain]) | b.body,
    "fallbacks outermost": lambda b: RunnableLambda(lambda item: b.broken(item)).with_fallbacks([b.chain]),
    "retry": lambda b: (
        b.body | RunnableLambda(lambda item: b.flaky(item)).with_retry(wait_exponential_jitter=False) | b.body
    ),
    "retry outermost": lambda b: (b.body | RunnableLambda(lambda item: b.flaky(item))).with_retry(
        wait_exponential_jitter=False
    ),
    "branch": lambda b: RunnableBranch((lambda item: bool(b.mark("condition", item)), b.chain), b.body),
    "assign": lambda b: (
        {"item": b.body} | RunnablePassthrough.assign(more=lambda d: b.mark("assign", d["item"]))
    ),
    "graph": graph,
    "nested": nested,
    "with a model": lambda b: (
        b.body | ScriptedModel(script=["answer"]) | b.parser | RunnableLambda(lambda x: b.mark("last", x))
    ),
}
SYNC: dict[str, Callable[[Runnable[Any, Any], Any], Any]] = {
    "invoke": lambda chain, config: chain.invoke(ITEMS[0], config),
    "batch": lambda chain, config: chain.batch(ITEMS, config),
    "batch one by one": lambda chain, config: chain.batch(ITEMS, config | {"max_concurrency": 1}),
    "batch as completed": lambda chain, config: list(chain.batch_as_completed(ITEMS, config)),
    "batch with exceptions": lambda chain, config: chain.batch(ITEMS, config, return_exceptions=True),
    "stream": lambda chain, config: list(chain.stream(ITEMS[0], config)),
    "map": lambda chain, config: chain.map().invoke(ITEMS, config),
    "map batch": lambda chain, config: chain.map().batch([ITEMS, ITEMS], config),
}
ASYNC: dict[str, Callable[[Runnable[Any, Any], Any], Awaitable[Any]]] = {
    "ainvoke": lambda chain, config: chain.ainvoke(ITEMS[0], config),
    "abatch": lambda chain, config: chain.abatch(ITEMS, config),
    "abatch one by one": lambda chain, config: chain.abatch(ITEMS, config | {"max_concurrency": 1}),
    "abatch as completed": lambda chain, config: consume(chain.abatch_as_completed(ITEMS, config)),
    "abatch with exceptions": lambda chain, config: chain.abatch(ITEMS, config, return_exceptions=True),
    "astream": lambda chain, config: consume(chain.astream(ITEMS[0], config)),
    "astream_events": lambda chain, config: consume(chain.astream_events(ITEMS[0], config, version="v2")),
    "amap": lambda chain, config: chain.map().ainvoke(ITEMS, config),
    "amap batch": lambda chain, config: chain.map().abatch([ITEMS, ITEMS], config),
}


class Scene:
    """A handler at one level of detail, with or without a user span around all calls."""

    def __init__(self, captured: Captured, detail: Detail, surrounded: bool) -> None:
        self.handler = OTelCallbackHandler(**captured.providers, detail=detail)
        self.bodies = Bodies(self.handler, captured)
        self.config = {"callbacks": [self.handler]}
        tracer = UserSpans(captured.tracer_provider).tracer
        self.around: Any = tracer.start_as_current_span("request") if surrounded else nullcontext()
        self._captured = captured

    def check(self) -> None:
        """Asserts that each span is below its run and in the trace of its input, and that no run is left open."""
        assert self.bodies.shown
        spans = {span.context.span_id: span for span in self._captured.spans}
        found: dict[str, list[Any]] = {name: [] for name in self.bodies.shown}
        for span in spans.values():
            name = span.name.removeprefix("retrieval ")
            if name in found:
                found[name].append(span.parent)
        assert found == {name: [parent, parent] for name, parent in self.bodies.shown.items()}
        assert self.handler._recorder.runs == {}
        assert self.handler._recorder.counts.started == self.handler._recorder.counts.ended


@pytest.fixture
def scene(captured: Captured) -> Scene:
    return Scene(captured, "standard", surrounded=False)


@pytest.mark.parametrize("mode", SYNC)
@pytest.mark.parametrize("shape", SHAPES)
def test_sync(shape: str, mode: str, scene: Scene) -> None:
    with suppress(Refused):  # LangChain does not retry a stream
        SYNC[mode](SHAPES[shape](scene.bodies), scene.config)
    scene.check()


@pytest.mark.parametrize("mode", ASYNC)
@pytest.mark.parametrize("shape", SHAPES)
async def test_async(shape: str, mode: str, scene: Scene) -> None:
    with suppress(Refused):
        await ASYNC[mode](SHAPES[shape](scene.bodies), scene.config)
    await left_over()
    scene.check()


@pytest.mark.parametrize("surrounded", [False, True], ids=["bare", "in a span"])
@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("shape", SHAPES)
async def test_batches(shape: str, detail: Detail, surrounded: bool, captured: Captured) -> None:
    scene = Scene(captured, detail, surrounded)
    chain = SHAPES[shape](scene.bodies)
    with scene.around:
        chain.batch(ITEMS, scene.config)
        await chain.abatch(ITEMS, scene.config)
    scene.check()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["batch", "abatch"])
async def test_every_input_has_a_trace_of_its_own(
    asynchronous: bool, scene: Scene, captured: Captured
) -> None:
    chain = scene.bodies.body | scene.bodies.chain
    await chain.abatch(ITEMS, scene.config) if asynchronous else chain.batch(ITEMS, scene.config)
    inputs: dict[int, set[str]] = {}
    for span in captured.spans:
        inputs.setdefault(span.context.trace_id, set()).update(set(span.name.split()) & set(ITEMS))
    assert sorted(inputs.values(), key=str) == [{item} for item in ITEMS]


async def test_two_providers(captured: Captured) -> None:
    """Handlers do not see each other's runs. A span opened in a body is below the run of the last handler."""
    before = trace.get_current_span()
    with capture() as others:
        scene = Scene(captured, "standard", surrounded=False)
        config = {"callbacks": [OTelCallbackHandler(**others.providers), *scene.config["callbacks"]]}
        chain = scene.bodies.body | scene.bodies.chain
        chain.batch(ITEMS, config)
        await chain.abatch(ITEMS, config)
        assert [span.name for span in others.spans if span.parent is None] == ["invoke_workflow"] * 6
    scene.check()
    assert trace.get_current_span() is before


def test_a_chain_of_the_old_kind(captured: Captured) -> None:
    """A chain of the old kind, whose body has no child config."""
    scene = Scene(captured, "operations", surrounded=False)

    class Old(Chain):
        input_keys = output_keys = property(lambda inner: ["item"])  # type: ignore[assignment]

        def _call(inner, inputs: Any, run_manager: Any = None) -> Any:
            return {"item": scene.bodies.mark("old", inputs["item"], run_manager.run_id)}

    (RunnableLambda(lambda item: {"item": item}) | Old(name="old")).batch(ITEMS, scene.config)
    scene.check()


def test_the_ids_of_ended_hidden_runs_are_bounded(captured: Captured) -> None:
    runs = OTelCallbackHandler(**captured.providers)._recorder.runs
    known: list[int] = []

    def many(question: str) -> None:
        for _ in range(1_100):
            RunnableLambda(lambda _: known.append(len(runs))).invoke("q")

    RunnableLambda(many).invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    assert (known[0], known[999], known[1_099], len(runs)) == (2, 1_001, 1_002, 0)
