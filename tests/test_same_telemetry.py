"""Tests that the same work gives the same telemetry in LangChain, LangGraph, LlamaIndex and manual code.

Each scenario is run by both frameworks with the same scripted model, at `detail="operations"`: the steps between the
operations are the frameworks' own and differ. Retrieval and answer also run as a graph and as manual operations.
`ALLOWED_ATTRIBUTES`, `MEASURED` and `PARTIAL` list what else may differ.
"""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypedDict

import fakes
import llama_fakes
import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_tool_call
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from llama_fakes import no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.embeddings.base import similarity
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.workflow import (
    Context,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from opentelemetry.trace import StatusCode
from said_alike import CONVERSATION, InLangChain, InLlamaIndex
from said_alike import ByHand as ByHandToo
from waiting import cut_short
from workflows.errors import WorkflowCancelledByUser

from otel_callbacks import ContentPolicy, content
from otel_callbacks.conformance import assert_conformant
from otel_callbacks.handler import OTelCallbackHandler
from otel_callbacks.langchain import trace_embeddings, trace_reranker
from otel_callbacks.manual import embedding, inference, rerank, retrieval, workflow
from otel_callbacks.testing import Captured, capture

pytestmark = llama_fakes.IGNORED

Job = Callable[[Callable[[], None]], Awaitable[Any]]

ALLOWED_ATTRIBUTES = {
    "gen_ai.request.temperature",  # LlamaIndex's models always have these two, LangChain's only when set
    "gen_ai.request.max_tokens",
    "server.address",  # only in LlamaIndex does the scripted model's package look like OpenAI's
    "server.port",
    "gen_ai.conversation.id",  # only a LlamaIndex workflow with a memory has one
    "otel_callbacks.tool.result_size",  # the frameworks word a tool's failure differently
    "gen_ai.tool.description",  # LlamaIndex puts the signature before it
}
"""Attributes whose presence or value depends on the framework."""

MEASURED = {
    "gen_ai.response.time_to_first_chunk",
    "otel_callbacks.stream.longest_gap",
    "otel_callbacks.stream.longest_gap_after_chunk",
    "rag.context_token_share_estimated",  # the frameworks' templates are of different length
    "otel_callbacks.rollup.tool_tokens_estimated",  # and so are their descriptions of tools
    "otel_callbacks.rollup.tool_token_share_estimated",
    "otel_callbacks.rollup.tools",
}
"""Attributes whose value is a time or depends on a framework's wording: only their presence is compared."""

PARTIAL = {"abandoned"}
"""Scenarios that stop while the two fakes have reported different things: only the outcome is compared."""


FOUND = (("d1", "one", 0.75), ("d2", "two", 0.5))
"""The documents that every retriever finds: id, text, score."""

ORIGIN: dict[str, Any] = {"source": "https://user:secret@example.com/a.pdf?secret", "page_label": "iv"}
"""The metadata of every document."""


TEMPLATE = "text_qa"
"""What LlamaIndex calls the template with which its engines ask for an answer."""

PROMPT = ChatPromptTemplate.from_template("{context} {question}").with_config(run_name=TEMPLATE)


def look_up(word: str) -> str:
    """Looks a word up."""
    return "found"


def broken(word: str) -> str:
    """Fails."""
    raise ValueError("no such word")


@dataclass
class LangChain:
    """Runs the scenarios in LangChain."""

    question: ClassVar[Any] = "q"
    handler: OTelCallbackHandler
    config: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.config = {"callbacks": [self.handler]}

    def model(self, *script: Any, body: Callable[[], None] = llama_fakes.nothing, delay: float = 0) -> Any:
        return fakes.ScriptedModel(script=script or ("hello big world",), body=body, delay=delay)

    def call(self, name: str) -> Any:
        return fakes.call(name, word="x")

    async def chat(self, body: Callable[[], None]) -> Any:
        return self.model(body=body).invoke("q", self.config)

    async def chat_async(self, body: Callable[[], None]) -> Any:
        return await self.model(body=body).ainvoke("q", self.config)

    async def streamed_chat(self, body: Callable[[], None]) -> Any:
        return [chunk async for chunk in self.model().astream("q", self.config)]

    async def abandoned(self, body: Callable[[], None]) -> Any:
        stream = self.model("a b c d").stream("q", self.config)
        next(stream)
        stream.close()

    async def cancelled(self, body: Callable[[], None]) -> Any:
        async with cut_short():
            await asyncio.create_task(self.model(delay=5).ainvoke("q", self.config))

    async def model_error(self, body: Callable[[], None]) -> Any:
        return self.model(ConnectionError("no"), body=body).invoke("q", self.config)

    def retriever(self, body: Callable[[], None]) -> Any:
        documents = [
            Document(text, id=key, metadata={"score": score, **ORIGIN}) for key, text, score in FOUND
        ]
        return fakes.ScriptedRetriever(documents=documents, body=body)

    def chain(
        self, body: Callable[[], None], *script: Any, rerank: Callable[[Any], Any] | None = None
    ) -> Any:
        retriever = self.retriever(body)
        return (
            {
                "context": retriever | RunnableLambda(rerank) if rerank else retriever,
                "question": RunnablePassthrough(),
            }
            | PROMPT
            | self.model(*script, body=body)
            | StrOutputParser()
        ).with_config(run_name="query_engine")

    async def rag(self, body: Callable[[], None]) -> Any:
        return self.chain(body).invoke(self.question, self.config)

    async def rag_async(self, body: Callable[[], None]) -> Any:
        return await self.chain(body).ainvoke(self.question, self.config)

    async def rag_reranked(self, body: Callable[[], None]) -> Any:
        reranker = trace_reranker(fakes.ScriptedReranker())
        rerank = lambda documents: reranker.compress_documents(documents, "q")  # noqa: E731
        return self.chain(body, rerank=rerank).invoke(self.question, self.config)

    async def embeddings(self, body: Callable[[], None]) -> Any:
        model = trace_embeddings(fakes.ScriptedEmbedding(body), handler=self.handler)
        return model.embed_query("q"), model.embed_documents(["a", "b"])

    async def rag_model_error(self, body: Callable[[], None]) -> Any:
        return self.chain(body, ConnectionError("no")).invoke(self.question, self.config)

    async def agent(self, body: Callable[[], None]) -> Any:
        return await self._agent(look_up, body)

    async def tool_error(self, body: Callable[[], None]) -> Any:
        return await self._agent(broken, body)

    async def interrupted(self, body: Callable[[], None]) -> Any:
        def ask(state: Any) -> Any:
            answer = interrupt("Well?")
            return {"answer": self.model(str(answer), body=body).invoke("q").content}

        made = StateGraph(_State)
        made.add_node("ask", ask)
        made.add_edge(START, "ask")
        graph = made.compile(name="Asks", checkpointer=InMemorySaver())
        config: Any = {**self.config, "configurable": {"thread_id": "t1"}}
        graph.invoke({"answer": ""}, config)
        graph.invoke(Command(resume="yes"), config)

    async def _agent(self, function: Callable[[str], str], body: Callable[[], None]) -> Any:
        @wrap_tool_call
        async def tolerant(request: Any, run: Any) -> Any:
            try:
                return await run(request)
            except ValueError as error:
                return ToolMessage(str(error), tool_call_id=request.tool_call["id"], status="error")

        model = self.model(self.call(function.__name__), "done", body=body)
        agent = create_agent(model, [tool(function)], name="librarian", middleware=[tolerant])
        return await agent.ainvoke({"messages": [("user", "go")]}, self.config)


class _State(TypedDict):
    answer: str


class LangGraph(LangChain):
    """Runs retrieval and answer as a LangGraph graph."""

    question: ClassVar[Any] = {"question": "q"}

    def chain(
        self, body: Callable[[], None], *script: Any, rerank: Callable[[Any], Any] | None = None
    ) -> Any:
        retriever, model = self.retriever(body), self.model(*script, body=body)

        def retrieve(state: Any) -> Any:
            found = retriever.invoke(state["question"])
            return {**state, "documents": rerank(found) if rerank else found}

        def generate(state: Any) -> Any:
            prompt = PROMPT.invoke({"context": state["documents"], "question": state["question"]})
            return {**state, "answer": model.invoke(prompt).content}

        graph = StateGraph(dict)
        graph.add_node("retrieve", retrieve)
        graph.add_node("generate", generate)
        graph.add_edge(START, "retrieve")
        graph.add_edge("retrieve", "generate")
        graph.add_edge("generate", END)
        return graph.compile(name="query_engine")


class FixedRetriever(BaseRetriever):
    """Finds the same two documents for every question."""

    def __init__(self, body: Callable[[], None]) -> None:
        super().__init__()
        self._body = body

    def _retrieve(self, query_bundle: Any) -> list[NodeWithScore]:
        self._body()
        return [
            NodeWithScore(node=TextNode(text=text, id_=identity, metadata=ORIGIN), score=score)
            for identity, text, score in FOUND
        ]


@dataclass
class LlamaIndex:
    """Runs the scenarios in LlamaIndex."""

    handler: OTelCallbackHandler

    def __post_init__(self) -> None:
        Settings.callback_manager = CallbackManager([self.handler])

    def model(self, *script: Any, body: Callable[[], None] = llama_fakes.nothing, delay: float = 0) -> Any:
        return llama_fakes.ScriptedModel(script=script or ("hello big world",), body=body, delay=delay)

    def call(self, name: str) -> Any:
        return llama_fakes.call(name, word="x")

    @property
    def ask(self) -> list[ChatMessage]:
        return [ChatMessage(role="user", content="q")]

    async def chat(self, body: Callable[[], None]) -> Any:
        return self.model(body=body).chat(self.ask)

    async def chat_async(self, body: Callable[[], None]) -> Any:
        return await self.model(body=body).achat(self.ask)

    async def streamed_chat(self, body: Callable[[], None]) -> Any:
        return [chunk async for chunk in await self.model().astream_chat(self.ask)]

    async def abandoned(self, body: Callable[[], None]) -> Any:
        stream = self.model("a b c d").stream_chat(self.ask)
        next(stream)
        stream.close()

    async def cancelled(self, body: Callable[[], None]) -> Any:
        async with cut_short():
            await asyncio.create_task(self.model(delay=5).achat(self.ask))

    async def model_error(self, body: Callable[[], None]) -> Any:
        return self.model(ConnectionError("no"), body=body).chat(self.ask)

    def engine(self, body: Callable[[], None], *script: Any, **options: Any) -> Any:
        model = self.model(*script, body=body)
        return RetrieverQueryEngine.from_args(FixedRetriever(body), llm=model, **options)

    async def rag(self, body: Callable[[], None]) -> Any:
        return self.engine(body).query("q")

    async def rag_async(self, body: Callable[[], None]) -> Any:
        return await self.engine(body).aquery("q")

    async def rag_reranked(self, body: Callable[[], None]) -> Any:
        return self.engine(body, node_postprocessors=[llama_fakes.ScriptedReranker()]).query("q")

    async def embeddings(self, body: Callable[[], None]) -> Any:
        model = llama_fakes.ScriptedEmbedding(body=body)
        return model.get_query_embedding("q"), model.get_text_embedding_batch(["a", "b"])

    async def rag_model_error(self, body: Callable[[], None]) -> Any:
        return self.engine(body, ConnectionError("no")).query("q")

    async def pipeline(self, body: Callable[[], None]) -> Any:
        retriever = llama_fakes.index(body).as_retriever(similarity_top_k=2)
        reranker = llama_fakes.ScriptedReranker()
        return RetrieverQueryEngine.from_args(
            retriever, llm=self.model(), node_postprocessors=[reranker]
        ).query("q")

    async def agent(self, body: Callable[[], None]) -> Any:
        return await self._agent(look_up, body)

    async def tool_error(self, body: Callable[[], None]) -> Any:
        return await self._agent(broken, body)

    async def interrupted(self, body: Callable[[], None]) -> Any:
        model = self.model(body=body)

        class Asks(Workflow):
            @step
            async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
                said = await ctx.wait_for_event(
                    HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="?")
                )
                return StopEvent(result=str(await model.achat([ChatMessage(said.response)])))

        running = Asks().run()
        async for event in running.stream_events():
            if isinstance(event, InputRequiredEvent):
                break
        await running.cancel_run()
        with pytest.raises(WorkflowCancelledByUser):
            await running
        again = Asks().run(ctx=Context.from_dict(Asks(), running.ctx.to_dict()))
        again.ctx.send_event(HumanResponseEvent(response="yes"))
        await again

    async def _agent(self, function: Callable[[str], str], body: Callable[[], None]) -> Any:
        model = self.model(self.call(function.__name__), "done", body=body)
        return await FunctionAgent(name="librarian", tools=[function], llm=model, streaming=False).run("go")


