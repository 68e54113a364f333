"""Which retrieved documents and tool results reached the prompt, recorded without any of their text."""

import json
from typing import Any

import llama_fakes
import pytest
from fakes import ScriptedModel, ScriptedReranker, ScriptedRetriever, call
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.callbacks import CallbackManager
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from otel_callbacks import OTelCallbackHandler, inference, rerank, retrieval, trace_reranker, workflow
from otel_callbacks.testing import Captured

pytestmark = llama_fakes.IGNORED

ANIMALS = ["heron", "otter", "badger", "kestrel", "adder", "marten", "polecat", "bittern", "newt", "stoat"]
TEXTS = [f"Passage {n} tells of the {animal} and of nothing else." for n, animal in enumerate(ANIMALS)]
ANSWER = "It is the badger [d2], or the marten [d5]."


def row(captured: Captured, name: str) -> dict[str, Any]:
    attributes = captured.span(name).attributes or {}
    names = ("results_count", "reranked_count", "documents_in_prompt", "documents_cited")
    return {name: attributes.get(f"rag.{name}") for name in names}


def documents() -> list[Document]:
    return [Document(text, id=f"d{number}") for number, text in enumerate(TEXTS)]


def prompt(kept: Any) -> str:
    """Returns a prompt with four of the five documents that the reranker kept."""
    return "Answer from:\n" + "\n\n".join(document.page_content for document in kept[:4])


EXPECTED = {"results_count": 10, "reranked_count": 5, "documents_in_prompt": 4, "documents_cited": 1}


def test_one_span_counts_documents_retrieved_kept_in_the_prompt_and_cited(captured: Captured) -> None:
    retriever = ScriptedRetriever(documents=documents())
    reranker = trace_reranker(ScriptedReranker(top_n=5))
    chain = (
        retriever
        | RunnableLambda(lambda found: reranker.compress_documents(found, "q"))
        | RunnableLambda(prompt)
        | ScriptedModel(script=["It is the bittern [d7]."])
    ).with_config(run_name="rag")
    chain.invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers, content="none")]})
    assert row(captured, "invoke_workflow rag") == EXPECTED
    call_attributes = captured.span("chat scripted-1").attributes or {}
    assert call_attributes["rag.prompt_documents"] == ("d9", "d8", "d7", "d6")
    assert call_attributes["rag.context_token_share_estimated"] == pytest.approx(0.85, abs=0.1)


def test_operations_by_hand_count_documents_too(captured: Captured) -> None:
    with workflow("rag"):
        with retrieval() as search:
            search.documents(found := [{"id": f"d{n}", "text": text} for n, text in enumerate(TEXTS)])
        with rerank("rerank-1") as best:
            best.candidates(found)
            best.documents(kept := found[2:7])
        with inference("scripted-1") as call_:
            call_.messages(input="\n".join(each["text"] for each in kept[:4]), output=ANSWER)
    assert row(captured, "invoke_workflow rag") == {**EXPECTED, "documents_cited": 2}
    assert (captured.spans[0].attributes or {})["rag.cited_documents"] == ("d2", "d5")


def test_a_document_that_the_reranker_dropped_counts_if_the_prompt_has_it_and_not_by_chance(
    captured: Captured,
) -> None:
    with workflow("rag"):
        with retrieval() as search:
            texts = [*TEXTS[:3], "42"]
            search.documents(found := [{"id": f"d{n}", "text": text} for n, text in enumerate(texts)])
        with rerank("rerank-1") as best:
            best.documents(found[:1])
        with inference("scripted-1") as call_:
            call_.messages(input=f"{TEXTS[0]}\n{TEXTS[2]}\nThe answer may be 42.", output="Who knows?")
    attributes = captured.span("chat scripted-1").attributes or {}
    assert attributes["rag.prompt_documents"] == ("d0", "d2")


