import json
import math
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.trace import StatusCode
from processes import run_script
from records import call, span

from otel_callbacks.explore import Traces, page, render_svg, render_text
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.testing import capture

SECOND = 10**9
NOON = 1_700_000_000 * SECOND


@pytest.fixture
def traces():
    """Three traces a minute apart: a cheap one, an expensive and slow one, and one that fails."""
    cheap = [
        span("a", "1", name="rag", start_ns=NOON, end_ns=NOON + SECOND, app__tenant_id="acme"),
        call("a", "2", "1", start_ns=NOON, gen_ai__usage__cost_usd=0.01, gen_ai__request__model="small"),
    ]
    dear = [
        span("b", "1", name="agent", start_ns=NOON + 60 * SECOND, end_ns=NOON + 69 * SECOND),
        call("b", "2", "1", start_ns=NOON + 60 * SECOND, gen_ai__usage__cost_usd=0.5, app__tenant_id="acme"),
    ]
    failed = [
        span("c", "1", name="rag", start_ns=NOON + 120 * SECOND, end_ns=NOON + 121 * SECOND, status="ERROR",
             error__type="ValueError", app__tenant_id="globex")
    ]  # fmt: skip
    return Traces.of([*failed, *dear, *cheap])


def ids(traces):
    return "".join(trace.trace_id[0] for trace in traces)


def test_it_is_a_sequence_in_the_order_of_start(traces):
    assert (len(traces), ids(traces), ids(traces[1:]), traces[0].name) == (3, "abc", "bc", "rag")
    assert repr(traces) == "<3 traces>"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "abc"),
        ({"tenant": "acme"}, "ab"),
        ({"tenant": "acme", "min_cost": 0.1}, "b"),
        ({"tenant": "acme", "model": "small"}, "a"),
        ({"max_cost": 0.1}, "a"),
        ({"error": True}, "c"),
        ({"error": False}, "ab"),
        ({"error_type": "ValueError"}, "c"),
        ({"name": "rag"}, "ac"),
        ({"operation": "chat"}, "ab"),
        ({"min_duration": 2}, "b"),
        ({"max_duration": 2.0, "min_tokens": 1}, "a"),
        ({"since": NOON + 60 * SECOND}, "bc"),
        ({"until": NOON + 60 * SECOND}, "a"),
        ({"since": datetime.fromtimestamp(NOON / SECOND + 61, UTC)}, "c"),
        ({"since": datetime.fromtimestamp(NOON / SECOND + 61)}, "c"),
        ({"since": timedelta(days=1)}, ""),
    ],
)
def test_find(traces, filters, expected):
    assert ids(traces.find(**filters)) == expected


def test_a_selection_can_be_searched_again(traces):
    assert ids(traces.find(tenant="acme").find(name="agent")) == "b"
    assert ids(traces.find(name="rag").slowest(1)) in "ac"
    assert ids(traces.errors()) == "c"


def test_the_slowest_and_the_most_expensive_come_first(traces):
    assert ids(traces.slowest(2))[0] == "b"
    assert ids(traces.dearest()) == "bac"
    with pytest.raises(ValueError, match="count must be a whole number of at least 0, not -1"):
        traces.slowest(-1)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"tennant": "acme"}, "'tennant'; did you mean 'tenant'?"),
        ({"zzz": 1}, r"'zzz'; use tenant, feature, .* or sql\(\)"),
        ({"error": "yes"}, "error must be bool, not str: 'yes'"),
        ({"min_cost": "1"}, "min_cost must be float, not str: '1'"),
        ({"min_cost": True}, "min_cost must be float, not bool"),
        ({"since": "today"}, "since must be .*datetime.* not str: 'today'"),
    ],
)
def test_an_invalid_filter_is_an_error(traces, filters, message):
    with pytest.raises(TypeError, match=message):
        traces.find(**filters)


def test_get_takes_the_beginning_of_an_id(traces):
    assert traces.get("B" * 5).name == "agent"
    with pytest.raises(LookupError, match="no traces have an id that begins with 'd'"):
        traces.get("d")
    with pytest.raises(LookupError, match="3 traces"):
        traces.get("")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"since": datetime(2999, 1, 1, tzinfo=UTC)}, 0),
        ({"until": datetime(2999, 1, 1, tzinfo=UTC)}, 3),
        ({"since": datetime(1, 1, 2, tzinfo=UTC)}, 3),
        ({"since": datetime.min}, 3),
        ({"until": datetime.max}, 3),
        ({"since": timedelta.max}, 3),
        ({"until": timedelta.min}, 3),
        ({"since": -(10**30)}, 3),
        ({"min_tokens": 10**30}, 0),
        ({"max_cost": 10**400}, 2),
        ({"max_duration": math.inf}, 3),
        ({"max_score": 10**30}, 0),
    ],
)
def test_filters_beyond_what_a_database_can_hold(traces, filters, found):
    assert len(traces.find(**filters)) == found


@pytest.mark.parametrize("name", ["min_cost", "max_duration", "score"])
def test_a_filter_that_is_no_number_is_refused(traces, name):
    with pytest.raises(ValueError, match=f"{name} must be a number, not nan"):
        traces.find(**{name: math.nan})


