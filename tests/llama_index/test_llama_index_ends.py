"""Tests that every span ends exactly once, with the right outcome."""

import asyncio
import gc
import random
from collections.abc import Callable
from typing import Any

import pytest
from llama_fakes import (  # noqa: F401 - fixtures
    IGNORED,
    ScriptedModel,
    ScriptedReranker,
    adrain,
    call,
    drain,
    errors,
    exception_events,
    handler,
    index,
    no_faults,
    outcomes,
    untouched_settings,
)
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.base.response.schema import AsyncStreamingResponse, StreamingResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.chat_engine.types import BaseChatEngine, StreamingAgentChatResponse
from llama_index.core.tools import FunctionTool
from llama_index.core.workflow import (
    Context,
    HumanResponseEvent,
    InputRequiredEvent,
    StartEvent,
    StopEvent,
    Workflow,
    step,
)
from waiting import cut_short, pause, paused, until
from workflows.errors import WorkflowTimeoutError

from otel_callbacks.llama_index import OTelCallbackHandler
from otel_callbacks.testing import Captured

pytestmark = [pytest.mark.usefixtures("handler"), IGNORED]
ASK = [ChatMessage(role="user", content="hi")]


def fail() -> None:
    raise RuntimeError("secret text")


def engine(model: Any = None, **options: Any) -> Any:
    return index(options.pop("body", lambda: None)).as_query_engine(llm=model or ScriptedModel(), **options)


# --- faults --------------------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Callable[[], Any], str, set[str]]] = {
    "model": (lambda: engine(ScriptedModel(body=fail)), "chat scripted-1", {"synthesis"}),
    "embedding": (lambda: engine(body=fail), "embeddings embed-1", {"retrieval"}),
    "reranker": (lambda: engine(node_postprocessors=[ScriptedReranker(body=fail)]), "rerank rerank-1", set()),
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("mode", ["query", "aquery"])
async def test_a_fault_is_recorded_once_at_its_origin(kind: str, mode: str, captured: Captured) -> None:
    make, origin, between = FAULTS[kind]
    with pytest.raises(RuntimeError, match="secret text"):
        if mode == "query":
            make().query("q")
        else:
            await make().aquery("q")
    assert exception_events(captured) == [origin]
    assert set(errors(captured)) == {origin, *between, "invoke_workflow query_engine"}
    assert "secret text" not in repr([(s.attributes, s.events, s.status.description) for s in captured.spans])


@pytest.mark.parametrize("fault", [KeyboardInterrupt, SystemExit])
def test_the_user_stops_it(fault: type[BaseException], captured: Captured) -> None:
    def stop() -> None:
        raise fault

    with pytest.raises(fault):
        engine(ScriptedModel(body=stop)).query("q")
    assert not errors(captured)
    assert set(outcomes(captured)) == {"invoke_workflow query_engine", "synthesis", "chat scripted-1"}
    assert set(outcomes(captured).values()) == {"cancelled"}


# --- workflows -----------------------------------------------------------------------------------------------------


class Slow(Workflow):
    @step
    async def wait(self, ev: StartEvent) -> StopEvent:
        await pause(5)
        return StopEvent()


class Broken(Workflow):
    @step
    async def wait(self, ev: StartEvent) -> StopEvent:
        raise ValueError("no")


class Approval(Workflow):
    @step
    async def ask(self, ctx: Context, ev: StartEvent) -> StopEvent:
        answer = await ctx.wait_for_event(HumanResponseEvent, waiter_event=InputRequiredEvent())
        return StopEvent(result=answer.response)


async def test_cancelled_workflow(captured: Captured) -> None:
    running = Slow().run()
    await paused()
    await running.cancel_run()
    with pytest.raises(Exception):  # noqa: B017 - the framework's own
        await running
    assert outcomes(captured) == {"invoke_workflow Slow": "cancelled", "wait": "cancelled"}
    assert not errors(captured)