@dataclass
class ByHand:
    """Runs retrieval and answer without a framework."""

    handler: OTelCallbackHandler

    def search(self, body: Callable[[], None]) -> Any:
        with retrieval() as span:
            body()
            span.documents(
                found := [
                    {"id": key, "text": text, "score": score, "metadata": ORIGIN}
                    for key, text, score in FOUND
                ]
            )
        return found

    def generate(self, found: Any, body: Callable[[], None], *, fails: bool = False) -> Any:
        with inference("scripted-1", provider="openai", prompt_template=TEMPLATE) as span:
            span.messages(input=f"{found} q")
            body()
            if fails:
                raise ConnectionError("no")
            span.usage(llama_fakes.raw(llama_fakes.USAGE, "stop"))

    async def rag(self, body: Callable[[], None]) -> Any:
        with workflow("query_engine"):
            self.generate(self.search(body), body)

    async def rag_async(self, body: Callable[[], None]) -> Any:
        async with workflow("query_engine"):
            found = await asyncio.to_thread(self.search, body)
            await asyncio.to_thread(self.generate, found, body)

    async def rag_reranked(self, body: Callable[[], None]) -> Any:
        with workflow("query_engine"):
            best = rerank("rerank-1", top_n=1)(lambda documents: [(documents[-1], 0.9)])
            self.generate(best(self.search(body)), body)

    async def rag_model_error(self, body: Callable[[], None]) -> Any:
        with workflow("query_engine"):
            self.generate(self.search(body), body, fails=True)

    async def pipeline(self, body: Callable[[], None]) -> Any:
        """Runs the whole pipeline with decorators: embed, search, rerank, generate."""

        @embedding("embed-1", provider="openai")
        def embed(text: str) -> list[float]:
            return [1.0] * 8

        @retrieval(provider="SimpleVectorStore", top_k=2, embedding_model="embed-1", score_kind="similarity")
        def search(query: str) -> Any:
            score = similarity(embed(query), [1.0] * 8)
            return [({"id": key, "text": text}, score) for key, text, _ in FOUND]

        @rerank("rerank-1", top_n=1)
        def best(query: str, documents: Any) -> Any:
            return [(documents[-1][0], 0.9)]

        @inference("scripted-1", provider="openai", prompt_template=TEMPLATE)
        def generate(prompt: str) -> Any:
            return llama_fakes.raw(llama_fakes.USAGE, "stop")

        @workflow("query_engine")
        def answer(question: str) -> Any:
            return generate(f"{best(question, search(question))} {question}")

        return answer("q")


