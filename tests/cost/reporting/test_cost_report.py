"""Cost reports count every call once, and every cent exactly once."""

import csv
import json
import math
import random
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from io import StringIO
from typing import Any

import pytest
from cost_spans import DAY, DAY_1, call, span
from hypothesis import given
from hypothesis import strategies as st

import otel_callbacks.cost
from otel_callbacks.cost import Accumulator, Report, recompute, report
from otel_callbacks.explore import SpanRecord, Trace
from otel_callbacks.testing import capture

RUN = [
    span("root", operation="invoke_workflow", tenant="acme"),
    span("agent", "root", operation="invoke_agent", tenant="acme", sent=9_999, usd=9.99),
    call("1", "agent", tenant="acme", feature="chat", seconds=1, cached=400, reasoning=30),
    call("2", "agent", tenant="acme", feature="chat", seconds=3, usd=0.1),
    call("3", "agent", tenant="acme", feature="chat", answered="gpt-4o-2024-08-06", seconds=2, usd=0.2),
    call("4", tenant="zeta", feature="search", usd=0.5),
    call("5", usd=0.3),
    call("6", feature="search", usd=None, status="unpriced", reason="unknown_model"),
    call("7", feature="search", usd=None),
    call("8", tenant="zeta", sent=None, received=None, usd=0.0, status="cached", saved=0.0035),
]


def brief(found: Report, *fields: str) -> dict[Any, Any]:
    return {row.key: tuple(getattr(row, field) for field in fields) for row in found.rows}


def test_by_tenant_feature_and_model() -> None:
    found = report(RUN)
    assert found.by == ("tenant", "feature", "model")
    assert brief(found, "calls", "cost_usd", "unpriced_calls", "cached_calls") == {
        ("zeta", "search", "gpt-4o"): (1, Decimal("0.5"), 0, 0),
        (None, None, "gpt-4o"): (1, Decimal("0.3"), 0, 0),
        ("acme", "chat", "gpt-4o-2024-08-06"): (1, Decimal("0.2"), 0, 0),
        ("acme", "chat", "gpt-4o"): (2, Decimal("0.1035"), 0, 0),
        (None, "search", "gpt-4o"): (2, 0, 2, 0),
        ("zeta", None, "gpt-4o"): (0, 0, 0, 1),
    }
    assert [row.cost_usd for row in found.rows] == sorted((row.cost_usd for row in found.rows), reverse=True)


def test_every_number_of_a_row() -> None:
    (acme,) = (row for row in report(RUN, by=["tenant"]).rows if row.key == ("acme",))
    assert (acme.calls, acme.input_tokens, acme.output_tokens) == (3, 3_000, 300)
    assert (acme.cached_tokens, acme.reasoning_tokens) == (400, 30)
    assert (acme.cost_usd, acme.share) == (Decimal("0.3035"), pytest.approx(0.3035 / 1.1035))
    assert (acme.p50, acme.p95, acme.unpriced, acme.saved_usd) == (2.0, 3.0, {}, 0)


def test_the_rows_are_the_total() -> None:
    found = report(RUN)
    for number in ("calls", "input_tokens", "cost_usd", "cached_calls", "saved_usd", "unpriced_calls"):
        assert sum(getattr(row, number) for row in found.rows) == getattr(found.total, number)
    assert found.total.cost_usd == Decimal("1.1035")
    assert found.total.unpriced == {"unknown_model": 1, "no cost recorded": 1}
    assert (found.total.cached_calls, found.total.saved_usd) == (1, Decimal("0.0035"))


def test_without_calls_the_total_is_zero() -> None:
    found = report([RUN[0]])
    assert (found.rows, found.total.calls, found.total.share, found.total.p95) == ((), 0, None, None)
    assert "total" in str(found)


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("tenant", {"acme", "zeta", None}),
        ("feature", {"chat", "search", None}),
        ("model", {"gpt-4o", "gpt-4o-2024-08-06"}),
        ("provider", {"openai"}),
        ("operation", {"chat"}),
        ("day", {"2026-10-07"}),
        ("status", {"priced", "unpriced", "cached"}),
        ("session", {None}),
        ("gen_ai.request.model", {"gpt-4o"}),
    ],
)
def test_names_that_reports_can_be_grouped_by(by: str, keys: set[str | None]) -> None:
    assert {row.key[0] for row in report(RUN, by=[by]).rows} == keys


def test_attributes_of_any_type_and_of_the_process() -> None:
    spans = [
        call("1", **{"app.plan": 3, "session.id": "s", "gen_ai.conversation.id": "c"}),
        call("2", **{"app.plan": True, "gen_ai.conversation.id": "c"}),
        call("3", **{"app.plan": "", "session.id": ""}, resource={"app.plan": "free", "service.name": "api"}),
        call("4", user="u", **{"app.user_tier": "gold"}),
    ]
    keys = [
        row.key for row in report(spans, by=["app.plan", "session", "user", "user_tier", "service.name"]).rows
    ]
    assert set(keys) == {
        ("3", "s", None, None, None),
        ("true", "c", None, None, None),
        ("free", None, None, None, "api"),
        (None, None, "u", "gold", None),
    }


