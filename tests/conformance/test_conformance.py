"""The conformance check: every rule, OTLP decoding, the command, and the registry's own consistency."""

import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from otlp_json import otlp_attributes

from otel_callbacks import conformance, semconv
from otel_callbacks.conformance import (
    TraceFileError,
    assert_conformant,
    check_file,
    check_spans,
    otlp,
    schema,
)
from otel_callbacks.conformance.command import check
from otel_callbacks.conformance.registry import load, profile_names

OP, MODEL, PROVIDER = "gen_ai.operation.name", "gen_ai.request.model", "gen_ai.provider.name"
INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
CACHE_READ, MESSAGES = "gen_ai.usage.cache_read.input_tokens", "gen_ai.input.messages"
EXCEPTION = {"exception.type": "ValueError", "exception.message": "no"}
TRACE = "0af7651916cd43dd8448eb211c80319c"
INTERNAL, SERVER, CLIENT = 1, 2, 3

CHAT = {
    OP: "chat",
    PROVIDER: "openai",
    MODEL: "gpt-4o",
    "server.address": "api.openai.com",
    "server.port": 443,
    "gen_ai.response.id": "r1",
    "gen_ai.response.model": "gpt-4o-2024",
    "gen_ai.response.finish_reasons": ["stop"],
    INPUT: 10,
    OUTPUT: 5,
}
AGENT = {OP: "invoke_agent", "gen_ai.agent.name": "helper", INPUT: 10, OUTPUT: 5}
AGENT["gen_ai.response.finish_reasons"] = ["stop"]
RERANK = {OP: "rerank", "rag.rerank_model": "bge", "rag.candidate_count": 5, "rag.reranked_count": 2}
RETRIEVAL = {OP: "retrieval", "gen_ai.retrieval.top_k": 2, "server.address": "db", "server.port": 1}
CHAT_SPAN, AGENT_SPAN = ("chat gpt-4o", CLIENT, CHAT), ("invoke_agent helper", INTERNAL, AGENT)


def span(name: str, kind: Any, attributes: dict[str, Any], **other: Any) -> dict[str, Any]:
    times = {"startTimeUnixNano": "100", "endTimeUnixNano": "200"}
    return {
        "name": name,
        "kind": kind,
        "traceId": TRACE,
        "spanId": "a" * 16,
        "attributes": attributes,
        **times,
        **other,
    }


def changed(base: tuple[str, int, dict[str, Any]], *without: str, **other: Any) -> dict[str, Any]:
    """Returns the span `base` without some attributes and with others (`also`)."""
    name, kind, attributes = base
    kept = {key: value for key, value in attributes.items() if key not in without}
    return span(other.pop("name", name), other.pop("kind", kind), kept | other.pop("also", {}), **other)


def rules(*spans: dict[str, Any], level: str | None = None, **options: Any) -> set[str]:
    return {f.rule for f in check_spans(spans, **options) if level in (None, f.level)}


GOOD = {
    "chat": span(*CHAT_SPAN),
    "chat, no model": changed(CHAT_SPAN, MODEL, name="chat"),
    "kind by name": changed(CHAT_SPAN, kind="SPAN_KIND_CLIENT", status={"code": "STATUS_CODE_UNSET"}),
    "failed": changed(CHAT_SPAN, also={"error.type": "timeout"}, status={"code": 2}),
    "workflow": span("invoke_workflow", INTERNAL, {OP: "invoke_workflow"}),
    "agent": span(*AGENT_SPAN),
    "remote agent": changed(
        AGENT_SPAN, kind=CLIENT, also={PROVIDER: "openai", "server.address": "x", "server.port": 1}
    ),
    "tool": span("execute_tool add", INTERNAL, {OP: "execute_tool", "gen_ai.tool.name": "add"}),
    "mcp tool": span(
        "tools/call add",
        CLIENT,
        {OP: "execute_tool", "gen_ai.tool.name": "add", "mcp.method.name": "tools/call"},
    ),
    "retrieval": span("retrieval", CLIENT, RETRIEVAL),
    "rerank": span("rerank bge", INTERNAL, RERANK),
    "step": span("node", INTERNAL, {"langgraph.node": "n", "app.tenant_id": "acme"}, scope="otel_callbacks"),
    "content": changed(
        CHAT_SPAN, also={MESSAGES: '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]'}
    ),
    "structured content": changed(CHAT_SPAN, also={MESSAGES: ({"role": "user", "parts": ()},)}),
    "our cost": changed(
        CHAT_SPAN,
        also={"gen_ai.usage.cost_usd": 0.1, "gen_ai.usage.cost": 0.1, "otel_callbacks.cost.status": "priced"},
    ),
    "prompt variable": changed(CHAT_SPAN, also={"gen_ai.prompt.variable.city": "Paris"}),
}


