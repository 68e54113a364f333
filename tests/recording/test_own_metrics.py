"""Our own metrics: operations by who pays, retrievals and documents, steps and rerankers, tokens of tools."""

from collections.abc import Callable
from typing import Any

import llama_fakes
import pytest
from fakes import ScriptedModel, ScriptedReranker, ScriptedRetriever, call
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.callbacks import CallbackManager
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider

from otel_callbacks import (
    OTelCallbackHandler,
    attribution,
    inference,
    rerank,
    retrieval,
    step,
    trace_reranker,
    workflow,
)
from otel_callbacks.manual import tool as hand_tool
from otel_callbacks.testing import Captured, capture

pytestmark = llama_fakes.IGNORED

ANIMALS = ["heron", "otter", "badger", "kestrel", "adder", "marten"]
TEXTS = [f"Passage {n} tells of the {animal} and of nothing else." for n, animal in enumerate(ANIMALS)]
FOUND = [{"id": f"d{n}", "text": text, "score": 0.9 - n / 10} for n, text in enumerate(TEXTS)]
RAG = "otel_callbacks.rag."


def values(captured: Captured, name: str) -> dict[tuple[Any, ...], Any]:
    """Returns the points of a metric by their attributes, with short names: sums, or counts of histograms."""
    return {
        tuple(sorted((key.rpartition(".")[2], value) for key, value in point.attributes.items())): (
            point.count if hasattr(point, "count") else point.value
        )
        for point in captured.metrics().get(name, [])
    }


def answer(found: Any, text: str = "So it is.") -> None:
    with inference("scripted-1") as asked:
        asked.messages(input="\n".join(each["text"] for each in found), output=text)


# --- operations ------------------------------------------------------------------------------------------------------


def test_operations_count_requests_and_errors_by_who_pays(captured: Captured) -> None:
    config: Any = {"callbacks": [OTelCallbackHandler(**captured.providers)]}
    chain = (RunnableLambda(str) | ScriptedModel(script=["yes", ValueError("no")])).with_config(
        run_name="rag"
    )
    with attribution(tenant="acme", feature="search", user="u-7"):
        chain.invoke("q", config)
    with attribution(tenant="globex"), pytest.raises(ValueError, match="no"):
        chain.invoke("q", config)
    acme, globex = (("feature", "search"), ("tenant_id", "acme")), (("tenant_id", "globex"),)
    failed = ("type", "ValueError")
    assert values(captured, "otel_callbacks.operations") == {
        (acme[0], ("name", "chat"), acme[1]): 1,
        (acme[0], ("name", "invoke_workflow"), acme[1]): 1,
        (("name", "chat"), *globex, failed): 1,
        (("name", "invoke_workflow"), *globex, failed): 1,
    }


def test_operations_say_how_they_ended(captured: Captured) -> None:
    with pytest.raises(KeyboardInterrupt), workflow("w"):
        raise KeyboardInterrupt
    assert values(captured, "otel_callbacks.operations") == {
        (("name", "invoke_workflow"), ("outcome", "cancelled")): 1
    }


def test_errors_and_steps_with_ever_new_names_take_a_bounded_number_of_series(captured: Captured) -> None:
    for number in range(150):
        kind = type(f"Error{number}", (Exception,), {})
        with pytest.raises(kind), step(f"step {number}"), hand_tool("t"):
            raise kind
    tools = values(captured, "otel_callbacks.operations")
    assert len(tools) == 101
    assert tools[("name", "execute_tool"), ("type", "__other__")] == 50
    steps = values(captured, "otel_callbacks.step.duration")
    assert len({dict(key)["name"] for key in steps}) == 101
    assert sum(count for key, count in steps.items() if ("name", "__other__") in key) == 50


def test_unpriced_calls_count_by_who_pays(captured: Captured) -> None:
    with attribution(tenant="acme"):
        answer(())
    (attributes,) = [dict(key) for key in values(captured, "otel_callbacks.cost.unpriced")]
    assert attributes["tenant_id"] == "acme"


