"""`configure(keep=...)`: which traces are exported, decided at their end, and the same rules for a collector."""

import random
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ends import count
from fakes import ScriptedModel
from langchain_core.runnables import RunnableLambda
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from processes import run_script

from otel_callbacks import Keep, OTelCallbackHandler, attribution, configure, limits
from otel_callbacks.conformance import check_spans
from otel_callbacks.export.keep_processor import KeepProcessor, KeptSpans
from otel_callbacks.testing import capture

MS = 1_000_000
COST, TENANT = "otel_callbacks.rollup.cost_usd", "app.tenant_id"
RULES = Keep(ratio=0, slow_seconds=2, cost_usd=0.5, labels={"tenant": ["acme", "zen"], "user_tier": "gold"})


class Traces:
    """Makes spans with a provider that keeps what the rules keep."""

    def __init__(self, keep: Keep) -> None:
        self.exported: list[ReadableSpan] = []
        self.all: list[ReadableSpan] = []
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.processor = KeepProcessor(keep, [self.exported.append])
        everything = SpanProcessor()
        everything.on_end = self.all.append  # type: ignore[method-assign]
        for processor in (everything, self.processor):
            self.provider.add_span_processor(processor)
        self.start = self.provider.get_tracer("application").start_span

    def below(self, parent: Any) -> Any:
        return set_span_in_context(parent)

    def trace(self, milliseconds: int = 1, status: Status | None = None, **attributes: Any) -> None:
        """A root with two children, the first of which has the status and attributes."""
        root = self.start("root", start_time=MS)
        first = self.start("first", self.below(root), start_time=MS)
        second = self.start("second", self.below(root), start_time=MS)
        first.set_attributes({name.replace("__", "."): value for name, value in attributes.items()})
        if status is not None:
            first.set_status(status)
        for span in (second, first, root):
            span.end(MS + milliseconds * MS)

    def marks(self) -> list[tuple[str, Any, Any]]:
        return [
            (
                span.name,
                span.attributes["otel_callbacks.keep.reason"],
                span.attributes["otel_callbacks.keep.ratio"],
            )
            for span in self.exported
            if span.attributes
        ]


@pytest.fixture
def close() -> Iterator[list[Traces]]:
    made: list[Traces] = []
    yield made
    for traces in made:
        traces.provider.shutdown()


@pytest.fixture
def make(close: list[Traces]) -> Callable[[Keep], Traces]:
    def made(keep: Keep) -> Traces:
        close.append(Traces(keep))
        return close[-1]

    return made


CASES: Mapping[str, tuple[str | None, Mapping[str, Any]]] = {
    "nothing": (None, {}),
    "an error": ("error", {"status": Status(StatusCode.ERROR)}),
    "a good end": (None, {"status": Status(StatusCode.OK)}),
    "as slow": ("slow", {"milliseconds": 2_000}),
    "less slow": (None, {"milliseconds": 1_999}),
    "as expensive": ("cost", {COST.replace(".", "__"): 0.5}),
    "cheaper": (None, {COST.replace(".", "__"): 0.499}),
    "a label": ("label", {"app__tenant_id": "zen"}),
    "another label": ("label", {"app__user_tier": "gold"}),
    "another value": (None, {"app__tenant_id": "gold"}),
}


@pytest.mark.parametrize(("reason", "made"), CASES.values(), ids=CASES)
def test_a_rule_keeps_a_whole_trace_in_its_order(
    reason: str | None, made: Mapping[str, Any], make: Callable[[Keep], Traces]
) -> None:
    traces = make(RULES)
    traces.trace(**made)
    names = ("second", "first", "root")
    assert traces.marks() == ([(name, reason, 1.0) for name in names] if reason else [])
    expected = KeptSpans(held=0, kept=3, left_out=0, decided_early=0)
    assert traces.processor.counts() == (expected if reason else expected._replace(kept=0, left_out=3))


