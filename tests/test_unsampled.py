"""Runs whose spans are not sampled: they count, and are as little work as can be."""

from collections.abc import Sequence
from typing import Any

import pytest
from fakes import ScriptedModel, UserSpans, call
from langchain.agents import create_agent
from langchain_core.tools import tool
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_ON,
    AlwaysRecordSampler,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext

from otel_callbacks import semconv
from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.testing import Captured, capture


class Witness(Sampler):
    """Drops what is called one of `names`, whatever is above it; remembers what it was asked."""

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


class Recording(SpanProcessor):
    """Notes the names of the spans that are recorded, sampled or not."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.names.append(span.name)


ROOT = "invoke_agent librarian"


def ask(telemetry: Captured, seen: list[Any] | None = None) -> None:
    """An agent calls its tool, which opens a span of the user's and tells the headers it would send."""

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
    """How often and how much by attributes, durations only how often.

    Left out is what is read in prompts, which are looked at only for the sake of a span.
    """
    return {
        name: sorted(
            (sorted(point.attributes.items()), point.count, None if "duration" in name else point.sum)
            if hasattr(point, "count")
            else (sorted(point.attributes.items()), point.value)
            for point in points
        )
        for name, points in telemetry.metrics().items()
        if not name.startswith("otel.sdk") and name != semconv.METRIC_TOOL_TOKENS
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


def others() -> Sequence[Sampler]:
    return (
        Witness(ROOT),
        ParentBased(Witness(ROOT), local_parent_not_sampled=ALWAYS_ON),
        AlwaysRecordSampler(ParentBased(Witness(ROOT))),
    )


@pytest.mark.parametrize("sampler", others(), ids=lambda sampler: type(sampler).__name__)
def test_any_other_sampler_is_asked_for_every_span(sampler: Sampler) -> None:
    with capture(sampler) as captured:
        recording = Recording()
        captured.tracer_provider.add_span_processor(recording)
        ask(captured)
    assert [name for name in recording.names if name != ROOT] == [
        *("model", "chat scripted-1", "tools", "execute_tool look_up", "mine", "model", "chat scripted-1"),
    ]


def test_a_remote_parent_is_the_samplers_business() -> None:
    remote = NonRecordingSpan(SpanContext(7, 8, is_remote=True))
    with capture(ParentBased(ALWAYS_OFF, remote_parent_not_sampled=ALWAYS_ON)) as captured:
        with trace.use_span(remote):
            ScriptedModel().invoke("q", {"callbacks": [OTelCallbackHandler(**captured.providers)]})
        assert captured.tree() == "chat scripted-1"
