"""An agent's history is read and written once, and is recorded as if it were read and written at every call."""

import sys
from typing import Any

import fakes
import long_conversations
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from opentelemetry.sdk.trace import TracerProvider

from otel_callbacks import ContentPolicy
from otel_callbacks.langchain import OTelCallbackHandler, messages
from otel_callbacks.recording import content_recording
from otel_callbacks.testing import Captured, capture

TURNS = 8
POLICIES = {
    "whole": ContentPolicy("spans"),
    "new": ContentPolicy("spans", history="new"),
    "both": ContentPolicy("both"),
    "short": ContentPolicy("spans", cap=2_000),
    "few": ContentPolicy("spans", max_messages=5, history="new"),
    "redacted": ContentPolicy("spans", redact=["emails"], kinds=["prompts", "tool_results"]),
    "hashed": ContentPolicy("spans", hashed=True, hash_key="a key of enough length"),
    "uncapped": ContentPolicy("spans", cap=None, span_cap=None, max_messages=None),
}


def look_up(word: str) -> str:
    """Looks a word up."""
    return f"{word} of a@example.com " * 20


def recorded(policy: ContentPolicy) -> Any:
    """Returns the content of the calls of an agent, without what differs in each trace."""
    script = [fakes.call("look_up", f"c{turn}", word=f"w{turn}") for turn in range(TURNS)]
    with capture() as captured:
        handler = OTelCallbackHandler(**captured.providers, content=policy)
        agent = create_agent(
            fakes.ScriptedModel(script=[*script, "done"]), [look_up], system_prompt="Be kind."
        )
        config: Any = {"callbacks": [handler], "recursion_limit": 100}
        agent.invoke({"messages": [("user", "write to b@example.com")]}, config)
        return [contents(span.attributes or {}) for span in captured.spans], bodies(captured)


def contents(attributes: Any) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if "messages" in name or "content" in name}


def bodies(captured: Captured) -> list[Any]:
    return [contents(event.attributes or {}) for event in captured.events]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_what_is_kept_changes_no_record(policy: ContentPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = recorded(policy)
    assert any(kept[0])
    for module in (messages, content_recording):
        monkeypatch.setattr(module, "sent_messages_of", lambda run: None)
    assert kept == recorded(policy)


def test_a_message_that_was_changed_in_place_is_read_again(captured: Captured) -> None:
    model, chat = fakes.ScriptedModel(script=["yes"] * 3), [HumanMessage("first"), AIMessage("asked")]

    def body(value: Any) -> None:
        model.invoke(chat)
        chat[0].content = "second"
        model.invoke(chat)
        chat[1].tool_calls = [{"name": "look", "args": {}, "id": "c1", "type": "tool_call"}]  # type: ignore[attr-defined]
        model.invoke(chat)

    handler = OTelCallbackHandler(**captured.providers, content="spans")
    RunnableLambda(body).with_config(run_name="job").invoke("q", {"callbacks": [handler]})
    sent = [str((span.attributes or {})["gen_ai.input.messages"]) for span in captured.spans[1:]]
    assert ["first" in each for each in sent] == [True, False, False]
    assert ["look" in each for each in sent] == [False, False, True]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="only 3.11 reports every bytecode")
@pytest.mark.parametrize("history", ["whole", "new"])
def test_a_late_turn_costs_little_more_than_an_early_one(
    history: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = ContentPolicy("spans", history=history)
    monkeypatch.setattr(
        long_conversations,
        "handler",
        lambda: OTelCallbackHandler(tracer_provider=TracerProvider(shutdown_on_exit=False), content=policy),
    )
    laps = long_conversations.langchain_agent(28)
    assert laps[25] < 2 * laps[2]  # 4.5 times when each message was read and written at each call
