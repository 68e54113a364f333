"""A call whose conversation was made shorter says so; how much shorter, where that is said."""

from collections.abc import Iterator
from typing import Any

import fakes
import llama_fakes
import pytest
from ends import run, told
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.callbacks import llm_chat_callback

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


@pytest.mark.parametrize("case", ["Anthropic's edits", "Anthropic's compaction", "no edits", "nonsense"])
def test_told_in_an_answer_of_llama_index(case: str, captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])
    _, tells, expected = TOLD[case]
    LlamaProvider(tells=tells).chat([ChatMessage(role="user", content="q")])
    assert compaction(captured) == [expected]
