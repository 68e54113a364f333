"""Attributes of the conventions that can be known are there."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import fakes
import llama_fakes
import pytest
from ends import content, run, told
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from langgraph.prebuilt import create_react_agent
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import Settings
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from scripted_openai import chunks, completion, langchain_model, llama_index_model, response

from otel_callbacks import ContentPolicy
from otel_callbacks.langchain import OTelCallbackHandler, trace_retriever
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.testing import Captured

pytestmark = [
    IGNORED,
    pytest.mark.filterwarnings("ignore::langgraph.warnings.LangGraphDeprecatedSinceV10"),
]

ASK = [ChatMessage(role="user", content="q")]
API = "openai.api.type"
SAID = {
    "type": "message",
    "id": "m",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hi", "annotations": []}],
}


def config(captured: Captured, policy: Any = "none") -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers, content=policy)]}


def settle(captured: Captured, policy: Any = "none") -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers, content=policy)])


def only(captured: Captured, operation: str) -> dict[str, Any]:
    (span,) = [span for span in captured.spans if told(span).get("gen_ai.operation.name") == operation]
    return dict(told(span))


# --- which API of OpenAI's ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_completions_of_langchain(mode: str, captured: Captured) -> None:
    streamed = chunks({"role": "assistant", "content": "hi"})
    model = langchain_model(streamed if "stream" in mode else completion({"content": "hi"}))
    await run(model, "q", config(captured), mode)
    assert only(captured, "chat")[API] == "chat_completions"


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_responses_of_langchain(mode: str, captured: Captured) -> None:
    await run(langchain_model(response(SAID), use_responses_api=True), "q", config(captured), mode)
    assert only(captured, "chat")[API] == "responses"


@pytest.mark.parametrize("responses", [False, True])
@pytest.mark.parametrize("mode", ["chat", "achat"])
async def test_both_of_llama_index(responses: bool, mode: str, captured: Captured) -> None:
    settle(captured)
    answer = response(SAID) if responses else completion({"content": "hi"})
    model = llama_index_model(answer, responses=responses)
    if mode == "chat":
        model.chat(ASK)
    else:
        await model.achat(ASK)
    assert only(captured, "chat")[API] == ("responses" if responses else "chat_completions")


def test_another_provider_has_none(captured: Captured) -> None:
    class Other(fakes.ScriptedModel):
        def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
            return {"ls_provider": "anthropic", "ls_model_name": "other-1", "ls_model_type": "chat"}

    Other().invoke("q", config(captured))
    assert API not in only(captured, "chat")


# --- the id of a streamed answer ---------------------------------------------------------------------------------


class Identified(fakes.ScriptedModel):
    """Gives the provider's id to every chunk, or to the first alone."""

    everywhere: bool = True

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for number, chunk in enumerate(super()._stream(*args, **kwargs)):
            details = {"finish_reason": "stop", "model_name": "scripted-1-0613"}
            given = "msg_1" if self.everywhere or number == 0 else None
            message = AIMessageChunk(
                chunk.message.content,
                id=given,
                response_metadata=details if chunk.message.response_metadata else {},
                usage_metadata=chunk.message.usage_metadata,
            )
            yield ChatGenerationChunk(message=message)

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._stream([]):
            yield chunk


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("mode", ["stream", "astream"])
async def test_the_id_of_a_stream(everywhere: bool, mode: str, captured: Captured) -> None:
    await run(Identified(everywhere=everywhere), "q", config(captured), mode)
    assert only(captured, "chat")["gen_ai.response.id"] == "msg_1"


@pytest.mark.parametrize("mode", ["invoke", "stream"])
async def test_langchains_own_ids_are_none(mode: str, captured: Captured) -> None:
    class Nameless(fakes.ScriptedModel):
        def _next(self) -> AIMessage:
            details = {"model_name": "scripted-1-0613", "finish_reason": "stop"}
            return super()._next().model_copy(update={"response_metadata": details})

    await run(Nameless(), "q", config(captured), mode)
    assert "gen_ai.response.id" not in only(captured, "chat")


@pytest.mark.parametrize("mode", ["stream_chat", "astream_chat"])
async def test_the_id_of_a_stream_of_llama_index(mode: str, captured: Captured) -> None:
    settle(captured)
    model = llama_index_model(chunks({"role": "assistant", "content": "hi"}))
    if mode == "stream_chat":
        list(model.stream_chat(ASK))
    else:
        [_ async for _ in await model.astream_chat(ASK)]
    assert only(captured, "chat")["gen_ai.response.id"] == "chatcmpl-1"


