"""Carriers of every kind: what goes in comes out, and nothing else in them changes."""

import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import baggage, propagate, trace
from opentelemetry import context as context_api
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from whereabouts import here

from otel_callbacks import attribution
from otel_callbacks.propagation import carry, environment, extract, inject
from otel_callbacks.runtime.faults import faults
from otel_callbacks.testing import Captured


@pytest.fixture
def propagators() -> Iterator[Any]:
    """Sets global propagators, and sets those before again."""
    before = propagate.get_global_textmap()
    yield propagate.set_global_textmap
    propagate.set_global_textmap(before)


@pytest.fixture
def experiment() -> Iterator[None]:
    """The application's own baggage."""
    token = context_api.attach(baggage.set_baggage("experiment", "B"))
    yield
    context_api.detach(token)


def traceparent(span: trace.Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def test_other_entries_of_a_carrier_stay(captured: Captured, experiment: None) -> None:
    carrier = {"authorization": "x", "traceparent": "old", "baggage": "colour=red,experiment=A"}
    with captured.tracer_provider.get_tracer("application").start_as_current_span("send") as span:
        assert inject(carrier) is carrier
    assert carrier == {
        "authorization": "x",
        "traceparent": traceparent(span),
        "baggage": "experiment=B,colour=red",
    }


def test_labels_go_along_only_if_named_and_merge_with_the_applications_baggage(experiment: None) -> None:
    with attribution(tenant="acme", user="u-7", region="eu"):
        assert inject({}) == {"baggage": "experiment=B"}
        assert inject({}, labels=["tenant", "region"]) == {"baggage": "experiment=B,tenant=acme,region=eu"}


def test_a_carrier_that_is_used_again_keeps_no_label_of_another_call() -> None:
    carrier: dict[str, str] = {"baggage": "colour=red"}
    with attribution(tenant="acme"):
        inject(carrier, labels=["tenant"])
    assert carrier == {"baggage": "colour=red,tenant=acme"}
    assert inject(carrier, labels=["tenant"]) == {"baggage": "colour=red"}


@pytest.mark.parametrize(
    ("carrier", "labels", "message"),
    [
        (None, (), "carrier must be a mapping that can be changed, not NoneType"),
        ([], (), "carrier must be a mapping that can be changed, not list"),
        (os.environ, (), r"carrier must not be os.environ, which all threads share; use environment\(\)"),
        ({}, "tenant", "labels must be a list, not the text 'tenant'"),
    ],
)
def test_what_cannot_be_written_to_is_refused(carrier: Any, labels: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        inject(carrier, labels=labels)


def test_a_label_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ValueError, match="the label 'Cost Centre' must be lower-case letters"):
        inject({}, labels=["Cost Centre"])
    with pytest.raises(ValueError, match="the label 'Cost Centre' must be lower-case letters"):
        extract({}, labels=["Cost Centre"])
    with pytest.raises(TypeError, match="labels must be a list, not the text 'tenant'"):
        extract({}, labels="tenant")


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda carrier: carrier, id="as written"),
        pytest.param(lambda carrier: {key.title(): value for key, value in carrier.items()}, id="HTTP/1"),
        pytest.param(lambda carrier: {k.encode(): v.encode() for k, v in carrier.items()}, id="Redis, ASGI"),
        pytest.param(
            lambda carrier: {key.upper(): value for key, value in carrier.items()}, id="environment"
        ),
        pytest.param(lambda carrier: carrier | {"n": 1, 2: [], "": b"\xff"}, id="among other things"),
    ],
)
def test_a_carrier_is_read_whatever_its_spelling(captured: Captured, spell: Any) -> None:
    tracer = captured.tracer_provider.get_tracer("application")
    with attribution(tenant="acme"), tracer.start_as_current_span("send"):
        carrier = spell(inject({}, labels=["tenant"]))
    with extract(carrier, labels=["tenant"]), tracer.start_as_current_span("receive"):
        pass
    assert captured.tree() == "send\n  receive"
    assert captured.span("receive").attributes == {"app.tenant_id": "acme"}


@pytest.mark.parametrize("carrier", [None, {}, "00-1-2-01", 7, ["traceparent"], {"traceparent": "nonsense"}])
def test_what_brings_no_trace_changes_nothing(captured: Captured, carrier: Any) -> None:
    with captured.tracer_provider.get_tracer("application").start_as_current_span("here") as span:
        with extract(carrier):
            assert trace.get_current_span() is span
        assert trace.get_current_span() is span


def test_the_applications_propagators_do_the_writing(captured: Captured, propagators: Any) -> None:
    class Single(TraceContextTextMapPropagator):
        _TRACEPARENT_HEADER_NAME = "X-Our-Trace"

    propagators(Single())
    tracer = captured.tracer_provider.get_tracer("application")
    with tracer.start_as_current_span("send") as span:
        carrier = inject({})
    assert carrier == {"X-Our-Trace": traceparent(span)}
    for each in (carrier, {"X_OUR_TRACE": carrier["X-Our-Trace"]}):
        with extract(each), tracer.start_as_current_span("receive"):
            pass
    assert captured.tree() == "send\n  receive\n  receive"


def test_labels_that_no_propagator_carries_are_told(
    propagators: Any, caplog: pytest.LogCaptureFixture
) -> None:
    propagators(CompositePropagator([TraceContextTextMapPropagator()]))
    with attribution(tenant="acme"), caplog.at_level(logging.WARNING, "otel_callbacks"):
        assert inject({}, labels=["tenant"]) == inject({}, labels=["tenant"]) == {}
    assert [record.message for record in caplog.records] == [
        "labels do not travel: none of the propagators that are set carries baggage; add it to OTEL_PROPAGATORS"
    ]


def test_a_propagator_that_fails_does_not_reach_the_application(
    propagators: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(TraceContextTextMapPropagator):
        def inject(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError("broken")

        def extract(self, *args: Any, **kwargs: Any) -> Any:
            raise RuntimeError("broken")

    propagators(Broken())
    monkeypatch.setattr(faults, "strict", False)
    assert inject({"a": "b"}) == {"a": "b"}
    with extract({}, link=True):
        assert carry(here)()[0] == pickle.loads(pickle.dumps(carry(here)))()[0] == ""


def test_a_subprocess_reads_its_environment(captured: Captured, experiment: None) -> None:
    script = """
from os import environ
from opentelemetry import baggage, trace
from otel_callbacks.propagation import extract
with extract(environ):
    here = trace.get_current_span().get_span_context()
    print(f"{here.trace_id:032x}-{here.span_id:016x}", dict(baggage.get_all()), "PATH" in environ)
"""
    with captured.tracer_provider.get_tracer("application").start_as_current_span("start") as span:
        ran = subprocess.run(
            [sys.executable, "-c", script], env=environment(), capture_output=True, text=True
        )
    assert ran.stdout.strip() == f"{traceparent(span)[3:-3]} {{'experiment': 'B'}} True", ran.stderr
    assert "TRACEPARENT" not in os.environ
