"""Spans, root, metrics, the command `cost` and `traces.cost` agree on random trees, however their runs end."""

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import fakes
import llama_fakes
import trace_totals
from click.testing import CliRunner
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.postprocessor import LLMRerank
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from opentelemetry.sdk.trace import ReadableSpan
from trace_totals import exact
from waiting import paused, until

from otel_callbacks import OTelCallbackHandler, operations, trace_reranker
from otel_callbacks.cli import main
from otel_callbacks.cost import report
from otel_callbacks.explore import JsonLinesSpanExporter, group, read_jsonl
from otel_callbacks.handlers.options import recorder
from otel_callbacks.operations import Operation, Usage
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.run import Run
from otel_callbacks.testing import Captured, capture

pytestmark = llama_fakes.IGNORED

TREES = 10_000
BOOK = {"prices": {"scripted-1*": {"input": "0.1357", "output": "2.46913"}, "embed-1": {"input": "0.0199"}}}
KINDS = (
    *("inference",) * 4,
    *("embedding", "cached", "unpriced", "silent", "reported"),
    *("rerank", "retrieval", "tool", "step", "agent", "workflow"),
)
"""An inference below another is a wrapped model; one below a rerank is the reranker's own call."""


def operation(kind: str, random: Random) -> Operation:
    usage = Usage(
        input_tokens=random.randrange(100_000),
        output_tokens=random.randrange(10_000),
        cache_read_input_tokens=0,
        reasoning_output_tokens=0,
    )
    match kind:
        case "embedding":
            return operations.Embedding(name="embed-1", usage=Usage(input_tokens=usage.input_tokens))
        case "unpriced":
            return operations.Inference(name="nobody-knows-1", usage=usage)
        case "silent":
            return operations.Inference(name="scripted-1")
        case "reported":
            return operations.Inference(name="scripted-1", usage=usage, reported_usd=Decimal("0.00125"))
        case "rerank":
            return operations.Rerank(name="scripted-1")
        case "retrieval":
            return operations.Retrieval()
        case "tool":
            return operations.ToolExecution(name="t")
        case "step":
            return operations.Step(name="s")
        case "agent":
            return operations.AgentInvocation(name="a")
        case "workflow":
            return operations.Workflow(name="w")
        case _:
            return operations.Inference(name="scripted-1", usage=usage, cached=kind == "cached")


def end(one: Recorder, run: Run, random: Random) -> None:
    match random.randrange(6):
        case 0:
            one.fail(run, ValueError("no"))
        case 1:
            one.fail(run, GeneratorExit())
        case 2:
            one.fail(run, asyncio.CancelledError())
        case _:
            one.finish(run)


def play(one: Recorder, random: Random) -> None:
    """Runs a tree: each run starts below any earlier one, which may have ended, and they end in any order.

    A model call ends after those that it wraps, as it waits for them. No embedding model calls another.
    """
    models: list[Run] = []
    embeddings: list[Run] = []
    runs = [start(one, operations.Workflow(name="root"), None)]
    for _ in range(random.randrange(10)):
        open_runs = [run for run in runs if run.open]
        if open_runs and random.random() < 0.35:
            inner = open_runs[1:] or open_runs
            end_if_ready(one, random.choice(inner if random.random() < 0.9 else open_runs), models, random)
            continue
        parent = random.choice(open_runs if open_runs and random.random() < 0.9 else runs)
        what = operation(random.choice(KINDS), random)
        is_model, is_embedding = (
            isinstance(what, kind) for kind in (operations.Inference, operations.Embedding)
        )
        if is_model and any(parent.is_within(model) and not model.open for model in models):
            continue
        if is_embedding and any(map(parent.is_within, embeddings)):
            continue
        runs.append(start(one, what, parent))
        models += runs[-1:] if is_model else ()
        embeddings += runs[-1:] if is_embedding else ()
    while open_runs := [run for run in runs if run.open]:  # some end with one above
        end_if_ready(one, random.choice(open_runs), models, random)


def end_if_ready(one: Recorder, run: Run, models: list[Run], random: Random) -> None:
    wrapped = [model for model in models if model.open and model is not run and model.is_within(run)]
    if run not in models or not wrapped:
        end(one, run, random)


def start(one: Recorder, what: Operation, parent: Run | None) -> Run:
    run = one.start(object(), what, parent, attach=False)
    assert run is not None
    return run


def agree(captured: Captured, spans: Sequence[ReadableSpan], file: Path) -> None:
    """Checks that the calls, the metrics and the reports on the exported file add up to the same."""
    exporter = JsonLinesSpanExporter(file)
    for at in range(0, len(spans), 1_000):  # as a batch processor does; one line must not be too long
        exporter.export(spans[at : at + 1_000])
    sums = trace_totals.total(spans)
    metrics = captured.metrics()
    assert sum(exact(point.value) for point in metrics["gen_ai.cost.usd"]) == sums["cost_usd"]
    tokens = sums["input_tokens"] + sums["output_tokens"]
    assert sum(point.value for point in metrics["gen_ai.tokens.total"]) == tokens
    told = CliRunner().invoke(main, ["cost", str(file), "--by", "model", "--format", "json"])
    assert sum(exact(row["cost_usd"]) for row in json.loads(told.stdout)["rows"]) == sums["cost_usd"]
    traces = group(read_jsonl(file))
    assert sum(row.cost_usd for row in report(traces, by=["model"]).rows) == sums["cost_usd"]
    each = sum(trace.cost or 0 for trace in traces)
    assert abs(each - float(sums["cost_usd"])) < 1e-9


