"""Only the calls that write the answer say which documents they had, whatever else calls a model on the way there."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import fakes
import llama_fakes
import pytest
from langchain_classic.chains import create_history_aware_retriever, create_retrieval_chain
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.chat_engine import (
    CondensePlusContextChatEngine,
    CondenseQuestionChatEngine,
    ContextChatEngine,
)
from llama_index.core.indices.query.query_transform import HyDEQueryTransform, StepDecomposeQueryTransform
from llama_index.core.postprocessor import LLMRerank
from llama_index.core.postprocessor.rankGPT_rerank import RankGPTRerank
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import (
    CustomQueryEngine,
    MultiStepQueryEngine,
    RouterQueryEngine,
    SubQuestionQueryEngine,
    TransformQueryEngine,
)
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.response_synthesizers import get_response_synthesizer
from llama_index.core.selectors import LLMSingleSelector
from llama_index.core.tools import QueryEngineTool, ToolMetadata

from otel_callbacks import (
    OTelCallbackHandler,
    inference,
    rerank,
    retrieval,
    trace_embeddings,
    trace_reranker,
    workflow,
)
from otel_callbacks.testing import Captured

pytestmark = llama_fakes.IGNORED

PARIS, ROME = "Paris is in France.", "Rome is in Italy."
SEEN = "rag.documents_in_prompt"


def asked(captured: Captured) -> list[bool]:
    """Tells of each model call whether it says which documents it had."""
    calls = [span for span in captured.spans if span.name.startswith("chat")]
    return [SEEN in (span.attributes or {}) for span in calls]


def root(captured: Captured, name: str) -> Any:
    (outermost,) = (span for span in captured.spans if span.parent is None)
    return (outermost.attributes or {}).get(f"rag.{name}")


# --- LlamaIndex ------------------------------------------------------------------------------------------------------


class Summarising(BaseNodePostprocessor):
    """Asks a model about the documents, without being a reranker."""

    llm: Any

    def _postprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
        self.llm.complete("\n".join(node.get_content() for node in nodes))
        return nodes

    async def _apostprocess_nodes(self, nodes: Any, query_bundle: Any = None) -> Any:
        await self.llm.acomplete("\n".join(node.get_content() for node in nodes))
        return nodes


class Custom(CustomQueryEngine):
    """Writes the answer itself."""

    retriever: Any
    llm: Any

    def custom_query(self, query_str: str) -> str:
        found = "\n".join(each.node.get_content() for each in self.retriever.retrieve(query_str))
        return str(self.llm.complete(f"{found}\n{query_str}"))


def plain(llm: Any, **options: Any) -> Any:
    return llama_fakes.index().as_query_engine(llm=llm, **options)


def sub_questions(llm: Any, **options: Any) -> Any:
    tool = QueryEngineTool(plain(llm), ToolMetadata(name="docs", description="x"))
    return SubQuestionQueryEngine.from_defaults(
        [tool],
        llm=llm,
        question_gen=LLMQuestionGenerator.from_defaults(llm=llm),
        response_synthesizer=get_response_synthesizer(llm=llm, **options),
        use_async=False,
        verbose=False,
    )


def routed(llm: Any, **options: Any) -> Any:
    tools = [QueryEngineTool.from_defaults(plain(llm, **options), description="x") for _ in range(2)]
    return RouterQueryEngine(LLMSingleSelector.from_defaults(llm=llm), tools, llm=llm)


SUB = '{"items": [{"sub_question": "Where is Paris [1]?", "tool_name": "docs"}]}'
ENGINES: dict[str, tuple[Callable[..., Any], list[str], list[bool]]] = {
    "LLMRerank": (
        lambda llm, **options: plain(llm, node_postprocessors=[LLMRerank(llm=llm)], **options),
        ["Doc: 1, Relevance: 9 [1] [2]\nDoc: 2, Relevance: 7", "It is [1]."],
        [False, True],
    ),
    "RankGPT": (
        lambda llm, **options: plain(llm, node_postprocessors=[RankGPTRerank(llm=llm, top_n=2)], **options),
        ["[2] > [1]", "It is [1]."],
        [False, True],
    ),
    "a postprocessor that is no reranker": (
        lambda llm, **options: plain(llm, node_postprocessors=[Summarising(llm=llm)], **options),
        ["All of [1] [2].", "It is [1]."],
        [False, True],
    ),
    "HyDE": (
        lambda llm, **options: TransformQueryEngine(plain(llm, **options), HyDEQueryTransform(llm=llm)),
        [f"{PARIS} [1] [2]", "It is [1]."],
        [False, True],
    ),
    "router": (routed, ['[{"choice": 1, "reason": "[1] [2]"}]', "It is [1]."], [False, True]),
    "sub-questions": (sub_questions, [SUB, "It is [1].", "So it is."], [False, True, True]),
    "steps": (
        lambda llm, **options: MultiStepQueryEngine(
            plain(llm),
            StepDecomposeQueryTransform(llm=llm),
            response_synthesizer=get_response_synthesizer(llm=llm, **options),
            num_steps=1,
        ),
        ["And [2]?", "It is [1].", "So it is."],
        [False, True, True],
    ),
    "custom": (
        lambda llm, **options: Custom(retriever=llama_fakes.index().as_retriever(), llm=llm),
        ["It is [1]."],
        [True],
    ),
}


@pytest.mark.parametrize("detail", ["standard", "operations", "everything"])
@pytest.mark.parametrize("mode", ["sync", "async", "stream", "async stream"])
@pytest.mark.parametrize("kind", ENGINES)
async def test_llama_index_engines(
    kind: str,
    mode: str,
    detail: Any,
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    make, script, expected = ENGINES[kind]
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers, detail=detail)])
    Settings.llm = llm = llama_fakes.ScriptedModel(script=script)
    engine = make(llm, **({"streaming": True} if "stream" in mode and kind != "custom" else {}))
    with workflow("outer"):
        plain(llama_fakes.ScriptedModel(script=["No idea."])).query("q")
        if mode in ("sync", "async") or kind == "custom":
            await engine.aquery("q") if mode.startswith("async") else engine.query("q")
        elif mode == "stream":
            list(engine.query("q").response_gen)
        else:
            await llama_fakes.adrain((await engine.aquery("q")).response_gen)
    assert asked(captured) == [True, *expected]
    assert root(captured, "documents_cited") == 1


CHATS: dict[str, tuple[Callable[[Any], Any], list[bool]]] = {
    "condense question": (
        lambda llm: CondenseQuestionChatEngine.from_defaults(plain(llm), llm=llm, chat_history=history()),
        [False, True],
    ),
    "condense plus context": (
        lambda llm: CondensePlusContextChatEngine.from_defaults(
            llama_fakes.index().as_retriever(), llm=llm, chat_history=history()
        ),
        [False, True],
    ),
    "context": (
        lambda llm: ContextChatEngine.from_defaults(
            llama_fakes.index().as_retriever(), llm=llm, chat_history=history()
        ),
        [True],
    ),
}


def history() -> list[ChatMessage]:
    return [ChatMessage(role="user", content=PARIS), ChatMessage(role="assistant", content=ROME)]


@pytest.mark.parametrize("detail", ["standard", "operations"])
@pytest.mark.parametrize("mode", ["chat", "achat", "stream_chat", "astream_chat"])
@pytest.mark.parametrize("kind", CHATS)
async def test_llama_index_chat_engines(
    kind: str,
    mode: str,
    detail: Any,
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    make, expected = CHATS[kind]
    handler = OTelCallbackHandler(**captured.providers, detail=detail)
    Settings.callback_manager = CallbackManager([handler])
    script = ["And [2]?", "It is [1]."][-len(expected) :]
    Settings.llm = llm = llama_fakes.ScriptedModel(script=script)
    engine = make(llm)
    with workflow("outer"):
        plain(llama_fakes.ScriptedModel(script=["No idea."])).query("q")
        if mode == "chat":
            engine.chat("q")
        elif mode == "achat":
            await engine.achat("q")
        elif mode == "stream_chat":
            list(engine.stream_chat("q").response_gen)
        else:
            response = await engine.astream_chat("q")
            await llama_fakes.adrain(response.async_response_gen())
        await asyncio.to_thread(wait_for_chat, handler)
    del engine
    gc.collect()  # the engine's memory warns when it goes
    assert asked(captured) == [True, *expected]
    assert root(captured, "documents_cited") == 1


def wait_for_chat(handler: Any) -> None:
    """Waits for the thread that writes a streamed answer to the history."""
    for _ in range(10_000):
        if not [run for run in list(handler._recorder.runs.values()) if run.parent is not None]:
            return
        asyncio.run(asyncio.sleep(0.001))


# --- LangChain -------------------------------------------------------------------------------------------------------

DOCUMENTS = [Document(PARIS, id="d1"), Document(ROME, id="d2")]


class Hypothetical(Embeddings):
    """Embeds what a model makes up, as HyDE does."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0] for _ in texts]

    def embed_query(self, text: str) -> list[float]:
        fakes.ScriptedModel(script=[f"{PARIS} [1] [2]"]).invoke(f"{PARIS} {text}")
        return [1.0]