FRAMEWORKS = (LangChain, LlamaIndex)
SHAPES = (LangChain, LangGraph, LlamaIndex, ByHand)
"""All ways to run retrieval and answer."""

SCENARIOS: dict[str, type[BaseException] | None] = {
    "chat": None,
    "chat_async": None,
    "streamed_chat": None,
    "abandoned": None,
    "cancelled": TimeoutError,
    "model_error": ConnectionError,
    "rag": None,
    "rag_async": None,
    "rag_reranked": None,
    "rag_model_error": ConnectionError,
    "embeddings": None,
    "agent": None,
    "tool_error": None,
    "interrupted": None,
}


def shapes(scenario: str) -> Sequence[Any]:
    """Returns the ways to run a scenario."""
    return SHAPES if scenario.startswith("rag") else FRAMEWORKS


async def run(framework: Any, scenario: str, captured: Captured) -> None:
    """Runs a scenario with bodies that open a user span."""
    tracer = captured.tracer_provider.get_tracer("application")

    def body() -> None:
        with tracer.start_as_current_span("user's span"):
            pass

    handler = OTelCallbackHandler(**captured.providers, detail="operations", content="none")
    job: Job = getattr(framework(handler), scenario)
    expected = SCENARIOS.get(scenario)
    if expected is None:
        await job(body)
    else:
        with pytest.raises(expected):
            await job(body)
    await asyncio.sleep(0)
    Settings._callback_manager = None


