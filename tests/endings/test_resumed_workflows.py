"""A LlamaIndex workflow that is put away while it waits for somebody is interrupted; what goes on links back to it."""

import asyncio
import json
from typing import Any

import pytest
from ends import assert_all_ended, errors, outcome, told
from llama_fakes import (  # noqa: F401 - some are fixtures
    IGNORED,
    ScriptedModel,
    call,
    no_faults,
    untouched_settings,
)
from llama_index.core import Settings
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.callbacks import CallbackManager
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.workflow import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    JsonPickleSerializer,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from opentelemetry.sdk.trace import ReadableSpan
from workflows.errors import WorkflowCancelledByUser

from otel_callbacks.llama_index import OTelCallbackHandler
from otel_callbacks.testing import Captured

pytestmark = IGNORED


class Question(StartEvent):
    """What is asked first."""

    text: str = "go"


class Draft(Event):
    """What is to be confirmed."""

    text: str


class Asks(Workflow):
    """Asks somebody in its first step."""

    @step
    async def ask(self, ctx: Context, ev: Question) -> StopEvent:
        said = await ctx.wait_for_event(
            HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="Well?"), waiter_id="answer"
        )
        return StopEvent(result=said.response)


class AsksLater(Workflow):
    """Does something first, and asks about it."""

    @step
    async def draft(self, ev: Question) -> Draft:
        return Draft(text=ev.text)

    @step
    async def confirm(self, ctx: Context, ev: Draft) -> StopEvent:
        said = await ctx.wait_for_event(
            HumanResponseEvent, waiter_event=InputRequiredEvent(prefix=ev.text), waiter_id="answer"
        )
        return StopEvent(result=f"{ev.text}: {said.response}")


async def confirmed(ctx: Context) -> str:
    """Asks somebody."""
    said = await ctx.wait_for_event(
        HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="Well?"), waiter_id="answer"
    )
    return str(said.response)


def agent(*script: Any) -> FunctionAgent:
    model = ScriptedModel(script=list(script) or [call("confirmed"), "done"])
    return FunctionAgent(name="asker", tools=[confirmed], llm=model, streaming=False)


def agents(*script: Any) -> AgentWorkflow:
    return AgentWorkflow(agents=[agent(*script)], root_agent="asker")


class Returns(Workflow):
    """Returns its question, and takes the answer in another step."""

    @step
    async def ask(self, ev: Question) -> InputRequiredEvent:
        return InputRequiredEvent(prefix="Well?")

    @step
    async def answer(self, ev: HumanResponseEvent) -> StopEvent:
        return StopEvent(result=ev.response)


class ReturnsTwo(Returns):
    """Asks twice, the second time after a step of its own."""

    @step
    async def ask(self, ctx: Context, ev: Question) -> InputRequiredEvent | Draft:
        ctx.send_event(Draft(text="two"))
        return InputRequiredEvent(prefix="Well?")

    @step
    async def draft(self, ev: Draft) -> InputRequiredEvent:
        return InputRequiredEvent(prefix=ev.text)

    @step
    async def answer(self, ctx: Context, ev: HumanResponseEvent) -> StopEvent | None:
        found = ctx.collect_events(ev, [HumanResponseEvent] * 2)
        return None if found is None else StopEvent(result=ev.response)


KINDS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "first step": (lambda *_: Asks(), {}, "invoke_workflow Asks"),
    "later step": (lambda *_: AsksLater(), {}, "invoke_workflow AsksLater"),
    "returned question": (lambda *_: Returns(), {}, "invoke_workflow Returns"),
    "agent": (agent, {"user_msg": "go"}, "invoke_agent asker"),
    "workflow of agents": (agents, {"user_msg": "go"}, "invoke_workflow"),
}


@pytest.fixture(autouse=True)
def handler(captured: Captured) -> OTelCallbackHandler:
    made = OTelCallbackHandler(**captured.providers)
    Settings.callback_manager = CallbackManager([made])
    return made


async def put_away(workflow: Workflow, **given: Any) -> Any:
    """Runs a workflow until it asks, and stops it there, as the documentation of LlamaIndex has it."""
    running = workflow.run(**given)
    async for event in running.stream_events():
        if isinstance(event, InputRequiredEvent):
            break
    kept = running.ctx.to_dict(serializer=JsonPickleSerializer())
    await running.cancel_run()
    with pytest.raises(WorkflowCancelledByUser):
        await running
    return json.loads(json.dumps(kept))


async def go_on(workflow: Workflow, kept: Any) -> Any:
    """Goes on with it, in another place."""
    running = workflow.run(ctx=Context.from_dict(workflow, kept, serializer=JsonPickleSerializer()))
    running.ctx.send_event(HumanResponseEvent(response="yes"))
    return await running


def roots(captured: Captured) -> list[ReadableSpan]:
    return [span for span in captured.spans if span.parent is None]


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


@pytest.mark.parametrize("kind", KINDS)
async def test_put_away_and_gone_on_with(kind: str, captured: Captured) -> None:
    make, given, name = KINDS[kind]
    await go_on(make("done"), await put_away(make(), **given))
    first, second = roots(captured)
    assert [first.name, second.name] == [name, name]
    assert [outcome(first), outcome(second)] == ["interrupted", None]
    assert linked(second) == [first.context.span_id]
    assert linked(first) == []
    assert errors(captured) == {}
    assert_all_ended(captured)