def test_text_that_no_file_holds_is_mended_in_a_span():
    """Half a surrogate pair, as tokenizers and slices cut it, may be anywhere in a span of any instrumentation."""
    half, cut = "a\ud83d", "a\ufffd"
    with capture() as captured:
        tracer = captured.providers["tracer_provider"].get_tracer(half)
        with tracer.start_as_current_span(half) as made:
            made.set_attributes({half: half, "list": [half, "\ud83d\ude00"]})
            made.add_event(half, {half: half})
            made.set_status(StatusCode.ERROR, half)
    [trace] = Traces.of(map(SpanRecord.from_readable, captured.spans))
    [made] = trace.spans
    assert (made.name, made.scope, made.status_message) == (cut, cut, cut)
    assert made.attributes == {cut: cut, "list": (cut, "😀")}
    assert [(event.name, event.attributes) for event in made.events] == [(cut, {cut: cut})]
    for shown in (page(trace), render_svg(trace), render_text(trace)):
        assert shown.encode()


def test_since_a_mark(traces):
    mark = traces.mark()
    assert len(traces.since(mark)) == 0
    assert mark > NOON


def test_sql(traces):
    query = "SELECT name, count(*) AS calls FROM traces WHERE duration < ? GROUP BY name"
    assert traces.sql(query, 5) == [{"name": "rag", "calls": 2}]


def test_cost_groups_model_calls(traces):
    report = traces.cost(by=["model"])
    assert {row.key: (row.calls, float(row.cost_usd)) for row in report.rows} == {
        ("small",): (1, 0.01),
        (None,): (1, 0.5),
    }
    assert traces.find(model="small").cost(by=["tenant"]).total.calls == 1


def test_spans_and_documents_as_data(traces):
    found = [{"id": "d1", "score": 0.9, "rank": 1}, {"id": "d2", "score": 0.5, "rank": 2}]
    asked = span("d", "1", gen_ai__operation__name="retrieval", rag__documents=json.dumps(found))
    rag = Traces.of([asked])
    assert [document.id for document in rag.documents()] == ["d1", "d2"]
    assert (len(rag.documents_frame()), len(rag.rag_frame())) == (2, 1)
    assert (len(traces.to_pandas()), len(traces.to_dicts())) == (5, 5)


def test_last_without_traces_is_an_error_that_says_how_to_keep_some():
    with pytest.raises(LookupError, match=r"no traces yet; configure\(\) keeps traces"):
        Traces.of([]).last()


def test_last_of_an_empty_selection_is_an_error_that_says_so(traces):
    with pytest.raises(LookupError, match="the selection is empty"):
        traces.find(tenant="nobody").last()


def test_a_workflow_agent_or_tool_is_found_by_its_own_name_too():
    workflow = span("a", "1", name="invoke_workflow rag", gen_ai__operation__name="invoke_workflow")
    here = Traces.of([workflow])
    assert len(here.find(name="rag")) == len(here.find(name="invoke_workflow rag")) == 1
    assert not here.find(name="invoke_workflow")


def test_a_missing_file_is_an_error_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no trace file or folder .*none\.jsonl"):
        Traces.open(tmp_path / "none.jsonl")


def test_traces_in_memory_and_in_files_are_searched_together(tmp_path):
    """Of a trace that both have, the fuller one counts."""
    memory, in_file = Index(), Index(tmp_path / "x.sqlite")
    memory.add(
        [call("a", "1"), span("b", "1", resource={"service.name": "here"}), call("d", "1", start_ns=9)]
    )
    in_file.add([span("a", "9"), *(span("b", n, "1", resource={"service.name": "there"}) for n in "12")])
    in_file.add([call("c", "1", start_ns=500)])
    memory.show_beside([tmp_path / "x.sqlite"])
    memory.show_beside([tmp_path / "x.sqlite"])
    both = Traces(lambda: memory)
    assert sorted((trace.trace_id[0], len(trace.spans), trace.total_tokens) for trace in both) == [
        *(("a", 1, 110), ("b", 2, 0), ("c", 1, 110), ("d", 1, 110)),
    ]
    assert both.get("b").spans[0].resource == {"service.name": "there"}
    assert (ids(both.find(operation="chat")), len(both.slowest(2))) == ("dca", 2)
    assert both.sql("SELECT sum(tokens) AS n, count(*) AS spans FROM spans") == [{"n": 330, "spans": 5}]
    memory.add([span("d", "2", "1")])  # what is added goes to memory alone
    assert (len(both.get("d").spans), len(in_file.query("SELECT * FROM traces"))) == (2, 3)
    memory.show_beside([])
    assert ids(both) == "dab"


def test_the_file_that_configure_names_is_read_and_written_first(tmp_path):
    script = """
        from otel_callbacks import configure, traces

        telemetry = configure(file="mine.jsonl")
        telemetry.tracer_provider.get_tracer("test").start_span("hello").end()
        print(traces.last().name)
    """
    assert run_script(script, tmp_path) == "hello\n"


def test_without_a_ring_the_traces_are_those_in_the_local_folder(tmp_path):
    script = """
        import otel_callbacks

        configure, traces = otel_callbacks.configure, otel_callbacks.traces
        print(len(traces))
        telemetry = configure()
        telemetry.tracer_provider.get_tracer("test").start_span("hello").end()
        print([trace.name for trace in traces])
    """
    assert run_script(script, tmp_path) == "0\n['hello']\n"
