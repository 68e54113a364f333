"""Runs whose spans are not sampled still count in metrics and totals, with as little work as possible."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from fakes import ScriptedModel, UserSpans, call
from langchain.agents import create_agent
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.propagate import inject
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext

from otel_callbacks import semconv
from otel_callbacks.cost.budget import Budget
from otel_callbacks.handlers.options import recorder as recorder_of
from otel_callbacks.langchain import OTelCallbackHandler, trace_retriever
from otel_callbacks.manual import agent, inference, retrieval, step, workflow
from otel_callbacks.manual import tool as hand_tool
from otel_callbacks.operations import Workflow
from otel_callbacks.privacy.content_scope import content
from otel_callbacks.recording import process_recorder
from otel_callbacks.testing import Captured, capture


class Witness(Sampler):
    """Drops spans by their name, whatever is above them; remembers the names it was asked about."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked: list[str] = []

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, *args: Any, **kwargs: Any
    ) -> SamplingResult:
        self.asked.append(name)
        return SamplingResult(Decision.DROP if name in self.names else Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return f"Witness, not {DEFAULT_ON.get_description()}"


class AlwaysRecording(Sampler):
    """Records what another sampler drops, for span processors alone, as the SDK's own from 1.40 on."""

    def __init__(self, root: Sampler) -> None:
        self._root = root

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        result = self._root.should_sample(*args, **kwargs)
        return SamplingResult(Decision.RECORD_ONLY) if result.decision is Decision.DROP else result

    def get_description(self) -> str:
        return f"AlwaysRecording{{{self._root.get_description()}}}"


class Recording(SpanProcessor):
    """Notes the names of the spans that are recorded, sampled or not."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.names.append(span.name)


ROOT = "invoke_agent librarian"


def ask(telemetry: Captured, seen: list[Any] | None = None) -> None:
    """Runs an agent whose tool opens a user's span and collects the headers that it would send."""

    @tool
    def look_up(word: str) -> str:
        """Looks up."""
        with UserSpans(telemetry.tracer_provider).tracer.start_as_current_span("mine"):
            headers: dict[str, str] = {}
            inject(headers)
        if seen is not None:
            seen.append(headers["traceparent"])
        return "found"

    agent = create_agent(
        ScriptedModel(script=[call("look_up", word="x"), "done"]), [look_up], name="librarian"
    )
    config: Any = {"callbacks": [OTelCallbackHandler(**telemetry.providers)]}
    before = trace.get_current_span()
    agent.invoke({"messages": [("user", "hi")]}, config)
    assert trace.get_current_span() is before


def counted(telemetry: Captured) -> dict[str, list[Any]]:
    """Returns the counts and sums of all metrics by attributes; of durations only the counts."""
    return {
        name: sorted(
            (sorted(point.attributes.items()), point.count, None if "duration" in name else point.sum)
            if hasattr(point, "count")
            else (sorted(point.attributes.items()), point.value)
            for point in points
        )
        for name, points in telemetry.metrics().items()
        if not name.startswith("otel.sdk")
    }


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ParentBased(TraceIdRatioBased(0))], ids=["off", "ratio"])
def test_metrics_are_those_of_a_sampled_call(sampler: Sampler, captured: Captured) -> None:
    ask(captured)
    with capture(sampler) as unsampled:
        ask(unsampled)
        assert unsampled.spans == []
        assert counted(unsampled) == counted(captured)


def test_a_sampler_that_follows_the_parent_is_asked_once_and_users_spans_are_in_the_trace() -> None:
    witness, seen = Witness(ROOT), list[str]()
    with capture(ParentBased(witness)) as captured:
        ask(captured, seen)
    assert witness.asked == [ROOT]
    assert [header.split("-")[::3] for header in seen] == [["00", "00"]]
    assert seen[0].split("-")[1] == f"{1:032x}"


# --- operations by hand --------------------------------------------------------------------------------------------


