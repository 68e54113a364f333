"""An asynchronous LlamaIndex reranker has its span, as the synchronous one has.

LlamaIndex reports abstract methods, and `_apostprocess_nodes` is none: a reranker with one of its own says nothing,
unless it sends rerank events, or is traced by `trace_reranker`.
"""

import asyncio
import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ends import assert_all_ended, errors, outcomes, told
from llama_fakes import (  # noqa: F401 - some are fixtures
    IGNORED,
    ScriptedModel,
    call,
    no_faults,
    untouched_settings,
)
from llama_index.core import Settings
from llama_index.core.callbacks import CallbackManager
from llama_index.core.postprocessor import LLMRerank, StructuredLLMRerank
from llama_index.core.postprocessor.rankGPT_rerank import RankGPTRerank
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from opentelemetry import trace
from waiting import cut_short, pause

from otel_callbacks import trace_reranker
from otel_callbacks.llama_index import OTelCallbackHandler, instrument, uninstrument
from otel_callbacks.testing import Captured

pytestmark = IGNORED


def nodes() -> list[NodeWithScore]:
    return [
        NodeWithScore(node=TextNode(text="one", id_="d1"), score=0.75),
        NodeWithScore(node=TextNode(text="two", id_="d2"), score=0.5),
    ]


class Found(BaseRetriever):
    """Finds the same two documents for every question."""

    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        return nodes()


class Own(BaseNodePostprocessor):
    """A user's reranker, which does it all twice. `body` runs in it."""

    top_n: int = 1
    model: str = "own-1"
    llm: Any = None
    fault: Any = None
    body: Any = None
    delay: float = 0.0

    def _ranked(self, found: list[NodeWithScore]) -> list[NodeWithScore]:
        if self.body is not None:
            self.body()
        if self.fault is not None:
            raise self.fault
        return [NodeWithScore(node=found[-1].node, score=0.9)][: self.top_n]

    def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
        if self.llm is not None:
            self.llm.complete("which?")
        return self._ranked(nodes)

    async def _apostprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
        await pause(self.delay)
        if self.llm is not None:
            await self.llm.acomplete("which?")
        return self._ranked(nodes)


def structured() -> StructuredLLMRerank:
    chosen = [{"document_number": 2, "relevance": 9}, {"document_number": 1, "relevance": 3}]
    model = ScriptedModel(script=[call("DocumentRelevanceList", documents=chosen)])
    return StructuredLLMRerank(llm=model, top_n=1)


def by_model() -> LLMRerank:
    return LLMRerank(llm=ScriptedModel(script=["Doc: 2, Relevance: 9\nDoc: 1, Relevance: 3"]), top_n=1)


def rank_gpt() -> RankGPTRerank:
    return RankGPTRerank(llm=ScriptedModel(script=["[2] > [1]"]), top_n=1)


def own() -> Own:
    return Own(llm=ScriptedModel())


RERANKERS: dict[str, Callable[[], Any]] = {
    "StructuredLLMRerank": structured,  # sends events
    "StructuredLLMRerank, traced twice over": lambda: trace_reranker(structured()),
    "LLMRerank": lambda: trace_reranker(by_model()),
    "RankGPTRerank": lambda: trace_reranker(rank_gpt()),
    "a user's": lambda: trace_reranker(own()),
}
SILENT = {"LLMRerank": by_model, "RankGPTRerank": rank_gpt, "a user's": own}


@pytest.fixture
def handler(captured: Captured) -> Iterator[OTelCallbackHandler]:
    made = OTelCallbackHandler(**captured.providers)
    Settings.callback_manager = CallbackManager([made])
    yield made
    assert_all_ended(captured)
    assert not trace.get_current_span().get_span_context().is_valid


def engine(reranker: Any) -> RetrieverQueryEngine:
    model = ScriptedModel(model="answer-1")
    return RetrieverQueryEngine.from_args(Found(), llm=model, node_postprocessors=[reranker])


def described(captured: Captured) -> list[Any]:
    return [(span.name, span.kind, dict(told(span))) for span in captured.spans]