class Ranking(fakes.ScriptedReranker):
    """Asks a model for the order."""

    def compress_documents(self, documents: Any, query: str, callbacks: Any = None) -> Any:
        fakes.ScriptedModel(script=["[2] > [1]"]).invoke("\n".join(each.page_content for each in documents))
        return list(documents)


def history_aware(retriever: Any) -> Any:
    prompt = ChatPromptTemplate.from_messages([("placeholder", "{chat_history}"), ("user", "{input}")])
    return create_history_aware_retriever(fakes.ScriptedModel(script=["And [2]?"]), retriever, prompt)


@pytest.mark.parametrize("mode", ["sync", "async", "stream"])
async def test_langchain_condense_question(mode: str, captured: Captured) -> None:
    answer = ChatPromptTemplate.from_template("{context} {input}") | fakes.ScriptedModel(
        script=["It is [1]."]
    )
    chain = create_retrieval_chain(history_aware(fakes.ScriptedRetriever(documents=DOCUMENTS)), answer)
    config: Any = {"callbacks": [OTelCallbackHandler(**captured.providers)]}
    given = {"input": "q", "chat_history": [("user", PARIS), ("assistant", ROME)]}
    with workflow("outer"):
        for _ in range(2):
            if mode == "sync":
                chain.invoke(given, config)
            elif mode == "async":
                await chain.ainvoke(given, config)
            else:
                [chunk async for chunk in chain.astream(given, config)]
    assert asked(captured) == [False, True, False, True]
    assert root(captured, "documents_cited") == 1