async def test_in_the_same_place(captured: Captured) -> None:
    """A context that was not put into words in between."""
    workflow = Asks()
    running = workflow.run()
    async for event in running.stream_events():
        if isinstance(event, InputRequiredEvent):
            break
    await running.cancel_run()
    with pytest.raises(WorkflowCancelledByUser):
        await running
    again = workflow.run(ctx=running.ctx)
    again.ctx.send_event(HumanResponseEvent(response="yes"))
    assert await again == "yes"
    first, second = roots(captured)
    assert [outcome(first), outcome(second)] == ["interrupted", None]
    assert linked(second) == [first.context.span_id]


async def test_two_at_once(captured: Captured) -> None:
    one = await put_away(AsksLater(), text="one")
    two = await put_away(AsksLater(), text="two")
    assert await go_on(AsksLater(), two) == "two: yes"
    assert await go_on(AsksLater(), one) == "one: yes"
    first, second, second_again, first_again = roots(captured)
    assert linked(second_again) == [second.context.span_id]
    assert linked(first_again) == [first.context.span_id]


async def test_put_away_twice(captured: Captured) -> None:
    kept = await put_away(AsksLater(), text="one")
    workflow = AsksLater()
    running = workflow.run(ctx=Context.from_dict(workflow, kept, serializer=JsonPickleSerializer()))
    kept = running.ctx.to_dict(serializer=JsonPickleSerializer())
    await running.cancel_run()
    with pytest.raises(WorkflowCancelledByUser):
        await running
    await go_on(AsksLater(), kept)
    assert outcome(roots(captured)[-1]) is None
    assert len(linked(roots(captured)[-1])) == 1


async def test_two_that_returned_a_question(captured: Captured) -> None:
    """Nothing in a saved context tells which of them it is."""
    kept = [await put_away(Returns()), await put_away(Returns())]
    for each in kept:
        await go_on(Returns(), each)
    assert [outcome(root) for root in roots(captured)] == ["interrupted", "interrupted", None, None]
    assert [linked(root) for root in roots(captured)] == [[], [], [], []]


def answered_times(captured: Captured, times: int) -> bool:
    return len([span for span in captured.spans if span.name == "answer"]) == times


@pytest.mark.parametrize(("answers", "expected"), [(0, "interrupted"), (1, "interrupted"), (2, None)])
async def test_questions_that_are_answered_in_part(answers: int, expected: Any, captured: Captured) -> None:
    running = ReturnsTwo(timeout=10).run()
    asked = 0
    async for event in running.stream_events():
        asked += isinstance(event, InputRequiredEvent)
        if asked == 2:
            break
    for _ in range(answers):
        running.ctx.send_event(HumanResponseEvent(response="yes"))
    if answers < 2:
        while not answered_times(captured, answers):
            await asyncio.sleep(0.001)
        await running.cancel_run()
        with pytest.raises(WorkflowCancelledByUser):
            await running
    else:
        assert await running == "yes"
    assert outcome(captured.span("invoke_workflow ReturnsTwo")) == expected


async def test_a_conversation_keeps_its_id(captured: Captured) -> None:
    """What goes on belongs to the conversation that was interrupted, whose id the run itself is not told."""
    memory = ChatMemoryBuffer.from_defaults(chat_store_key="c1")
    await go_on(agent("done"), await put_away(agent(), user_msg="go", memory=memory))
    first, second = roots(captured)
    assert told(first)["gen_ai.conversation.id"] == "c1"
    assert told(second)["gen_ai.conversation.id"] == "c1"
    assert linked(second) == [first.context.span_id]


# --- what is none ------------------------------------------------------------------------------------------------


async def test_a_run_that_is_answered_is_one_run(captured: Captured) -> None:
    running = AsksLater().run(text="one")
    async for event in running.stream_events():
        if isinstance(event, InputRequiredEvent):
            running.ctx.send_event(HumanResponseEvent(response="yes"))
    assert await running == "one: yes"
    (root,) = roots(captured)
    assert outcome(root) is None
    assert linked(root) == []


async def test_one_that_is_cancelled_at_work_is_cancelled(captured: Captured) -> None:
    class Works(Workflow):
        @step
        async def work(self, ctx: Context, ev: StartEvent) -> StopEvent:
            ctx.write_event_to_stream(Draft(text="begun"))
            await forever()
            return StopEvent()

    running = Works().run()
    async for event in running.stream_events():
        if isinstance(event, Draft):
            break
    await running.cancel_run()
    with pytest.raises(WorkflowCancelledByUser):
        await running
    assert outcome(captured.span("invoke_workflow Works")) == "cancelled"


async def forever() -> None:
    await asyncio.Event().wait()


async def test_a_context_that_is_used_again_is_no_resumption(captured: Captured) -> None:
    """The next question of a conversation, when nothing waits."""
    made = FunctionAgent(name="asker", llm=ScriptedModel(), tools=[], streaming=False)
    context = Context(made)
    await made.run("one", ctx=context)
    await made.run("two", ctx=context)
    assert [outcome(root) for root in roots(captured)] == [None, None]
    assert [linked(root) for root in roots(captured)] == [[], []]