@pytest.mark.parametrize("kind", RERANKERS)
async def test_on_its_own(kind: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    found = await RERANKERS[kind]().apostprocess_nodes(nodes(), query_str="q")
    assert [each.node.node_id for each in found] == ["d2"]
    asynchronous, tree = described(captured), captured.tree()
    captured.clear()
    RERANKERS[kind]().postprocess_nodes(nodes(), query_str="q")
    assert tree == captured.tree()
    assert tree.startswith("rerank ")
    assert asynchronous == described(captured)


@pytest.mark.parametrize("kind", RERANKERS)
async def test_in_a_query(kind: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    await engine(RERANKERS[kind]()).aquery("q")
    asynchronous, tree = described(captured), captured.tree()
    captured.clear()
    engine(RERANKERS[kind]()).query("q")
    assert tree == captured.tree()
    assert "\n  rerank " in tree
    assert tree.endswith("\n  synthesis\n    chat answer-1")
    assert asynchronous == described(captured)
    assert errors(captured) == {}
    assert outcomes(captured) == {}


@pytest.mark.parametrize("kind", RERANKERS)
async def test_what_is_said_of_it(kind: str, captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers, content="spans")])
    await engine(RERANKERS[kind]()).aquery("what?")
    (span,) = [span for span in captured.spans if span.name.startswith("rerank ")]
    said = told(span)
    assert said["gen_ai.operation.name"] == "rerank"
    assert (said["rag.candidate_count"], said["rag.reranked_count"]) == (2, 1)
    assert said["rag.query"] == "what?"
    assert '"id":"d2"' in said["rag.documents"]
    assert '"rank_before":2' in said["rag.documents"]
    assert said["otel_callbacks.rollup.inference_calls"] == 1


@pytest.mark.parametrize("kind", ["StructuredLLMRerank", "LLMRerank", "a user's"])
async def test_several_at_once(kind: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    await asyncio.gather(
        *(RERANKERS[kind]().apostprocess_nodes(nodes(), query_str=str(each)) for each in range(3))
    )
    name = "own-1" if kind == "a user's" else "scripted-1"
    assert captured.tree() == "\n".join([f"rerank {name}\n  chat scripted-1"] * 3)


@pytest.mark.parametrize("kind", ["StructuredLLMRerank", "LLMRerank", "a user's"])
async def test_in_a_step_of_a_workflow(kind: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    class Sorting(Workflow):
        @step
        async def sort(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await RERANKERS[kind]().apostprocess_nodes(nodes(), query_str="q"))

    await Sorting().run()
    name = "own-1" if kind == "a user's" else "scripted-1"
    assert captured.tree() == f"invoke_workflow Sorting\n  sort\n    rerank {name}\n      chat scripted-1"


async def test_the_applications_span_in_it(captured: Captured, handler: OTelCallbackHandler) -> None:
    def body() -> None:
        with captured.tracer_provider.get_tracer("application").start_as_current_span("mine"):
            pass

    await trace_reranker(Own(body=body)).apostprocess_nodes(nodes(), query_str="q")
    assert captured.tree() == "rerank own-1\n  mine"


# --- how it ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_one_that_fails(mode: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    reranker = engine(trace_reranker(Own(fault=ConnectionError("no"))))
    with pytest.raises(ConnectionError):
        await reranker.aquery("q") if mode == "async" else reranker.query("q")
    assert errors(captured) == {
        "rerank own-1": "ConnectionError",
        "invoke_workflow query_engine": "ConnectionError",
    }
    assert [span.name for span in captured.spans for event in span.events if event.name == "exception"] == [
        "rerank own-1"
    ]


async def test_one_with_events_that_fails(captured: Captured, handler: OTelCallbackHandler) -> None:
    """It says that it starts, and then nothing."""
    reranker = StructuredLLMRerank(llm=ScriptedModel(script=[ConnectionError("no")]), top_n=1)
    with pytest.raises(Exception, match="no"):
        await engine(reranker).aquery("q")
    assert "rerank scripted-1" in errors(captured)
    assert outcomes(captured) == {}


async def test_one_with_events_that_has_nothing_to_do(
    captured: Captured, handler: OTelCallbackHandler
) -> None:
    """Given nothing it says that it starts, and then nothing; what comes next is not in it."""

    class Nothing(BaseRetriever):
        def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
            return []

    model = ScriptedModel(model="answer-1")
    made = RetrieverQueryEngine.from_args(Nothing(), llm=model, node_postprocessors=[structured()])
    await made.aquery("q")
    asynchronous = captured.tree()
    captured.clear()
    made.query("q")
    assert asynchronous == captured.tree()
    assert outcomes(captured) == {}
    assert errors(captured) == {}


@pytest.mark.parametrize("mode", ["own task", "caller's task"])
async def test_one_that_is_cancelled(mode: str, captured: Captured, handler: OTelCallbackHandler) -> None:
    work = trace_reranker(Own(delay=5)).apostprocess_nodes(nodes(), query_str="q")
    with pytest.raises(TimeoutError):
        async with cut_short():
            await (asyncio.create_task(work) if mode == "own task" else work)
    await asyncio.sleep(0)
    assert outcomes(captured) == {"rerank own-1": "cancelled"}
    assert errors(captured) == {}


# --- the object --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SILENT)
def test_the_object_stays_what_it_is(kind: str) -> None:
    reranker = SILENT[kind]()
    before = type(reranker).__name__, reranker.class_name(), set(reranker.to_dict())
    assert trace_reranker(reranker) is reranker
    assert trace_reranker(trace_reranker(reranker)) is reranker
    assert (type(reranker).__name__, reranker.class_name(), set(reranker.to_dict())) == before
    assert isinstance(reranker, type(SILENT[kind]()))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda each: each.model_copy(deep=True)])