@pytest.mark.parametrize("mode", ["sync", "async", "stream"])
async def test_langchain_reranker(mode: str, captured: Captured) -> None:
    reranker = trace_reranker(Ranking())
    join = RunnableLambda(lambda found: "\n".join(each.page_content for each in found))
    chain = (
        fakes.ScriptedRetriever(documents=DOCUMENTS)
        | RunnableLambda(lambda found: reranker.compress_documents(found, "q"))
        | join
        | fakes.ScriptedModel(script=["It is [1]."])
    ).with_config(run_name="rag")
    config: Any = {"callbacks": [OTelCallbackHandler(**captured.providers)]}
    if mode == "sync":
        chain.invoke("q", config)
    elif mode == "async":
        await chain.ainvoke("q", config)
    else:
        [chunk async for chunk in chain.astream("q", config)]
    assert asked(captured) == [False, True]
    assert root(captured, "documents_cited") == 1


def test_langchain_hypothetical_document(captured: Captured) -> None:
    embeddings = trace_embeddings(Hypothetical())
    find = RunnableLambda(lambda q: embeddings.embed_query(q) and q) | fakes.ScriptedRetriever(
        documents=DOCUMENTS
    )
    join = RunnableLambda(lambda found: "\n".join(each.page_content for each in found))
    chain = find | join | fakes.ScriptedModel(script=["It is [1]."])
    with workflow("outer"):
        for _ in range(2):
            chain.invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    assert asked(captured) == [False, True, False, True]
    assert root(captured, "documents_cited") == 1


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_by_hand(captured: Captured) -> None:
    @retrieval()
    def search(query: str) -> list[str]:
        with inference("scripted-1") as call:
            call.messages(input=f"{PARIS} {query}", output="[1] [2]")
        return [PARIS, ROME]

    with workflow("rag"):
        for _ in range(2):
            found = search("q")
        with rerank("rerank-1") as best:
            best.documents(found)
            with inference("scripted-1") as call:
                call.messages(input="\n".join(found), output="[2] > [1]")
        with inference("scripted-1") as call:
            call.messages(input="\n".join(found), output="It is [1].")
    assert asked(captured) == [False, False, False, True]
    assert root(captured, "documents_cited") == 1