# --- the embedding model of a retrieval --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_the_embedding_model_that_langchain_tells(mode: str, captured: Captured) -> None:
    given = {**config(captured), "metadata": {"ls_embedding_model": "embed-1"}}
    await run(fakes.ScriptedRetriever(), "q", given, mode)
    assert only(captured, "retrieval")["rag.embedding_model"] == "embed-1"
    assert "gen_ai.request.model" not in only(captured, "retrieval")


@pytest.mark.parametrize("traced", [False, True])
def test_the_embedding_model_of_a_store(traced: bool, captured: Captured) -> None:
    store = InMemoryVectorStore.from_texts(["one", "two"], fakes.ScriptedEmbedding())
    retriever = store.as_retriever()
    if traced:
        trace_retriever(store)
    retriever.invoke("q", config(captured))
    assert only(captured, "retrieval")["rag.embedding_model"] == "embed-1"
    assert "gen_ai.request.model" not in only(captured, "retrieval")


@pytest.mark.parametrize("mode", ["retrieve", "aretrieve"])
async def test_the_embedding_model_of_llama_index(mode: str, captured: Captured) -> None:
    settle(captured)
    retriever = llama_fakes.index().as_retriever()
    if mode == "retrieve":
        retriever.retrieve("q")
    else:
        await retriever.aretrieve("q")
    assert only(captured, "retrieval")["rag.embedding_model"] == "embed-1"
    assert "gen_ai.request.model" not in only(captured, "retrieval")


# --- guardrails of Bedrock ---------------------------------------------------------------------------------------


class Bedrock(fakes.ScriptedModel):
    """A model of Bedrock's, with what it is asked for."""

    asked: dict[str, Any] = {}

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return self.asked

    def _get_ls_params(self, stop: Any = None, **kwargs: Any) -> Any:
        return {"ls_provider": "amazon_bedrock", "ls_model_name": "claude-1", "ls_model_type": "chat"}


GUARDRAILS: dict[str, dict[str, Any]] = {
    "converse": {"guardrail_config": {"guardrailIdentifier": "gr-1", "guardrailVersion": "1"}},
    "as it is sent": {"guardrailConfig": {"guardrailIdentifier": "gr-1", "guardrailVersion": "1"}},
    "invoke": {"guardrails": {"guardrailIdentifier": "gr-1", "guardrailVersion": "1"}},
    "alone": {"guardrail_identifier": "gr-1", "guardrail_version": "1"},
}


@pytest.mark.parametrize("case", GUARDRAILS)
@pytest.mark.parametrize("how", ["constructor", "bound"])
def test_a_guardrail(case: str, how: str, captured: Captured) -> None:
    if how == "constructor":
        Bedrock(asked=GUARDRAILS[case]).invoke("q", config(captured))
    else:
        Bedrock().bind(**GUARDRAILS[case]).invoke("q", config(captured))
    assert only(captured, "chat")["aws.bedrock.guardrail.id"] == "gr-1"


def test_a_guardrail_of_nobody_elses(captured: Captured) -> None:
    fakes.ScriptedModel().bind(**GUARDRAILS["converse"]).invoke("q", config(captured))
    assert "aws.bedrock.guardrail.id" not in only(captured, "chat")


class LlamaBedrock(llama_fakes.ScriptedModel):
    """As LlamaIndex has it: in fields."""

    guardrail_identifier: str | None = None
    guardrail_version: str | None = None


LlamaBedrock.__module__ = "llama_index.llms.bedrock_converse.scripted"


def test_a_guardrail_in_llama_index(captured: Captured) -> None:
    settle(captured)
    LlamaBedrock(guardrail_identifier="gr-1", guardrail_version="1").chat(ASK)
    assert only(captured, "chat")["aws.bedrock.guardrail.id"] == "gr-1"


# --- what an agent is made of ------------------------------------------------------------------------------------


def look_up(word: str) -> str:
    """Looks a word up."""
    return "found"


DEFINED = {"type": "function", "name": "look_up"}
INSTRUCTIONS = [{"type": "text", "content": "Be kind."}]


def assert_made_of(captured: Captured, name: str) -> None:
    span = captured.span(name)
    assert content(span, "system_instructions") == INSTRUCTIONS
    (defined,) = content(span, "tool.definitions")
    assert {key: defined[key] for key in DEFINED} == DEFINED
    assert "Looks a word up." in defined["description"]


LLAMA_AGENTS: dict[str, Any] = {"FunctionAgent": FunctionAgent, "ReActAgent": ReActAgent}


