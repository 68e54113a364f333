"""Tests LangChain's span trees and attributes, row by row of the telemetry contract."""

import asyncio
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from fakes import ScriptedModel, ScriptedRetriever, call
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.graph import START, MessagesState, StateGraph
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, SamplingResult
from opentelemetry.trace import SpanKind
from payloads import RECORDED, Answer, Payload, ReplayedModel
from waiting import until

from otel_callbacks import semconv
from otel_callbacks.conformance import assert_conformant
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured, capture

Config = dict[str, Any]
ASK: Any = {"messages": [("user", "hi")]}
ROLLUP = "otel_callbacks.rollup."


@pytest.fixture
def config(captured: Captured) -> Iterator[Config]:
    yield {"callbacks": [OTelCallbackHandler(**captured.providers)]}
    assert_conformant(captured.spans)


@tool
def look_up(word: str) -> str:
    """Looks up."""
    return "found it"


def looker(name: str | None = "librarian", **options: Any) -> Any:
    """An agent that calls a tool and then answers."""
    model = ScriptedModel(script=[call("look_up", word="x"), "done"])
    return create_agent(model, [look_up], name=name, **options)


def supervisor() -> Any:
    inner = looker("researcher")

    @tool
    def research(question: str) -> str:
        """Asks the researcher."""
        return str(inner.invoke(ASK)["messages"][-1].content)

    return create_agent(
        ScriptedModel(script=[call("research", question="x"), "done"]), [research], name="boss"
    )


def graph(name: str | None = "plain") -> Any:
    built = StateGraph(MessagesState)
    built.add_node("work", lambda state: {"messages": [ScriptedModel().invoke("q")]})
    built.add_edge(START, "work")
    return built.compile(name=name)


def graph_of_agents() -> Any:
    built = StateGraph(MessagesState)
    built.add_node("helper", looker("librarian"))
    built.add_edge(START, "helper")
    return built.compile(name="desk")


def agent_with_a_graph() -> Any:
    @tool
    def run_graph(word: str) -> str:
        """Runs a graph."""
        graph().invoke(ASK)
        return "x"

    return create_agent(
        ScriptedModel(script=[call("run_graph", word="x"), "done"]), [run_graph], name="outer"
    )


def prebuilt() -> Any:
    from langgraph.prebuilt import create_react_agent

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and still in most applications
        return create_react_agent(
            ScriptedModel(script=[call("look_up", word="x"), "done"]), [look_up], name="reactor"
        )


def chain() -> Any:
    prompt = ChatPromptTemplate.from_messages([("user", "{question}")])
    return RunnableLambda(lambda text: {"question": text}) | prompt | ScriptedModel() | StrOutputParser()


def attributes(captured: Captured, name: str, at: int = 0) -> dict[str, Any]:
    found = [span for span in captured.spans if span.name == name]
    return dict(found[at].attributes or {})


def without_rollup(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if not name.startswith(ROLLUP)}


# --- trees ---------------------------------------------------------------------------------------------------------

AGENT = """\
invoke_agent librarian
  model
    chat scripted-1
  tools
    execute_tool look_up
  model
    chat scripted-1"""

