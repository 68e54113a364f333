"""`start_events=True`: an event tells that an agent or workflow has started."""

from collections.abc import Callable
from typing import Any

import fakes
import llama_fakes
import pytest
from langchain.agents import create_agent
from langchain_core.tools import tool
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.callbacks import CallbackManager
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from otel_callbacks import ContentPolicy, OTelCallbackHandler, attribution
from otel_callbacks.conformance.otlp import Log
from otel_callbacks.conformance.registry import load
from otel_callbacks.conformance.signals import check_event
from otel_callbacks.testing import Captured, capture

pytestmark = llama_fakes.IGNORED

NAME = "otel_callbacks.run.started"
Body = Callable[[], None]


def look_up(word: str) -> str:
    """Looks a word up."""
    return "found"


async def langchain(handler: OTelCallbackHandler, body: Body) -> None:
    model = fakes.ScriptedModel(script=(fakes.call("look_up", word="x"), "done"), body=body)
    agent = create_agent(model, [tool(look_up)], name="librarian")
    await agent.ainvoke({"messages": [("user", "go")]}, {"callbacks": [handler]})


async def llama_index(handler: OTelCallbackHandler, body: Body) -> None:
    model = llama_fakes.ScriptedModel(
        script=(llama_fakes.call("look_up", word="x"), "done"),
        body=body,
        callback_manager=CallbackManager([handler]),
    )
    await FunctionAgent(name="librarian", tools=[look_up], llm=model, streaming=False).run("go")


@pytest.mark.parametrize("run", [langchain, llama_index])
async def test_an_event_says_what_starts_before_it_ends(run: Any, captured: Captured) -> None:
    seen: list[list[str]] = []
    policy = ContentPolicy("none", redact=("emails",))
    handler = OTelCallbackHandler(**captured.providers, content=policy, start_events=True)
    with attribution(tenant="acme", user="me@example.com"):
        await run(handler, lambda: seen.append([event.event_name for event in captured.events]))
    (event,) = [event for event in captured.events if event.event_name == NAME]
    assert seen[0] == [NAME]  # in the model's body
    agent = next(span for span in captured.spans if span.name == "invoke_agent librarian")
    assert (event.trace_id, event.span_id) == (agent.context.trace_id, agent.context.span_id)
    assert event.timestamp == agent.start_time
    assert event.body is None
    assert dict(event.attributes) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "librarian",
        "app.tenant_id": "acme",
        "user.id": "[redacted:email]",
    }
    log = Log(NAME, event.severity_number.value, False, dict(event.attributes))
    assert list(check_event(log, load()) or ["unknown"]) == []


async def test_there_is_none_unless_it_is_asked_for_and_none_without_a_span() -> None:
    for sampler, asked in ((ALWAYS_ON, False), (ALWAYS_OFF, True)):
        with capture(sampler=sampler) as telemetry:
            handler = OTelCallbackHandler(**telemetry.providers, start_events=asked)
            await langchain(handler, lambda: None)
            assert NAME not in [event.event_name for event in telemetry.events]