def test_no_text_of_a_document_is_exported(captured: Captured) -> None:
    test_operations_by_hand_count_documents_too(captured)
    exported = encode_spans(captured.spans).SerializeToString()
    assert not [text for text in TEXTS if text[:20].encode() in exported]


def test_documents_without_an_id_are_named_by_their_rank(captured: Captured) -> None:
    retriever = ScriptedRetriever(documents=[Document(text) for text in TEXTS])
    chain = (retriever | RunnableLambda(lambda found: found[2].page_content) | ScriptedModel()).with_config(
        run_name="rag"
    )
    chain.invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    assert (captured.span("chat scripted-1").attributes or {})["rag.prompt_documents"] == ("#3",)


def test_a_call_without_retrieval_has_no_document_attributes(captured: Captured) -> None:
    ScriptedModel().invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    assert not [name for name in captured.spans[0].attributes or {} if name.startswith("rag.")]


# --- tools -----------------------------------------------------------------------------------------------------------

BIG = "a long result of a tool, which is sent again with every turn. " * 40


@tool
def look_up(word: str) -> str:
    """Looks a word up."""
    return BIG


SCRIPT = [call("look_up", "c1", word="x"), call("look_up", "c2", word="y"), AIMessage("done")]


def tools(captured: Captured, name: str) -> dict[str, Any]:
    attributes = captured.span(name).attributes or {}
    rollup = "otel_callbacks.rollup."
    assert attributes[rollup + "tool_tokens_estimated"] == sum(
        row["sent_once"] + row["resent"] for row in json.loads(str(attributes[rollup + "tools"])).values()
    )
    share = attributes[rollup + "tool_token_share_estimated"]
    return {"share": share, **json.loads(str(attributes[rollup + "tools"]))}


def check(found: dict[str, Any], captured: Captured) -> None:
    """Checks two results, the first of which is sent twice: most of the 300 tokens, and a third of those resent."""
    used = found["look_up"]
    assert used["calls"] == 2
    assert 0.5 < found["share"] < 1
    assert used["sent_once"] > used["resent"] > 0
    points = captured.metrics()["otel_callbacks.tool.attributed_tokens"]
    results = [p.value for p in points if p.attributes["otel_callbacks.tool.part"] == "result"]
    assert results == [used["sent_once"] + used["resent"]]


def test_how_many_of_an_agents_tokens_were_tool_results(captured: Captured) -> None:
    agent = create_agent(ScriptedModel(script=SCRIPT), [look_up], name="a")
    agent.invoke(
        {"messages": [("user", "q")]},
        {"callbacks": [OTelCallbackHandler(**captured.providers, content="none")]},
    )
    check(tools(captured, "invoke_agent a"), captured)


async def test_llama_index_counts_tool_results_too(captured: Captured, untouched_settings: None) -> None:  # noqa: F811
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers, content="none")])
    script = [
        llama_fakes.call("look_up", "c1", word="x"),
        llama_fakes.call("look_up", "c2", word="y"),
        "done",
    ]

    def look_up(word: str) -> str:
        """Looks a word up."""
        return BIG

    llm = llama_fakes.ScriptedModel(script=script)
    await FunctionAgent(name="a", llm=llm, tools=[look_up], streaming=False).run("q")
    check(tools(captured, "invoke_agent a"), captured)


def test_an_agent_includes_the_agents_it_calls(captured: Captured) -> None:
    @tool
    def ask(question: str) -> str:
        """Asks another agent."""
        inner = create_agent(ScriptedModel(script=SCRIPT), [look_up], name="inner")
        return str(inner.invoke({"messages": [("user", question)]})["messages"][-1].content)

    script = [call("ask", question="x"), AIMessage("done")]
    agent = create_agent(ScriptedModel(script=script), [ask], name="outer")
    agent.invoke({"messages": [("user", "q")]}, {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    inner, outer = tools(captured, "invoke_agent inner"), tools(captured, "invoke_agent outer")
    assert outer["look_up"] == inner["look_up"]
    assert outer["ask"]["calls"] == 1
