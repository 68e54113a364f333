"""A call whose conversation was made shorter says so; how much shorter, where that is said."""

from collections.abc import Iterator
from typing import Any

import fakes
import llama_fakes
import pytest
from ends import run, told
from langchain.agents import create_agent
from langchain.agents.middleware import ClearToolUsesEdit, ContextEditingMiddleware, SummarizationMiddleware
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.callbacks import llm_chat_callback

from otel_callbacks import inference
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.testing import Captured

pytestmark = IGNORED

COMPACTED = "gen_ai.conversation.compacted"
BEFORE = "otel_callbacks.compaction.tokens_before"
AFTER = "otel_callbacks.compaction.tokens_after"
CHAT = "chat scripted-1"


def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


def compaction(captured: Captured, name: str = CHAT) -> list[dict[str, Any]]:
    """What each call says of a compaction."""
    keys = (COMPACTED, BEFORE, AFTER)
    return [
        {key: told(span)[key] for key in keys if key in told(span)}
        for span in captured.spans
        if span.name == name
    ]


# --- by a middleware ---------------------------------------------------------------------------------------------


def summarising(*script: Any, keep: int = 2) -> Any:
    summariser = fakes.ScriptedModel(model="summary-1", script=["in short"])
    trigger: Any = ("messages", 5)
    middleware = SummarizationMiddleware(model=summariser, trigger=trigger, keep=("messages", keep))
    return create_agent(fakes.ScriptedModel(script=script or ("done",)), [], middleware=[middleware])


LONG = [each for n in range(6) for each in (HumanMessage(f"question {n}"), AIMessage(f"answer {n}"))]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream", "thread"])
async def test_after_a_summary(mode: str, captured: Captured) -> None:
    await run(summarising(), {"messages": [*LONG, HumanMessage("last")]}, config(captured), mode)
    assert compaction(captured) == [{COMPACTED: True}]
    assert compaction(captured, "chat summary-1") == [{}]


def test_a_conversation_that_is_short_enough(captured: Captured) -> None:
    summarising().invoke({"messages": [HumanMessage("only")]}, config(captured))
    assert compaction(captured) == [{}]


def test_a_summary_that_was_kept_from_before(captured: Captured) -> None:
    """The next question of the conversation is still asked of the shortened one."""
    agent = summarising("done", "done again")
    state = agent.invoke({"messages": [*LONG, HumanMessage("last")]}, config(captured))
    captured.clear()
    agent.invoke({"messages": [*state["messages"][:2], HumanMessage("next")]}, config(captured))
    assert compaction(captured) == [{COMPACTED: True}]


@tool
def look_up(word: str) -> str:
    """Looks a word up."""
    return "found " * 50


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("inputs", [True, False])
async def test_after_results_of_tools_were_cleared(mode: str, inputs: bool, captured: Captured) -> None:
    """Of the three calls of this agent, the last is sent a placeholder for the first tool's result."""
    edit = ClearToolUsesEdit(trigger=100, keep=1, clear_tool_inputs=inputs)
    script = [fakes.call("look_up", word="a"), fakes.call("look_up", word="b"), "done"]
    agent = create_agent(
        fakes.ScriptedModel(script=script), [look_up], middleware=[ContextEditingMiddleware(edits=[edit])]
    )
    await run(agent, {"messages": [*LONG, HumanMessage("last")]}, config(captured), mode)
    assert compaction(captured) == [{}, {}, {COMPACTED: True}]