async def test_a_copy_is_traced_as_well(
    copied: Callable[[Any], Any], captured: Captured, handler: OTelCallbackHandler
) -> None:
    await copied(trace_reranker(Own())).apostprocess_nodes(nodes(), query_str="q")
    assert captured.tree() == "rerank own-1"


async def test_with_a_handler_of_its_own(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    reranker = trace_reranker(Own(), handler=handler)
    await reranker.apostprocess_nodes(nodes(), query_str="q")
    assert captured.tree() == "rerank own-1"


async def test_with_the_handler_of_its_model(captured: Captured) -> None:
    manager = CallbackManager([OTelCallbackHandler(**captured.providers)])
    reranker = structured()
    reranker.llm.callback_manager = manager
    await reranker.apostprocess_nodes(nodes(), query_str="q")
    assert captured.tree() == "rerank scripted-1\n  chat scripted-1"


async def test_with_the_handler_of_the_process(captured: Captured) -> None:
    instrument(**captured.providers)
    try:
        await trace_reranker(Own()).apostprocess_nodes(nodes(), query_str="q")
        await structured().apostprocess_nodes(nodes(), query_str="q")
    finally:
        uninstrument()
    assert captured.tree() == "rerank own-1\nrerank scripted-1\n  chat scripted-1"


async def test_every_one_of_the_process(captured: Captured) -> None:
    before = BaseNodePostprocessor.apostprocess_nodes
    instrument(**captured.providers, rerankers=True)
    try:
        for make in SILENT.values():
            await make().apostprocess_nodes(nodes(), query_str="q")
    finally:
        uninstrument()
    assert BaseNodePostprocessor.apostprocess_nodes is before
    await own().apostprocess_nodes(nodes(), query_str="q")
    one = "rerank scripted-1\n  chat scripted-1"
    assert captured.tree() == f"{one}\n{one}\nrerank own-1\n  chat scripted-1"


async def test_without_a_handler_nothing_is_traced(captured: Captured) -> None:
    found = await trace_reranker(Own()).apostprocess_nodes(nodes(), query_str="q")
    assert [each.node.node_id for each in found] == ["d2"]
    assert captured.spans == []


@pytest.mark.parametrize("wrong", [None, "reranker", object(), Own])
def test_what_is_no_reranker(wrong: Any) -> None:
    with pytest.raises(TypeError, match="trace_reranker takes"):
        trace_reranker(wrong)
