import pytest
from opentelemetry.sdk.trace import TracerProvider

from otel_callbacks.explore import SpanRecord, Trace, group
from otel_callbacks.explore.spans.records import EventRecord


def span(span_id, parent_id=None, *, start=0, end=1, trace_id="a", status="UNSET", events=(), **attributes):
    named = {name.replace("__", "."): value for name, value in attributes.items()}
    return SpanRecord(
        trace_id, span_id, parent_id, span_id, "INTERNAL", start, end, named, events=events, status=status
    )


def call(span_id, parent_id=None, operation="chat", tokens_in=100, tokens_out=10, **attributes):
    usage = {"gen_ai__usage__input_tokens": tokens_in, "gen_ai__usage__output_tokens": tokens_out}
    return span(span_id, parent_id, gen_ai__operation__name=operation, **usage, **attributes)


def names(spans):
    return [each.name for each in spans]


def test_traces_come_in_start_order_whatever_order_spans_ended_in():
    found = group(
        [span("late", trace_id="b", start=5), span("child", "root", start=2), span("root", start=1)]
    )
    assert [(trace.trace_id, names(trace.spans)) for trace in found] == [
        ("a", ["root", "child"]),
        ("b", ["late"]),
    ]


def test_a_span_whose_parent_is_missing_is_a_root():
    trace = Trace.of([span("root"), span("orphan", "lost", start=1), span("below", "orphan", start=2)])
    assert names(trace.roots) == ["root", "orphan"]
    assert names(trace.children_of(trace.roots[1])) == ["below"]


def test_siblings_are_in_start_order_and_a_parent_precedes_a_child_that_starts_with_it():
    trace = Trace.of([span("b", "root", start=3), span("a", "root", start=0), span("root", end=9)])
    assert names(trace.spans) == ["root", "a", "b"]
    assert names(trace.walk()) == ["root", "a", "b"]


def test_spans_that_are_their_own_ancestors_are_still_shown_once():
    trace = Trace.of([span("root"), span("self", "self"), span("x", "y", start=1), span("y", "x", start=2)])
    assert names(trace.walk()) == ["root", "self", "x", "y"]


def test_a_span_recorded_twice_counts_once():
    trace = Trace.of([call("chat", tokens_in=1), call("chat", tokens_in=100)])
    assert trace.total_tokens == 110


def test_a_trace_may_be_deeper_than_the_recursion_limit():
    chain = [span(str(depth), str(depth - 1), start=depth) for depth in range(3000)]
    assert sum(1 for _ in Trace.of(chain).walk()) == 3000


def test_a_trace_without_spans_is_an_error():
    with pytest.raises(ValueError, match="at least one span"):
        Trace.of([])


def test_totals_leave_out_agents_that_repeat_the_usage_of_their_calls():
    agent = call("agent", operation="invoke_agent", tokens_in=999, gen_ai__usage__cost_usd=9.0)
    paid = call("chat", "agent", gen_ai__usage__cost_usd=0.1)
    also_paid = call("embed", "agent", operation="embeddings", gen_ai__usage__cost=0.2)
    trace = Trace.of([agent, paid, also_paid])
    assert (trace.input_tokens, trace.output_tokens, trace.total_tokens) == (200, 20, 220)
    assert trace.cost == pytest.approx(0.3)


def test_a_call_reported_by_two_instrumentations_counts_once():
    trace = Trace.of([call("ours"), call("theirs", "ours"), call("embed", "theirs", operation="embeddings")])
    assert names(trace.model_calls) == ["ours", "embed"]


def test_if_the_outer_call_reports_less_the_inner_one_counts():
    trace = Trace.of([call("router", tokens_in=None), call("model", "router")])
    assert names(trace.model_calls) == ["model"]
    assert trace.total_tokens == 110


def test_no_price_is_not_a_price_of_zero():
    unpriced = call("chat", otel_callbacks__cost__status="unpriced")
    assert Trace.of([unpriced]).cost is None
    assert names(Trace.of([unpriced]).unpriced) == ["chat"]
    assert Trace.of([call("chat", gen_ai__usage__cost_usd=0.0)]).cost == 0