@pytest.mark.parametrize("good", GOOD.values(), ids=GOOD)
def test_a_conformant_span_has_no_finding(good):
    assert check_spans([good]) == []


BAD = [
    ("genai_span_kind_unexpected", "violation", changed(CHAT_SPAN, kind=SERVER)),
    ("genai_span_kind_unexpected", "advice", changed(CHAT_SPAN, kind=INTERNAL)),
    ("genai_operation_name_unknown", "violation", span("dream", INTERNAL, {OP: "dream"})),
    ("genai_span_name_format", "violation", changed(CHAT_SPAN, name="ChatOpenAI")),
    ("genai_span_name_format", "violation", changed(CHAT_SPAN, MODEL)),
    ("genai_expected_attribute_missing", "violation", changed(CHAT_SPAN, PROVIDER)),
    ("genai_expected_attribute_missing", "advice", changed(CHAT_SPAN, "gen_ai.response.id")),
    ("genai_expected_attribute_missing", "advice", changed(CHAT_SPAN, "server.port")),
    (
        "genai_expected_attribute_missing",
        "violation",
        span("x", INTERNAL, {"gen_ai.tool.name": "x"}, scope="otel_callbacks"),
    ),
    ("attribute_unknown", "violation", changed(CHAT_SPAN, also={"gen_ai.request.modle": "x"})),
    ("attribute_unknown", "violation", changed(CHAT_SPAN, also={"rag.nonsense": 1})),
    ("attribute_unknown", "advice", changed(CHAT_SPAN, also={"customer.id": "x"})),
    ("attribute_type", "violation", changed(CHAT_SPAN, also={INPUT: "10"})),
    ("attribute_type", "violation", changed(CHAT_SPAN, also={"gen_ai.request.temperature": 0})),
    ("attribute_type", "violation", changed(CHAT_SPAN, also={"gen_ai.request.max_tokens": True})),
    ("attribute_type", "violation", changed(CHAT_SPAN, also={"gen_ai.response.finish_reasons": "stop"})),
    ("attribute_enum", "advice", changed(CHAT_SPAN, also={PROVIDER: "my-proxy"})),
    ("attribute_deprecated", "violation", changed(CHAT_SPAN, also={PROVIDER: "xai"})),
    ("attribute_deprecated", "violation", changed(CHAT_SPAN, also={"gen_ai.system": "openai"})),
    ("attribute_forbidden", "violation", changed(AGENT_SPAN, also={PROVIDER: "openai"})),
    ("attribute_forbidden", "violation", changed(AGENT_SPAN, also={"server.address": "x"})),
    ("attribute_not_declared", "advice", changed(CHAT_SPAN, also={"gen_ai.tool.name": "add"})),
    ("genai_content_schema", "violation", changed(CHAT_SPAN, also={MESSAGES: "[{"})),
    ("genai_content_schema", "violation", changed(CHAT_SPAN, also={MESSAGES: '[{"role": "user"}]'})),
    ("genai_content_schema", "violation", changed(CHAT_SPAN, also={MESSAGES: [{"parts": []}]})),
    ("span_status_ok_set_by_instrumentation", "violation", changed(CHAT_SPAN, status={"code": 1})),
    ("error_type_missing_on_error", "violation", changed(CHAT_SPAN, status={"code": 2})),
    ("error_type_without_error_status", "violation", changed(CHAT_SPAN, also={"error.type": "x"})),
    (
        "cost_attribute_conflict",
        "violation",
        changed(CHAT_SPAN, also=dict.fromkeys(("gen_ai.usage.cost", "gen_ai.usage.cost.amount"), 0.1)),
    ),
    (
        "cost_status_inconsistent",
        "violation",
        changed(CHAT_SPAN, also={"otel_callbacks.cost.status": "priced"}),
    ),
    (
        "cost_status_inconsistent",
        "violation",
        changed(CHAT_SPAN, also={"otel_callbacks.cost.status": "unpriced"}),
    ),
    ("usage_inconsistent", "violation", changed(CHAT_SPAN, also={CACHE_READ: 11})),
    ("usage_inconsistent", "violation", changed(CHAT_SPAN, also={"gen_ai.usage.reasoning.output_tokens": 6})),
    ("usage_inconsistent", "violation", changed(CHAT_SPAN, also={INPUT: -1})),
    ("usage_on_wrong_span", "violation", changed(AGENT_SPAN, also={CACHE_READ: 1})),
    ("usage_on_wrong_span", "violation", span("retrieval", CLIENT, RETRIEVAL | {INPUT: 1})),
    ("usage_on_wrong_span", "violation", span("step", INTERNAL, {INPUT: 1}, scope="otel_callbacks")),
    ("step_kind", "violation", span("step", CLIENT, {}, scope="otel_callbacks")),
    ("span_time", "violation", changed(CHAT_SPAN, endTimeUnixNano="99")),
    ("span_time", "violation", changed(CHAT_SPAN, endTimeUnixNano=None)),
    ("id_format", "violation", changed(CHAT_SPAN, traceId="CvdlGRbNQ91ESOshHIAxnA==")),
    ("id_format", "violation", changed(CHAT_SPAN, spanId="0" * 16)),
    ("id_format", "violation", changed(CHAT_SPAN, parentSpanId="qqqqqqqqqqo=")),
    ("parent_missing", "advice", changed(CHAT_SPAN, parentSpanId="b" * 16)),
    ("event_deprecated", "violation", changed(CHAT_SPAN, events=[{"name": "gen_ai.user.message"}])),
    ("event_attributes", "violation", changed(CHAT_SPAN, events=[{"name": "exception"}])),
    (
        "attribute_unknown",
        "violation",
        changed(
            CHAT_SPAN,
            events=[{"name": "exception", "attributes": {"exception.type": "E", "gen_ai.wrong": 1}}],
        ),
    ),
    (
        "exception_recorded_twice",
        "violation",
        changed(CHAT_SPAN, events=[{"name": "exception", "attributes": EXCEPTION}] * 2),
    ),
]


