"""The page adds costs up in the index; the report does it span by span, exactly. Both must say the same."""

import pytest
from many_traces import fleet
from ui_pages import get

from otel_callbacks.explore import Traces
from otel_callbacks.explore.ui.costs import COMMON, costs
from otel_callbacks.explore.ui.listing import Source
from otel_callbacks.explore.ui.state import State

FLEET = Traces.of(fleet(160))
BY = [
    *COMMON,
    "tenant,model",
    "user,day,status",
    "app.team",
    "app.urgent",
    "service.name",
    "app.feature",
    "rag.none",
]


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("tenant", ["", "acme"])
def test_the_page_and_the_report_agree(by, tenant):
    found = costs(Source(FLEET._open_index), FLEET._open_index(), State.of({"by": by, "tenant": tenant}))
    traces = FLEET.find(tenant=tenant) if tenant else FLEET
    report = traces.cost(by=by.split(","))
    wanted = {
        tuple(value or "" for value in row.key): (
            row.calls,
            row.input_tokens,
            row.output_tokens,
            pytest.approx(float(row.cost_usd)),
            row.unpriced_calls,
            row.cached_calls,
        )
        for row in report.rows
    }
    shown = {
        tuple("" if value in ("(unknown)", "(unattributed)") else value for value in row.values): (
            row.calls,
            row.input_tokens,
            row.output_tokens,
            row.cost or 0,
            row.unpriced,
            row.cached,
        )
        for row in found.rows
    }
    assert shown == wanted
    total = found.total
    assert (total.calls, total.unpriced, total.cost) == (
        report.total.calls,
        report.total.unpriced_calls,
        pytest.approx(float(report.total.cost_usd)),
    )
    assert sum(row.share for row in found.rows) == pytest.approx(1)


def test_rows_lead_to_their_traces():
    page = get(FLEET, "/cost?by=tenant,model")
    heads = "tenant, model, Cost, Share, Share as a bar, Calls, Tokens in, out, Traces, Unpriced, Cache hits"
    assert ", ".join(page.rows[0]) == heads
    assert "./?tenant=acme&model=gpt-4o" in page.links
    assert page.rows[-1][0] == "total"


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("tenat", "by: 'tenat' is not known; did you mean 'tenant'?"),
        ("tenant,tenant", "by: 'tenant' is given twice"),
        ('app."x', "has no quotation mark"),
        ("app.x'y", ""),
    ],
)
def test_what_costs_cannot_be_added_up_by(by, said):
    page = get(FLEET, f"/cost?by={by}", 400 if said else 200)
    assert said in page.text


def test_a_call_without_a_price_is_not_free():
    unpriced = Traces.of(
        [span for span in fleet(8) if span.attributes.get("otel_callbacks.cost.status") == "unpriced"]
    )
    page = get(unpriced, "/cost")
    assert page.rows[1][1:3] == ["unpriced", ""]
    assert "unpriced" in get(unpriced, "/").rows[1][5]
