"""What is below a run that was abandoned or cancelled ends first, so that its totals have what was spent."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import fakes
import llama_fakes
import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda, RunnableParallel
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from waiting import AT_MOST, until

from otel_callbacks import OTelCallbackHandler, operations
from otel_callbacks.handlers.options import recorder
from otel_callbacks.langchain.streamed_answer import StreamedAnswer
from otel_callbacks.operations import Usage
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.run import Run
from otel_callbacks.testing import Captured

pytestmark = llama_fakes.IGNORED

ROLLUP = "otel_callbacks.rollup."


def ends(captured: Captured) -> list[tuple[str, Any, Any]]:
    """Returns the spans in the order of their ends: name, outcome, and the tokens of the call or the totals."""
    return [
        (
            span.name,
            (span.attributes or {}).get("otel_callbacks.outcome"),
            (span.attributes or {}).get(
                "gen_ai.usage.input_tokens", (span.attributes or {}).get(ROLLUP + "input_tokens")
            ),
        )
        for span in captured._spans.get_finished_spans()
    ]


def late(captured: Captured) -> list[str]:
    return [span.name for span in captured.spans if (span.attributes or {}).get(ROLLUP + "late")]


# --- the recorder ----------------------------------------------------------------------------------------------------


def start(one: Recorder, operation: operations.Operation, parent: Run | None) -> Run:
    run = one.start(object(), operation, parent, attach=False)
    assert run is not None
    return run


def call(tokens: int) -> operations.Inference:
    return operations.Inference(name="m", usage=Usage(input_tokens=tokens, output_tokens=0))


@pytest.mark.parametrize("error", [GeneratorExit(), asyncio.CancelledError()])
def test_all_open_runs_below_end_first(error: BaseException, captured: Captured) -> None:
    one = recorder(**captured.providers)
    root = start(one, operations.Workflow(name="w"), None)
    step_ = start(one, operations.Step(name="s"), root)
    start(one, call(3), step_)
    start(one, call(4), root)
    one.finish(step_)  # the call below it goes on, and is now below the root
    late_start = start(one, call(5), step_)
    assert late_start.parent is step_
    one.fail(root, error)
    outcome = "abandoned" if isinstance(error, GeneratorExit) else "cancelled"
    found = ends(captured)
    assert found[0] == ("s", None, None)
    assert sorted(found[1:4], key=str) == [("chat m", outcome, tokens) for tokens in (3, 4, 5)]
    assert found[4] == ("invoke_workflow w", outcome, 12)
    assert one.runs == {}
    spans = captured._spans.get_finished_spans()
    assert [span.end_time for span in spans] == sorted(span.end_time or 0 for span in spans)


def test_a_run_that_only_failed_or_finished_leaves_what_is_below_it(captured: Captured) -> None:
    one = recorder(**captured.providers)
    for end in (one.finish, lambda run: one.fail(run, ValueError("no"))):
        root = start(one, operations.Workflow(name="w"), None)
        below = start(one, call(3), root)
        end(root)
        assert below.open
        one.finish(below)
    assert late(captured) == ["chat m", "chat m"]


def test_what_goes_on_in_a_thread_of_its_own_is_left_and_late(captured: Captured) -> None:
    one = recorder(**captured.providers)
    root = start(one, operations.Workflow(name="w"), None)
    below: list[Run] = []
    thread = threading.Thread(target=lambda: below.append(start(one, call(3), root)))
    thread.start()
    thread.join()
    one.fail(root, GeneratorExit())
    assert below[0].open
    one.finish(below[0])
    assert late(captured) == ["chat m"]
    points = captured.metrics()["gen_ai.tokens.total"]
    assert [(point.attributes["token_type"], point.value) for point in points] == [("input", 3)]


# --- a client that disconnects from LangChain ------------------------------------------------------------------------


def chain(name: str = "chain") -> Any:
    return (fakes.ScriptedModel(script=["a b c d e"]) | StrOutputParser()).with_config(run_name=name)


CHAINS: dict[str, tuple[Any, int]] = {
    "chain": (chain, 100),
    "nested": (lambda: (RunnableLambda(lambda q: q) | chain("inner")).with_config(run_name="chain"), 100),
    "parallel": (lambda: RunnableParallel(a=chain("a"), b=chain("b")).with_config(run_name="chain"), 200),
    "agent": (lambda: create_agent(fakes.ScriptedModel(script=["a b c d e"]), [], name="a"), 100),
}


@pytest.mark.parametrize("leave", ["aclose", "del", "cancel"])
@pytest.mark.parametrize("kind", CHAINS)
async def test_the_root_of_a_disconnected_client_has_what_was_spent(
    kind: str, leave: str, captured: Captured
) -> None:
    make, tokens = CHAINS[kind]
    handler = OTelCallbackHandler(**captured.providers, content="spans")
    given: Any = {"messages": [("user", "q")]} if kind == "agent" else "q"
    options: Any = {"stream_mode": "messages"} if kind == "agent" else {}

    served = asyncio.Event()

    async def serve() -> None:
        stream = make().astream(given, {"callbacks": [handler]}, **options)
        await anext(stream)
        if kind == "parallel":
            await anext(stream)  # now both models have answered
        if leave == "aclose":
            await stream.aclose()
        elif leave == "cancel":
            served.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(serve())
    if leave == "cancel":
        await served.wait()
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    del task  # its exception holds the stream
    await until(lambda: not handler._recorder.runs)
    name = "invoke_agent a" if kind == "agent" else "invoke_workflow chain"
    assert ends(captured)[-1] == (name, "abandoned", tokens)
    assert not late(captured)


async def test_what_came_of_the_answer_is_kept(captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content="spans")
    stream = chain().astream("q", {"callbacks": [handler]})
    for _ in range(3):
        await anext(stream)
    await stream.aclose()
    await until(lambda: not handler._recorder.runs)
    attributes = captured.span("chat scripted-1").attributes or {}
    assert '"a b c ' in str(attributes["gen_ai.output.messages"])


def test_chunks_that_do_not_add_up_complete_nothing() -> None:
    completed: list[Any] = []
    for contents in (("a", "b"), ([{"index": 0, "x": 1}], [{"index": 0, "x": "b"}]), ()):
        answer = StreamedAnswer(completed.append, with_content=True)
        for content in contents:
            answer.add(ChatGenerationChunk(message=AIMessageChunk(content)))
        answer()
    assert [response.generations[0][0].text for response in completed] == ["ab"]


# --- LlamaIndex ------------------------------------------------------------------------------------------------------


class Early(llama_fakes.ScriptedModel):
    """Reports its usage in the first chunk, as Anthropic does."""

    def _chunks(self) -> Any:
        for number, chunk in enumerate(super()._chunks()):
            usage = llama_fakes.USAGE if number == 0 else None
            yield ChatResponse(message=chunk.message, delta=chunk.delta, raw=llama_fakes.raw(usage, None))


class MyStop(StopEvent):
    answer: Any = None


class Streaming(Workflow):
    """Returns a stream: of a model, of its own, or of a query engine."""

    kind: str = "model"

    @step
    async def answer(self, ev: StartEvent) -> StopEvent:
        llm = Early(script=["a b c d"])
        match self.kind:
            case "model":
                return StopEvent(result=await llm.astream_chat([ChatMessage("q")]))
            case "synchronous model":
                return StopEvent(result=llm.stream_chat([ChatMessage("q")]))
            case "its own":
                return StopEvent(result=self.own(llm))
            case _:
                engine = llama_fakes.index().as_query_engine(llm=llm, streaming=True)
                return StopEvent(result=await engine.aquery("q"))

    async def own(self, llm: Any) -> AsyncIterator[str]:
        async for chunk in await llm.astream_chat([ChatMessage("q")]):
            yield chunk.delta


class WithOwnEvent(Workflow):
    """Returns a stream in a field of its own stop event."""

    @step
    async def answer(self, ev: StartEvent) -> MyStop:
        return MyStop(answer=await Early(script=["a b c d"]).astream_chat([ChatMessage("q")]))


KINDS = ("model", "synchronous model", "its own", "own event", "query engine")


async def run_streaming(kind: str) -> Any:
    workflow = Streaming() if kind != "own event" else WithOwnEvent(workflow_name="Streaming")
    workflow.kind = kind  # type: ignore[union-attr]
    result = await workflow.run()
    return getattr(result, "response_gen", None) or getattr(result, "answer", None) or result


@pytest.mark.parametrize("kind", KINDS)
async def test_a_workflow_whose_result_is_a_stream_ends_with_it(
    kind: str,
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    handler = OTelCallbackHandler(**captured.providers, content="spans")
    Settings.callback_manager = CallbackManager([handler])
    stream = await run_streaming(kind)
    assert "invoke_workflow Streaming" not in [name for name, *_ in ends(captured)]
    items = list(stream) if kind == "synchronous model" else await llama_fakes.adrain(stream)
    assert "".join(getattr(item, "delta", item) for item in items) == "a b c d"
    assert ends(captured)[-2:] == [("answer", None, 100), ("invoke_workflow Streaming", None, 100)]
    assert not late(captured)
    root = captured.span("invoke_workflow Streaming")
    assert '"a b c d"' in str((root.attributes or {})["gen_ai.output.messages"])
    assert captured.span("chat scripted-1").parent is not None


@pytest.mark.parametrize("leave", ["close", "del", "never"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_workflow_whose_stream_is_left_was_abandoned(
    kind: str,
    leave: str,
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    handler = OTelCallbackHandler(**captured.providers)
    Settings.callback_manager = CallbackManager([handler])
    stream = await run_streaming(kind)
    if leave != "never":
        next(stream) if kind == "synchronous model" else await anext(stream)
    if leave == "close":
        stream.close() if kind == "synchronous model" else await stream.aclose()
    del stream
    await until(lambda: not handler._recorder.runs)
    spent = 100 if leave != "never" else None
    assert ends(captured)[-1] == ("invoke_workflow Streaming", "abandoned", spent)
    assert not late(captured)


async def test_the_workflow_of_a_broken_stream_fails(
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    class Failing(Workflow):
        @step
        async def answer(self, ev: StartEvent) -> StopEvent:
            return StopEvent(result=await Early(script=["a b c"], breaks_after=2).astream_chat([]))

    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers)])
    with pytest.raises(ConnectionError):
        await llama_fakes.adrain(await Failing().run())
    failed = {span.name for span in captured.spans if not span.status.is_ok and span.status.is_unset is False}
    assert failed == {"invoke_workflow Failing", "answer", "chat scripted-1"}
    assert not late(captured)


@pytest.mark.parametrize("how", ["cancel_run", "timeout"])
async def test_a_cancelled_agent_has_what_its_model_spent(
    how: str,
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    stalled = asyncio.Event()

    class Stalling(Early):
        @llm_chat_callback()
        async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
            async def chunks() -> AsyncIterator[ChatResponse]:
                yield next(self._chunks())
                stalled.set()
                await asyncio.Event().wait()

            return chunks()

    Settings.callback_manager = CallbackManager([OTelCallbackHandler(**captured.providers)])
    model = Stalling(script=["a b c"])
    timeout = 3.0 if how == "timeout" else None
    running = FunctionAgent(name="a", llm=model, tools=[], timeout=timeout).run("hi")
    await asyncio.wait_for(stalled.wait(), AT_MOST)
    if how == "cancel_run":
        await running.cancel_run()
    await asyncio.gather(running, return_exceptions=True)
    found = ends(captured)
    assert found[-1][0] == "invoke_agent a"
    assert found[-1][2] == 100
    assert {name: outcome for name, outcome, _ in found}["chat scripted-1"] == "cancelled"
    assert not late(captured)