def test_without_a_rule_a_trace_is_kept_as_the_sampler_traceidratio_does(
    make: Callable[[Keep], Traces],
) -> None:
    traces = make(Keep(ratio=0.3))
    sampler = TraceIdRatioBased(0.3)
    chance = random.Random(17)
    sampled = 0
    for _ in range(300):
        trace_id = chance.getrandbits(128)
        caller = SpanContext(trace_id, 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        traces.start("served", set_span_in_context(NonRecordingSpan(caller))).end()
        sampled += sampler.should_sample(None, trace_id, "served").decision.is_sampled()
    assert 60 < sampled < 120
    assert traces.marks() == [("served", "share", 0.3)] * sampled


def test_a_trace_is_decided_when_its_outermost_span_in_this_process_ends(
    make: Callable[[Keep], Traces],
) -> None:
    traces = make(Keep(ratio=0))
    caller = SpanContext(7, 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    here = traces.below(NonRecordingSpan(caller))
    one, other = traces.start("one", here), traces.start("other", here)
    inner, late = traces.start("inner", traces.below(one)), traces.start("late", traces.below(one))
    inner.set_status(Status(StatusCode.ERROR))
    inner.end()
    one.end()
    assert traces.exported == []  # the other one of the same trace is open
    assert traces.processor.counts().held == 2
    other.end()
    assert [span.name for span in traces.exported] == ["inner", "one", "other"]
    late.end()  # follows the decision
    assert traces.marks()[-1] == ("late", "error", 1.0)


def test_what_ends_after_a_trace_that_was_left_out_needs_a_reason_of_its_own(
    make: Callable[[Keep], Traces],
) -> None:
    traces = make(Keep(ratio=0))
    root = traces.start("root")
    good, bad, last = (traces.start(name, traces.below(root)) for name in ("good", "bad", "last"))
    root.end()
    good.end()
    bad.set_status(Status(StatusCode.ERROR))
    bad.end()
    last.end()
    assert [span.name for span in traces.exported] == ["bad", "last"]
    assert traces.processor.counts() == KeptSpans(held=0, kept=2, left_out=2, decided_early=0)


def test_the_span_of_the_application_stays_as_it_was(make: Callable[[Keep], Traces]) -> None:
    traces = make(Keep(ratio=1))
    traces.trace()
    assert not [span for span in traces.all if "otel_callbacks.keep.reason" in (span.attributes or {})]


# --- bounds ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    bounds: list[str] = []
    monkeypatch.setattr(limits, "log_reached", lambda bound, effect: bounds.append(bound))
    return bounds


def test_a_trace_with_many_spans_is_decided_early(
    make: Callable[[Keep], Traces], logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KEEP_TRACE_SPANS", 3)
    traces = make(Keep(ratio=0))
    root = traces.start("root")
    for number in range(5):
        traces.start(f"step {number}", traces.below(root)).end()
    root.set_status(Status(StatusCode.ERROR))
    root.end()
    assert traces.marks() == [("root", "error", 1.0)]  # what was left out before is gone, and counted
    assert traces.processor.counts() == KeptSpans(held=0, kept=1, left_out=5, decided_early=1)
    assert logged == ["KEEP_TRACE_SPANS"]


def test_if_many_spans_are_held_the_trace_held_longest_is_decided_early(
    make: Callable[[Keep], Traces], logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "KEEP_SPANS", 3)
    traces = make(Keep(ratio=1))
    roots = [traces.start(f"root {number}") for number in range(2)]
    for number, root in enumerate(roots):
        for _ in range(2):
            traces.start(f"step {number}", traces.below(root)).end()
    assert [span.name for span in traces.exported] == ["step 0"] * 2
    assert traces.processor.counts() == KeptSpans(held=2, kept=2, left_out=0, decided_early=1)
    for root in roots:
        root.end()
    assert [span.name for span in traces.exported[2:]] == ["root 0", *["step 1"] * 2, "root 1"]
    assert logged == ["KEEP_SPANS"]


def test_a_trace_that_takes_long_is_decided_by_a_thread(
    make: Callable[[Keep], Traces], logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = threading.Event()
    monkeypatch.setattr(limits, "KEEP_SECONDS", 0.001)
    monkeypatch.setattr("otel_callbacks.export.keep_processor._WATCH_SECONDS", 0.001)
    traces = make(Keep(ratio=0, slow_seconds=0.001))
    traces.processor._destinations = [*traces.processor._destinations, lambda span: sent.set()]
    root = traces.start("root")
    traces.start("step", traces.below(root)).end()
    assert sent.wait(60)
    root.end()
    assert traces.marks() == [("step", "slow", 1.0), ("root", "slow", 1.0)]
    assert logged[0] == "KEEP_SECONDS"


def test_nothing_is_left_when_the_process_ends(make: Callable[[Keep], Traces]) -> None:
    traces = make(Keep(ratio=1))
    root = traces.start("root")
    traces.start("step", traces.below(root)).end()
    traces.provider.shutdown()
    root.end()
    assert [span.name for span in traces.exported] == ["step", "root"]


# --- in a process ---------------------------------------------------------------------------------------------------


def test_only_what_is_kept_is_exported_and_everything_is_counted(tmp_path: Path) -> None:
    printed = run_script(
        """
        import os
        from otel_callbacks import Keep, configure, inference, step, workflow
        from otel_callbacks.explore import read_jsonl
        from otel_callbacks.testing import capture

        telemetry = configure(keep=Keep(ratio=0, labels={"feature": "kept"}), local=True)
        from otel_callbacks import attribution, traces
        for feature in ("kept", "left"):
            with attribution(feature=feature), workflow(feature):
                with step("in the parent"):
                    pass
        open_in_parent = workflow("fails")
        open_in_parent.__enter__()
        if os.fork() == 0:  # the child has nothing of what the parent holds
            with step("in the child"):
                pass
            print(telemetry.stats().keep, flush=True)
            os._exit(0)
        os.wait()
        open_in_parent.__exit__(ValueError, ValueError("no"), None)
        telemetry.shutdown()
        stats = telemetry.stats()
        print(stats.keep, stats.exported, stats.ended)
        print(sorted(span.name for span in read_jsonl(telemetry.trace_file)))
        print(len(traces))  # in memory are all
        """,
        tmp_path,
    )
    assert printed.splitlines() == [
        "KeptSpans(held=0, kept=0, left_out=1, decided_early=0)",
        "KeptSpans(held=0, kept=3, left_out=2, decided_early=0) 3 5",
        "['in the parent', 'invoke_workflow fails', 'invoke_workflow kept']",
        "3",
    ]


def test_metrics_and_budgets_count_what_is_left_out_and_the_marks_keep_to_the_conventions() -> None:
    prices = {"prices": {"scripted-1*": {"input": 2, "output": 10}}}
    exported: list[ReadableSpan] = []
    with capture() as telemetry:
        processor = KeepProcessor(Keep(ratio=0, cost_usd=0.0008), [exported.append])
        telemetry.providers["tracer_provider"].add_span_processor(processor)
        handler = OTelCallbackHandler(**telemetry.providers, prices=prices)
        twice = RunnableLambda(lambda q, config: [model.invoke(q, config) for _ in range(2)])
        model = ScriptedModel()
        for called in (model, twice.with_config(run_name="twice")):
            with attribution(tenant="acme"):
                called.invoke("q", {"callbacks": [handler]})
        assert count(telemetry, "gen_ai.cost.usd") == pytest.approx(0.0012)
    processor.shutdown()
    assert [span.name for span in exported] == ["chat scripted-1", "chat scripted-1", "invoke_workflow twice"]
    assert not [finding for finding in check_spans(exported) if finding.level == "violation"]


# --- arguments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"ratio": 1.1}, ValueError, "ratio must be from 0 to 1, not 1.1"),
        ({"ratio": float("nan")}, ValueError, "ratio must be from 0 to 1, not nan"),
        ({"ratio": "10%"}, TypeError, "ratio must be a number, not '10%'"),
        ({"ratio": True}, TypeError, "ratio must be a number, not True"),
        ({"errors": "yes"}, TypeError, "errors must be True or False, not 'yes'"),
        ({"slow_seconds": 601}, ValueError, "slow_seconds must be from 0 to 600, not 601"),
        ({"cost_usd": -1}, ValueError, "cost_usd must be from 0"),
        ({"labels": ["acme"]}, TypeError, "labels must be a mapping"),
        ({"labels": {"tenant": 5}}, TypeError, "labels: tenant must have a value or a list of values, not 5"),
        ({"labels": {"Tenant Name": "acme"}}, ValueError, "the label 'Tenant Name' must be lower-case"),
    ],
)
def test_an_argument_that_is_wrong_is_named(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Keep(**{"ratio": 0.1, **arguments})


def test_keep_must_be_a_keep() -> None:
    with pytest.raises(TypeError, match=r"keep must be a Keep, such as Keep\(ratio=0.1\), not 0.1"):
        configure(keep=0.1)  # type: ignore[arg-type]


# --- the collector --------------------------------------------------------------------------------------------------


def _settings(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


_TEXTS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_POLICIES = {  # the collector's documentation and config.go: names and types of what we use
    "status_code": _settings(
        status_codes={"type": "array", "items": {"enum": ["ERROR", "OK", "UNSET"]}, "minItems": 1}
    ),
    "latency": _settings(threshold_ms={"type": "integer"}),
    "ottl_condition": _settings(error_mode={"enum": ["ignore", "silent", "propagate"]}, span=_TEXTS),
    "string_attribute": _settings(key={"type": "string"}, values=_TEXTS),
    "probabilistic": _settings(sampling_percentage={"type": "number"}),
}
SCHEMA = _settings(
    processors=_settings(
        tail_sampling=_settings(
            decision_wait={"type": "string", "pattern": r"^\d+s$"},
            num_traces={"type": "integer", "minimum": 1},
            decision_cache=_settings(
                sampled_cache_size={"type": "integer"}, non_sampled_cache_size={"type": "integer"}
            ),
            policies={
                "type": "array",
                "items": {
                    "oneOf": [
                        _settings(name={"type": "string"}, type={"const": kind}, **{kind: settings})
                        for kind, settings in _POLICIES.items()
                    ]
                },
            },
        )
    )
)


def test_the_configuration_of_a_collector() -> None:
    keep = Keep(ratio=0.07, slow_seconds=2.5, cost_usd=0.0000005, labels={"tenant": ["zen", 'a"b: c']})
    found = yaml.safe_load(keep.collector_yaml())
    jsonschema.validate(found, SCHEMA)
    assert found["processors"]["tail_sampling"] == {
        "decision_wait": "33s",  # a slow trace has to have come by then
        "num_traces": 10_000,
        "decision_cache": {"sampled_cache_size": 100_000, "non_sampled_cache_size": 100_000},
        "policies": [
            {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
            {"name": "slow", "type": "latency", "latency": {"threshold_ms": 2500}},
            {
                "name": "cost",
                "type": "ottl_condition",
                "ottl_condition": {"error_mode": "ignore", "span": [f'attributes["{COST}"] >= 0.0000005']},
            },
            {
                "name": TENANT,
                "type": "string_attribute",
                "string_attribute": {"key": TENANT, "values": ['a"b: c', "zen"]},
            },
            {"name": "share", "type": "probabilistic", "probabilistic": {"sampling_percentage": 7.0}},
        ],
    }
    least = yaml.safe_load(Keep(ratio=0, errors=False).collector_yaml())
    jsonschema.validate(least, SCHEMA)
    assert [each["name"] for each in least["processors"]["tail_sampling"]["policies"]] == ["share"]


def sampled(policy: Mapping[str, Any], spans: list[ReadableSpan]) -> bool:
    """What a policy decides about the spans of a trace, as the collector documents it."""
    settings = policy[policy["type"]]
    match policy["type"]:
        case "status_code":
            return any(span.status.status_code.name in settings["status_codes"] for span in spans)
        case "latency":
            first = min(span.start_time or 0 for span in spans)
            last = max(span.end_time or 0 for span in spans)
            return (last - first) // MS >= settings["threshold_ms"]
        case "ottl_condition":
            name, _, least = settings["span"][0].removeprefix('attributes["').partition('"] >= ')
            return any((span.attributes or {}).get(name, -1) >= float(least) for span in spans)
        case "string_attribute":
            return any((span.attributes or {}).get(settings["key"]) in settings["values"] for span in spans)
        case "probabilistic":
            return bool(settings["sampling_percentage"])
    raise AssertionError(policy)


@pytest.mark.parametrize("made", [each for _, each in CASES.values()], ids=CASES)
def test_a_collector_keeps_what_we_keep(made: Mapping[str, Any], make: Callable[[Keep], Traces]) -> None:
    traces = make(RULES)
    traces.trace(**made)
    policies = yaml.safe_load(RULES.collector_yaml())["processors"]["tail_sampling"]["policies"]
    assert any(sampled(policy, traces.all) for policy in policies) == bool(traces.exported)