@agent("librarian")
def by_hand(tracer: trace.Tracer, seen: list[Any]) -> None:
    """Yields every kind of operation by hand, with and without one inside it."""

    @hand_tool
    def search(word: str) -> list[str]:
        with tracer.start_as_current_span("mine"):
            headers: dict[str, str] = {}
            inject(headers)
            seen.append(headers["traceparent"])
            return retrieval("docs")(lambda query: [query])(word)

    @hand_tool
    async def asked(prompt: str) -> str:
        with inference("scripted-1") as call:
            call.usage(input_tokens=100, output_tokens=20)
        return prompt

    @hand_tool("said", agent_name="another")
    def said() -> Iterator[str]:
        yield from "ab"

    @hand_tool
    async def said_later() -> AsyncIterator[str]:
        yield "a"

    @workflow("below")
    def failing() -> None:
        raise KeyError

    async def all_said_later() -> None:
        await asked("q")
        assert [word async for word in said_later()] == ["a"]
        stream = said_later()
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    before = get_current()
    assert search("x") == ["x"]
    assert list(said()) == ["a", "b"]
    next(said())
    asyncio.run(all_said_later())
    with suppress(KeyError):
        failing()
    with retrieval("blocks") as found, step("step"):
        found.documents(["one"])
    with suppress(KeyboardInterrupt), hand_tool("stopped"):
        raise KeyboardInterrupt
    assert get_current() is before


@pytest.mark.parametrize("root", [None, "workflow", "user's"])
@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ParentBased(TraceIdRatioBased(0))], ids=["off", "ratio"])
def test_metrics_by_hand_are_those_of_a_sampled_call(sampler: Sampler, root: str | None) -> None:
    found = []
    for sampling in (ALWAYS_ON, sampler):
        with capture(sampling) as captured, ExitStack() as around:
            tracer = captured.tracer_provider.get_tracer("application")
            if root == "user's":
                around.enter_context(tracer.start_as_current_span("user's"))
            elif root == "workflow":
                around.enter_context(workflow("root"))
            seen: list[str] = []
            by_hand(tracer, seen)
            around.close()
            found.append(counted(captured))
            assert bool(captured.spans) is (sampling is ALWAYS_ON)
            assert [header.split("-")[1] for header in seen] == [f"{1:032x}"]
    sampled, unsampled = found
    assert unsampled == sampled


class Unread:
    """A value that must not be read."""

    def __repr__(self) -> str:
        raise AssertionError

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def test_payloads_that_no_span_records_are_not_read() -> None:
    with capture(ALWAYS_OFF), content("both"):
        hand_tool("t")(lambda: [Unread()])()
        hand_tool("t")(lambda: iter([Unread()]))()

        @retrieval("docs")
        def find(query: Any) -> list[Any]:
            return []

        @workflow
        def stream(messages: Any) -> Iterator[Any]:
            yield messages

        find(Unread())
        assert len(list(stream([Unread()]))) == 1


def test_documents_that_neither_a_span_nor_a_metric_counts_are_not_read() -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    recorder = recorder_of(tracer_provider=provider, meter_provider=NoOpMeterProvider())
    process_recorder.set_process_recorder("test", lambda: recorder)
    try:
        with workflow("w"), retrieval("docs") as found:
            found.documents([Unread()])
        retrieval("docs")(lambda: [Unread()])()
    finally:
        process_recorder.set_process_recorder("test", None)


def test_the_root_counts_documents_below_a_dropped_span() -> None:
    sampler = ParentBased(ALWAYS_ON, local_parent_sampled=Witness("retrieval docs"))
    with capture(sampler) as captured, workflow("w"):
        retrieval("docs")(lambda: ["one", "two"])()
        with inference("m", input_messages="one") as call:
            call.messages(input="one", output="so")
    assert captured.tree() == "invoke_workflow w\n  chat m"
    assert (captured.span("chat m").attributes or {})[semconv.RAG_DOCUMENTS_IN_PROMPT] == 1