@pytest.mark.parametrize("kind", LLAMA_AGENTS)
async def test_an_agent_of_llama_index(kind: str, captured: Captured) -> None:
    settle(captured, "spans")
    said = "done" if kind == "FunctionAgent" else "Thought: I know.\nAnswer: done"
    made = LLAMA_AGENTS[kind](
        name="boss",
        system_prompt="Be kind.",
        tools=[look_up],
        llm=llama_fakes.ScriptedModel(script=[said]),
        streaming=False,
    )
    await made.run("hi")
    assert_made_of(captured, "invoke_agent boss")


async def test_an_agent_of_a_workflow(captured: Captured) -> None:
    settle(captured, "spans")
    made = FunctionAgent(
        name="boss",
        system_prompt="Be kind.",
        tools=[look_up],
        llm=llama_fakes.ScriptedModel(script=["done"]),
        streaming=False,
    )
    await AgentWorkflow(agents=[made], root_agent="boss").run("hi")
    assert_made_of(captured, "invoke_agent boss")


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
async def test_an_agent_of_langchain(mode: str, captured: Captured) -> None:
    made = create_agent(
        fakes.ScriptedModel(script=["done"]), [tool(look_up)], system_prompt="Be kind.", name="boss"
    )
    await run(made, {"messages": [("user", "hi")]}, config(captured, "spans"), mode)
    assert_made_of(captured, "invoke_agent boss")


def test_an_older_agent_of_langgraph(captured: Captured) -> None:
    made = create_react_agent(
        fakes.ScriptedModel(script=["done"]), [tool(look_up)], prompt="Be kind.", name="boss"
    )
    made.invoke({"messages": [("user", "hi")]}, config(captured, "spans"))
    assert_made_of(captured, "invoke_agent boss")


@pytest.mark.parametrize("policy", ["none", ContentPolicy("spans", kinds=("answers",))])
async def test_only_by_policy(policy: Any, captured: Captured) -> None:
    settle(captured, policy)
    llama = FunctionAgent(
        name="boss",
        system_prompt="Be kind.",
        tools=[look_up],
        llm=llama_fakes.ScriptedModel(script=["done"]),
        streaming=False,
    )
    await llama.run("hi")
    chain = create_agent(
        fakes.ScriptedModel(script=["done"]), [tool(look_up)], system_prompt="Be kind.", name="chief"
    )
    chain.invoke({"messages": [("user", "hi")]}, config(captured, policy))
    for name in ("invoke_agent boss", "invoke_agent chief"):
        assert "gen_ai.system_instructions" not in told(captured.span(name))
        assert "gen_ai.tool.definitions" not in told(captured.span(name))


# --- names of those who speak, scores of documents ---------------------------------------------------------------


def test_the_names_of_those_who_speak(captured: Captured) -> None:
    said = [
        SystemMessage("Be kind.", name="house"),
        HumanMessage("hi", name="ann"),
        AIMessage("hm", name="bob"),
    ]
    model = fakes.ScriptedModel(script=[AIMessage("done", name="bob")])
    model.invoke(said, config(captured, "spans"))
    span = captured.span("chat scripted-1")
    assert [each.get("name") for each in content(span, "input.messages")] == ["house", "ann", "bob"]
    assert [each.get("name") for each in content(span, "output.messages")] == ["bob"]


def test_the_names_of_those_who_speak_in_llama_index(captured: Captured) -> None:
    settle(captured, "spans")
    said = [
        ChatMessage(role="user", content="hi", additional_kwargs={"name": "ann"}),
        ChatMessage(role="assistant", content="hm", additional_kwargs={"name": "bob"}),
    ]
    answer = ChatMessage(role="assistant", content="done", additional_kwargs={"name": "bob"})
    llama_fakes.ScriptedModel(script=[answer]).chat(said)
    span = captured.span("chat scripted-1")
    assert [each.get("name") for each in content(span, "input.messages")] == ["ann", "bob"]
    assert [each.get("name") for each in content(span, "output.messages")] == ["bob"]


class Scored(Document):
    """A document that has its score in a field, as some stores' have."""

    score: float | None = None


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_a_score_in_a_field_of_the_document(mode: str, captured: Captured) -> None:
    found = [Scored(page_content="one", id="d1", score=0.75), Scored(page_content="two", id="d2", score=0.5)]
    await run(fakes.ScriptedRetriever(documents=found), "q", config(captured), mode)
    assert only(captured, "retrieval")["rag.top_score"] == 0.75
    assert '"score":0.5' in only(captured, "retrieval")["rag.documents"]


def test_no_score_is_made_of_what_is_none(captured: Captured) -> None:
    found = [Scored(page_content="one", id="d1"), Document("two", id="d2", metadata={"score": "high"})]
    fakes.ScriptedRetriever(documents=found).invoke("q", config(captured))
    assert "rag.top_score" not in only(captured, "retrieval")
