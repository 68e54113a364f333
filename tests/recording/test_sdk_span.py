"""Spans that start from a template are those that the SDK starts, whatever the provider is set up with."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fakes import ScriptedModel, ScriptedRetriever
from langchain_core.runnables import RunnableLambda
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.recording import sdk_span
from otel_callbacks.testing import CountingIds


class Adds(Sampler):
    """Adds an attribute and a trace state to every span, as samplers may."""

    def should_sample(
        self, parent_context: Context | None, trace_id: int, name: str, *_: Any, **__: Any
    ) -> Any:
        return SamplingResult(Decision.RECORD_AND_SAMPLE, {"sampled.as": name}, TraceState([("by", "test")]))

    def get_description(self) -> str:
        return "Adds"


class RecordsOnly(Adds):
    """Records spans without sampling them."""

    def should_sample(self, *_: Any, **__: Any) -> Any:
        return SamplingResult(Decision.RECORD_ONLY)


class Writes(SpanProcessor):
    """Reads and writes spans as they start and before they end."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.seen.append((span.name, sorted(span.attributes or {}), span.kind, len(span.events)))
        span.set_attribute("written.at.start", [1, 2])
        span.add_event("started", {"n": 1}, 5)
        span.add_link(SpanContext(5, 6, False, TraceFlags(1)), {"k": "v"})

    def _on_ending(self, span: Span) -> None:
        span.set_attribute("written.before.end", True)

    def on_end(self, span: ReadableSpan) -> None:
        self.seen.append((span.name, "ended", len(span.attributes or {})))


SET_UPS: dict[str, Callable[[], dict[str, Any]]] = {
    "default": dict,
    "always on": lambda: {"sampler": ALWAYS_ON},
    "always off": lambda: {"sampler": ALWAYS_OFF},
    "ratio": lambda: {"sampler": ParentBased(TraceIdRatioBased(0.5))},
    "adds": lambda: {"sampler": Adds()},
    "parent based adds": lambda: {"sampler": ParentBased(Adds())},
    "children add": lambda: {"sampler": ParentBased(ALWAYS_ON, local_parent_sampled=Adds())},
    "records only": lambda: {"sampler": RecordsOnly()},
    "few attributes": lambda: {"span_limits": SpanLimits(max_span_attributes=4)},
    "no attributes": lambda: {"span_limits": SpanLimits(max_span_attributes=0)},
    "short attributes": lambda: {"span_limits": SpanLimits(max_span_attribute_length=3)},
    "few events": lambda: {"span_limits": SpanLimits(max_events=0, max_links=0)},
    "resource": lambda: {"resource": Resource({"service.name": "s"})},
}


def spans(set_up: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Traces a chain, in a user's span and outside, and returns the spans and what a processor saw."""
    exporter, writes = InMemorySpanExporter(), Writes()
    provider = TracerProvider(id_generator=CountingIds(), shutdown_on_exit=False, **set_up)
    provider.add_span_processor(writes)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handler = OTelCallbackHandler(tracer_provider=provider, detail="everything", content="spans")

    def body(value: Any) -> Any:
        trace.get_current_span().add_event("mine", {"at": "work"}, 7)
        with provider.get_tracer("user").start_as_current_span("user", kind=SpanKind.SERVER):
            return ScriptedRetriever().invoke("q")

    def fails(value: Any) -> Any:
        raise ValueError("no")

    chain = RunnableLambda(body) | (lambda found: "text") | ScriptedModel()
    chain.invoke("q", {"callbacks": [handler], "metadata": {"tenant": "acme"}})
    with provider.get_tracer("user").start_as_current_span("request"):
        chain.invoke("q", {"callbacks": [handler]})
        with pytest.raises(ValueError, match="no"):
            RunnableLambda(fails).invoke("q", {"callbacks": [handler]})
    provider.shutdown()
    return [without_times(each) for each in exporter.get_finished_spans()], writes.seen


def without_times(span: ReadableSpan) -> Any:
    told = json.loads(span.to_json())
    for name in ("start_time", "end_time"):
        assert told.pop(name)
    for event in told["events"]:
        event.pop("timestamp")
        event["attributes"].pop("exception.stacktrace", None)
    told["dropped"] = (span.dropped_attributes, span.dropped_events, span.dropped_links)
    told["scope"] = span.instrumentation_scope.to_json() if span.instrumentation_scope else None
    told["flags"] = int(span.context.trace_flags) if span.context else None
    return told


@pytest.mark.parametrize("set_up", SET_UPS.values(), ids=SET_UPS)
def test_the_spans_are_those_of_the_sdk(
    set_up: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = spans(set_up())
    monkeypatch.setattr(sdk_span, "quick_starter", lambda tracer: None)
    assert ours == spans(set_up())


def test_most_spans_start_from_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[type] = []

    class Sees(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            kinds.append(type(span))

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Sees())
    handler = OTelCallbackHandler(tracer_provider=provider)
    (RunnableLambda(lambda value: "text") | ScriptedModel()).invoke("q", {"callbacks": [handler]})
    provider.shutdown()
    assert kinds == [sdk_span.RecordedSpan] * 2


@pytest.mark.parametrize("fields", [sdk_span._FIELDS - {"_kind"}, sdk_span._FIELDS | {"_new"}])
def test_an_unknown_sdk_starts_its_own_spans(fields: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    assert sdk_span.quick_starter(tracer) is not None
    monkeypatch.setattr(sdk_span, "_FIELDS", set(fields))
    monkeypatch.setattr(sdk_span, "_LATER_FIELDS", set())
    assert sdk_span.quick_starter(tracer) is None


def test_a_processor_that_is_added_late_hears_of_starts() -> None:
    provider, exporter, writes = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter(), Writes()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    handler = OTelCallbackHandler(tracer_provider=provider)
    for _ in range(2):
        ScriptedModel().invoke("q", {"callbacks": [handler]})
    provider.add_span_processor(writes)
    ScriptedModel().invoke("q", {"callbacks": [handler]})
    provider.shutdown()
    written = ["written.at.start" in (span.attributes or {}) for span in exporter.get_finished_spans()]
    assert written == [False, False, True]
    assert len(writes.seen) == 2