async def test_cancelled_task(captured: Captured, handler: OTelCallbackHandler) -> None:  # noqa: F811
    with pytest.raises(TimeoutError):
        async with cut_short():
            await Slow().run()
    await until(lambda: not handler._recorder.runs)
    assert outcomes(captured) == {"invoke_workflow Slow": "cancelled", "wait": "cancelled"}


async def test_timed_out_workflow(captured: Captured) -> None:
    with pytest.raises(WorkflowTimeoutError):
        await Slow(timeout=0.5).run()
    assert errors(captured) == {"invoke_workflow Slow": "workflows.errors.WorkflowTimeoutError"}
    assert outcomes(captured) == {"wait": "cancelled"}


async def test_failed_workflow(captured: Captured) -> None:
    with pytest.raises(ValueError, match="no"):
        await Broken().run()
    assert exception_events(captured) == ["wait"]
    assert set(errors(captured)) == {"invoke_workflow Broken", "wait"}


async def test_concurrent_ends_are_apart(captured: Captured) -> None:
    await asyncio.gather(
        Slow(timeout=0.5).run(), Broken().run(), engine().aquery("q"), return_exceptions=True
    )
    assert len({span.context.trace_id for span in captured.spans}) == 3
    assert not {"wait"} - {span.name for span in captured.spans}


async def answer_requests(running: Any) -> Any:
    async for event in running.stream_events():
        if isinstance(event, InputRequiredEvent):
            running.ctx.send_event(HumanResponseEvent(response="yes"))
    return await running


async def test_waiting_for_a_human(captured: Captured) -> None:
    assert await answer_requests(Approval().run()) == "yes"
    assert captured.tree() == "invoke_workflow Approval\n  ask\n  ask"
    assert not errors(captured)
    assert outcomes(captured) == {"ask": "interrupted"}


async def test_a_tool_that_waits_for_a_human(captured: Captured) -> None:
    async def approve(ctx: Context) -> str:
        """Asks."""
        return str((await ctx.wait_for_event(HumanResponseEvent, waiter_event=InputRequiredEvent())).response)

    model = ScriptedModel(script=[call("approve"), "done"])
    await answer_requests(FunctionAgent(name="librarian", tools=[approve], llm=model).run("hi"))
    assert outcomes(captured) == {"execute_tool approve": "interrupted"}
    assert not errors(captured)
    assert [span.name for span in captured.spans].count("execute_tool approve") == 2


@pytest.mark.parametrize("where", ["model", "tool"])
async def test_cancelled_agent(where: str, captured: Captured) -> None:
    async def slow(word: str) -> str:
        """Waits."""
        await pause(5)
        return "never"

    model = ScriptedModel(delay=5) if where == "model" else ScriptedModel(script=[call("slow", word="x")])
    running = FunctionAgent(name="librarian", tools=[slow], llm=model).run("hi")
    await paused()
    await running.cancel_run()
    await asyncio.gather(running, return_exceptions=True)
    assert not errors(captured)
    inner = "chat scripted-1" if where == "model" else "execute_tool slow"
    assert {"invoke_agent librarian", inner} <= set(outcomes(captured))
    assert set(outcomes(captured).values()) == {"cancelled"}


# --- streams -------------------------------------------------------------------------------------------------------


def model_stream() -> Any:
    return ScriptedModel(script=["a b c d e"]).stream_chat(ASK)


def query_stream() -> Any:
    return engine(ScriptedModel(script=["a b c d e"]), streaming=True).query("q").response_gen


STREAMS = {"model": model_stream, "query": query_stream}


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("leave", ["break", "close", "del"])
def test_abandoned_stream(kind: str, leave: str, captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers, content="spans")])
    stream = STREAMS[kind]()
    for number, _ in enumerate(stream):
        if number == 1:
            break
    if leave == "close":
        stream.close()
    del stream
    gc.collect()
    assert not errors(captured)
    assert outcomes(captured)["chat scripted-1"] == "abandoned"
    assert '"a b "' in str((captured.span("chat scripted-1").attributes or {})["gen_ai.output.messages"])
    assert set(outcomes(captured).values()) == {"abandoned"}