@pytest.mark.parametrize(
    ("rule", "level", "bad"), BAD, ids=[f"{rule}-{i}" for i, (rule, *_) in enumerate(BAD)]
)
def test_a_violation_is_found_under_its_rule(rule, level, bad):
    assert rule in rules(bad, level=level)


def test_a_span_of_another_library_is_skipped():
    assert check_spans([span("GET", CLIENT, {"gen_ai.nonsense": 1}, scope="httpx")]) == []


@pytest.mark.parametrize("operation", sorted(load().operations - {"fetch_response"}))
def test_every_operation_can_be_conformant(operation):
    """The registry does not contradict itself: a span can meet the kind, name and attributes of its type."""
    type_ = next(t for t in load().spans.values() if operation in t.operations)
    values = {"int": 1, "string[]": ["x"], "string": "x"}
    attributes = {name: values[load().attributes[name].type] for name in type_.required + type_.expected}
    attributes |= {OP: operation, **({"server.port": 1} if "server.address" in attributes else {})}
    name = " ".join(attributes[key] for key in type_.name_from if key in attributes)
    assert rules(span(name, f"SPAN_KIND_{type_.kinds[0].upper()}", attributes)) <= {"attribute_enum"}


def child(
    of: dict[str, Any], base: tuple[str, int, dict[str, Any]], id_: str, **other: Any
) -> dict[str, Any]:
    return changed(base, spanId=id_ * 16, parentSpanId=of["spanId"], **other)


def test_an_exception_recorded_again_on_an_ancestor():
    events = [{"name": "exception", "attributes": EXCEPTION}]
    top = changed(AGENT_SPAN, events=events)
    middle = child(top, CHAT_SPAN, "b")
    assert rules(top, middle, child(middle, CHAT_SPAN, "c", events=events)) >= {"exception_recorded_twice"}


def test_the_same_failure_of_two_siblings_is_two_exceptions():
    events, top = [{"name": "exception", "attributes": EXCEPTION}], span(*AGENT_SPAN)
    assert rules(top, *(child(top, CHAT_SPAN, id_, events=events) for id_ in "bc")) == set()


def test_an_agent_may_repeat_the_usage_of_its_calls_but_a_call_may_not():
    agent = span(*AGENT_SPAN)
    call = child(agent, CHAT_SPAN, "b")
    assert rules(agent, call) == set()
    assert rules(agent, call, child(call, CHAT_SPAN, "c")) == {"usage_counted_twice"}
    assert (
        rules(agent, call, child(call, CHAT_SPAN, "c", also={INPUT: 3})) == set()
    )  # its own, of another call


