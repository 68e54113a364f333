"""Tests that what LlamaIndex reports below a run that the sampler dropped costs nearly nothing, and loses nothing."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from counting import count
from llama_fakes import IGNORED, ScriptedModel, index, no_faults, untouched_settings  # noqa: F401 - fixtures
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.query_engine import CustomQueryEngine
from llama_index.core.workflow import StartEvent, StopEvent, Workflow, step
from llama_index_instrumentation.dispatcher import instrument_tags
from llama_index_instrumentation.span import active_span_id
from opentelemetry import trace
from opentelemetry.context import Context, get_current
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, ParentBased, Sampler, SamplingResult

from otel_callbacks.cost.attribution import labels_in
from otel_callbacks.cost.budget import Budget
from otel_callbacks.llama_index import OTelCallbackHandler
from otel_callbacks.llama_index.dispatcher_hooks import _span_handler
from otel_callbacks.llama_index.dispatcher_reports import reports

pytestmark = IGNORED
ASK = [ChatMessage(role="user", content="hi")]


class NotThe(Sampler):
    """Drops the spans of workflows; the others are recorded, unless they are below a dropped one."""

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, *args: Any, **kwargs: Any
    ) -> SamplingResult:
        dropped = name.startswith("invoke_workflow")
        return SamplingResult(Decision.DROP if dropped else Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return "NotThe"


class Engine(CustomQueryEngine):
    """Answers by a function of the application's."""

    body: Callable[[], Any]

    def custom_query(self, query_str: str) -> str:
        self.body()
        return "answer"


def handler(**options: Any) -> OTelCallbackHandler:
    options.setdefault("tracer_provider", TracerProvider(sampler=ALWAYS_OFF))
    options.setdefault("meter_provider", NoOpMeterProvider())
    made = OTelCallbackHandler(**options)
    Settings.callback_manager = CallbackManager([made])
    return made


@pytest.mark.parametrize(
    ("options", "runs", "streamed"),
    [
        ({}, 1, 2),
        ({"detail": "everything"}, 1, 3),
        ({"meter_provider": MeterProvider()}, 5, 5),
        ({"budgets": [Budget(usd=1)]}, 5, 5),
    ],
    ids=["nothing counts", "everything", "metrics", "budget"],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_only_what_counts_gets_a_run_and_streams(
    options: Any, runs: int, streamed: int, streaming: bool
) -> None:
    """What runs in the body of a stream must be in the trace wherever it is read."""
    before = trace.get_current_span()
    counts = handler(**options)._recorder.counts  # those of all handlers with the same provider
    started, ended = counts.started, counts.ended
    answer = index().as_query_engine(llm=ScriptedModel(), streaming=streaming).query("q")
    assert ("".join(answer.response_gen) if streaming else str(answer)) == "hello big world"  # type: ignore[union-attr]
    assert (counts.started - started, counts.ended - ended) == (streamed if streaming else runs,) * 2
    assert trace.get_current_span() is before


def test_a_trace_that_the_application_begins_below_a_dropped_run_is_recorded() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(NotThe()))
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def body() -> None:
        ScriptedModel().chat(ASK)
        with provider.get_tracer("t").start_as_current_span("own", context=Context()):
            ScriptedModel().chat(ASK)

    handler(tracer_provider=provider)
    Engine(body=body).query("q")
    assert [span.name for span in exporter.get_finished_spans()] == ["chat scripted-1", "own"]


def test_a_users_span_below_a_dropped_run_changes_nothing() -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)

    def body() -> None:
        with provider.get_tracer("t").start_as_current_span("mine"):
            ScriptedModel().chat(ASK)

    made = handler(tracer_provider=provider)
    Engine(body=body).query("q")
    assert made._recorder.counts.started == 1


def test_a_body_in_another_context_is_in_the_trace() -> None:
    """There, the run that is passed over could not be found by what users write."""
    provider, seen = TracerProvider(sampler=ALWAYS_OFF), []
    model = ScriptedModel(body=lambda: seen.append(trace.get_current_span().get_span_context().trace_id))

    def body() -> None:
        seen.append(trace.get_current_span().get_span_context().trace_id)
        with ThreadPoolExecutor() as pool:
            pool.submit(in_another_context, active_span_id.get()).result()

    def in_another_context(report: str | None) -> None:
        active_span_id.set(report)  # type: ignore[arg-type]
        model.chat(ASK)

    made = handler(tracer_provider=provider)
    Engine(body=body).query("q")
    assert seen[0] == seen[1] != 0
    assert made._recorder.counts.started == 2


def test_tags_that_name_who_pays_hold_in_the_body() -> None:
    seen = []
    model = ScriptedModel(body=lambda: seen.append(dict(labels_in(get_current()))))

    def body() -> None:
        for tags in ({"colour": "red"}, {"tenant": "acme"}):
            with instrument_tags(tags):
                model.chat(ASK)

    made = handler()
    Engine(body=body).query("q")
    assert seen == [{}, {"app.tenant_id": "acme"}]
    assert made._recorder.counts.started == 2


async def test_a_workflow_below_a_dropped_run_has_a_run_because_it_may_wait() -> None:
    class Inner(Workflow):
        @step
        async def only(self, ev: StartEvent) -> StopEvent:
            ScriptedModel().chat(ASK)
            return StopEvent(result="done")

    class Outer(Workflow):
        @step
        async def only(self, ev: StartEvent) -> StopEvent:
            ScriptedModel().chat(ASK)
            return StopEvent(result=await Inner().run())

    made = handler()
    assert await Outer().run() == "done"
    assert made._recorder.counts.started == made._recorder.counts.ended == 2


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="bytecodes are counted for one version")
def test_passing_over_takes_next_to_nothing() -> None:
    model, report, found = ScriptedModel(), "ScriptedModel.chat-" + "0" * 36, []

    def pass_over() -> None:
        report_of: Any = {"id_": report, "bound_args": None, "instance": model}
        _span_handler.span_enter(**report_of, parent_id=active_span_id.get())
        assert report in reports.open
        _span_handler.span_exit(**report_of, result=None)

    def body() -> None:
        pass_over()
        codes = count(pass_over)
        del codes[__file__]
        found.append(codes.total())

    handler()
    Engine(body=body).query("q")
    assert found[0] <= 300
