"""Tests that each LlamaIndex call gives one tree of operations, the same for every way to call it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from llama_fakes import (  # noqa: F401 - fixtures
    DOCUMENTS,
    IGNORED,
    ScriptedEmbedding,
    ScriptedModel,
    ScriptedReranker,
    adrain,
    call,
    drain,
    errors,
    exception_events,
    handler,
    index,
    no_faults,
    outcome,
    untouched_settings,
)
from llama_index.core import Settings
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool, QueryEngineTool
from llama_index.core.workflow import Context, Event, StartEvent, StopEvent, Workflow, step
from pydantic import BaseModel

from otel_callbacks.conformance import assert_conformant
from otel_callbacks.llama_index import OTelCallbackHandler
from otel_callbacks.testing import Captured

pytestmark = [pytest.mark.usefixtures("handler"), IGNORED]

ASK = [ChatMessage(role="user", content="hi")]

QUERY = """
invoke_workflow query_engine
  retrieval
    embeddings embed-1
  rerank rerank-1
  synthesis
    chat scripted-1
"""
CHAT = """
invoke_workflow chat_engine
  retrieval
    embeddings embed-1
  synthesis
    chat scripted-1
"""


def query_engine(**options: Any) -> Any:
    return index().as_query_engine(llm=ScriptedModel(), node_postprocessors=[ScriptedReranker()], **options)


def chat_engine(mode: str = "context") -> Any:
    return index().as_chat_engine(chat_mode=mode, llm=ScriptedModel())


async def astreamed(engine: Any) -> Any:
    response = await engine.aquery("q")
    return "".join(await adrain(response.response_gen))


async def astreamed_chat(engine: Any) -> Any:
    response = await engine.astream_chat("q")
    return "".join(await adrain(response.async_response_gen()))


def as_async(function: Callable[[], Any]) -> Callable[[], Any]:
    async def run() -> Any:
        return function()

    return run


QUERIES: dict[str, Callable[[], Any]] = {
    "query": as_async(lambda: query_engine().query("q").response),
    "aquery": lambda: answered(query_engine().aquery("q")),
    "query streamed": as_async(lambda: "".join(drain(query_engine(streaming=True).query("q").response_gen))),
    "aquery streamed": lambda: astreamed(query_engine(streaming=True)),
}
CHATS: dict[str, Callable[[], Any]] = {
    "chat": as_async(lambda: chat_engine().chat("q").response),
    "achat": lambda: answered(chat_engine().achat("q")),
    "chat streamed": as_async(lambda: "".join(drain(chat_engine().stream_chat("q").response_gen))),
    "achat streamed": lambda: astreamed_chat(chat_engine()),
}


async def answered(awaitable: Any) -> Any:
    return (await awaitable).response


@pytest.mark.parametrize("mode", QUERIES)
async def test_query_engine(mode: str, captured: Captured) -> None:
    assert await QUERIES[mode]() == "hello big world"
    assert captured.tree() == QUERY.strip()
    assert_conformant(captured.spans)


@pytest.mark.parametrize("mode", CHATS)
async def test_chat_engine(mode: str, captured: Captured) -> None:
    assert await CHATS[mode]() == "hello big world"
    assert captured.tree() == CHAT.strip()
    assert_conformant(captured.spans)


@pytest.mark.parametrize("mode", ["simple", "condense_question", "condense_plus_context"])
async def test_other_chat_engines_are_one_trace(mode: str, captured: Captured) -> None:
    engine = chat_engine(mode)
    drain(engine.stream_chat("one").response_gen)
    await astreamed_chat(engine)
    assert [span.name for span in captured.spans if span.parent is None] == [
        "invoke_workflow chat_engine"
    ] * 2
    assert_conformant(captured.spans)


def test_levels_of_detail(captured: Captured) -> None:
    Settings.callback_manager = CallbackManager(
        [OTelCallbackHandler(**captured.providers, detail="operations")]
    )
    query_engine().query("q")
    assert "synthesis" not in captured.tree()
    assert captured.tree() == QUERY.strip().replace("  synthesis\n    chat", "  chat")


def test_everything(captured: Captured) -> None:
    Settings.callback_manager = CallbackManager(
        [OTelCallbackHandler(**captured.providers, detail="everything")]
    )
    query_engine().query("q")
    names = [span.name for span in captured.spans]
    assert {"RetrieverQueryEngine._query", "ScriptedModel.predict", "synthesis"} <= set(names)
    assert names.count("chat scripted-1") == 1
    assert_conformant(captured.spans)


def test_ingestion(captured: Captured) -> None:
    pipeline = IngestionPipeline(transformations=[SentenceSplitter(), ScriptedEmbedding()])
    pipeline.run(documents=DOCUMENTS)
    assert captured.tree() == "invoke_workflow ingestion_pipeline\n  node_parsing\n  embeddings embed-1"
    assert (captured.span("embeddings embed-1").attributes or {})["rag.embedding_count"] == 2


# --- model calls ---------------------------------------------------------------------------------------------------


class City(BaseModel):
    city: str


async def drained(awaitable: Any) -> Any:
    return await adrain(await awaitable)


ONE_CALL: dict[str, Callable[[], Any]] = {
    "complete": as_async(lambda: ScriptedModel().complete("x")),
    "acomplete falls back to complete": lambda: ScriptedModel().acomplete("x"),
    "stream_complete": as_async(lambda: drain(ScriptedModel().stream_complete("x"))),
    "predict": as_async(lambda: ScriptedModel().predict(PromptTemplate("x"))),
    "apredict": lambda: ScriptedModel().apredict(PromptTemplate("x")),
    "stream": as_async(lambda: drain(ScriptedModel().stream(PromptTemplate("x")))),
    "structured_predict": as_async(
        lambda: ScriptedModel(script=[call("City", city="Rome")]).structured_predict(
            City, PromptTemplate("x")
        )
    ),
    "as_structured_llm": as_async(
        lambda: ScriptedModel(script=[call("City", city="Rome")]).as_structured_llm(City).chat(ASK)
    ),
    "chat_with_tools": as_async(lambda: ScriptedModel().chat_with_tools([], "x")),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ONE_CALL)
async def test_a_model_call_is_counted_once(how: str, captured: Captured) -> None:
    await ONE_CALL[how]()
    (span,) = captured.spans
    assert span.name == "chat scripted-1"
    attributes = span.attributes or {}
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (100, 20)
    assert attributes["otel_callbacks.rollup.inference_calls"] == 1


class PassingOn(ScriptedModel):
    """Passes on the streams of its base class, like the models for OpenAI-compatible servers."""

    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        return super().stream_chat(messages, **kwargs)

    async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
        return await super().astream_chat(messages, **kwargs)


@pytest.mark.parametrize("mode", ["stream_chat", "astream_chat"])
async def test_a_stream_that_is_handed_on(mode: str, captured: Captured) -> None:
    if mode == "stream_chat":
        assert len(drain(PassingOn().stream_chat(ASK))) == 4
    else:
        assert len(await adrain(await PassingOn().astream_chat(ASK))) == 4
    (span,) = captured.spans
    assert outcome(span) is None
    assert (span.attributes or {})["gen_ai.usage.output_tokens"] == 20
    (chunks,) = captured.metrics()["gen_ai.client.inference.time_per_output_chunk"]
    assert chunks.count == 3


MOCK: dict[str, Callable[[], Any]] = {
    "chat": as_async(lambda: MockLLM().chat(ASK)),
    "achat": lambda: MockLLM().achat(ASK),
    "stream_chat": as_async(lambda: drain(MockLLM().stream_chat(ASK))),
    "astream_chat": lambda: drained(MockLLM().astream_chat(ASK)),
    "complete": as_async(lambda: MockLLM().complete("x")),
    "astream_complete": lambda: drained(MockLLM().astream_complete("x")),
}


@pytest.mark.parametrize("how", MOCK)
async def test_a_custom_model_that_calls_itself_is_one_call(how: str, captured: Captured) -> None:
    await MOCK[how]()
    assert len(captured.spans) == 1
    assert captured.spans[0].name == ("text_completion" if "complete" in how else "chat")


# --- agents and workflows ------------------------------------------------------------------------------------------


def look_up(word: str) -> str:
    """Looks up."""
    return "found"


def broken(word: str) -> str:
    """Fails."""
    raise ValueError("secret text")


def function_agent(*script: Any, name: str = "librarian", **options: Any) -> FunctionAgent:
    return FunctionAgent(
        name=name, description="d", tools=[look_up, broken], llm=ScriptedModel(script=list(script)), **options
    )


def react_agent() -> ReActAgent:
    script = [
        'Thought: I need to.\nAction: look_up\nAction Input: {"word": "x"}\n',
        "Thought: I can answer without using any more tools.\nAnswer: done",
    ]
    return ReActAgent(name="librarian", description="d", tools=[look_up], llm=ScriptedModel(script=script))


TURN = "  run_agent_step\n    chat scripted-1\n"


@pytest.mark.parametrize("streaming", [True, False])
async def test_function_agent(streaming: bool, captured: Captured) -> None:
    answer = await function_agent(call("look_up", word="x"), "done", streaming=streaming).run("hi")
    assert str(answer) == "done"
    assert captured.tree() == f"invoke_agent librarian\n{TURN}  execute_tool look_up\n{TURN}".strip()
    assert_conformant(captured.spans)


async def test_tool_of_an_agent(captured: Captured) -> None:
    await function_agent(call("look_up", "c-7", word="x"), "done").run("hi")
    attributes = captured.span("execute_tool look_up").attributes or {}
    assert attributes["gen_ai.tool.call.id"] == "c-7"
    assert attributes["gen_ai.agent.name"] == "librarian"
    assert attributes["otel_callbacks.tool.result_size"] == len("found")


async def test_react_agent(captured: Captured) -> None:
    await react_agent().run("hi")
    assert [span.name for span in captured.spans if span.parent is None] == ["invoke_agent librarian"]
    assert_conformant(captured.spans)


async def test_failing_tools_of_an_agent(captured: Captured) -> None:
    await function_agent(call("broken", word="x"), call("unknown"), "done").run("hi")
    assert errors(captured) == {"execute_tool broken": "ValueError", "execute_tool unknown": "tool_error"}
    assert exception_events(captured) == ["execute_tool broken"]
    assert "secret text" not in repr([(s.attributes, s.events, s.status.description) for s in captured.spans])


async def test_hand_off(captured: Captured) -> None:
    one = function_agent(call("handoff", to_agent="two", reason="r"), name="one", can_handoff_to=["two"])
    two = function_agent(call("look_up", word="x"), "done", name="two")
    Settings.callback_manager = CallbackManager(
        [OTelCallbackHandler(**captured.providers, detail="operations")]
    )
    await AgentWorkflow(agents=[one, two], root_agent="one").run("hi")
    assert captured.tree() == (
        "invoke_workflow\n"
        "  invoke_agent one\n    chat scripted-1\n    execute_tool handoff\n"
        "  invoke_agent two\n    chat scripted-1\n    execute_tool look_up\n    chat scripted-1"
    )
    assert (captured.span("invoke_agent two").attributes or {})["gen_ai.usage.input_tokens"] == 200


class Halfway(Event):
    pass


class TwoSteps(Workflow):
    """Asks a query engine in its second step, which is synchronous."""

    @step
    async def first(self, ev: StartEvent) -> Halfway:
        await asyncio.sleep(0.01)
        return Halfway()

    @step
    def second(self, ev: Halfway) -> StopEvent:
        return StopEvent(result=query_engine().query("q").response)


NESTED = QUERY.strip().replace("\n", "\n    ")


async def test_workflow_with_a_query_engine(captured: Captured) -> None:
    assert await TwoSteps().run() == "hello big world"
    assert captured.tree() == f"invoke_workflow TwoSteps\n  first\n  second\n    {NESTED}"
    assert_conformant(captured.spans)


async def test_concurrent_workflows_are_apart(captured: Captured) -> None:
    await asyncio.gather(*(TwoSteps().run() for _ in range(10)))
    traces: dict[int, list[str]] = {}
    for span in captured.spans:
        traces.setdefault(span.context.trace_id, []).append(span.name)
    assert len(traces) == 10
    assert {len(names) for names in traces.values()} == {9}


async def test_a_context_that_is_used_again(captured: Captured) -> None:
    agent = function_agent("done")
    context = Context(agent)
    for _ in range(3):
        await agent.run("hi", ctx=context)
    roots = [span for span in captured.spans if span.parent is None]
    assert [span.name for span in roots] == ["invoke_agent librarian"] * 3


async def test_query_engine_as_a_tool(captured: Captured) -> None:
    tool = QueryEngineTool.from_defaults(query_engine(), name="search", description="d")
    model = ScriptedModel(script=[call("search", input="x"), "done"])
    await FunctionAgent(name="librarian", tools=[tool], llm=model).run("hi")
    assert captured.tree().count("invoke_agent") == 1
    assert f"  execute_tool search\n    {NESTED}\n" in captured.tree()
    root = captured.span("invoke_agent librarian").attributes or {}
    assert root["otel_callbacks.rollup.inference_calls"] == 3
    assert root["gen_ai.usage.input_tokens"] == 300


def test_a_tool_on_its_own(captured: Captured) -> None:
    FunctionTool.from_defaults(look_up)(word="x")
    assert captured.tree() == "execute_tool look_up"


async def test_many_at_once(captured: Captured) -> None:
    engine = query_engine()
    await asyncio.gather(*(engine.aquery("q") for _ in range(50)))
    assert len([span for span in captured.spans if span.parent is None]) == 50
    assert len(captured.spans) == 50 * 6