def spans(captured: Captured, partial: bool, without: Collection[str] = ()) -> list[Any]:
    """Returns the parts of the spans that must be equal: path, kind, status, attributes, events, links."""
    names = {span.context.span_id: span for span in captured.spans}

    def path(span: Any) -> str:
        above = names.get(span.parent.span_id) if span.parent else None
        return f"{path(above)} > {span.name}" if above else str(span.name)

    return [
        (
            path(span),
            span.kind,
            (span.status.status_code, span.status.description),
            span.attributes.get("otel_callbacks.outcome") if partial else attributes(span.attributes),
            [event.name for event in span.events],
            [names[link.context.span_id].name for link in span.links],
        )
        for span in captured.spans
        if span.name not in without
    ]


def attributes(given: Any) -> dict[str, Any]:
    found = {key: value for key, value in given.items() if key not in ALLOWED_ATTRIBUTES}
    return {key: "measured" if key in MEASURED else value for key, value in sorted(found.items())}


def metrics(captured: Captured) -> dict[str, Any]:
    """Returns the points of each metric by their attributes: counts of histograms, values of sums."""
    return {
        name: {
            tuple(attributes(point.attributes).items()): amount(name, point)
            for point in points
            # LangChain's scripted model does not get the tool definitions
            if point.attributes.get("otel_callbacks.tool.part") != "definition"
        }
        for name, points in captured.metrics().items()
        if not name.startswith("otel_callbacks.spans")
    }