@pytest.mark.parametrize("kind", ["model", "query"])
@pytest.mark.parametrize("leave", ["aclose", "del"])
async def test_abandoned_async_stream(
    kind: str,
    leave: str,
    captured: Captured,
    handler: OTelCallbackHandler,  # noqa: F811
) -> None:
    model = ScriptedModel(script=["a b c d e"])
    if kind == "model":
        stream = await model.astream_chat(ASK)
    else:
        stream = (await engine(model, streaming=True).aquery("q")).response_gen
    async for _ in stream:
        break
    if leave == "aclose":
        await stream.aclose()
    del stream
    await until(lambda: not handler._recorder.runs)
    assert not errors(captured)
    assert outcomes(captured)["chat scripted-1"] == "abandoned"


def test_stream_never_read(captured: Captured) -> None:
    model_stream()
    query_stream()
    gc.collect()
    assert not errors(captured)
    assert outcomes(captured) == dict.fromkeys(
        ("chat scripted-1", "invoke_workflow query_engine", "synthesis"), "abandoned"
    )


async def test_async_stream_never_read(captured: Captured, handler: OTelCallbackHandler) -> None:  # noqa: F811
    await ScriptedModel().astream_chat(ASK)
    await engine(streaming=True).aquery("q")
    await engine_chat().astream_chat("q")
    await until(lambda: not handler._recorder.runs)
    assert not errors(captured)
    assert captured.spans


def engine_chat(model: Any = None) -> Any:
    return index().as_chat_engine(chat_mode="context", llm=model or ScriptedModel(script=["a b c d e"]))


def test_an_abandoned_chat_is_written_to_the_end(captured: Captured) -> None:
    response = engine_chat().stream_chat("q")
    next(response.response_gen)
    assert not outcomes(captured)
    assert captured.span("invoke_workflow chat_engine").end_time