@pytest.mark.parametrize("position", [0, 9, 200, -1])
@pytest.mark.parametrize("kind", ["LangChain's", "OpenAI's", "Anthropic's"])
def test_anywhere_in_the_history(position: int, kind: str, captured: Captured) -> None:
    summary = {
        "LangChain's": HumanMessage("in short", additional_kwargs={"lc_source": "summarization"}),
        "OpenAI's": AIMessage([{"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}]),
        "Anthropic's": AIMessage([{"type": "compaction", "content": "in short"}]),
    }[kind]
    history: list[Any] = LONG * 20
    history.insert(position, summary)
    fakes.ScriptedModel().invoke(history, config(captured))
    assert compaction(captured) == [{COMPACTED: True}]


def test_a_summary_that_failed_stands_for_nothing(captured: Captured) -> None:
    """Anthropic sends such a block along, and takes no notice of it when it comes back."""
    failed = AIMessage([{"type": "compaction", "content": None}, {"type": "text", "text": "done"}])
    model = fakes.ScriptedModel(script=[failed, "done"])
    answer = model.invoke("q", config(captured))
    model.invoke([HumanMessage("q"), answer, HumanMessage("next")], config(captured))
    assert compaction(captured) == [{}, {}]


def test_only_ever_true(captured: Captured) -> None:
    fakes.ScriptedModel().invoke("q", config(captured))
    assert compaction(captured) == [{}]


# --- by the provider ---------------------------------------------------------------------------------------------


class Provider(fakes.ScriptedModel):
    """A model whose provider tells things of its answer."""

    tells: dict[str, Any] = {}

    def _next(self) -> AIMessage:
        made = super()._next()
        return made.model_copy(update={"response_metadata": {**made.response_metadata, **self.tells}})

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        made = self._next()
        chunk = AIMessageChunk(
            made.content, response_metadata=made.response_metadata, usage_metadata=made.usage_metadata
        )
        yield ChatGenerationChunk(message=chunk)


TOLD: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "Anthropic's edits": (
        "done",
        {
            "context_management": {
                "applied_edits": [
                    {
                        "type": "clear_tool_uses_20250919",
                        "cleared_tool_uses": 8,
                        "cleared_input_tokens": 5_000,
                    },
                    {"type": "clear_thinking_20251015", "cleared_input_tokens": 400},
                ]
            }
        },
        {COMPACTED: True, BEFORE: 5_500, AFTER: 100},
    ),
    "Anthropic's compaction": (
        [{"type": "compaction", "content": "in short"}, {"type": "text", "text": "done"}],
        {
            "usage": {
                "input_tokens": 100,
                "output_tokens": 20,
                "iterations": [
                    {"type": "compaction", "input_tokens": 18_000, "output_tokens": 350},
                    {"type": "message", "input_tokens": 100, "output_tokens": 20},
                ],
            }
        },
        {COMPACTED: True, BEFORE: 18_000, AFTER: 100},
    ),
    "with tokens from the cache": (
        [{"type": "compaction", "content": "in short"}, {"type": "text", "text": "done"}],
        {
            "usage": {
                "input_tokens": 100,
                "output_tokens": 20,
                "iterations": [
                    {
                        "type": "compaction",
                        "input_tokens": 17_000,
                        "cache_read_input_tokens": 900,
                        "cache_creation_input_tokens": 100,
                    },
                    {"type": "message", "input_tokens": 100, "cache_read_input_tokens": None},
                ],
            }
        },
        {COMPACTED: True, BEFORE: 18_000, AFTER: 100},
    ),
    "a part of a sum is unknown": (
        "done",
        {
            "usage": {
                "input_tokens": 100,
                "output_tokens": 20,
                "iterations": [
                    {"type": "compaction", "input_tokens": 17_000, "cache_read_input_tokens": "some"},
                    {"type": "message", "cache_read_input_tokens": 100},
                ],
            }
        },
        {COMPACTED: True},
    ),
    "an edit that says nothing": (
        "done",
        {"context_management": {"applied_edits": [{"cleared_input_tokens": 5_000}, {"type": "new_edit"}]}},
        {COMPACTED: True},
    ),
    "OpenAI's compaction": (
        [{"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}, {"type": "text", "text": "done"}],
        {},
        {COMPACTED: True},
    ),
    "its reason": ("", {"finish_reason": "compaction"}, {COMPACTED: True}),
    "no edits": ("done", {"context_management": {"applied_edits": []}}, {}),
    "nonsense": (
        "done",
        {"context_management": {"applied_edits": [{"cleared_input_tokens": "many"}, None, -5]}},
        {COMPACTED: True},
    ),
}


@pytest.mark.parametrize("case", TOLD)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream"])
async def test_told_in_the_answer(case: str, mode: str, captured: Captured) -> None:
    said, tells, expected = TOLD[case]
    model = Provider(script=[AIMessage(said)], tells=tells)
    await run(model, "q", config(captured), mode)
    assert compaction(captured) == [expected]


@pytest.mark.parametrize("part", ["OpenAI's compaction", "Anthropic's compaction"])
def test_told_in_the_history(part: str, captured: Captured) -> None:
    said, _, _ = TOLD[part]
    fakes.ScriptedModel().invoke([AIMessage(said), HumanMessage("next")], config(captured))
    assert compaction(captured) == [{COMPACTED: True}]


# --- LlamaIndex --------------------------------------------------------------------------------------------------


class LlamaProvider(llama_fakes.ScriptedModel):
    """A model whose provider tells things of its answer."""

    tells: Any = {}

    @llm_chat_callback()
    def chat(self, messages: Any, **kwargs: Any) -> ChatResponse:
        told_too = {**llama_fakes.raw({"input_tokens": 100, "output_tokens": 20}, "stop"), **self.tells}
        return ChatResponse(message=self._next(), raw=told_too)

    @llm_chat_callback()
    def stream_chat(self, messages: Any, **kwargs: Any) -> Any:
        """The last event but one tells, as in Anthropic's streams."""
        told = {"type": "message_delta", "usage": {"input_tokens": 100, "output_tokens": 20}, **self.tells}
        for raw in ({"type": "content_block_delta"}, told, {"type": "message_stop"}):
            yield ChatResponse(message=ChatMessage("done", role="assistant"), delta="", raw=raw)


CASES = [
    case for case in TOLD if case not in ("OpenAI's compaction", "its reason")
]  # which are told elsewhere


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", ["chat", "stream"])
def test_told_in_an_answer_of_llama_index(case: str, mode: str, captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])
    _, tells, expected = TOLD[case]
    model, asked = LlamaProvider(tells=tells), [ChatMessage(role="user", content="q")]
    if mode == "chat":
        model.chat(asked)
    else:
        list(model.stream_chat(asked))
    assert compaction(captured) == [expected]


@pytest.mark.parametrize(
    "raw",
    [
        {"output": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}]},
        {
            "type": "response.completed",
            "response": {"output": [{"type": "compaction", "encrypted_content": "x"}]},
        },
        {"content": [{"type": "compaction", "content": "in short"}]},
    ],
    ids=["OpenAI's answer", "the end of OpenAI's stream", "Anthropic's answer"],
)
def test_a_block_in_an_answer_of_llama_index(raw: Any, captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])
    LlamaProvider(tells=raw).chat([ChatMessage(role="user", content="q")])
    assert compaction(captured) == [{COMPACTED: True}]