def test_a_day_is_a_day_in_utc() -> None:
    spans = [call("1", start=DAY_1 - 1), call("2", start=DAY_1), call("3", start=DAY_1 + DAY - 1)]
    assert brief(report(spans, by=["day"]), "calls") == {("2026-10-06",): (1,), ("2026-10-07",): (2,)}


@pytest.mark.parametrize(
    ("by", "says"),
    [
        (["tenat"], "'tenat' is not known; did you mean 'tenant'"),
        (["model", "zzz"], "known are tenant, feature"),
        (["model", "model"], "'model' is given twice"),
        ([], "at least one name"),
        ("tenant", "must be a list"),
        (["."], "is not known"),
    ],
)
def test_names_that_reports_cannot_be_grouped_by(by: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        report([], by=by)


# Which spans count.


def test_a_call_reported_by_several_instrumentations_is_one() -> None:
    spans = [
        call("wrapper", usd=None, sent=None, **{"otel_callbacks.duplicate": True}),
        call("ours", "wrapper"),
        span("http", "ours"),
        call("theirs", "http", operation="generate_content", usd=None, theirs=0.0035),
        call("embedded", "theirs", operation="embeddings", usd=0.001),
    ]
    found = report(spans, by=["operation"])
    assert brief(found, "calls", "cost_usd") == {
        ("chat",): (1, Decimal("0.0035")),
        ("embeddings",): (1, Decimal("0.001")),
    }


@pytest.mark.parametrize(
    ("outer", "inner", "cost"),
    [
        ({"usd": None}, [{"usd": 0.1}, {"usd": 0.2}], "0.3"),  # only those below know the cost
        ({"usd": 0.5}, [{"usd": 0.1}, {"usd": None}], "0.5"),
        ({"usd": None, "sent": None}, [{"usd": None}], None),
        ({"usd": None}, [{"usd": None, "sent": None}], None),
    ],
)
def test_of_nested_reports_the_one_with_the_most_detail_counts(
    outer: dict[str, Any], inner: list[dict[str, Any]], cost: str | None
) -> None:
    below = [call(str(number), "outer", **each) for number, each in enumerate(inner)]
    found = report([*below, call("outer", **outer)], by=["model"]).total
    assert found.cost_usd == Decimal(cost or 0)
    assert (found.calls, found.input_tokens) == ((2, 2_000) if cost == "0.3" else (1, 1_000))


def test_of_a_span_that_arrives_twice_the_later_counts() -> None:
    assert report([call("1", usd=None), call("1", usd=0.2)], by=["model"]).total.cost_usd == Decimal("0.2")
    assert report([call("1"), span("1")], by=["model"]).total.calls == 0
    assert report([call("1"), call("1", trace="other")], by=["model"]).total.calls == 2


def test_spans_that_are_their_own_ancestors_are_not_lost() -> None:
    assert report([call("a", "b"), call("b", "a"), call("c", "a")], by=["model"]).total.calls == 1
    assert report([call("self", "self")], by=["model"]).total.calls == 1


def test_a_failed_call_is_neither_priced_nor_unpriced() -> None:
    failed = call("1", error="TimeoutError", sent=None, received=None, usd=None)
    found = report([failed], by=["status"]).total
    assert (found.calls, found.cost_usd, found.unpriced) == (1, 0, {})
    billed = report([call("1", error="ValueError")], by=["status"])
    assert brief(billed, "cost_usd") == {("priced",): (Decimal("0.0035"),)}


@pytest.mark.parametrize("cost", [math.nan, math.inf, -0.1, True, "0.1"])
def test_invalid_amounts_are_not_costs(cost: Any) -> None:
    assert report([call("1", usd=cost)], by=["model"]).total.unpriced == {"no cost recorded": 1}


def test_a_reported_cost_says_so() -> None:
    found = report([call("1", status="reported")], by=["status"])
    assert brief(found, "cost_usd") == {("reported",): (Decimal("0.0035"),)}


# Exactly, in any order.

TREES = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from(["chat", "embeddings", "generate_content", "invoke_agent", None]),
        st.one_of(st.none(), st.floats(1e-12, 1e6)),
        st.one_of(st.none(), st.integers(0, 1_000)),
        st.sampled_from(["a", "b", None]),
    ),
    max_size=30,
)


def forest(drawn: Iterable[Any]) -> list[SpanRecord]:
    """Builds a random forest: the parent of a span is an earlier span or none."""
    return [
        span(
            str(number),
            str(parent) if parent < number else None,
            start=number,
            operation=operation,
            usd=usd,
            sent=sent,
            tenant=tenant,
        )
        for number, (parent, operation, usd, sent, tenant) in enumerate(drawn)
    ]