def amount(name: str, point: Any) -> Any:
    if name.endswith(".time_per_output_chunk"):
        return "any"  # LlamaIndex passes on a last chunk with only the usage
    if name == "otel_callbacks.tool.attributed_tokens":
        return "any"  # the frameworks describe and call tools in different words
    return point.count if hasattr(point, "count") else point.value


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_same_telemetry(scenario: str) -> None:
    seen = []
    for framework in shapes(scenario):
        with capture() as captured:
            await run(framework, scenario, captured)
            assert_conformant(captured.spans)
            partial = scenario in PARTIAL
            seen.append((spans(captured, partial), {} if partial else metrics(captured)))
    (first_spans, first_metrics), *others = seen
    for other_spans, other_metrics in others:
        assert other_spans == first_spans
        assert other_metrics == first_metrics


SAID: dict[str, Any] = {
    "parameters": "spans",
    "parts": "spans",
    "history": ContentPolicy("spans", history="new"),
    "compaction": "spans",
    "agent": "spans",
    "provider": "spans",
    "failure": "none",
}
"""What is said of calls, and the content policy under which it is compared. The work is in `said_alike`."""


@pytest.mark.parametrize("work", SAID)
async def test_the_same_is_said(work: str) -> None:
    """Conversation ids are compared here, too: each framework is told one."""
    seen = []
    for way in (InLangChain, InLlamaIndex, ByHandToo):
        with capture() as captured:
            tracer = captured.tracer_provider.get_tracer("application")
            handler = OTelCallbackHandler(**captured.providers, detail="operations", content=SAID[work])
            with (
                tracer.start_as_current_span("request"),
                content(SAID[work]),
            ):  # the history is that of a trace
                await getattr(way(handler), work)()
            Settings._callback_manager = None
            assert_conformant(captured.spans, events=captured.events)
            conversations = {span.attributes.get("gen_ai.conversation.id") for span in captured.spans[1:]}
            assert conversations == {CONVERSATION if work == "agent" else None}
            seen.append((spans(captured, partial=False), metrics(captured)))
    gc.collect()  # the connection of a memory, while its warning is ignored
    for described in (attributes for found, _ in seen for _, _, _, attributes, *_ in found):
        if work == "agent" and described.get("gen_ai.operation.name") == "invoke_agent":
            answers = json.loads(described["gen_ai.output.messages"])  # LangChain names who speaks
            described["gen_ai.output.messages"] = [{**each, "name": "librarian"} for each in answers]
    first, *others = seen
    assert len(first[0]) > 1
    for other in others:
        assert other == first


async def test_the_whole_pipeline_by_hand_is_that_of_llama_index() -> None:
    seen = []
    for framework in (LlamaIndex, ByHand):
        with capture() as captured:
            await run(framework, "pipeline", captured)
            assert_conformant(captured.spans)
            seen.append((spans(captured, partial=False, without=("user's span",)), metrics(captured)))
    for described in (attributes for found, _ in seen for _, _, _, attributes, *_ in found):
        described.pop("rag.prompt_documents", None)
        if "rag.documents" in described:  # LlamaIndex's index makes up ids, and its texts differ
            documents = json.loads(described["rag.documents"])
            described["rag.documents"] = [each | {"id": "any", "size": "any"} for each in documents]
    assert seen[0] == seen[1]
    assert [path for path, *_ in seen[0][0]] == [
        "invoke_workflow query_engine",
        "invoke_workflow query_engine > retrieval",
        "invoke_workflow query_engine > retrieval > embeddings embed-1",
        "invoke_workflow query_engine > rerank rerank-1",
        "invoke_workflow query_engine > chat scripted-1",
    ]


@pytest.mark.parametrize(
    ("framework", "scenario"),
    [
        (framework, scenario)
        for scenario in SCENARIOS
        if scenario not in ("streamed_chat", "abandoned", "cancelled")
        for framework in shapes(scenario)
    ],
)
async def test_user_spans_are_where_they_were_opened(framework: Any, scenario: str) -> None:
    with capture() as captured:
        await run(framework, scenario, captured)
        names = {span.context.span_id: span.name for span in captured.spans}
        above = [
            names[span.parent.span_id]
            for span in captured.spans
            if span.name == "user's span" and span.parent
        ]
        assert above
        assert set(above) <= {"chat scripted-1", "retrieval", "embeddings embed-1"}
        failed = [span for span in captured.spans if span.status.status_code is StatusCode.ERROR]
        assert bool(failed) == ("error" in scenario)