def test_a_sampled_operation_inside_an_unsampled_one() -> None:
    with capture(ParentBased(Witness("invoke_workflow w"))) as captured:
        tracer = captured.tracer_provider.get_tracer("application")
        fresh = tracer.start_as_current_span("fresh", Context())
        with workflow("w"), hand_tool("counted"), fresh, hand_tool("recorded"):
            pass
    assert captured.tree() == "fresh\n  execute_tool recorded"


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, False),
        ({"meter_provider": NoOpMeterProvider()}, False),
        ({"meter_provider": MeterProvider()}, True),
        ({"budgets": [Budget(usd=1)]}, True),
    ],
    ids=["no metrics", "metrics that nobody keeps", "metrics", "budget"],
)
def test_a_call_below_a_dropped_span_that_nothing_counts_makes_no_run(options: Any, counts: bool) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    recorder = recorder_of(tracer_provider=provider, **options)
    process_recorder.set_process_recorder("test", lambda: recorder)
    try:
        with provider.get_tracer("application").start_as_current_span("request"):
            outside = get_current()
            for kind in (hand_tool("t"), retrieval("docs"), inference("m"), workflow("w"), step("s")):
                assert (kind(get_current)() is not outside) is counts
    finally:
        process_recorder.set_process_recorder("test", None)


def test_a_trace_that_the_application_begins_below_a_dropped_run_is_recorded() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(Witness("invoke_workflow dropped")))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handler = OTelCallbackHandler(tracer_provider=provider, meter_provider=NoOpMeterProvider())
    inner = RunnableLambda(lambda value: value).with_config(run_name="inner")

    def body(value: str) -> str:
        inner.invoke("below the dropped run")
        with provider.get_tracer("t").start_as_current_span("own", context=Context()):
            return inner.invoke(value)

    chain = RunnableLambda(body).with_config(run_name="dropped")
    chain.invoke("q", {"callbacks": [handler]})
    assert [span.name for span in exporter.get_finished_spans()] == ["inner", "own"]


def test_a_run_of_another_handler_is_not_passed_over() -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    quiet, other = (
        recorder_of(tracer_provider=provider, meter_provider=NoOpMeterProvider()) for _ in range(2)
    )
    run = quiet.start("above", Workflow(name="w"))
    assert run is not None
    assert not other.passes_over("below", run, "above", None)
    assert quiet.passes_over("below", run, "above", None)
    quiet.finish(run)


def test_a_store_that_reports_scores_finds_the_retrieval_by_hand() -> None:
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=4))
    store.add_texts(["one"])
    searched = trace_retriever(store)
    with capture(ALWAYS_OFF) as captured:
        with workflow("w"), retrieval("docs"):
            searched.similarity_search("one", k=1)
        assert captured.metrics()["gen_ai.client.operation.duration"][0].count == 1


# --- other samplers ------------------------------------------------------------------------------------------------


def others() -> Sequence[Sampler]:
    return (
        Witness(ROOT),
        ParentBased(Witness(ROOT), local_parent_not_sampled=ALWAYS_ON),
        AlwaysRecording(ParentBased(Witness(ROOT))),
    )


@pytest.mark.parametrize("sampler", others(), ids=lambda sampler: type(sampler).__name__)
def test_any_other_sampler_is_asked_for_every_operation_by_hand(sampler: Sampler) -> None:
    with capture(sampler) as captured:
        recording = Recording()
        captured.tracer_provider.add_span_processor(recording)
        with agent("librarian"), workflow("w"):
            hand_tool("t")(retrieval("docs")(list[str].copy))([])
    assert [name for name in recording.names if name != ROOT] == [
        *("invoke_workflow w", "execute_tool t", "retrieval docs"),
    ]


@pytest.mark.parametrize("sampler", others(), ids=lambda sampler: type(sampler).__name__)
def test_any_other_sampler_is_asked_for_every_span(sampler: Sampler) -> None:
    with capture(sampler) as captured:
        recording = Recording()
        captured.tracer_provider.add_span_processor(recording)
        ask(captured)
    assert [name for name in recording.names if name != ROOT] == [
        *("model", "chat scripted-1", "tools", "execute_tool look_up", "mine", "model", "chat scripted-1"),
    ]


def test_the_sampler_decides_below_a_remote_parent() -> None:
    remote = NonRecordingSpan(SpanContext(7, 8, is_remote=True))
    with capture(ParentBased(ALWAYS_OFF, remote_parent_not_sampled=ALWAYS_ON)) as captured:
        with trace.use_span(remote):
            ScriptedModel().invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
        assert captured.tree() == "chat scripted-1"