@given(TREES, st.randoms(use_true_random=False))
def test_nothing_is_lost_nor_counted_twice_in_any_order(drawn: Any, shuffle: random.Random) -> None:
    spans = forest(drawn)
    calls = Trace.of(spans).model_calls if spans else ()
    shuffled = spans.copy()
    shuffle.shuffle(shuffled)
    accumulator = Accumulator(["tenant"])
    for each in shuffled:
        accumulator.add(each)
    found = accumulator.report()
    assert found.total.calls == len(calls)
    assert Fraction(found.total.cost_usd) == sum(Fraction(Decimal(repr(each.cost or 0))) for each in calls)
    assert {row.key: row.cost_usd for row in found.rows} == {
        row.key: row.cost_usd for row in report(spans, by=["tenant"]).rows
    }


def test_sums_are_not_rounded() -> None:
    costs = [0.1, 0.2, 1e-9, 123_456_789.125, 2.85e-6, 5e-324]
    found = report([call(str(number), usd=usd) for number, usd in enumerate(costs)], by=["model"])
    exact = sum(Fraction(Decimal(repr(usd))) for usd in costs[:-1])
    assert abs(Fraction(found.total.cost_usd) - exact) < Fraction(1, 10**100)


def test_spans_of_the_sdk() -> None:
    attributes = dict(call("1", tenant="acme").attributes)
    with capture() as captured:
        tracer = captured.tracer_provider.get_tracer("app")
        with tracer.start_as_current_span("chat gpt-4o", attributes=attributes):
            tracer.start_span("chat gpt-4o", attributes=attributes).end()
    found = report(captured.spans, by=["tenant"])
    assert brief(found, "calls", "cost_usd") == {("acme",): (1, Decimal("0.0035"))}


# How it is shown.

TABLE = """\
tenant          calls  input  output  cost USD    share  p50 s  p95 s  unpriced  cache hits
───────────────────────────────────────────────────────────────────────────────────────────
acme                2  2,000     200  0.203500  100.0 %   1.00   1.00
(unattributed)      1  1,000     100                      1.00   1.00         1           1
───────────────────────────────────────────────────────────────────────────────────────────
total               3  3,000     300  0.203500  100.0 %   1.00   1.00         1           1
Costs are estimates from the tokens that were counted and the prices that were known, not an invoice.
Not in the costs, or only in part: 1 call (1 no_usage).
From the application's own cache: 1 answer, which saved 0.003500 USD."""
SMALL = [
    call("1", tenant="acme"),
    call("2", tenant="acme", usd=0.2),
    call("3", usd=None, reason="no_usage"),
    call("4", usd=0.0, status="cached", saved=0.0035, sent=None, received=None),
]


def test_as_a_table() -> None:
    assert str(report(SMALL, by=["tenant"])) == TABLE


def test_a_label_cannot_break_the_table() -> None:
    shown = str(report([call("1", tenant="a\nb\x1b[31m")], by=["tenant"]))
    assert "a\\nb\\x1b[31m" in shown and "\x1b" not in shown


def test_in_a_notebook() -> None:
    bundle = report([call("1", tenant="<b>&")], by=["tenant"])._repr_mimebundle_()
    assert bundle["text/plain"].startswith("tenant")
    assert "<table><tr><td><b>tenant</b></td>" in bundle["text/html"]
    assert "<td>&lt;b&gt;&amp;</td>" in bundle["text/html"]
    assert "style" not in bundle["text/html"] and "<script" not in bundle["text/html"]


def test_as_csv() -> None:
    rows = list(
        csv.DictReader(StringIO(report([*SMALL, call("5", tenant="x", usd=1e-7)], by=["tenant"]).to_csv()))
    )
    assert [row["tenant"] for row in rows] == ["acme", "x", "(unattributed)"]
    assert [row["cost_usd"] for row in rows] == ["0.2035", "0.0000001", "0"]
    assert [row["unpriced_calls"] for row in rows] == ["0", "0", "1"]


def test_as_json() -> None:
    document = json.loads(report(SMALL, by=["tenant"]).to_json())
    assert "estimates" in document["note"]
    assert [(row["tenant"], row["cost_usd"]) for row in document["rows"]] == [("acme", "0.2035"), (None, "0")]
    assert document["total"]["unpriced"] == {"no_usage": 1}


def test_as_a_data_frame() -> None:
    frame = report(SMALL, by=["tenant"]).to_pandas()
    assert list(frame["cost_usd"]) == [0.2035, 0.0]
    assert list(frame["calls"]) == [2, 1]
    assert report([], by=["tenant"]).to_pandas().empty


def test_the_package_exports_it() -> None:
    assert otel_callbacks.cost.report is report
    assert set(otel_callbacks.cost.__all__) <= set(dir(otel_callbacks.cost))
    with pytest.raises(AttributeError, match="no attribute 'invoice'"):
        _ = otel_callbacks.cost.invoice


@pytest.mark.parametrize("wrong", [None, 5, [1], "spans", [[1]]])
def test_anything_but_spans_is_refused(wrong):
    for add_up in (report, recompute):
        with pytest.raises(TypeError, match=r"span.* must be .*not (NoneType|int: 5|1|'s'|\[1\])"):
            add_up(wrong)
