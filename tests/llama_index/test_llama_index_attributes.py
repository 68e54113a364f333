"""Tests the attributes of LlamaIndex's spans."""

import json
from inspect import signature
from typing import Any

import pytest
from fakes import ScriptedModel as LangChainModel
from fakes import ScriptedRetriever
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph
from llama_fakes import (  # noqa: F401 - fixtures
    DOCUMENTS,
    IGNORED,
    ScriptedEmbedding,
    ScriptedModel,
    ScriptedReranker,
    call,
    drain,
    handler,
    index,
    no_faults,
    untouched_settings,
)
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.storage.kvstore import SimpleKVStore
from llama_index.core.tools import FunctionTool

from otel_callbacks.conformance import assert_conformant
from otel_callbacks.langchain import OTelCallbackHandler as LangChainHandler
from otel_callbacks.llama_index import OTelCallbackHandler
from otel_callbacks.llama_index.inference import ReceivedAnswer, finish_inference, provider_of
from otel_callbacks.llama_index.retrieval import start_embedding
from otel_callbacks.operations import Inference, Usage
from otel_callbacks.testing import Captured

pytestmark = [pytest.mark.usefixtures("handler"), IGNORED]
ASK = [ChatMessage(role="user", content="hi")]


def attributes(captured: Captured, name: str) -> dict[str, Any]:
    return dict(captured.span(name).attributes or {})


def with_content(captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers, content="spans")])


def test_model_call(captured: Captured) -> None:
    ScriptedModel(additional_kwargs={"seed": 3}).chat(ASK, top_p=0.9, stop=["."])
    found = attributes(captured, "chat scripted-1")
    expected = {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "scripted-1",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.stop_sequences": (".",),
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "scripted-1-0613",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "server.address": "api.openai.com",
        "server.port": 443,
    }
    assert {name: found.get(name) for name in expected} == expected


def test_no_content_unless_asked_for(captured: Captured) -> None:
    engine = index().as_query_engine(llm=ScriptedModel(), node_postprocessors=[ScriptedReranker()])
    engine.query("secret question")
    recorded = repr([(span.attributes, span.events) for span in captured.spans])
    for text in ("secret question", "Paris", "hello big world"):
        assert text not in recorded


def test_retrieval_embedding_and_rerank(captured: Captured) -> None:
    index().as_query_engine(llm=ScriptedModel(), node_postprocessors=[ScriptedReranker()]).query("q")
    retrieval = attributes(captured, "retrieval")
    assert (retrieval["gen_ai.retrieval.top_k"], retrieval["rag.results_count"]) == (2, 2)
    assert retrieval["rag.score_kind"] == "similarity"
    embedding = attributes(captured, "embeddings embed-1")
    assert (embedding["rag.embedding_dim"], embedding["rag.embedding_count"]) == (8, 1)
    rerank = attributes(captured, "rerank rerank-1")
    assert (rerank["rag.candidate_count"], rerank["rag.reranked_count"], rerank["rag.top_score"]) == (
        2,
        1,
        0.9,
    )


@pytest.mark.parametrize(
    ("method", "argument", "known", "cached"),
    [
        ("get_text_embedding", "a", {"a"}, True),
        ("get_text_embedding", "a", {"b"}, False),
        ("get_query_embedding", "a", {"a"}, True),
        ("get_text_embedding_batch", ["a", "b"], {"a", "b"}, True),
        ("get_text_embedding_batch", ["a", "b"], {"a"}, False),
        ("get_text_embedding_batch", [], set(), True),
    ],
)
def test_embeddings_that_reach_no_provider(
    method: str, argument: Any, known: set[str], cached: bool, captured: Captured
) -> None:
    cache = SimpleKVStore()
    for text in known:
        cache.put(text, {"id": [1.0]}, collection="embeddings")
    model = ScriptedEmbedding(embeddings_cache=cache)
    call = start_embedding(model, signature(getattr(model, method)).bind(argument), False)
    assert call.cached is cached
    assert start_embedding(ScriptedEmbedding(), signature(lambda: None).bind(), False).cached is False


def test_content(captured: Captured) -> None:
    with_content(captured)
    index().as_query_engine(llm=ScriptedModel(), streaming=True).query("q").print_response_stream()
    documents = json.loads(attributes(captured, "retrieval")["gen_ai.retrieval.documents"])
    assert {document["content"] for document in documents} == {document.text for document in DOCUMENTS}
    assert all(document["score"] > 0.9 and document["id"] for document in documents)
    for name in ("chat scripted-1", "invoke_workflow query_engine"):
        (said,) = json.loads(attributes(captured, name)["gen_ai.output.messages"])
        assert said["parts"] == [{"type": "text", "content": "hello big world"}]
    assert_conformant(captured.spans)


async def test_content_of_an_agent(captured: Captured) -> None:
    def look_up(word: str) -> str:
        """Looks up."""
        return "found"

    with_content(captured)
    model = ScriptedModel(script=[call("look_up", word="x"), "done"])
    await FunctionAgent(name="librarian", tools=[look_up], llm=model).run("hi")
    tool = attributes(captured, "execute_tool look_up")
    assert json.loads(tool["gen_ai.tool.call.arguments"]) == {"word": "x"}
    assert tool["gen_ai.tool.call.result"] == "found"
    (asked,) = json.loads(attributes(captured, "invoke_agent librarian")["gen_ai.input.messages"])
    assert asked["parts"][0]["content"] == "hi"
    first = next(span for span in captured.spans if span.name == "chat scripted-1")
    assert json.loads(str((first.attributes or {})["gen_ai.tool.definitions"]))[0]["name"] == "look_up"
    assert_conformant(captured.spans)