def test_a_circle_of_parents_ends():
    ring = [
        changed(CHAT_SPAN, INPUT, OUTPUT, spanId=a * 16, parentSpanId=b * 16) for a, b in ("ab", "bc", "ca")
    ]
    assert rules(*ring, level="violation") == set()
    assert rules(changed(CHAT_SPAN, spanId="d" * 16, parentSpanId="d" * 16), level="violation") == set()


def test_two_spans_with_one_id():
    assert rules(span(*CHAT_SPAN), span(*CHAT_SPAN)) >= {"span_id_duplicate"}


@pytest.mark.parametrize(
    ("profile", "name", "value"),
    [
        ("released_genai", "gen_ai.usage.cache_creation.input_tokens", 1),
        ("released_genai", "gen_ai.usage.cost", 0.1),
        ("cost_draft", "gen_ai.usage.cost.amount", 0.1),
        ("openinference", "llm.model_name", "x"),
        ("mlflow", "mlflow.spanType", "LLM"),
    ],
)
def test_a_spelling_is_allowed_under_its_profile_only(profile, name, value):
    spelled = changed(CHAT_SPAN, also={name: value})
    assert rules(spelled, profiles=[profile]) == set()
    assert rules(spelled, profiles=()) & {"attribute_deprecated", "attribute_unknown"}


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="unknown profile nope; known: released_genai"):
        check_spans([], profiles=["nope"])


@pytest.mark.parametrize("source", [5, {"kind": 3}, {"name": 3}, {"name": "x", "kind": 17}])
def test_a_value_that_is_not_a_span_is_refused(source):
    with pytest.raises(TypeError, match="neither a finished span nor"):
        check_spans([source])


# Finished SDK spans and assert_conformant


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("otel_callbacks")


def test_finished_sdk_spans_are_checked(tracer, exporter):
    with tracer.start_as_current_span("invoke_agent helper", attributes=AGENT):
        tracer.start_span("chat gpt-4o", kind=SpanKind.CLIENT, attributes=CHAT).end()
    assert_conformant(exporter.get_finished_spans())
    assert check_spans(exporter.get_finished_spans()) == []


def test_assert_conformant_lists_the_violations(tracer, exporter):
    broken = tracer.start_span("chat gpt-4o", kind=SpanKind.CLIENT, attributes=CHAT)
    broken.set_status(StatusCode.OK)
    broken.end()
    with pytest.raises(
        AssertionError, match=r"violations: 1, by semantic-conventions-genai.*\n.*status is OK"
    ):
        assert_conformant(exporter.get_finished_spans())
    assert_conformant(exporter.get_finished_spans(), allow=["span_status_ok_set_by_instrumentation"])


def test_assert_conformant_of_nothing_fails():
    with pytest.raises(AssertionError, match="none of the 1 spans is a GenAI span"):
        assert_conformant([span("GET", CLIENT, {}, scope="httpx")])


# Files: OTLP decoding, metrics, events


def spans_line(*spans: dict[str, Any], scope: str = "otel_callbacks") -> str:
    encoded = [s | {"attributes": otlp_attributes(s["attributes"])} for s in spans]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"scope": {"name": scope}, "spans": encoded}]}]})


def metrics_line(name: str, unit: str, data: dict[str, Any]) -> str:
    metric = {"name": name, "unit": unit, **data}
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]})


def log_line(name: str, attributes: dict[str, Any], **record: Any) -> str:
    record = {"eventName": name, "attributes": otlp_attributes(attributes), "severityNumber": 5, **record}
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})


def rules_of(path: Path, *lines: str, **options: Any) -> set[str]:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return {finding.rule for finding in check_file(path, **options)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trace.jsonl"


def test_a_good_file_has_no_finding(path):
    content = [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    good = changed(CHAT_SPAN, also={MESSAGES: content, "gen_ai.request.temperature": 0.0})
    assert rules_of(path, spans_line(good)) == set()


SCALARS = st.text() | st.booleans() | st.integers() | st.floats(allow_nan=False)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=5)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_otlp_attributes_decode_to_what_they_were(values):
    encoded = json.loads(json.dumps(otlp_attributes(values)))
    assert otlp.span({"name": "x", "attributes": encoded}).attributes == values


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"doubleValue": 0}, 0.0),
        ({"doubleValue": "Infinity"}, float("inf")),
        ({"bytesValue": "aGk="}, b"hi"),
        ({}, None),
    ],
)
def test_the_special_cases_of_protobuf_json(value, plain):
    decoded = otlp.span({"name": "x", "attributes": [{"key": "k", "value": value}]}).attributes["k"]
    assert (decoded, type(decoded)) == (plain, type(plain))


