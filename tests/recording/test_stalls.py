"""A stream that stalls says how long its longest gap was, and after which chunk."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import fakes
import llama_fakes
import pytest
from ends import told
from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
from llama_fakes import IGNORED, no_faults, untouched_settings  # noqa: F401 - two are fixtures
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from waiting import cut_short, pause

from otel_callbacks import inference
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaHandler
from otel_callbacks.testing import Captured

pytestmark = [IGNORED, pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")]

GAP = "otel_callbacks.stream.longest_gap"
AFTER = "otel_callbacks.stream.longest_gap_after_chunk"
CHAT = "chat scripted-1"
STALL = 0.2  # seconds; where it is longest is measured here as well, so that a busy machine is no matter
WORDS = "a b c d e"


class Watch:
    """When chunks were handed out, and that it takes its time before one of them."""

    def __init__(self, before: int) -> None:
        self.before = before
        self.at: list[float] = []

    def next(self) -> float:
        """How long to wait before the next chunk."""
        return STALL if len(self.at) == self.before else 0.0

    def handed_out(self) -> None:
        self.at.append(time.monotonic())

    @property
    def longest(self) -> tuple[float, int]:
        """The longest gap, and after how many chunks it was."""
        gaps = [later - earlier for earlier, later in zip(self.at, self.at[1:], strict=False)]
        return max(gaps), gaps.index(max(gaps)) + 1


class Stalling(fakes.ScriptedModel):
    """Waits before one of its chunks."""

    script: Any = (WORDS,)
    watch: Any = None

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        for chunk in super()._stream(*args, **kwargs):
            time.sleep(self.watch.next())
            self.watch.handed_out()
            yield chunk

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        for chunk in self._chunks():
            await asyncio.sleep(self.watch.next())
            self.watch.handed_out()
            yield chunk


class LlamaStalling(llama_fakes.ScriptedModel):
    """The same in LlamaIndex."""

    script: Any = (WORDS,)
    watch: Any = None

    def _chunks(self) -> Iterator[Any]:
        for chunk in super()._chunks():
            time.sleep(self.watch.next())
            self.watch.handed_out()
            yield chunk


def config(captured: Captured) -> dict[str, Any]:
    return {"callbacks": [OTelCallbackHandler(**captured.providers)]}


def assert_stalled(captured: Captured, watch: Watch, name: str = CHAT) -> None:
    gap, after = watch.longest
    found = told(captured.span(name))
    assert found[AFTER] == after
    assert found[GAP] == pytest.approx(gap, abs=STALL / 2)
    assert found[GAP] >= STALL * 0.9


# --- LangChain ---------------------------------------------------------------------------------------------------


def stream(model: Any, config: Any) -> None:
    list(model.stream("q", config))


def chain(model: Any, config: Any) -> None:
    list((model | StrOutputParser()).stream("q", config))


def agent(model: Any, config: Any) -> None:
    list(create_agent(model, []).stream({"messages": [("user", "q")]}, config, stream_mode="messages"))


def in_a_thread(model: Any, config: Any) -> None:
    thread = threading.Thread(target=stream, args=(model, config))
    thread.start()
    thread.join()


async def astream(model: Any, config: Any) -> None:
    [_ async for _ in model.astream("q", config)]


async def events(model: Any, config: Any) -> None:
    [_ async for _ in model.astream_events("q", config, version="v2")]


READ: dict[str, Callable[[Any, Any], Any]] = {
    "stream": stream,
    "astream": astream,
    "chain": chain,
    "agent": agent,
    "thread": in_a_thread,
    "events": events,
}


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("before", [1, 3])
async def test_a_stream_of_langchain(read: str, before: int, captured: Captured) -> None:
    watch = Watch(before)
    done = READ[read](Stalling(watch=watch), config(captured))
    if asyncio.iscoroutine(done):
        await done
    assert_stalled(captured, watch)


def test_before_the_first_chunk_it_is_no_gap(captured: Captured) -> None:
    """That is the time to the first chunk."""
    watch = Watch(0)
    stream(Stalling(watch=watch), config(captured))
    found = told(captured.span(CHAT))
    assert found["gen_ai.response.time_to_first_chunk"] >= STALL * 0.9
    assert found[GAP] == pytest.approx(watch.longest[0], abs=STALL / 2)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
async def test_an_answer_that_does_not_stream_has_none(mode: str, captured: Captured) -> None:
    model = fakes.ScriptedModel(script=[WORDS])
    if mode == "invoke":
        model.invoke("q", config(captured))
    else:
        await model.ainvoke("q", config(captured))
    assert not {GAP, AFTER} & set(told(captured.span(CHAT)))


def test_a_stream_of_one_chunk_has_none(captured: Captured) -> None:
    class One(fakes.ScriptedModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            yield next(super()._stream(*args, **kwargs))

    list(One(script=["alone"]).stream("q", config(captured)))
    assert not {GAP, AFTER} & set(told(captured.span(CHAT)))


def test_the_last_wait_of_a_stream_that_breaks_counts(captured: Captured) -> None:
    """It hung after its second chunk until the connection was gone."""

    class Hanging(fakes.ScriptedModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
            for number, chunk in enumerate(super()._stream(*args, **kwargs)):
                if number == 2:
                    time.sleep(STALL)
                    raise ConnectionError("gone")
                yield chunk

    with pytest.raises(ConnectionError):
        list(Hanging(script=[WORDS]).stream("q", config(captured)))
    found = told(captured.span(CHAT))
    assert found[AFTER] == 2
    assert found[GAP] >= STALL * 0.9


async def test_the_last_wait_of_a_stream_that_is_cancelled_counts(captured: Captured) -> None:
    class Hanging(fakes.ScriptedModel):
        async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            started = time.monotonic()
            for number, chunk in enumerate(self._chunks()):
                if number == 2:
                    await asyncio.sleep(2 * (time.monotonic() - started))  # longer than any wait before
                    await pause(60)
                yield chunk

    with pytest.raises(TimeoutError):
        async with cut_short():
            [_ async for _ in Hanging(script=[WORDS]).astream("q", config(captured))]
    await asyncio.sleep(0)
    found = told(captured.span(CHAT))
    assert found["otel_callbacks.outcome"] == "cancelled"
    assert found[AFTER] == 2
    assert found[GAP] > 0


# --- LlamaIndex, and by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["stream_chat", "astream_chat", "stream_complete"])
async def test_a_stream_of_llama_index(mode: str, captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])
    watch = Watch(3)
    model, ask = LlamaStalling(watch=watch), [ChatMessage(role="user", content="q")]
    match mode:
        case "stream_chat":
            list(model.stream_chat(ask))
        case "astream_chat":
            [_ async for _ in await model.astream_chat(ask)]
        case "stream_complete":
            list(model.stream_complete("q"))
    assert_stalled(captured, watch)


def test_the_stream_of_a_query(captured: Captured) -> None:
    Settings.callback_manager = CallbackManager([LlamaHandler(**captured.providers)])
    watch = Watch(3)
    engine = llama_fakes.index().as_query_engine(llm=LlamaStalling(watch=watch), streaming=True)
    list(engine.query("q").response_gen)
    assert_stalled(captured, watch)


def test_a_stream_by_hand(captured: Captured) -> None:
    watch = Watch(3)

    @inference("scripted-1", provider="openai")
    def answer(prompt: str) -> Iterator[str]:
        for word in WORDS.split():
            time.sleep(watch.next())
            watch.handed_out()
            yield word

    assert list(answer("q")) == WORDS.split()
    assert_stalled(captured, watch)