TREES: dict[str, tuple[Any, Any, str]] = {
    "agent": (looker, ASK, AGENT),
    "unnamed agent": (lambda: looker(None), ASK, AGENT.replace(" librarian", "")),
    "prebuilt agent": (
        prebuilt,
        ASK,
        """\
invoke_agent reactor
  agent
    chat scripted-1
  tools
    execute_tool look_up
  agent
    chat scripted-1""",
    ),
    "supervisor": (
        supervisor,
        ASK,
        """\
invoke_agent boss
  model
    chat scripted-1
  tools
    execute_tool research
      invoke_agent researcher
        model
          chat scripted-1
        tools
          execute_tool look_up
        model
          chat scripted-1
  model
    chat scripted-1""",
    ),
    "agent as a node": (
        graph_of_agents,
        ASK,
        "invoke_workflow desk\n  helper\n" + "\n".join(f"    {line}" for line in AGENT.splitlines()),
    ),
    "graph in a tool": (
        agent_with_a_graph,
        ASK,
        """\
invoke_agent outer
  model
    chat scripted-1
  tools
    execute_tool run_graph
      invoke_workflow plain
        work
          chat scripted-1
  model
    chat scripted-1""",
    ),
    "unnamed graph": (lambda: graph(None), ASK, "invoke_workflow\n  work\n    chat scripted-1"),
    "chain": (chain, "q", "invoke_workflow\n  chat scripted-1"),
    "named chain": (
        lambda: chain().with_config(run_name="answer"),
        "q",
        "invoke_workflow answer\n  chat scripted-1",
    ),
    "named part of a chain": (
        lambda: ScriptedRetriever() | RunnableLambda(len).with_config(run_name="count"),
        "q",
        "invoke_workflow\n  retrieval\n  count",
    ),
    "model alone": (ScriptedModel, "q", "chat scripted-1"),
    "text model alone": (
        lambda: FakeListLLM(responses=["a"], metadata={"ls_model_name": "old"}),
        "q",
        "text_completion old",
    ),
    "retriever alone": (ScriptedRetriever, "q", "retrieval"),
    "tool alone": (lambda: look_up, {"word": "x"}, "execute_tool look_up"),
    "prompt alone": (lambda: ChatPromptTemplate.from_messages([("user", "{q}")]), {"q": "x"}, ""),
}


@pytest.mark.parametrize("kind", [kind for kind in TREES if kind != "prompt alone"])
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_tree(kind: str, mode: str, captured: Captured, config: Config) -> None:
    make, value, expected = TREES[kind]
    runnable = make()
    match mode:
        case "invoke":
            runnable.invoke(value, config)
        case "ainvoke":
            await runnable.ainvoke(value, config)
        case "stream":
            list(runnable.stream(value, config))
        case "astream":
            [chunk async for chunk in runnable.astream(value, config)]
    assert captured.tree() == expected


def test_a_prompt_alone_is_not_worth_a_trace(captured: Captured) -> None:
    make, value, _ = TREES["prompt alone"]
    make().invoke(value, {"callbacks": [OTelCallbackHandler(**captured.providers)]})
    assert captured.spans == []


# --- detail --------------------------------------------------------------------------------------------------------

LEVELS: dict[str, tuple[Any, Any, dict[str, str]]] = {
    "agent": (
        looker,
        ASK,
        {
            "operations": "invoke_agent librarian\n  chat scripted-1\n  execute_tool look_up\n  chat scripted-1",
            "standard": AGENT,
            "everything": AGENT,
        },
    ),
    "chain": (
        chain,
        "q",
        {
            "operations": "invoke_workflow\n  chat scripted-1",
            "standard": "invoke_workflow\n  chat scripted-1",
            "everything": "invoke_workflow\n  RunnableLambda\n  ChatPromptTemplate\n  chat scripted-1\n"
            "  StrOutputParser",
        },
    ),
    "graph": (
        graph,
        ASK,
        {
            "operations": "invoke_workflow plain\n  chat scripted-1",
            "standard": "invoke_workflow plain\n  work\n    chat scripted-1",
            "everything": "invoke_workflow plain\n  work\n    chat scripted-1",
        },
    ),
}


def traced(runnable: Any, value: Any, **options: Any) -> tuple[str, ReadableSpan]:
    """Returns the span tree and the root of one run."""
    with capture() as captured:
        runnable.invoke(value, {"callbacks": [OTelCallbackHandler(**captured.providers, **options)]})
        assert_conformant(captured.spans)
        return captured.tree(), captured.spans[0]


@pytest.mark.parametrize("kind", LEVELS)
def test_detail_changes_what_is_shown_and_never_the_totals(kind: str) -> None:
    make, value, trees = LEVELS[kind]
    roots = []
    for detail, expected in trees.items():
        tree, root = traced(make(), value, detail=detail)
        assert tree == expected, detail
        roots.append(dict(root.attributes or {}))
    assert roots[0] == roots[1] == roots[2]
    assert roots[0][ROLLUP + "inference_calls"] >= 1


# --- roll-ups ------------------------------------------------------------------------------------------------------

FIELDS = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}