def test_an_error_is_counted_where_it_began():
    trace = Trace.of(
        [
            span("root", status="ERROR", error__type="ValueError"),
            span("tool", "root", status="ERROR", error__type="ValueError"),
            span("handled", "root", error__type="TimeoutError"),
        ]
    )
    assert names(trace.errors) == ["tool", "handled"]


def test_duration_is_seconds_from_the_first_start_to_the_last_end():
    trace = Trace.of([span("root", start=0, end=1_000_000_000), span("late", "root", end=2_500_000_000)])
    assert (trace.spans[0].duration, trace.duration) == (2.5, 2.5)
    assert span("open", start=5, end=0).duration == 0


@pytest.mark.parametrize(
    ("attributes", "name", "value"),
    [
        ({"gen_ai.request.model": "gpt-4o"}, "model", "gpt-4o"),
        ({"gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024"}, "model", "gpt-4o-2024"),
        ({"gen_ai.usage.input_tokens": "many"}, "input_tokens", None),
        ({"gen_ai.usage.input_tokens": True}, "input_tokens", None),
        ({"gen_ai.response.finish_reasons": ("stop", "length")}, "finish_reasons", ("stop", "length")),
        ({"gen_ai.response.finish_reasons": "stop"}, "finish_reasons", ()),
        ({"rag.results_count": 0}, "documents_count", 0),
        ({"rag.reranked_count": 4, "rag.candidate_count": 20}, "documents_count", 4),
        ({"gen_ai.retrieval.documents": '[{"id": "1"}, {"id": "2"}]'}, "documents_count", 2),
        ({"gen_ai.retrieval.documents": ({"id": "1"},)}, "documents_count", 1),
        ({"gen_ai.retrieval.documents": '[{"id": "cut o'}, "documents_count", None),
        ({"gen_ai.response.time_to_first_chunk": 0.25}, "time_to_first_chunk", 0.25),
        ({"otel_callbacks.outcome": "abandoned"}, "outcome", "abandoned"),
        ({"gen_ai.tool.name": "search"}, "tool_name", "search"),
        ({"gen_ai.agent.name": "writer"}, "agent_name", "writer"),
        ({}, "error_type", None),
    ],
)
def test_properties_ignore_attributes_of_the_wrong_type(attributes, name, value):
    assert getattr(SpanRecord("a", "b", None, "n", "CLIENT", 0, 1, attributes), name) == value


def test_a_failure_is_described_by_its_exception_event_when_there_is_one():
    event = EventRecord("exception", 0, {"exception.type": "KeyError", "exception.message": "'id'"})
    failed = span("tool", status="ERROR", events=(event,))
    assert (failed.error_type, failed.error_message) == ("KeyError", "'id'")


def test_the_type_the_sdk_puts_before_a_message_is_not_repeated():
    provider = TracerProvider()
    with (
        pytest.raises(ValueError),
        provider.get_tracer("t").start_as_current_span("s", record_exception=False) as s,
    ):
        s.set_attribute("error.type", "ValueError")
        raise ValueError("no such order")
    assert SpanRecord.from_readable(s).error_message == "no such order"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(0, "INTERNAL"), (3, "CLIENT"), ("SPAN_KIND_CLIENT", "CLIENT"), ("SPAN_KIND_UNSPECIFIED", "INTERNAL")],
)
def test_otlp_enums_are_numbers_or_names(kind, expected):
    document = {
        "traceId": "AB" * 16,
        "spanId": "CD" * 8,
        "kind": kind,
        "status": {"code": "STATUS_CODE_ERROR"},
    }
    record = SpanRecord.from_otlp({}, {}, document)
    assert (record.trace_id, record.kind, record.status) == ("ab" * 16, expected, "ERROR")


@pytest.mark.parametrize("kind", [9, -1, "SPAN_KIND_FRIEND"])
def test_an_unknown_otlp_enum_is_an_error(kind):
    with pytest.raises(ValueError, match="unknown span_kind"):
        SpanRecord.from_otlp({}, {}, {"traceId": "a", "spanId": "b", "kind": kind})


def test_null_in_otlp_json_is_a_missing_field():
    nulls = dict.fromkeys(["name", "kind", "startTimeUnixNano", "attributes", "events", "links", "status"])
    document = {"traceId": "a", "spanId": "b"}
    bare = SpanRecord.from_otlp({}, {}, document)
    assert SpanRecord.from_otlp({}, {"name": None}, document | nulls) == bare