def test_ten_thousand_random_trees_agree(tmp_path: Path) -> None:
    with capture() as captured:
        one = recorder(**captured.providers, prices=BOOK)
        random = Random(14)
        for _ in range(TREES):
            play(one, random)
        assert one.runs == {}
        spans = captured._spans.get_finished_spans()
        late = trace_totals.check(spans)
        assert len(spans) > 3.5 * TREES
        assert len(spans) / 20 < late < len(spans) / 4
        agree(captured, spans, tmp_path / "traces.jsonl")


# --- through both frameworks -----------------------------------------------------------------------------------------


class Streaming(Workflow):
    """A workflow whose result is a stream."""

    llm: Any = None

    @step
    async def answer(self, ev: StartEvent) -> StopEvent:
        return StopEvent(result=await self.llm.astream_chat([ChatMessage("q")]))


class Application:
    """Calls models through both frameworks: nested, wrapped, late, abandoned, cancelled and reranking."""

    def __init__(self, captured: Captured) -> None:
        self.handler = OTelCallbackHandler(**captured.providers, prices=BOOK)
        Settings.callback_manager = CallbackManager([self.handler])
        self.config: Any = {"callbacks": [self.handler]}
        self.model, self.llm = (
            fakes.ScriptedModel(script=["a b c"]),
            llama_fakes.ScriptedModel(script=["a b c"]),
        )
        self.late: list[asyncio.Task[Any]] = []
        self.reranker = trace_reranker(fakes.ScriptedReranker(body=lambda: self.ask() and None))
        self.ways = (
            self.chain, self.abandoned_chain, self.cancelled_chain, self.wrapped, self.reranked,
            self.background, self.reranked_query, self.workflow, self.abandoned_workflow, self.cancelled_agent,
        )  # fmt: skip

    def ask(self) -> Any:
        return self.model.invoke("q").content

    def outer(self, body: Any) -> Any:
        return (RunnableLambda(body) | StrOutputParser()).with_config(run_name="outer")

    async def chain(self) -> None:
        await self.outer(lambda q: self.ask() + self.ask()).ainvoke("q", self.config)

    async def abandoned_chain(self) -> None:
        stream = (self.model | StrOutputParser()).with_config(run_name="outer").astream("q", self.config)
        await anext(stream)
        await stream.aclose()

    async def cancelled_chain(self) -> None:
        async def body(q: str) -> str:
            self.ask()
            return str(await fakes.ScriptedModel(delay=5).ainvoke(q))

        task = asyncio.create_task(self.outer(body).ainvoke("q", self.config))
        await paused()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def wrapped(self) -> None:
        await self.outer(lambda q: fakes.ScriptedModel(body=self.ask).invoke(q).content).ainvoke(
            "q", self.config
        )

    async def reranked(self) -> None:
        retriever = ContextualCompressionRetriever(
            base_retriever=fakes.ScriptedRetriever(), base_compressor=self.reranker
        )
        await self.outer(lambda q: str(retriever.invoke(q)) and self.ask()).ainvoke("q", self.config)

    async def background(self) -> None:
        over, started = asyncio.Event(), asyncio.Event()

        class Late(fakes.ScriptedModel):
            async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
                started.set()
                await over.wait()
                return await super()._agenerate(*args, **kwargs)

        async def body(q: str) -> str:
            self.late.append(asyncio.create_task(Late().ainvoke(q)))
            await started.wait()
            return str(self.ask())

        await self.outer(body).ainvoke("q", self.config)
        over.set()

    async def reranked_query(self) -> None:
        llm = llama_fakes.ScriptedModel(script=["Doc: 1, Relevance: 9", "Paris [1]"])
        engine = llama_fakes.index().as_query_engine(llm=llm, node_postprocessors=[LLMRerank(llm=llm)])
        await engine.aquery("q")

    async def workflow(self) -> None:
        await llama_fakes.adrain(await self.streaming().run())

    def streaming(self) -> Any:
        made = Streaming()
        made.llm = self.llm
        return made

    async def abandoned_workflow(self) -> None:
        stream = await self.streaming().run()
        await anext(stream)
        await stream.aclose()

    async def cancelled_agent(self) -> None:
        running = FunctionAgent(name="a", llm=llama_fakes.ScriptedModel(delay=5), tools=[]).run("hi")
        await paused()
        await running.cancel_run()
        await asyncio.gather(running, return_exceptions=True)


async def test_three_hundred_runs_through_both_frameworks_agree(
    captured: Captured,
    tmp_path: Path,
    untouched_settings: None,  # noqa: F811
) -> None:
    application = Application(captured)
    for number in range(300):
        await application.ways[number % len(application.ways)]()
    await asyncio.gather(*application.late)
    await until(lambda: not application.handler._recorder.runs)
    spans = captured._spans.get_finished_spans()
    assert trace_totals.check(spans) == len(application.late) == 30
    agree(captured, spans, tmp_path / "traces.jsonl")