@pytest.mark.parametrize("streamed", [False, True])
def test_conversation(streamed: bool, captured: Captured) -> None:
    memory = ChatMemoryBuffer.from_defaults(chat_store_key="c-1", llm=MockLLM())
    engine = index().as_chat_engine(chat_mode="context", llm=ScriptedModel(), memory=memory)
    if streamed:
        drain(engine.stream_chat("hi").response_gen)
    else:
        engine.chat("hi")
    for name in ("invoke_workflow chat_engine", "chat scripted-1"):
        assert attributes(captured, name)["gen_ai.conversation.id"] == "c-1"


def test_the_conversation_that_all_have_by_default_is_none(captured: Captured) -> None:
    memory = ChatMemoryBuffer.from_defaults(llm=MockLLM())
    index().as_chat_engine(chat_mode="context", llm=ScriptedModel(), memory=memory).chat("hi")
    assert "gen_ai.conversation.id" not in attributes(captured, "invoke_workflow chat_engine")


REPORTS: dict[str, tuple[dict[str, Any], tuple[int, int], str | None]] = {
    "openai": (
        {"usage": {"prompt_tokens": 7, "completion_tokens": 3}, "choices": [{"finish_reason": "stop"}]},
        (7, 3),
        "stop",
    ),
    "anthropic": (
        {"usage": {"input_tokens": 7, "output_tokens": 3}, "stop_reason": "end_turn"},
        (7, 3),
        "end_turn",
    ),
    "google": (
        {"usage_metadata": {"prompt_token_count": 7, "candidates_token_count": 3}, "finish_reason": "STOP"},
        (7, 3),
        "STOP",
    ),
    "bedrock": (
        {"usage": {"inputTokens": 7, "outputTokens": 3}, "stopReason": "max_tokens"},
        (7, 3),
        "max_tokens",
    ),
    "ollama": ({"prompt_eval_count": 7, "eval_count": 3, "done_reason": "stop"}, (7, 3), "stop"),
}


@pytest.mark.parametrize("provider", REPORTS)
def test_usage_as_providers_report_it(provider: str) -> None:
    raw, (sent, received_tokens), reason = REPORTS[provider]
    received = ReceivedAnswer(None, with_content=False)
    received.add(ChatResponse(message=ChatMessage(content="x"), raw=raw))
    call = Inference()
    finish_inference(call, received, with_content=False, cut=False)
    assert call.usage == Usage(input_tokens=sent, output_tokens=received_tokens)
    assert call.finish_reasons == (reason,)


def test_the_package_names_the_provider() -> None:
    from llama_index.llms.openai import OpenAI
    from llama_index.llms.openai_like import OpenAILike

    class Mine(OpenAI):
        pass

    assert [provider_of(kind, "llms") for kind in (OpenAI, OpenAILike, Mine, MockLLM)] == [
        *["openai"] * 3,
        None,
    ]


# --- with LangChain ------------------------------------------------------------------------------------------------


def test_langchain_in_a_tool(captured: Captured) -> None:
    chain = ScriptedRetriever() | RunnableLambda(str) | LangChainModel()
    callbacks = [LangChainHandler(**captured.providers)]

    def ask(word: str) -> str:
        """Asks a chain."""
        return str(chain.invoke("q", {"callbacks": callbacks}).content)

    FunctionTool.from_defaults(ask)(word="x")
    assert captured.tree() == (
        "execute_tool ask\n  invoke_workflow\n    retrieval\n    chat scripted-1"
    ) or captured.tree().startswith("execute_tool ask\n  ")
    assert len({span.context.trace_id for span in captured.spans}) == 1
    assert attributes(captured, "execute_tool ask")["otel_callbacks.rollup.inference_calls"] == 1


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_query_engine_in_a_graph_node(asynchronous: bool, captured: Captured) -> None:
    engine = index().as_query_engine(llm=ScriptedModel())

    def look(state: Any) -> Any:
        return {"messages": [("ai", str(engine.query("q")))]}

    async def alook(state: Any) -> Any:
        return {"messages": [("ai", str(await engine.aquery("q")))]}

    graph = StateGraph(MessagesState)
    graph.add_node("look", alook if asynchronous else look)
    graph.add_edge(START, "look")
    compiled = graph.compile(name="flow")
    config: Any = {"callbacks": [LangChainHandler(**captured.providers)]}
    ask: Any = {"messages": [("user", "hi")]}
    await (compiled.ainvoke(ask, config) if asynchronous else as_awaitable(compiled.invoke(ask, config)))
    assert captured.tree() == (
        "invoke_workflow flow\n  look\n    invoke_workflow query_engine\n"
        "      retrieval\n        embeddings embed-1\n      synthesis\n        chat scripted-1"
    )
    assert attributes(captured, "invoke_workflow flow")["otel_callbacks.rollup.total_tokens"] == 120


async def as_awaitable(value: Any) -> Any:
    return value


def test_a_model_that_wraps_another_is_counted_once(captured: Captured) -> None:
    class Wrapper(ScriptedModel):
        def _next(self) -> Any:
            return ScriptedModel(model="inner").chat(ASK).message

    Wrapper(model="outer").chat(ASK)
    outer, inner = captured.span("chat outer").attributes or {}, captured.span("chat inner").attributes or {}
    assert outer["otel_callbacks.duplicate"] is True
    assert outer["otel_callbacks.rollup.total_tokens"] == inner["gen_ai.usage.input_tokens"] + 20
    assert "gen_ai.usage.input_tokens" not in outer