def test_a_last_line_that_is_cut_off_is_reported(path):
    line = spans_line(span(*CHAT_SPAN))
    path.write_text(line + "\n" + line[:100], encoding="utf-8")
    assert [(f.rule, f.level, f.span) for f in check_file(path)] == [("file_torn", "advice", str(path))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json\n", r"trace.jsonl line 1: not JSON"),
        ('{"resourceSpans": []}\n{torn\n{"resourceSpans": []}\n', r"line 2: not JSON"),
        ("[]\n", r"line 1: not OTLP JSON"),
        ('{"spans": []}\n', r"it has none of resourceSpans"),
        (
            '{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": 3}]}]}]}\n',
            r"not OTLP JSON: 'name' is missing",
        ),
        ('{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "x"}]}]}]}\n', r"not OTLP JSON"),
    ],
)
def test_a_bad_file_is_a_clear_error(path, text, message):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TraceFileError, match=message):
        check_file(path)


def test_an_empty_export_has_no_finding(path):
    assert rules_of(path, "{}", "") == set()


def test_a_binary_file_is_a_clear_error(path):
    path.write_bytes(b"\x0a\xff\xfe")
    with pytest.raises(TraceFileError, match="not UTF-8 text"):
        check_file(path)


SECONDS = load().buckets["dur"]
DURATION, TOKENS = "gen_ai.client.inference.duration", "gen_ai.client.inference.usage.input_tokens"
LABELS = {OP: "chat", PROVIDER: "openai", MODEL: "gpt-4o"}


def histogram(attributes: dict[str, Any], bounds: Any = SECONDS) -> dict[str, Any]:
    points = [{"attributes": otlp_attributes(attributes), "explicitBounds": list(bounds)}]
    return {"histogram": {"dataPoints": points}}


def counter(attributes: dict[str, Any], value: str = "asInt", monotonic: bool = True) -> dict[str, Any]:
    points = [{"attributes": otlp_attributes(attributes), value: 1}]
    return {"sum": {"isMonotonic": monotonic, "dataPoints": points}}


TEXT = LABELS | {"gen_ai.token.modality": "text"}
TOTAL = {"token_type": "input", "app.tenant_id": "acme"}


@pytest.mark.parametrize(
    ("name", "unit", "data", "expected"),
    [
        (DURATION, "s", histogram(LABELS), set()),
        (DURATION, "ms", histogram(LABELS), {"metric_unit"}),
        (DURATION, "s", histogram(LABELS, [1, 2]), {"metric_buckets"}),
        (DURATION, "s", histogram({OP: "chat"}), {"metric_attributes"}),
        (DURATION, "s", histogram(LABELS | {"app.tenant_id": "acme"}), {"metric_attributes"}),
        (DURATION, "s", histogram(LABELS | {PROVIDER: 3}), {"attribute_type"}),
        (DURATION, "s", counter(LABELS, "asDouble"), {"metric_instrument"}),
        (DURATION, "s", {"exponentialHistogram": {"dataPoints": []}}, set()),
        (TOKENS, "{token}", counter(TEXT), set()),
        (TOKENS, "{token}", counter(TEXT, "asDouble"), {"metric_value_type"}),
        (TOKENS, "{token}", counter(TEXT, monotonic=False), {"metric_instrument"}),
        ("gen_ai.client.nonsense", "s", histogram({}), {"metric_unknown"}),
        ("gen_ai.workflow.duration", "s", histogram({}), {"metric_deprecated"}),
        ("http.client.duration", "s", histogram({}), set()),
        ("gen_ai.tokens.total", "{token}", counter(TOTAL), set()),
        ("gen_ai.tokens.total", "{token}", counter(TOTAL | {"user.id": "u"}), {"metric_attributes"}),
        ("gen_ai.tokens.total", "{token}", counter(TOTAL | {"app.user_id": "u"}), {"metric_attributes"}),
    ],
)
def test_metrics(path, name, unit, data, expected):
    assert rules_of(path, metrics_line(name, unit, data)) == expected