# --- steps and rerankers ---------------------------------------------------------------------------------------------


def test_steps_and_rerankers_have_durations(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    reranker = trace_reranker(ScriptedReranker(top_n=1))
    pick = RunnableLambda(lambda found: reranker.compress_documents(found, "q")).with_config(run_name="pick")
    (ScriptedRetriever() | pick).with_config(run_name="rag").invoke("q", {"callbacks": [handler]})
    with pytest.raises(ValueError, match="no"), workflow("w"), step("look"), rerank("rerank-2"):
        raise ValueError("no")
    assert values(captured, "otel_callbacks.step.duration") == {
        (("name", "pick"),): 1,
        (("name", "look"), ("type", "ValueError")): 1,
    }
    assert values(captured, "otel_callbacks.rerank.duration") == {
        (("rerank_model", "rerank-1"),): 1,
        (("rerank_model", "rerank-2"), ("type", "ValueError")): 1,
    }


# --- retrievals and documents ----------------------------------------------------------------------------------------


def test_documents_are_counted_from_their_data_source_to_the_answer(captured: Captured) -> None:
    with workflow("rag"):
        with retrieval("wiki") as search:
            search.documents(FOUND[:3])
        with retrieval("mail") as search:
            search.documents(FOUND[3:])
        with rerank("rerank-1") as best:
            best.candidates(FOUND)
            best.documents(kept := FOUND[1:5])
        answer(kept, "The badger [d2], or the kestrel [d3].")
        answer([*kept, FOUND[0]], "The badger [d2] again.")  # what was sent before does not count again
    assert values(captured, RAG + "retrievals") == {
        (("empty", False), ("id", "wiki")): 1,
        (("empty", False), ("id", "mail")): 1,
    }
    wiki, mail = (("id", "wiki"),), (("id", "mail"),)
    assert values(captured, RAG + "documents") == {wiki: 3, mail: 3}
    assert values(captured, RAG + "documents_in_prompt") == {wiki: 3, mail: 2}
    assert values(captured, RAG + "documents_cited") == {wiki: 1, mail: 1}
    assert [point.max for point in captured.metrics()[RAG + "top_score"]] == [0.9, pytest.approx(0.6)]
    root = captured.span("invoke_workflow rag").attributes or {}
    sums = {
        name: sum(values(captured, RAG + name).values())
        for name in ("documents_in_prompt", "documents_cited")
    }
    assert sums == {name: root["rag." + name] for name in sums}


def test_a_retrieval_inside_another_is_counted_and_its_documents_are_not(captured: Captured) -> None:
    with workflow("rag"):
        with retrieval() as outer:
            for _ in ("one query", "another"):
                with retrieval("wiki") as inner:
                    inner.documents(FOUND[:3])
            outer.documents(FOUND[:3])
        answer(FOUND[:2])
    wiki = (("id", "wiki"),)
    assert values(captured, RAG + "retrievals") == {
        (("empty", False), *wiki): 2,
        (("empty", False),): 1,
    }
    assert values(captured, RAG + "documents") == {wiki: 3}
    assert values(captured, RAG + "documents_in_prompt") == {wiki: 2}


def test_what_a_retrieval_merged_from_several_sources_has_no_source(captured: Captured) -> None:
    with workflow("rag"):
        with retrieval() as outer:
            for source, found in (("wiki", FOUND[:2]), ("mail", FOUND[2:])):
                with retrieval(source) as inner:
                    inner.documents(found)
            outer.documents(FOUND)
        answer(FOUND[:2])
    assert values(captured, RAG + "documents") == {(): 6}
    assert values(captured, RAG + "documents_in_prompt") == {(): 2}


def test_empty_failed_and_silent_retrievals_differ(captured: Captured) -> None:
    ScriptedRetriever(documents=[]).invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    with retrieval("wiki"):
        pass  # says nothing of what it found
    with pytest.raises(OSError, match="down"), retrieval("wiki"):
        raise OSError("down")
    assert values(captured, RAG + "retrievals") == {(("empty", True),): 1, (("id", "wiki"),): 2}
    assert RAG + "documents_in_prompt" not in captured.metrics()


def test_top_scores_by_their_kind_and_none_that_no_histogram_takes(
    captured: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    for scores in ([0.2, 0.7], [-0.3, -0.1], [0.0]):
        with retrieval("wiki") as search:
            search.documents([("text", score) for score in scores])
    (point,) = captured.metrics()[RAG + "top_score"]
    assert (point.count, point.min, point.max) == (2, 0.0, 0.7)
    assert caplog.messages == []


def test_a_retriever_on_its_own_counts_its_documents(captured: Captured) -> None:
    ScriptedRetriever().invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    assert values(captured, RAG + "documents") == {(): 2}


# --- without spans ---------------------------------------------------------------------------------------------------

BIG = "a long result of a tool, which is sent again with every turn. " * 40
TOOL_TOKENS = "otel_callbacks.tool.attributed_tokens"


def look_up(word: str) -> str:
    """Looks a word up."""
    return BIG


async def ask_langchain(handler: OTelCallbackHandler) -> None:
    """Runs an agent and a chain whose prompt has both documents."""
    script = [call("look_up", "c1", word="x"), "done"]
    agent = create_agent(ScriptedModel(script=script), [tool(look_up)], name="a")
    agent.invoke({"messages": [("user", "q")]}, {"callbacks": [handler]})
    documents = [Document(text, id=f"d{n}") for n, text in enumerate(TEXTS)]
    prompt = RunnableLambda(lambda found: "\n".join(each.page_content for each in found[:4]))
    model = ScriptedModel(script=["The badger [d2]."])
    chain = (ScriptedRetriever(documents=documents) | prompt | model).with_config(run_name="rag")
    chain.invoke("q", {"callbacks": [handler]})


async def ask_llama_index(handler: OTelCallbackHandler) -> None:
    Settings.callback_manager = CallbackManager([handler])
    script = [llama_fakes.call("look_up", "c1", word="x"), "done"]
    llm = llama_fakes.ScriptedModel(script=script)
    await FunctionAgent(name="a", llm=llm, tools=[look_up], streaming=False).run("q")


@pytest.mark.parametrize("ask", [ask_langchain, ask_llama_index])
@pytest.mark.parametrize("without", ["no tracer provider", "unsampled"])
async def test_prompts_are_counted_without_spans(
    without: str,
    ask: Callable[..., Any],
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    await ask(OTelCallbackHandler(**captured.providers))
    with capture(ALWAYS_OFF) as quiet:
        providers = dict(quiet.providers)
        if without == "no tracer provider":
            providers["tracer_provider"] = NoOpTracerProvider()
        await ask(OTelCallbackHandler(**providers))
        names = (TOOL_TOKENS, RAG + "documents", RAG + "documents_in_prompt", RAG + "documents_cited")
        counted = {name: values(quiet, name) for name in names}
    assert counted == {name: values(captured, name) for name in names}
    assert counted[TOOL_TOKENS][("name", "look_up"), ("part", "result")] > 0
    if ask is ask_langchain:
        assert [counted[name] for name in names[1:]] == [{(): 6}, {(): 4}, {(): 1}]


# --- help texts ------------------------------------------------------------------------------------------------------


def test_every_instrument_has_a_help_text(captured: Captured) -> None:
    test_documents_are_counted_from_their_data_source_to_the_answer(captured)
    with workflow("w"), step("s"), hand_tool("t"):
        pass
    data: Any = captured._metrics.get_metrics_data()
    metrics = [
        each
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for each in scope.metrics
    ]
    assert len(metrics) > 15
    assert [each.name for each in metrics if not each.description] == []