@pytest.mark.parametrize("kind", ["agent", "supervisor", "agent as a node", "graph in a tool", "chain"])
def test_leaves_add_up_to_the_root(kind: str, captured: Captured, config: Config) -> None:
    make, value, _ = TREES[kind]
    make().invoke(value, config)
    root = captured.spans[0].attributes or {}
    leaves = [span.attributes or {} for span in captured.spans if span.name.startswith("chat")]
    tools = [span for span in captured.spans if span.name.startswith("execute_tool")]
    for field, name in FIELDS.items():
        assert root.get(ROLLUP + field, 0) == sum(leaf.get(name, 0) for leaf in leaves)
    assert root[ROLLUP + "total_tokens"] == 120 * len(leaves)
    assert root[ROLLUP + "inference_calls"] == len(leaves)
    assert root.get(ROLLUP + "tool_calls", 0) == len(tools)


def test_all_kinds_of_tokens_are_rolled_up(captured: Captured, config: Config) -> None:
    model = ReplayedModel(payload=RECORDED["openai with cache and reasoning"])
    (model | StrOutputParser()).invoke("q", config)
    totals = {"input": 100, "output": 50, "total": 150, "cache_read": 80, "reasoning": 30}
    assert {
        name: value for name, value in attributes(captured, "invoke_workflow").items() if ROLLUP in name
    } == {
        **{f"{ROLLUP}{kind}_tokens": tokens for kind, tokens in totals.items()},
        ROLLUP + "inference_calls": 1,
        ROLLUP + "cost_usd": 0.00065,  # 20 x 2.50 + 80 x 1.25 + 50 x 10.00 USD per million
    }


def test_usage_of_an_agent_is_that_of_its_own_calls(captured: Captured, config: Config) -> None:
    supervisor().invoke(ASK, config)
    boss, researcher = (attributes(captured, f"invoke_agent {name}") for name in ("boss", "researcher"))
    assert boss["gen_ai.usage.input_tokens"] == researcher["gen_ai.usage.input_tokens"] == 200
    assert boss[ROLLUP + "input_tokens"] == 400
    assert boss[ROLLUP + "tool_calls"] == 2
    assert researcher[ROLLUP + "tool_calls"] == 1


def test_an_agent_whose_model_reports_no_usage_claims_none(captured: Captured, config: Config) -> None:
    silent = Payload(ls={"ls_provider": "acme", "ls_model_name": "m"}, expected={}, answer=Answer())
    create_agent(ReplayedModel(payload=silent), []).invoke(ASK, config)
    assert not [name for name in attributes(captured, "invoke_agent") if name.startswith("gen_ai.usage")]
    assert attributes(captured, "invoke_agent")[ROLLUP + "inference_calls"] == 1


def test_the_frameworks_cache_is_not_spent_twice(captured: Captured, config: Config) -> None:
    runnable = ScriptedModel(cache=InMemoryCache()) | StrOutputParser()
    runnable.invoke("q", config)
    captured.clear()
    runnable.invoke("q", config)
    hit = attributes(captured, "chat scripted-1")
    assert not [name for name in hit if name.startswith("gen_ai.usage") and "cost" not in name]
    assert (hit["gen_ai.usage.cost_usd"], hit["otel_callbacks.cost.status"]) == (0, "cached")
    assert (hit["otel_callbacks.cached.input_tokens"], hit["otel_callbacks.cached.output_tokens"]) == (
        100,
        20,
    )
    assert hit["gen_ai.response.model"] == "scripted-1-0613"
    totals = {
        name: value for name, value in attributes(captured, "invoke_workflow").items() if ROLLUP in name
    }
    assert totals == {ROLLUP + "cached_calls": 1, ROLLUP + "cost_usd": 0}


def test_rag_total_is_on_the_root_alone(captured: Captured, config: Config) -> None:
    (ScriptedRetriever() | RunnableLambda(str) | ScriptedModel()).invoke("q", config)
    assert {span.name for span in captured.spans if semconv.RAG_TOTAL_TOKENS in (span.attributes or {})} == {
        "invoke_workflow"
    }
    assert attributes(captured, "invoke_workflow")[semconv.RAG_TOTAL_TOKENS] == 120


# --- operations ----------------------------------------------------------------------------------------------------


