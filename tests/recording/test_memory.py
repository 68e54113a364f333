"""Nothing is kept of a run that has ended, however it ended."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedModel, ScriptedRetriever
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from waiting import cut_short, pause, paused

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.runs.run import Run
from otel_callbacks.testing import Captured

RUNS = 20_000
STATUS = Path("/proc/self/statm")


@tool
async def slow(word: str) -> str:
    """Takes its time."""
    await pause(5)
    return "never"


def text(value: Any) -> str:
    return "text"


def fail(value: Any) -> str:
    raise ValueError("no")


class Mixed:
    """One round of every kind of call; `runs` is the number of runs that LangChain makes of it."""

    runs = 16

    def __init__(self, config: Any) -> None:
        self.config = config
        self.good = ScriptedRetriever() | RunnableLambda(text) | ScriptedModel()  # 4 runs
        self.bad = RunnableLambda(text) | RunnableLambda(fail)  # 3 runs
        self.stream = RunnableLambda(text) | ScriptedModel(script=["a b c"])  # 3 runs
        self.endless = RunnableLambda(text) | slow  # 3 runs
        self.model = ScriptedModel(script=["a b c"])  # 1 run, three times

    async def round(self) -> None:
        await self.good.ainvoke("q", self.config)
        with contextlib.suppress(ValueError):
            self.bad.invoke("q", self.config)
        for _ in self.stream.stream("q", self.config):
            break
        for _ in self.model.stream("q", self.config):
            break
        self.model.invoke("q", self.config)
        cancelled = asyncio.create_task(self.endless.ainvoke("q", self.config))
        await paused()
        cancelled.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await cancelled
        await self.model.ainvoke("q", self.config)


@pytest.fixture
def handler() -> Iterator[OTelCallbackHandler]:
    """A handler that samples every other trace, whose spans go nowhere."""
    tracer_provider = TracerProvider(sampler=TraceIdRatioBased(0.5), shutdown_on_exit=False)
    meter_provider = MeterProvider(metric_readers=[InMemoryMetricReader()], shutdown_on_exit=False)
    yield OTelCallbackHandler(tracer_provider=tracer_provider, meter_provider=meter_provider, content="spans")
    meter_provider.shutdown()


def resident_megabytes() -> float:
    gc.collect()
    return int(STATUS.read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(not STATUS.exists(), reason="reads the resident memory from /proc")
async def test_many_runs_leave_nothing(handler: OTelCallbackHandler) -> None:
    mixed, counts = Mixed({"callbacks": [handler]}), handler._recorder.counts
    for _ in range(100):
        await mixed.round()
    before = resident_megabytes()
    for _ in range(RUNS // Mixed.runs):
        await mixed.round()
    assert resident_megabytes() - before < 10
    assert handler._recorder.runs == {}
    assert counts.started == counts.ended >= RUNS
    assert counts.errors == 0


# --- objects of the application ------------------------------------------------------------------------------------


class Thing:
    """An input that can be weakly referenced."""


ENDINGS: dict[str, Any] = {
    "success": RunnableLambda(text) | ScriptedModel() | StrOutputParser(),
    "failure": RunnableLambda(fail) | StrOutputParser(),
    "abandoned": RunnableLambda(text) | ScriptedModel(script=["a b c"]),
    "cancelled": RunnableLambda(text) | ScriptedModel(delay=5),
    "tool": RunnableLambda(lambda given: {"word": "x"}) | slow,
}


async def run(kind: str, given: Any, config: Any) -> None:
    runnable = ENDINGS[kind]
    if kind == "abandoned":
        for _ in runnable.stream(given, config):
            return
    with contextlib.suppress(ValueError, TimeoutError):
        async with cut_short():
            await runnable.ainvoke(given, config)


@pytest.mark.parametrize("kind", ENDINGS)
async def test_an_input_dies_with_its_run(kind: str, captured: Captured) -> None:
    handler = OTelCallbackHandler(**captured.providers, content="both")
    thing: Thing | None = Thing()
    watched = weakref.ref(thing)
    await run(kind, {"thing": thing}, {"callbacks": [handler]})
    await asyncio.sleep(0)
    thing = None
    gc.collect()
    assert watched() is None
    ScriptedModel().invoke("ends what vanished", {"callbacks": [handler]})
    assert handler._recorder.runs == {}


async def test_a_task_that_lives_on_holds_no_runs(captured: Captured) -> None:
    def held() -> int:
        gc.collect()
        return sum(type(each) is Run for each in gc.get_objects())

    config: Any = {"callbacks": [OTelCallbackHandler(**captured.providers)]}
    before = held()
    for _ in range(20):
        await ScriptedRetriever().ainvoke("q", config)
        await ScriptedModel().ainvoke("q", config)
    assert held() - before < 10  # the stand-in of the last one is still in the context