def test_the_old_duration_metric_is_for_inference_only_under_its_profile(path):
    line = metrics_line("gen_ai.client.operation.duration", "s", histogram(LABELS))
    assert rules_of(path, line) == set()
    assert rules_of(path, line, profiles=()) == {"metric_deprecated"}


DETAILS = "gen_ai.client.inference.operation.details"


@pytest.mark.parametrize(
    ("name", "attributes", "record", "expected"),
    [
        (DETAILS, LABELS, {}, set()),
        ("", LABELS | {"event.name": DETAILS}, {"severityNumber": "SEVERITY_NUMBER_DEBUG"}, set()),
        (DETAILS, LABELS, {"severityNumber": 9}, {"event_severity"}),
        (DETAILS, LABELS, {"body": {"stringValue": "x"}}, {"event_body"}),
        (DETAILS, {OP: "chat"}, {}, {"event_attributes"}),
        (DETAILS, LABELS | {"gen_ai.tool.name": "x"}, {}, {"event_attributes"}),
        (DETAILS, LABELS | {MESSAGES: "[]"}, {}, {"event_content_structured"}),
        (DETAILS, LABELS | {MESSAGES: [{"role": "user"}]}, {}, {"genai_content_schema"}),
        ("gen_ai.client.operation.exception", EXCEPTION, {"severityNumber": 13}, set()),
        ("gen_ai.client.operation.exception", {}, {"severityNumber": 13}, {"event_attributes"}),
        ("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "Relevance"}, {"severityNumber": 9}, set()),
        ("gen_ai.choice", {}, {}, {"event_deprecated"}),
        ("gen_ai.nonsense", {}, {}, {"event_unknown"}),
        ("", {}, {}, set()),
    ],
)
def test_log_events(path, name, attributes, record, expected):
    assert rules_of(path, log_line(name, attributes, **record)) == expected


@pytest.mark.parametrize(
    ("name", "number"), [("TRACE", 1), ("DEBUG2", 6), ("WARN", 13), ("UNSPECIFIED", 0), ("9", 9)]
)
def test_severity_names(name, number):
    assert otlp._severity(f"SEVERITY_NUMBER_{name}") == number


# The command


def test_the_command_groups_by_rule_and_fails_on_violations(path):
    path.write_text(
        spans_line(changed(CHAT_SPAN, "server.port", name="x"), changed(CHAT_SPAN, name="y", spanId="b" * 16))
    )
    result = CliRunner().invoke(check, [str(path)])
    assert result.exit_code == 1
    assert "violation     2 × genai_span_name_format" in result.output
    assert "advice        1 × genai_expected_attribute_missing" in result.output
    assert "spans: 2 checked, 0 skipped" in result.output
    assert result.output.startswith(f"registry: {conformance.REGISTRY_VERSION}\n")


def test_the_command_without_advice(path):
    path.write_text(spans_line(changed(CHAT_SPAN, "server.port")))
    result = CliRunner().invoke(check, [str(path), "--no-advice"])
    assert (result.exit_code, "violations: 0 · advice: 1" in result.output) == (0, True)
    assert "genai_expected_attribute_missing" not in result.output


def test_the_command_as_json(path):
    path.write_text(spans_line(changed(CHAT_SPAN, name="x"), scope="other"))
    result = CliRunner().invoke(check, [str(path), "--format", "json", "--profile", "none"])
    output = json.loads(result.output)
    assert (result.exit_code, output["violations"], output["spans_checked"]) == (1, 1, 1)
    assert output["rules"][0]["rule"] == "genai_span_name_format"
    assert output["rules"][0]["example"]["span"] == f"x [{'a' * 16}]"


def test_the_command_finds_a_parent_in_another_file(path, tmp_path):
    agent = span(*AGENT_SPAN)
    path.write_text(spans_line(agent))
    (tmp_path / "other.jsonl").write_text(spans_line(child(agent, CHAT_SPAN, "b")))
    assert "parent_missing" in CliRunner().invoke(check, [str(tmp_path / "other.jsonl")]).output
    assert (
        "parent_missing" not in CliRunner().invoke(check, [str(path), str(tmp_path / "other.jsonl")]).output
    )


def test_the_command_on_a_folder(path, tmp_path):
    agent = span(*AGENT_SPAN)
    path.write_text(spans_line(agent))
    (tmp_path / "other.jsonl.gz").write_bytes(
        gzip.compress(spans_line(child(agent, CHAT_SPAN, "b")).encode())
    )
    output = json.loads(CliRunner().invoke(check, [str(tmp_path), "--format", "json"]).output)
    assert output["spans_checked"] == 2
    (tmp_path / "none").mkdir()
    empty = CliRunner().invoke(check, [str(tmp_path / "none")])
    assert (empty.exit_code, "none: no .jsonl file in this folder" in empty.output) == (2, True)
    (tmp_path / "other.jsonl.gz").write_bytes(b"no gzip")
    assert CliRunner().invoke(check, [str(tmp_path)]).exit_code == 2


def test_the_command_on_a_bad_file(path):
    path.write_text("no json")
    result = CliRunner().invoke(check, [str(path)])
    assert (result.exit_code, "line 1: not JSON" in result.output) == (2, True)


# The data


def test_every_name_in_the_registry_is_defined():
    registry = load(profile_names())
    carriers = [*registry.spans.values(), *registry.metrics.values(), *registry.events.values()]
    named = {name for c in carriers for name in (*c.required, *c.optional)}
    named |= {n for s in registry.spans.values() for n in (*s.expected, *s.forbidden, *s.name_from)}
    named |= {total for a in registry.attributes.values() for total in a.subset_of}
    named |= {
        *registry.expected_together,
        *registry.expected_together.values(),
        *registry.inferred_operations,
    }
    assert named <= set(registry.attributes)


def test_the_registry_is_consistent():
    registry = load(())
    assert {op for s in registry.spans.values() for op in s.operations} == registry.operations
    assert {m.buckets for m in registry.metrics.values()} - {None} == set(registry.buckets)
    assert all(low < high for bounds in registry.buckets.values() for low, high in pairwise(bounds))
    assert {a.schema for a in registry.attributes.values()} - {None} <= set(registry.schemas["$defs"])
    assert not set(registry.deprecated) & {*registry.attributes, *registry.metrics, *registry.events}
    assert registry.version.startswith("semantic-conventions-genai main@6fd0d763")


def test_every_attribute_and_metric_we_have_a_name_for_is_known():
    registry = load(profile_names())
    constants = {value for key, value in vars(semconv).items() if key.isupper()}
    names = {value for value in constants if "." in value and "/" not in value} - {semconv.SCOPE_VERSION}
    known = {*registry.metrics, *registry.events}
    assert {name for name in names if name not in known and registry.attribute(name) is None} == set()


PARTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["text", "tool_call", "tool_call_response", "blob", "uri", "file", "server_tool_call", "x", 1]
        ),
        "content": st.sampled_from(["text", None, 3]),
        "name": st.sampled_from(["add", 3]),
        "id": st.sampled_from(["c1", None, 3]),
        "response": st.just({}),
        "modality": st.sampled_from(["image", 1]),
        "uri": st.just("https://x"),
        "server_tool_call": st.sampled_from([{"type": "search"}, {}, "x"]),
    },
)
MESSAGE = st.fixed_dictionaries(
    {}, optional={"role": st.sampled_from(["user", 1]), "parts": st.lists(PARTS), "finish_reason": st.just(1)}
)


@pytest.mark.parametrize("name", sorted({a.schema for a in load().attributes.values() if a.schema}))
@given(value=st.lists(PARTS | MESSAGE | st.none()) | st.text())
def test_the_validator_agrees_with_jsonschema(name, value):
    root, entry = load().schemas, {"$ref": f"#/$defs/{name}"}
    ours = not any(schema.errors(value, entry, root))
    assert ours == Draft202012Validator({**root, **entry}).is_valid(value)


def test_the_schemas_are_json_schemas():
    Draft202012Validator.check_schema(load().schemas)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("input_messages", {}, "$ is not of type array"),
        (
            "output_messages",
            [{"role": "assistant", "parts": [{"type": "text"}]}],
            "$[0].parts[0].content is missing",
        ),
        ("system_instructions", ["be kind"], "$[0] is not of type object"),
        ("tool_definitions", [{"type": "function", "function": {"name": "x"}}], "$[0].name is missing"),
        ("retrieval_documents", [{"id": "d", "score": "0.9"}], "$[0].score is not of type number or null"),
    ],
)
def test_a_schema_error_names_its_place(name, value, error):
    assert error in list(schema.errors(value, {"$ref": f"#/$defs/{name}"}, load().schemas))