def test_agent(captured: Captured, config: Config) -> None:
    looker().invoke(ASK, {**config, "configurable": {"thread_id": "t-1"}})
    span = captured.span("invoke_agent librarian")
    assert span.kind is SpanKind.INTERNAL
    assert without_rollup(dict(span.attributes or {})) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "librarian",
        "gen_ai.conversation.id": "t-1",
        "gen_ai.usage.input_tokens": 200,
        "gen_ai.usage.output_tokens": 40,
        "gen_ai.response.finish_reasons": ("stop",),
    }


def test_workflow_and_node(captured: Captured, config: Config) -> None:
    graph().invoke(ASK, {**config, "configurable": {"thread_id": "t-1"}})
    span, node = captured.span("invoke_workflow plain"), captured.span("work")
    assert (span.kind, node.kind) == (SpanKind.INTERNAL, SpanKind.INTERNAL)
    assert without_rollup(dict(span.attributes or {})) == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "plain",
        "gen_ai.conversation.id": "t-1",
    }
    found = without_rollup(dict(node.attributes or {}))
    assert str(found.pop("langgraph.checkpoint_ns")).startswith("work:")
    assert found == {
        "gen_ai.conversation.id": "t-1",
        "langgraph.node": "work",
        "langgraph.step": 1,
        "langgraph.path": "__pregel_pull/work",
    }


def test_tool(captured: Captured, config: Config) -> None:
    looker().invoke(ASK, {**config, "configurable": {"thread_id": "t-1"}})
    span = captured.span("execute_tool look_up")
    assert span.kind is SpanKind.INTERNAL
    assert without_rollup(dict(span.attributes or {})) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "look_up",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "Looks up.",
        "gen_ai.tool.call.id": "call_1",
        "gen_ai.agent.name": "librarian",
        "gen_ai.conversation.id": "t-1",
        "otel_callbacks.tool.result_size": len("found it"),
    }


def test_tool_alone(captured: Captured, config: Config) -> None:
    look_up.invoke({"word": "x"}, config)
    assert "gen_ai.tool.call.id" not in attributes(captured, "execute_tool look_up")
    assert "gen_ai.agent.name" not in attributes(captured, "execute_tool look_up")


def test_the_tool_of_a_sub_agent_names_the_sub_agent(captured: Captured, config: Config) -> None:
    supervisor().invoke(ASK, config)
    assert attributes(captured, "execute_tool research")["gen_ai.agent.name"] == "boss"
    assert attributes(captured, "execute_tool look_up")["gen_ai.agent.name"] == "researcher"


@pytest.mark.parametrize(
    ("metadata", "score", "kind"),
    [
        ({}, None, None),
        ({"score": 0.5}, 0.75, None),
        ({"relevance_score": 0.5}, 0.75, "relevance"),
        ({"score": "high"}, None, None),
    ],
)
def test_retriever(
    metadata: dict[str, Any], score: float | None, kind: str | None, captured: Captured, config: Config
) -> None:
    better = {key: 0.75 if isinstance(value, float) else value for key, value in metadata.items()}
    documents = [Document("a", metadata=metadata), Document("b", metadata=better)]
    ScriptedRetriever(documents=documents).invoke("q", config)
    found = attributes(captured, "retrieval")
    assert captured.span("retrieval").kind is SpanKind.CLIENT
    assert (found["rag.results_count"], found.get("rag.top_score")) == (2, score)
    assert found.get("rag.score_kind") == kind


def test_retriever_that_finds_nothing(captured: Captured, config: Config) -> None:
    ScriptedRetriever(documents=[]).invoke("q", config)
    assert without_rollup(attributes(captured, "retrieval")) == {
        "gen_ai.operation.name": "retrieval",
        "rag.results_count": 0,
        "rag.documents": "[]",
    }


def test_vector_store(captured: Captured, config: Config) -> None:
    from langchain_core.embeddings import DeterministicFakeEmbedding

    class NamedEmbedding(DeterministicFakeEmbedding):
        model: str = "embed-1"

    store = InMemoryVectorStore.from_texts(["a", "b"], NamedEmbedding(size=4), ids=["d1", "d2"])
    store.as_retriever(search_kwargs={"k": 2}).invoke("q", config)
    assert without_rollup(attributes(captured, "retrieval")) == {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.provider.name": "InMemoryVectorStore",
        "gen_ai.retrieval.top_k": 2,
        "rag.embedding_model": "embed-1",
        "rag.results_count": 2,
        "rag.documents": '[{"rank":1,"id":"d1","size":1},{"rank":2,"id":"d2","size":1}]',
    }


