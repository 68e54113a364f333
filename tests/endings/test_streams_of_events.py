"""A bare chat model that streams protocol events (`version="v3"`) is one call, whatever happens between two of them.

LangChain starts such a run in a function that returns before the body runs; the body runs later, where the stream is
read, or in a task of its own. So "not on the stack here" says nothing about whether the run goes on.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from ends import assert_all_ended, edges, errors, in_task, in_thread, outcome, outcomes, told
from fakes import ScriptedModel, ScriptedRetriever, UserSpans
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from waiting import until

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.manual import inference, step
from otel_callbacks.testing import Captured

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

CHAT = "chat scripted-1"
PRICES = {"prices": {"scripted-1-0613": {"input": 1, "output": 2}}}


class Talker(ScriptedModel):
    """Streams five words; `each` runs in its body before every one of them."""

    script: Any = ("a b c d e",)
    each: Callable[[], None] = lambda: None

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        for chunk in super()._stream(*args, **kwargs):
            self.each()
            yield chunk

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async for chunk in super()._astream(*args, **kwargs):
            self.each()
            yield chunk
            await asyncio.sleep(0)


@tool
def look_up(word: str) -> str:
    """Looks up."""
    return "found"


@pytest.fixture
def spans(captured: Captured) -> UserSpans:
    return UserSpans(captured.tracer_provider)


@pytest.fixture
def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers, prices=PRICES)]}


def by_hand() -> None:
    with step("other"), inference("other-1", provider="example"):
        pass


OTHERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "model": (lambda config: ScriptedModel(model="other-1").invoke("r", config), "chat other-1"),
    "chain": (
        lambda config: (ScriptedModel(model="other-1") | StrOutputParser()).invoke("r", config),
        "invoke_workflow",
    ),
    "tool": (lambda config: look_up.invoke({"word": "x"}, config), "execute_tool look_up"),
    "retriever": (lambda config: ScriptedRetriever().invoke("r", config), "retrieval"),
    "by hand": (lambda config: by_hand(), "other"),
}
"""What may be called between two events, and its span."""


def assert_whole(captured: Captured) -> None:
    """The call ended as it ended, with all that it used."""
    chat = captured.span(CHAT)
    assert outcome(chat) is None
    assert told(chat)["gen_ai.response.finish_reasons"] == ("stop",)
    assert told(chat)["gen_ai.usage.input_tokens"] == 100
    assert told(chat)["gen_ai.usage.output_tokens"] == 20
    assert told(chat)["gen_ai.usage.cost_usd"] == pytest.approx(140e-6)
    assert told(chat)["otel_callbacks.cost.status"] == "priced"
    assert errors(captured) == {}
    assert outcomes(captured) == {}
    assert_all_ended(captured)


# --- calls between two events ------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", OTHERS)
def test_another_call_between_two_events(other: str, captured: Captured, config: Any) -> None:
    call, name = OTHERS[other]
    for _ in Talker().stream_events("q", config, version="v3"):
        call(config)
    assert_whole(captured)
    above = edges(captured)
    assert above[None, CHAT] == 1
    assert above[None, name] >= 5
    assert above[CHAT, name] == 0


@pytest.mark.parametrize("other", OTHERS)
async def test_another_call_between_two_asynchronous_events(
    other: str, captured: Captured, config: Any
) -> None:
    call, name = OTHERS[other]
    stream = await Talker().astream_events("q", config, version="v3")
    async for _ in stream:
        call(config)
    await stream
    assert_whole(captured)
    above = edges(captured)
    assert above[None, CHAT] == 1
    assert above[None, name] >= 5
    assert above[CHAT, name] == 0


async def test_two_streams_read_in_turns(captured: Captured, config: Any) -> None:
    one = iter(Talker(model="one").stream_events("q", config, version="v3"))
    two = iter(Talker(model="two").stream_events("q", config, version="v3"))
    read = list(zip(one, two, strict=True))
    assert len(read) >= 5
    list(one), list(two)
    assert edges(captured) == Counter({(None, "chat one"): 1, (None, "chat two"): 1})
    assert outcomes(captured) == {}
    assert [told(span)["gen_ai.response.finish_reasons"] for span in captured.spans] == [("stop",)] * 2


# --- where spans of the application are --------------------------------------------------------------------------


READERS: dict[str, Callable[[Any], Any]] = {
    "events": list,
    "text": lambda stream: list(stream.text),
    "whole": lambda stream: stream.output,
}


@pytest.mark.parametrize("reader", READERS)
def test_spans_in_the_body_are_the_calls(
    reader: str, captured: Captured, config: Any, spans: UserSpans
) -> None:
    model = Talker(body=spans.inside("http"), each=spans.inside("chunk"))
    with spans.tracer.start_as_current_span("request"):
        READERS[reader](model.stream_events("q", config, version="v3"))
    assert edges(captured) == Counter(
        {(None, "request"): 1, ("request", CHAT): 1, (CHAT, "http"): 1, (CHAT, "chunk"): 5}
    )
    assert_whole(captured)


@pytest.mark.parametrize("reader", ["events", "text", "whole"])
async def test_spans_in_the_asynchronous_body_are_the_calls(
    reader: str, captured: Captured, config: Any, spans: UserSpans
) -> None:
    model = Talker(body=spans.inside("http"), each=spans.inside("chunk"))
    with spans.tracer.start_as_current_span("request"):
        stream = await model.astream_events("q", config, version="v3")
        match reader:
            case "events":
                [event async for event in stream]
            case "text":
                [piece async for piece in stream.text]
        await stream
    assert edges(captured) == Counter(
        {(None, "request"): 1, ("request", CHAT): 1, (CHAT, "http"): 1, (CHAT, "chunk"): 5}
    )
    assert_whole(captured)


def test_spans_between_two_events_are_the_readers(captured: Captured, config: Any, spans: UserSpans) -> None:
    with spans.tracer.start_as_current_span("request"):
        for _ in Talker(each=spans.inside("chunk")).stream_events("q", config, version="v3"):
            spans.inside("between")()
            look_up.invoke({"word": "x"}, config)
    above = edges(captured)
    assert above[CHAT, "chunk"] == 5
    assert above["request", "between"] >= 5
    assert above["request", "execute_tool look_up"] == above["request", "between"]
    assert set(above) == {
        *((None, "request"), ("request", CHAT), (CHAT, "chunk")),
        *(("request", "between"), ("request", "execute_tool look_up")),
    }
    assert_whole(captured)


async def test_spans_between_two_asynchronous_events_are_the_readers(
    captured: Captured, config: Any, spans: UserSpans
) -> None:
    with spans.tracer.start_as_current_span("request"):
        stream = await Talker(each=spans.inside("chunk")).astream_events("q", config, version="v3")
        async for _ in stream:
            spans.inside("between")()
            await look_up.ainvoke({"word": "x"}, config)
        await stream
    assert set(edges(captured)) == {
        *((None, "request"), ("request", CHAT), (CHAT, "chunk")),
        *(("request", "between"), ("request", "execute_tool look_up")),
    }
    assert_whole(captured)


# --- in other places ---------------------------------------------------------------------------------------------


def test_read_on_in_another_thread(captured: Captured, config: Any, spans: UserSpans) -> None:
    events = iter(Talker(each=spans.inside("chunk")).stream_events("q", config, version="v3"))
    next(events)
    look_up.invoke({"word": "x"}, config)
    in_thread(list, events)
    assert edges(captured)[CHAT, "chunk"] == 5
    assert_whole(captured)


async def test_every_event_is_waited_for_in_a_task_of_its_own(captured: Captured, config: Any) -> None:
    events = aiter(await Talker().astream_events("q", config, version="v3"))
    with suppress(StopAsyncIteration):
        while True:
            await in_task(anext(events))
            await look_up.ainvoke({"word": "x"}, config)
    await until(lambda: any(span.name == CHAT for span in captured.spans))
    assert_whole(captured)


async def test_its_parts_are_read_at_the_same_time(captured: Captured, config: Any) -> None:
    async def words(stream: Any) -> list[str]:
        found = []
        async for piece in stream.text:
            found.append(piece)
            await look_up.ainvoke({"word": "x"}, config)
        return found

    stream = await Talker().astream_events("q", config, version="v3")
    found, message = await asyncio.gather(words(stream), stream.output)
    assert "".join(found) == "a b c d e"
    assert message.usage_metadata["total_tokens"] == 120
    await stream
    assert_whole(captured)


ABOVE: dict[str, tuple[Callable[[Callable[[Any], Any]], Any], str]] = {
    "lambda": (lambda work: RunnableLambda(work) | StrOutputParser(), "answer"),
    "node": (lambda work: _graph(work), "answer"),
    "step by hand": (
        lambda work: RunnableLambda(lambda _: step("answer")(work)(_)) | StrOutputParser(),
        "answer",
    ),
}


def _graph(work: Callable[[Any], Any]) -> Any:
    graph = StateGraph(dict)
    graph.add_node("answer", lambda state: {"said": work(state)})
    graph.add_edge(START, "answer")
    return graph.compile()


@pytest.mark.parametrize("kind", ABOVE)
@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_below_another_run(
    kind: str, mode: str, captured: Captured, config: Any, spans: UserSpans
) -> None:
    def answer(_: Any) -> str:
        stream = Talker(each=spans.inside("chunk")).stream_events("q", version="v3")
        for _event in stream:
            look_up.invoke({"word": "x"})
        return str(stream.output.text)

    make, above = ABOVE[kind]
    runnable, value = make(answer), {} if kind == "node" else "q"
    if mode == "invoke":
        runnable.invoke(value, config)
    else:
        await runnable.ainvoke(value, config)
    found = edges(captured)
    assert found[above, CHAT] == 1
    assert found[CHAT, "chunk"] == 5
    assert found[above, "execute_tool look_up"] >= 5
    assert found[CHAT, "execute_tool look_up"] == 0
    assert_whole(captured)
    assert told(captured.span(above))["otel_callbacks.rollup.total_tokens"] == 120


# --- left early, or later than the run above ---------------------------------------------------------------------


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize("how", ["break", "text"])
def test_left_early(how: str, between: bool, captured: Captured, config: Any) -> None:
    def read(stream: Any) -> None:
        for _ in stream if how == "break" else stream.text:
            if between:
                look_up.invoke({"word": "x"}, config)
            break

    read(Talker().stream_events("q", config, version="v3"))
    gc.collect()
    assert outcomes(captured) == {CHAT: "abandoned"}
    assert errors(captured) == {}
    assert_all_ended(captured)


async def test_left_early_and_closed(captured: Captured, config: Any) -> None:
    async with await Talker().astream_events("q", config, version="v3") as stream:
        async for _ in stream:
            await look_up.ainvoke({"word": "x"}, config)
            break
    await until(lambda: any(span.name == CHAT for span in captured.spans))
    assert outcomes(captured) == {CHAT: "cancelled"}
    assert errors(captured) == {}
    assert_all_ended(captured)


async def test_left_early_it_goes_on_in_its_task_to_its_end(captured: Captured, config: Any) -> None:
    async def read(stream: Any) -> None:
        async for _ in stream:
            await look_up.ainvoke({"word": "x"}, config)
            break

    stream = await Talker().astream_events("q", config, version="v3")
    await in_task(read(stream))
    await until(lambda: stream.done and any(span.name == CHAT for span in captured.spans))
    assert_whole(captured)


def test_the_run_above_ends_first(captured: Captured, config: Any) -> None:
    """A function hands its stream out, and its caller reads it to the end."""
    kept: list[Iterator[Any]] = []

    def answer(_: Any) -> str:
        kept.append(iter(Talker().stream_events("q", version="v3")))
        next(kept[0])
        return "later"

    (RunnableLambda(answer) | StrOutputParser()).invoke("q", config)
    list(kept.pop())
    assert captured.tree() == "invoke_workflow\n  answer\n    chat scripted-1"
    assert_whole(captured)


def test_a_broken_one_fails(captured: Captured, config: Any) -> None:
    class Breaking(Talker):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            for number, chunk in enumerate(super()._stream(*args, **kwargs)):
                if number == 2:
                    raise ConnectionError("gone")
                yield chunk

    with pytest.raises(ConnectionError):
        for _ in Breaking().stream_events("q", config, version="v3"):
            look_up.invoke({"word": "x"}, config)
    assert errors(captured) == {CHAT: "ConnectionError"}
    assert outcomes(captured) == {}
    assert_all_ended(captured)
