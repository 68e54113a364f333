"""A step of a LlamaIndex workflow that returns nothing has ended, unless it waits: whatever its annotation says."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

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
from llama_index.core.workflow import (
    Context,
    Event,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)

from otel_callbacks.llama_index import OTelCallbackHandler
from otel_callbacks.testing import Captured

pytestmark = IGNORED


class Work(Event):
    """A piece of work."""

    number: int


class Done(Event):
    """A piece that is done."""

    number: int


class Note(Event):
    """Something said in passing."""


@pytest.fixture(autouse=True)
def handler(captured: Captured) -> Iterator[OTelCallbackHandler]:
    made = OTelCallbackHandler(**captured.providers)
    Settings.callback_manager = CallbackManager([made])
    yield made
    assert_all_ended(captured)


def ends(captured: Captured) -> dict[str, list[Any]]:
    """How the spans of each name ended, in the order of their start."""
    found: dict[str, list[Any]] = {}
    for span in captured.spans:
        found.setdefault(span.name, []).append(outcome(span))
    return found


# --- steps that end ----------------------------------------------------------------------------------------------


class FanOut(Workflow):
    """Sends three events and returns nothing, though it is said to return one; then waits for all of them."""

    @step
    async def split(self, ctx: Context, ev: StartEvent) -> Work:
        for number in range(3):
            ctx.send_event(Work(number=number))
        return None  # type: ignore[return-value]

    @step
    async def do(self, ev: Work) -> Done:
        return Done(number=ev.number)

    @step
    async def join(self, ctx: Context, ev: Done) -> StopEvent:
        found = ctx.collect_events(ev, [Done] * 3)
        if found is None:
            return None  # type: ignore[return-value]
        return StopEvent(result=len(found))


class SaidToBeOptional(Workflow):
    """The same, told as it is."""

    @step
    async def split(self, ctx: Context, ev: StartEvent) -> Work | None:
        for number in range(3):
            ctx.send_event(Work(number=number))
        return None

    @step
    async def do(self, ev: Work) -> Done:
        return Done(number=ev.number)

    @step
    async def join(self, ctx: Context, ev: Done) -> StopEvent | None:
        found = ctx.collect_events(ev, [Done] * 3)
        return None if found is None else StopEvent(result=len(found))


class Synchronous(Workflow):
    """The same, by steps of which two run in threads."""

    @step
    async def split(self, ctx: Context, ev: StartEvent) -> Work:
        for number in range(3):
            ctx.send_event(Work(number=number))
        return None  # type: ignore[return-value]

    @step
    def do(self, ev: Work) -> Done:
        return Done(number=ev.number)

    @step
    def join(self, ctx: Context, ev: Done) -> StopEvent:
        found = ctx.collect_events(ev, [Done] * 3)
        if found is None:
            return None  # type: ignore[return-value]
        return StopEvent(result=len(found))


class Described(Workflow):
    """The same, with annotations that say more."""

    @step
    async def split(self, ctx: Context, ev: StartEvent) -> Annotated[Work, "three of them"]:
        for number in range(3):
            ctx.send_event(Work(number=number))
        return None  # type: ignore[return-value]

    @step
    async def do(self, ev: Work) -> Annotated[Done, "one"]:
        return Done(number=ev.number)

    @step
    async def join(self, ctx: Context, ev: Done) -> StopEvent | Annotated[Note, "none"]:
        found = ctx.collect_events(ev, [Done] * 3)
        if found is None:
            return None  # type: ignore[return-value]
        return StopEvent(result=len(found))

    @step
    async def listen(self, ev: Note) -> None:
        return None


@pytest.mark.parametrize("kind", [FanOut, SaidToBeOptional, Described])
async def test_fan_out_and_collect(kind: type[Workflow], captured: Captured) -> None:
    assert await kind().run() == 3
    assert ends(captured) == {
        f"invoke_workflow {kind.__name__}": [None],
        "split": [None],
        "do": [None] * 3,
        "join": [None] * 3,
    }
    assert errors(captured) == {}


async def test_collect_in_threads(captured: Captured) -> None:
    """The steps that collect overtake one another, and are run again."""
    assert await Synchronous().run() == 3
    assert {each for found in ends(captured).values() for each in found} == {None}


async def test_several_runs_at_once(captured: Captured) -> None:
    assert await asyncio.gather(*(FanOut().run() for _ in range(5))) == [3] * 5
    assert {each for found in ends(captured).values() for each in found} == {None}


class InPassing(Workflow):
    """A step that only looks on returns nothing, sends nothing, collects nothing; and one that has nothing to say."""

    @step
    async def begin(self, ctx: Context, ev: StartEvent) -> StopEvent | Note | Work:
        ctx.send_event(Note())
        ctx.send_event(Work(number=1))
        await ctx.wait_for_event(Done, waiter_id="done")
        return StopEvent(result="done")

    @step
    async def look_on(self, ev: Note) -> None:
        return None

    @step
    async def lazy(self, ctx: Context, ev: Work) -> Note:
        ctx.send_event(Done(number=ev.number))
        return None  # type: ignore[return-value]


async def test_a_step_that_only_looks_on(captured: Captured) -> None:
    await InPassing(disable_validation=True).run()
    found = ends(captured)
    assert found["look_on"] == [None]
    assert found["lazy"] == [None]
    assert found["begin"] == ["interrupted", None]  # it waited for another step


class Within(Workflow):
    """A step that runs a workflow that fans out."""

    @step
    async def outer(self, ctx: Context, ev: StartEvent) -> StopEvent:
        return StopEvent(result=await FanOut().run())


async def test_in_a_workflow_within_a_step(captured: Captured) -> None:
    assert await Within().run() == 3
    assert {each for found in ends(captured).values() for each in found} == {None}


def free() -> type[Workflow]:
    """A workflow made of functions."""

    class Free(Workflow):
        """Has no steps yet."""

    @step(workflow=Free)
    async def split(ctx: Context, ev: StartEvent) -> Work:
        for number in range(3):
            ctx.send_event(Work(number=number))
        return None  # type: ignore[return-value]

    @step(workflow=Free)
    async def do(ev: Work) -> Done:
        return Done(number=ev.number)

    @step(workflow=Free)
    async def join(ctx: Context, ev: Done) -> StopEvent:
        found = ctx.collect_events(ev, [Done] * 3)
        if found is None:
            return None  # type: ignore[return-value]
        return StopEvent(result=len(found))

    return Free


async def test_steps_that_are_functions(captured: Captured) -> None:
    assert await free()().run() == 3
    assert {each for found in ends(captured).values() for each in found} == {None}


# --- steps that wait ---------------------------------------------------------------------------------------------


class Asks(Workflow):
    """Asks somebody, as it is usually written."""

    @step
    async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
        said = await ctx.wait_for_event(
            HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="Well?"), waiter_id="answer"
        )
        return StopEvent(result=said.response)


class AsksMaybe(Workflow):
    """The same, by a step that may return nothing at other times."""

    @step
    async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent | None:
        said = await ctx.wait_for_event(
            HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="Well?"), waiter_id="answer"
        )
        return StopEvent(result=said.response) if said else None


class SendsAndAsks(Workflow):
    """The same, by a step that sends something first."""

    @step
    async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent | Note | None:
        ctx.send_event(Note())
        said = await ctx.wait_for_event(
            HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="Well?"), waiter_id="answer"
        )
        return StopEvent(result=said.response)

    @step
    async def look_on(self, ev: Note) -> None:
        return None


class CollectsAndAsks(Workflow):
    """The same, by a step that collects something first."""

    @step
    async def begin(self, ev: StartEvent) -> Work:
        return Work(number=1)

    @step
    async def ask(self, ctx: Context, ev: Work) -> StopEvent:
        ctx.collect_events(ev, [Work, Done])
        said = await ctx.wait_for_event(
            HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="Well?"), waiter_id="answer"
        )
        return StopEvent(result=said.response)

    @step
    async def never(self, ev: Note) -> Done:
        return Done(number=1)


async def answered(workflow: Workflow) -> Any:
    """Runs a workflow and answers what it asks."""
    running = workflow.run()
    async for event in running.stream_events():
        if isinstance(event, InputRequiredEvent):
            running.ctx.send_event(HumanResponseEvent(response="yes"))
    return await running


@pytest.mark.parametrize("kind", [Asks, AsksMaybe, SendsAndAsks])
async def test_waiting_for_somebody(kind: type[Workflow], captured: Captured) -> None:
    assert await answered(kind()) == "yes"
    found = ends(captured)
    assert found["ask"] == ["interrupted", None]
    assert found.get("look_on", [None])[0] is None
    assert errors(captured) == {}


async def test_waiting_after_collecting(captured: Captured) -> None:
    assert await answered(CollectsAndAsks(disable_validation=True)) == "yes"
    assert ends(captured)["ask"] == ["interrupted", None]


async def test_nobody_answers_in_time(captured: Captured) -> None:
    class Impatient(Workflow):
        @step
        async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent | None:
            try:
                await ctx.wait_for_event(HumanResponseEvent, waiter_id="answer", timeout=0.01)
            except TimeoutError:
                return StopEvent(result="nobody")
            return None

    assert await Impatient().run() == "nobody"
    assert ends(captured)["ask"] == ["interrupted", None]


async def ask_somebody(ctx: Context) -> str:
    """Asks somebody."""
    said = await ctx.wait_for_event(
        HumanResponseEvent, waiter_event=InputRequiredEvent(prefix="Well?"), waiter_id="answer"
    )
    return str(said.response)


@pytest.mark.parametrize("made", ["agent", "workflow of agents"])
async def test_the_tool_of_an_agent_waits(made: str, captured: Captured) -> None:
    model = ScriptedModel(script=[call("ask_somebody"), "done"])
    agent: Any = FunctionAgent(name="asker", tools=[ask_somebody], llm=model, streaming=False)
    if made != "agent":
        agent = AgentWorkflow(agents=[agent], root_agent="asker")
    running = agent.run("go")
    async for event in running.stream_events():
        if isinstance(event, InputRequiredEvent):
            running.ctx.send_event(HumanResponseEvent(response="yes"))
    await running
    tools = [span for span in captured.spans if span.name == "execute_tool ask_somebody"]
    assert [outcome(span) for span in tools] == ["interrupted", None]
    assert told(tools[1])["otel_callbacks.tool.result_size"] == 3
    turns = [outcome(span) for span in captured.spans if span.name == "run_agent_step"]
    assert set(turns) == {None}
