"""Tests manual operations in and around runs of the frameworks, and which recorder records them."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import fakes
import llama_fakes
import pytest
from fakes import ScriptedModel
from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool as langchain_tool
from langgraph.graph import END, START, StateGraph
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode
from opentelemetry import trace

from otel_callbacks import handler as both
from otel_callbacks.cost.attribution import attribution
from otel_callbacks.cost.budget import Budget, BudgetExceeded
from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.manual import agent, current_recorder, inference, retrieval, step, tool, workflow
from otel_callbacks.manual.feedback import record_feedback
from otel_callbacks.privacy.content_scope import content
from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.testing import Captured, capture

pytestmark = llama_fakes.IGNORED


@step
def look(value: Any) -> Any:
    """A manual operation."""
    return value


@pytest.fixture
def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


# --- LangChain and LangGraph ---------------------------------------------------------------------------------------


def test_inside_a_chain(captured: Captured, config: Any) -> None:
    def ask(question: str) -> str:
        with retrieval("docs") as span:
            span.documents([("one", 0.5)])
        return question

    (RunnableLambda(ask) | ScriptedModel()).with_config(run_name="ask").invoke("q", config)
    assert captured.tree() == "invoke_workflow ask\n  ask\n    retrieval docs\n  chat scripted-1"
    assert (captured.span("invoke_workflow ask").attributes or {})["rag.total_tokens"] == 120


async def test_around_chains(captured: Captured, config: Any) -> None:
    model = ScriptedModel()
    with workflow("mine"):
        model.invoke("q", config)
        with step("inner"):
            await model.ainvoke("q", config)
        await asyncio.gather(*(model.ainvoke("q", config) for _ in range(2)))
    assert captured.tree() == textwrap.dedent(
        """\
        invoke_workflow mine
          chat scripted-1
          inner
            chat scripted-1
          chat scripted-1
          chat scripted-1"""
    )
    assert (captured.span("invoke_workflow mine").attributes or {})[
        "otel_callbacks.rollup.total_tokens"
    ] == 480


def test_between_an_outer_and_an_inner_run(captured: Captured, config: Any) -> None:
    inner = (RunnableLambda(lambda given: look(given)) | ScriptedModel()).with_config(run_name="inner")
    tracer = captured.tracer_provider.get_tracer("application")

    def body(question: str) -> Any:
        with tracer.start_as_current_span("user's span"), step("between"):
            return inner.invoke(question)

    RunnableLambda(body).with_config(run_name="outer").invoke("q", config)
    assert captured.tree() == textwrap.dedent(
        """\
        invoke_workflow outer
          user's span
            between
              inner
                look
                chat scripted-1"""
    )


@pytest.mark.parametrize("how", ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"])
async def test_inside_the_nodes_of_a_graph(how: str, captured: Captured, config: Any) -> None:
    def ask(state: Any) -> Any:
        look(1)
        return {"q": ScriptedModel().invoke("q").content}

    graph = StateGraph(dict)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    compiled = graph.compile(name="asking")
    tree = "invoke_workflow asking\n  ask\n    look\n    chat scripted-1"
    call = getattr(compiled, how)
    if "batch" in how:
        done = call([{"q": 1}, {"q": 2}], config)
        assert len(await done if how == "abatch" else done) == 2
        tree = f"{tree}\n{tree}"
    elif how == "astream":
        assert [chunk async for chunk in call({"q": 1}, config)]
    else:
        done = call({"q": 1}, config)
        assert list(await done if how == "ainvoke" else done)
    assert captured.tree() == tree


async def test_inside_a_tool_of_an_agent(captured: Captured, config: Any) -> None:
    @langchain_tool
    async def look_up(word: str) -> str:
        """Looks a word up."""
        with retrieval("docs"):
            return str(look(word))

    model = ScriptedModel(script=[fakes.call("look_up", word="x"), "done"])
    await create_agent(model, [look_up], name="librarian").ainvoke({"messages": [("user", "go")]}, config)
    assert "execute_tool look_up\n      retrieval docs\n        look" in captured.tree()


def test_beside_a_stream(captured: Captured, config: Any) -> None:
    chain = (RunnableLambda(lambda given: look(given)) | ScriptedModel(script=["a b"])).with_config(
        run_name="chain"
    )
    chunks = [look(chunk) for chunk in chain.stream("q", config)]
    looks = "\nlook" * len(chunks)
    assert captured.tree() == f"invoke_workflow chain\n  look\n  chat scripted-1{looks}"


def test_a_chain_in_a_generator(captured: Captured, config: Any) -> None:
    @workflow
    def answer(question: str) -> Iterator[str]:
        for chunk in ScriptedModel(script=["a b"]).stream(question, config):
            yield str(chunk.content)

    with step("consumer"):
        said = [look(word) for word in answer("q")]
    looks = "\n  look" * len(said)
    assert captured.tree() == f"consumer\n  invoke_workflow answer\n    chat scripted-1{looks}"


def test_an_agent_by_hand_counts_its_own_calls(captured: Captured, config: Any) -> None:
    with agent("librarian"):
        ScriptedModel().invoke("q", config)
        tool("look_up")(lambda: "found")()
    attributes = captured.span("invoke_agent librarian").attributes or {}
    assert attributes["gen_ai.usage.input_tokens"] == 100
    assert captured.metrics()["gen_ai.invoke_agent.tool_calls"][0].sum == 1


def test_a_model_of_langchains_in_an_inference_by_hand_counts_once(captured: Captured, config: Any) -> None:
    with workflow("w"), inference("m") as span:
        ScriptedModel().invoke("q", config)
        span.usage(input_tokens=100, output_tokens=20)
    attributes = captured.span("invoke_workflow w").attributes or {}
    assert attributes["otel_callbacks.rollup.total_tokens"] == 120


# --- LlamaIndex ----------------------------------------------------------------------------------------------------


class ByHand(BaseRetriever):
    """A retriever with a manual operation in its body."""

    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        with tool("search", call_id="1"):
            look(1)
        return [NodeWithScore(node=TextNode(text="one", id_="d1"), score=0.5)]


@pytest.fixture
def llama(captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers)])


@pytest.mark.usefixtures("llama")
@pytest.mark.parametrize("streaming", [False, True])
async def test_in_and_around_a_query_engine(streaming: bool, captured: Captured) -> None:
    engine = RetrieverQueryEngine.from_args(ByHand(), llm=llama_fakes.words(["a b"]), streaming=streaming)
    with workflow("mine"):
        response = engine.query("q")
        for _ in getattr(response, "response_gen", ()):
            look(2)
    looks = "  look\n" * 3 if streaming else ""
    assert captured.tree().startswith(
        "invoke_workflow mine\n  invoke_workflow query_engine\n    retrieval\n      execute_tool search\n"
    )
    assert captured.tree().count("chat scripted-1") == 1
    assert captured.tree().endswith(looks.rstrip("\n"))


@pytest.mark.usefixtures("llama")
async def test_in_a_tool_of_an_agent(captured: Captured) -> None:
    async def look_up(word: str) -> str:
        """Looks a word up."""
        with step("between"):
            await llama_fakes.words(["inner"]).achat([ChatMessage(role="user", content="q")])
        return str(look(word))

    model = llama_fakes.words([llama_fakes.call("look_up", word="x"), "done"])
    with workflow("mine"):
        await FunctionAgent(name="librarian", tools=[look_up], llm=model, streaming=False).run("go")
    assert captured.tree().startswith("invoke_workflow mine\n  invoke_agent librarian")
    assert "execute_tool look_up\n      between\n        chat scripted-1\n      look" in captured.tree()


def test_a_conversation_is_redacted_once_however_far_down(captured: Captured) -> None:
    policy = ContentPolicy("none", redact=(lambda text: f"hidden {text}",))
    with content(policy), workflow("chat", conversation_id="c1"), step("s"), inference("m"):
        pass
    for name in ("chat m", "invoke_workflow chat"):
        assert (captured.span(name).attributes or {})["gen_ai.conversation.id"] == "hidden c1"


def test_a_conversation_is_handed_down(captured: Captured) -> None:
    with workflow("chat", conversation_id="c1"), step("s"), inference("m"):
        pass
    assert (captured.span("chat m").attributes or {})["gen_ai.conversation.id"] == "c1"


# --- who pays ------------------------------------------------------------------------------------------------------


def test_who_pays_and_what_it_costs(captured: Captured) -> None:
    with attribution(tenant="acme"), workflow("w"):
        inference("gpt-4o", provider="openai")(
            lambda: {"usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}}
        )()
        record_feedback(trace.get_current_span(), name="helpful", score=1)
    assert {span.attributes["app.tenant_id"] for span in captured.spans if span.attributes} == {"acme"}
    assert (captured.span("chat gpt-4o").attributes or {})["gen_ai.usage.cost_usd"] == 2.5
    assert (captured.span("invoke_workflow w").attributes or {})["otel_callbacks.rollup.cost_usd"] == 2.5


@pytest.mark.parametrize("streams", [False, True])
def test_a_spent_budget_refuses_a_call_by_hand(streams: bool, captured: Captured) -> None:
    def generate() -> Any:
        asked.append(1)
        return {"usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}}

    def stream() -> Iterator[Any]:
        yield generate()

    asked: list[int] = []
    budget = Budget(usd=1, per="total", enforce=True, tenant="acme")
    both.instrument(**captured.providers, budgets=[budget], attribution={"tenant": "acme"})
    generating = inference("gpt-4o", provider="openai")(stream if streams else generate)
    drain(generating())
    with pytest.raises(BudgetExceeded):
        drain(generating())
    both.uninstrument()
    assert asked == [1]
    assert [span.status.status_code.name for span in captured.spans] == ["UNSET", "ERROR"]


def drain(value: Any) -> None:
    """Reads a stream."""
    if not isinstance(value, dict):
        list(value)


# --- which recorder ------------------------------------------------------------------------------------------------


def test_the_recorder_of_the_run_around(captured: Captured) -> None:
    with capture() as other:
        handler = OTelCallbackHandler(**captured.providers, detail="operations", content="spans")
        RunnableLambda(lambda given: tool(look)("x")).invoke("q", {"callbacks": [handler]})  # type: ignore[operator]
    assert captured.tree() == "invoke_workflow\n  execute_tool look"
    assert "gen_ai.tool.call.result" in (captured.span("execute_tool look").attributes or {})
    assert other.spans == []


def test_after_a_run_its_recorder_is_no_longer_in_charge(captured: Captured) -> None:
    with capture() as other:
        asyncio.run(_run_then_look(OTelCallbackHandler(**captured.providers)))
    assert (captured.tree(), other.tree()) == ("invoke_workflow look\n  look", "look")


async def _run_then_look(handler: OTelCallbackHandler) -> None:
    await RunnableLambda(look).ainvoke("q", {"callbacks": [handler]})
    look(2)


def test_the_recorder_of_instrument(captured: Captured) -> None:
    with capture() as other:
        both.instrument(**other.providers, detail="operations")
        look(1)
        tool(look)(1)
        both.uninstrument()
        with capture() as innermost:
            look(2)
        look(3)
    assert other.tree() == "execute_tool look\nlook"
    assert innermost.tree() == "look"
    assert captured.spans == []


def test_without_any_it_is_the_global_one() -> None:
    assert current_recorder.current_recorder() is current_recorder.current_recorder()
    with capture():
        assert current_recorder.current_recorder() is not current_recorder._default_recorder()


def test_by_hand_needs_neither_framework_nor_sdk() -> None:
    script = """
        import sys
        from otel_callbacks import record_feedback, retrieval, step

        @step
        def look() -> int:
            return 1

        with retrieval("docs") as span:
            span.documents(["one"])
        record_feedback("0xab", name="helpful", score=look())
        loaded = {name.partition(".")[0] for name in sys.modules} & {"langchain_core", "llama_index"}
        assert not loaded and "opentelemetry.sdk" not in sys.modules, loaded
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)
