"""Any provider that the API allows: nothing is assumed of it, and it is known by its identity."""

import gc
import itertools
import weakref
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import ScriptedModel
from langchain_core.runnables import RunnableLambda
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import SpanContext, TraceFlags

from otel_callbacks.langchain import OTelCallbackHandler
from otel_callbacks.runs.open_runs import open_runs_of
from otel_callbacks.runtime.by_identity import ByIdentity
from otel_callbacks.runtime.faults import faults

ids = itertools.count(1)


class PlainSpan(trace.Span):
    """A span with what the API asks for, and nothing else: no `attributes`, no `name`."""

    def __init__(self, name: str, parent: SpanContext, attributes: Any) -> None:
        self._said: Any = {"name": name, "parent": parent.span_id, **dict(attributes or {})}
        trace_id = parent.trace_id or next(ids)
        self._context = SpanContext(trace_id, next(ids), False, TraceFlags(1))

    def end(self, end_time: int | None = None) -> None:
        self._said["ended"] = True

    def get_span_context(self) -> SpanContext:
        return self._context

    def set_attributes(self, attributes: Any) -> None:
        self._said.update(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self._said[key] = value

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None: ...
    def update_name(self, name: str) -> None: ...
    def is_recording(self) -> bool:
        return "ended" not in self._said

    def set_status(self, status: Any, description: str | None = None) -> None: ...
    def record_exception(self, *_: Any, **__: Any) -> None: ...


class PlainTracer(trace.Tracer):
    def __init__(self, spans: list[Any]) -> None:
        self._spans = spans

    def start_span(self, name: str, context: Any = None, *more: Any, **named: Any) -> trace.Span:
        parent = trace.get_current_span(context).get_span_context()
        span = PlainSpan(name, parent, more[1] if len(more) > 1 else named.get("attributes"))
        self._spans.append(span._said)
        return span

    def start_as_current_span(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


class Plain(trace.TracerProvider):
    """The least that the API asks for."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def get_tracer(self, *scope: Any, **_: Any) -> trace.Tracer:
        return PlainTracer(self.spans)


@dataclass
class Unhashable(Plain):
    """As Logfire's: a dataclass has an equality of its own and therefore no hash."""

    spans: list[Any] = field(default_factory=list)


class Equal(Plain):
    """Equal to all others."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class Empty(Plain):
    """Is false, as an empty container is."""

    def __len__(self) -> int:
        return 0


class OlderApi(Plain):
    """Takes the name and the version alone."""

    def get_tracer(self, name: str, version: str | None = None) -> trace.Tracer:  # type: ignore[override]
        return PlainTracer(self.spans)


class AnswersAnything(Plain):
    """Has something under every name."""

    def __getattr__(self, name: str) -> Any:
        return 7


@trace.TracerProvider.register
class Slotted:
    """Takes no weak reference."""

    __slots__ = ("spans",)

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def get_tracer(self, *scope: Any, **_: Any) -> trace.Tracer:
        return PlainTracer(self.spans)


def answer(handler: OTelCallbackHandler) -> None:
    model = ScriptedModel()
    chain = RunnableLambda(lambda question: model.invoke(question)).with_config(run_name="answer")
    chain.invoke("q", {"callbacks": [handler]})


@pytest.mark.parametrize("kind", [Plain, Unhashable, Equal, Empty, OlderApi, AnswersAnything, Slotted])
def test_a_call_is_one_tree_in_any_tracer_provider(kind: Any) -> None:
    providers = [kind(), kind()]
    for provider in providers:
        answer(OTelCallbackHandler(tracer_provider=provider))
        answer(OTelCallbackHandler(tracer_provider=provider))
    for provider in providers:
        seen = [(span["name"], span["parent"] > 0, span.get("ended")) for span in provider.spans]
        tree = [("invoke_workflow answer", False, True), ("chat scripted-1", True, True)]
        assert seen == [*tree, *tree]
        assert provider.spans[1]["gen_ai.usage.input_tokens"] > 0
        assert provider.spans[0]["otel_callbacks.rollup.input_tokens"] > 0
    assert open_runs_of(providers[0]) is not open_runs_of(providers[1])


def test_a_provider_that_fails_costs_the_spans_and_not_the_application(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Plain):
        def get_tracer(self, *scope: Any, **_: Any) -> trace.Tracer:
            raise RuntimeError("not today")

    faults.strict = False
    answer(OTelCallbackHandler(tracer_provider=Broken()))
    assert "failed in get_tracer of the provider with RuntimeError" in caplog.text


# --- metrics and events --------------------------------------------------------------------------------------------


@dataclass
class UnhashableMeters(metrics.MeterProvider):
    """Hands everything to another provider, with the signature of an older API."""

    inner: MeterProvider

    def get_meter(self, name: str, version: str | None = None) -> Any:  # type: ignore[override]
        return OlderMeter(self.inner.get_meter(name))


class OlderMeter:
    """A meter that knows no advice about buckets."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def create_histogram(self, name: str, unit: str = "", description: str = "") -> Any:
        return AnswersAnythingHistogram(self._inner.create_histogram(name, unit, description))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class AnswersAnythingHistogram:
    """A histogram that has something under every name, those of the SDK's internals included."""

    def __init__(self, inner: Any) -> None:
        self.record = inner.record

    def __getattr__(self, name: str) -> Any:
        return self


@dataclass
class UnhashableLoggers(_logs.LoggerProvider):
    """Keeps events, with the signature of an older API."""

    events: list[Any] = field(default_factory=list)

    def get_logger(self, name: str) -> Any:  # type: ignore[override]
        return self

    def emit(self, record: Any) -> None:
        self.events.append(record.event_name)


def test_metrics_and_events_go_to_any_provider() -> None:
    reader = InMemoryMetricReader()
    meters, loggers = UnhashableMeters(MeterProvider(metric_readers=[reader])), UnhashableLoggers()
    for _ in range(2):  # the instruments are made once
        answer(
            OTelCallbackHandler(
                tracer_provider=Plain(), meter_provider=meters, logger_provider=loggers, content="events"
            )
        )
    data: Any = reader.get_metrics_data()
    found = {each.name: each for each in data.resource_metrics[0].scope_metrics[0].metrics}
    assert [point.count for point in found["gen_ai.client.inference.duration"].data.data_points] == [2]
    assert [point.value for point in found["otel_callbacks.spans.started"].data.data_points] == [4]
    assert loggers.events == ["gen_ai.client.inference.operation.details"] * 2


def test_the_sdks_own_logger_provider_still_gets_name_version_and_schema() -> None:
    seen: list[Any] = []

    class Notes(LoggerProvider):
        def get_logger(self, *scope: Any, **named: Any) -> Any:
            seen.append(scope)
            return super().get_logger(*scope, **named)

    OTelCallbackHandler(logger_provider=Notes(shutdown_on_exit=False))
    assert [(len(scope), scope[0]) for scope in seen] == [(3, "otel_callbacks")]


# --- the table -----------------------------------------------------------------------------------------------------


class Owner:
    pass


def test_a_value_lives_as_long_as_its_owner() -> None:
    table = ByIdentity[Owner, list[int]](lambda owner: [1], most=1)
    owner = Owner()
    value = table.of(owner)
    assert table.of(owner) is value
    assert list(table.values()) == [[1]]
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    assert list(table.values()) == []


def test_owners_that_take_no_weak_reference_are_kept_up_to_a_bound() -> None:
    table = ByIdentity[Slotted, list[int]](lambda owner: [], most=2)
    owners = [Slotted() for _ in range(3)]
    values = [table.of(owner) for owner in owners]
    assert table.of(owners[2]) is values[2]
    assert table.of(owners[1]) is values[1]
    assert table.of(owners[0]) is not values[0]