# --- requests ------------------------------------------------------------------------------------------------------

REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "openai": (
        {
            "temperature": 0.5,
            "top_p": 0.9,
            "max_completion_tokens": 64,
            "frequency_penalty": 0.1,
            "presence_penalty": 0,
            "seed": 7,
            "n": 2,
            "reasoning_effort": "low",
            "service_tier": "flex",
        },
        {
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 64,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.0,
            "seed": 7,
            "choice.count": 2,
            "reasoning.level": "low",
        },
    ),
    "responses": (
        {"reasoning": {"effort": "high"}, "previous_response_id": "resp_1", "max_output_tokens": 9, "n": 1},
        {"reasoning.level": "high", "previous_response.id": "resp_1", "max_tokens": 9},
    ),
    "anthropic": ({"max_tokens": 64, "top_k": 3, "temperature": None}, {"max_tokens": 64, "top_k": 3}),
    "of the wrong kind": (
        {"temperature": "hot", "seed": True, "stop": 3, "max_tokens": "all", "n": None, "reasoning": "much"},
        {},
    ),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_request_parameters(kind: str, captured: Captured, config: Config) -> None:
    params, expected = REQUESTS[kind]
    payload = Payload(ls={"ls_provider": "openai", "ls_model_name": "m"}, params=params, expected={})
    ReplayedModel(payload=payload).invoke("q", config)
    found = attributes(captured, "chat m")
    prefix = "gen_ai.request."
    sent = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
    assert sent == {"model": "m", **expected}
    assert found.get("openai.request.service_tier") == params.get("service_tier")


def test_parameters_of_one_call(captured: Captured, config: Config) -> None:
    ReplayedModel(payload=RECORDED["openai"]).bind(temperature=0.1, stop=["X"]).invoke("q", config, seed=3)
    found = attributes(captured, "chat gpt-4o")
    assert found["gen_ai.request.temperature"] == 0.1
    assert found["gen_ai.request.stop_sequences"] == ("X",)
    assert found["gen_ai.request.seed"] == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"response_format": {"type": "json_object"}}, "json"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "json"),
        ({"response_format": {"type": "text"}}, "text"),
        ({"ls_structured_output_format": {"kwargs": {}, "schema": {"title": "A", "type": "object"}}}, "json"),
    ],
)
def test_output_type(
    options: dict[str, Any], expected: str | None, captured: Captured, config: Config
) -> None:
    ReplayedModel(payload=RECORDED["openai"]).invoke("q", config, **options)
    assert attributes(captured, "chat gpt-4o").get("gen_ai.output.type") == expected


# --- streams -------------------------------------------------------------------------------------------------------


class SlowStart(ScriptedModel):
    """Sends the first chunk after at least 100 ms, and two more at least 20 ms apart."""

    async def _astream(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0.1)
        async for chunk in super()._astream(*args, **kwargs):
            yield chunk
            await asyncio.sleep(0.02)


def assert_first_chunk_in_time(captured: Captured) -> None:
    span = captured.span("chat scripted-1")
    seconds = (span.end_time - span.start_time) / 1e9  # type: ignore[operator]
    assert 0.09 < attributes(captured, span.name)["gen_ai.response.time_to_first_chunk"] < seconds - 0.035


@pytest.mark.parametrize("mode", ["astream", "ainvoke", "agent"])
async def test_time_to_first_chunk(mode: str, captured: Captured, config: Config) -> None:
    model = SlowStart(script=["a b c"])
    if mode == "astream":
        [chunk async for chunk in model.astream("q", config)]
    elif mode == "ainvoke":  # streams inside, because the events have a listener
        [event async for event in RunnableLambda(model.ainvoke).astream_events("q", config, version="v2")]
    else:
        [chunk async for chunk in create_agent(model, []).astream(ASK, config, stream_mode="messages")]
    assert attributes(captured, "chat scripted-1")["gen_ai.request.stream"] is True
    assert_first_chunk_in_time(captured)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