# --- by hand -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"), [(True, {COMPACTED: True}), (False, {}), (None, {})], ids=["yes", "no", "unsaid"]
)
def test_said_by_hand(said: bool | None, expected: Any, captured: Captured) -> None:
    with inference("scripted-1", compacted=said):
        pass
    assert compaction(captured) == [expected]


def test_counted_by_hand(captured: Captured) -> None:
    with inference(
        "scripted-1", compacted=True, compaction_tokens_before=900, compaction_tokens_after=100
    ) as span:
        span.usage(input_tokens=100, output_tokens=5)
    assert compaction(captured) == [{COMPACTED: True, BEFORE: 900, AFTER: 100}]


@pytest.mark.parametrize("case", CASES)
def test_told_in_a_response_by_hand(case: str, captured: Captured) -> None:
    said, tells, expected = TOLD[case]
    usage = {"input_tokens": 100, "output_tokens": 20}
    with inference("scripted-1", provider="anthropic") as span:
        span.usage({"type": "message", "role": "assistant", "content": said, "usage": usage, **tells})
    assert compaction(captured) == [expected]


def test_told_in_a_stream_by_hand(captured: Captured) -> None:
    _, tells, expected = TOLD["Anthropic's edits"]

    @inference("scripted-1", provider="anthropic")
    def answer() -> Iterator[Any]:
        yield {"type": "message_start", "message": {"usage": {"input_tokens": 100, "output_tokens": 1}}}
        yield {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "done"}}
        yield {"type": "message_delta", "usage": {"input_tokens": 100, "output_tokens": 20}, **tells}
        yield {"type": "message_stop"}

    list(answer())
    assert compaction(captured) == [expected]