class DelegatingEngine(BaseChatEngine):
    """An application's own engine that lets another engine answer."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def chat(self, message: str, chat_history: Any = None) -> Any:
        return self.inner.chat(message, chat_history)

    def stream_chat(self, message: str, chat_history: Any = None) -> Any:
        return self.inner.stream_chat(message, chat_history)

    async def achat(self, message: str, chat_history: Any = None) -> Any:
        return await self.inner.achat(message, chat_history)

    async def astream_chat(self, message: str, chat_history: Any = None) -> Any:
        return await self.inner.astream_chat(message, chat_history)

    def reset(self) -> None:
        self.inner.reset()

    @property
    def chat_history(self) -> Any:
        return self.inner.chat_history


async def test_both_engines_end_when_one_streams_the_answer_of_another(captured: Captured) -> None:
    drain(DelegatingEngine(engine_chat()).stream_chat("q").response_gen)
    response = await DelegatingEngine(engine_chat()).astream_chat("q")
    await adrain(response.async_response_gen())
    await asyncio.sleep(0.05)
    gc.collect()
    names = [span.name for span in captured.spans if span.name.startswith("invoke_workflow")]
    assert sorted(names) == ["invoke_workflow DelegatingEngine"] * 2 + ["invoke_workflow chat_engine"] * 2
    assert not outcomes(captured)


def test_broken_stream_keeps_what_came(captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers, content="spans")])
    model = ScriptedModel(script=["a b c d"], breaks_after=2)
    with pytest.raises(ConnectionError):
        drain(engine(model, streaming=True).query("q").response_gen)
    attributes = captured.span("chat scripted-1").attributes or {}
    assert attributes["error.type"] == "ConnectionError"
    assert '"a b "' in str(attributes["gen_ai.output.messages"])
    assert exception_events(captured) == ["chat scripted-1"]
    assert set(errors(captured)) == {"chat scripted-1", "synthesis", "invoke_workflow query_engine"}


async def test_broken_async_chat(captured: Captured) -> None:
    model = ScriptedModel(script=["a b c d"], breaks_after=2)
    response = await engine_chat(model).astream_chat("q")
    with pytest.raises(ConnectionError):
        await adrain(response.async_response_gen())
    assert exception_events(captured) == ["chat scripted-1"]
    assert errors(captured)["invoke_workflow chat_engine"] == "ConnectionError"


async def test_cancelled_stream(captured: Captured) -> None:
    model = ScriptedModel(script=["a b c d"], delay=0.01)
    stream = (await engine(model, streaming=True).aquery("q")).response_gen
    await anext(stream)
    with pytest.raises(TimeoutError):
        async with cut_short():
            await asyncio.create_task(adrain(stream))
    assert not errors(captured)
    assert set(outcomes(captured).values()) == {"cancelled"}


def test_the_objects_returned_are_the_frameworks_own(captured: Captured) -> None:
    plain = engine(ScriptedModel(script=["a b"]), streaming=True)
    response = plain.query("q")
    assert type(response) is StreamingResponse
    assert "".join(response.response_gen) == "a b"
    assert len(response.source_nodes) == 2
    assert str(plain.query("q")) == "a b"
    assert plain.query("q").get_response().response == "a b"
    chat = engine_chat().stream_chat("q")
    assert type(chat) is StreamingAgentChatResponse
    assert "".join(chat.response_gen) == "a b c d e"


async def test_the_async_objects_returned_are_the_frameworks_own(captured: Captured) -> None:
    plain = engine(ScriptedModel(script=["a b"]), streaming=True)
    response = await plain.aquery("q")
    assert type(response) is AsyncStreamingResponse
    assert await adrain(response.async_response_gen()) == ["a ", "b", ""]
    assert (await (await plain.aquery("q")).get_response()).response == "a b"


def test_a_stream_lasts_from_the_request_to_the_last_token(captured: Captured) -> None:
    stream = engine(ScriptedModel(script=["a b c"], delay=0.01), streaming=True).query("q").response_gen
    assert drain(stream) == ["a ", "b ", "c", ""]
    chat = captured.span("chat scripted-1")
    attributes = chat.attributes or {}
    seconds = (chat.end_time - chat.start_time) / 1e9  # type: ignore[operator]
    assert seconds > 0.03
    # three pauses follow the first chunk, however long they take
    assert 0.005 < float(attributes["gen_ai.response.time_to_first_chunk"]) < seconds - 0.025  # type: ignore[arg-type]
    assert attributes["gen_ai.usage.output_tokens"] == 20
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert captured.span("invoke_workflow query_engine").end_time >= chat.end_time  # type: ignore[operator]


# --- all together --------------------------------------------------------------------------------------------------


def mixed(chance: random.Random) -> Any:
    match chance.randrange(6):
        case 0:
            return engine().aquery("q")
        case 1:
            return asyncio.wait_for(Slow().run(), 0.01)
        case 2:
            return engine(ScriptedModel(script=[ValueError("no")])).aquery("q")
        case 3:
            return ScriptedModel().astream_chat(ASK)
        case 4:
            return asyncio.wait_for(ScriptedModel(delay=1).achat(ASK), 0.01)
        case _:
            return FunctionTool.from_defaults(lambda: "x", name="f").acall()


async def test_a_thousand_mixed_runs_leave_nothing(captured: Captured, handler: OTelCallbackHandler) -> None:  # noqa: F811
    chance = random.Random(7)
    query = engine().aquery
    for _ in range(20):
        runs = [mixed(chance) if number % 5 == 0 else query("q") for number in range(50)]
        await asyncio.gather(*runs, return_exceptions=True)
    await until(lambda: not handler._recorder.runs)
    assert (
        len([span for span in captured.spans if span.parent is None]) > 900
    )  # some are cancelled before they start
    assert handler._recorder.runs == {}