async def test_time_to_first_chunk_of_protocol_events(captured: Captured, config: Config) -> None:
    stream = await SlowStart(script=["a b c"]).astream_events("q", config, version="v3")
    [event async for event in stream]
    await until(lambda: bool(captured.spans))  # the call ends after its last event
    assert_first_chunk_in_time(captured)
    (chunks,) = captured.metrics()["gen_ai.client.inference.time_per_output_chunk"]
    assert chunks.count == 2


def test_a_whole_answer_has_no_first_chunk(captured: Captured, config: Config) -> None:
    ScriptedModel().invoke("q", config)
    found = attributes(captured, "chat scripted-1")
    assert "gen_ai.request.stream" not in found
    assert "gen_ai.response.time_to_first_chunk" not in found


# --- conversations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["thread_id", "session_id", "conversation_id"])
def test_conversation_id(key: str, captured: Captured, config: Config) -> None:
    (ScriptedRetriever() | RunnableLambda(str) | ScriptedModel()).invoke(
        "q", {**config, "metadata": {key: "c-1"}}
    )
    assert attributes(captured, "invoke_workflow")["gen_ai.conversation.id"] == "c-1"
    assert attributes(captured, "chat scripted-1")["gen_ai.conversation.id"] == "c-1"


def test_conversation_id_is_never_made_up(captured: Captured, config: Config) -> None:
    for runnable, value in ((chain(), "q"), (looker(), ASK), (graph(), ASK)):
        runnable.invoke(value, {**config, "metadata": {"thread_id": None, "session_id": ""}})
    assert not [span for span in captured.spans if "gen_ai.conversation.id" in (span.attributes or {})]


# --- sampling, scope, schema ---------------------------------------------------------------------------------------


class Witness(Sampler):
    """Samples everything and remembers what it saw."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, Any]] = {}

    def should_sample(
        self, context: Any, trace_id: int, name: str, *args: Any, **kwargs: Any
    ) -> SamplingResult:
        attributes = args[1] if len(args) > 1 else kwargs.get("attributes")
        self.seen[name] = dict(attributes or {})
        return ALWAYS_ON.should_sample(context, trace_id, name, *args, **kwargs)

    def get_description(self) -> str:
        return "Witness"


def test_a_sampler_sees_who_and_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    witness = Witness()
    with capture(sampler=witness) as captured:
        config: Any = {
            "callbacks": [OTelCallbackHandler(**captured.providers)],
            "metadata": {"thread_id": "t"},
        }
        looker().invoke(ASK, config)
        ReplayedModel(payload=RECORDED["openai"]).invoke("q", config)
    assert witness.seen["invoke_agent librarian"] == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "librarian",
        "gen_ai.conversation.id": "t",
    }
    assert witness.seen["execute_tool look_up"] == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "look_up",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call_1",
        "gen_ai.agent.name": "librarian",
        "gen_ai.conversation.id": "t",
    }
    assert witness.seen["chat gpt-4o"] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.conversation.id": "t",
        "server.address": "api.openai.com",
        "server.port": 443,
    }
    assert witness.seen["tools"]["langgraph.node"] == "tools"


def test_scope_and_schema(captured: Captured, config: Config) -> None:
    looker().invoke(ASK, config)
    for span in captured.spans:
        scope = span.instrumentation_scope
        assert scope is not None
        assert (scope.name, scope.schema_url) == ("otel_callbacks", semconv.SCHEMA_URL)
        assert scope.version


def test_a_model_that_wraps_another_is_counted_once(captured: Captured, config: Config) -> None:
    class Wrapper(ScriptedModel):
        def _next(self) -> Any:
            return ScriptedModel(model="inner").invoke("q", config)

    (RunnableLambda(str) | Wrapper(model="outer")).invoke("q", config)
    outer, inner = attributes(captured, "chat outer"), attributes(captured, "chat inner")
    assert outer["otel_callbacks.duplicate"] is True
    assert "gen_ai.usage.input_tokens" not in outer
    assert inner["gen_ai.usage.input_tokens"] == 100
    assert attributes(captured, "invoke_workflow")["otel_callbacks.rollup.total_tokens"] == 120
