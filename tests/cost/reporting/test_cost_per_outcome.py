"""Cost per completed task: what all traces cost, divided by those whose recorded outcome is a completion."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cost_spans import DAY, DAY_1, call, span
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from otel_callbacks import record_cost, record_feedback, workflow
from otel_callbacks.cli import main
from otel_callbacks.cost import per_outcome
from otel_callbacks.explore import JsonLinesSpanExporter, LinkRecord, SpanRecord
from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import set_process_recorder
from otel_callbacks.testing import Captured

LABEL = "app.state"


def attempt(trace: str, usd: float = 0.5, start: int = DAY_1, **attributes: Any) -> list[SpanRecord]:
    """A trace of one call that costs `usd`, below a root with `attributes`."""
    return [
        span("1", trace=trace, start=start, **attributes),
        call("2", "1", trace=trace, start=start, usd=usd),
    ]


def feedback(subject: str, start: int = DAY_1 + 10 * DAY, **attributes: Any) -> SpanRecord:
    named = {f"gen_ai.evaluation.{name}": value for name, value in attributes.items()}
    link = LinkRecord(subject, "1", {})
    return SpanRecord(
        f"f-{subject}-{start}", "1", None, "evaluation", "INTERNAL", start, start, named, links=(link,)
    )


def rows(found: Any) -> list[tuple[str | None, bool, int, Decimal]]:
    return [(row.outcome, row.completed, row.tasks, row.cost_usd) for row in found.rows]


def test_discarded_attempts_are_part_of_the_cost() -> None:
    spans = [
        *attempt("a", 0.1, **{LABEL: "closed"}),
        *attempt("b", 0.2, **{LABEL: "closed"}),
        *attempt("c", 0.4, **{LABEL: "failed"}),
        *attempt("d", 0.8),
    ]
    found = per_outcome(spans, "state")
    assert rows(found) == [
        ("closed", True, 2, Decimal("0.3")),
        (None, False, 1, Decimal("0.8")),
        ("failed", False, 1, Decimal("0.4")),
    ]
    assert (found.tasks, found.completed, found.cost_usd) == (4, 2, Decimal("1.5"))
    assert found.cost_per_completed_usd == Decimal("0.75")
    assert "1.500000 USD for 4 traces, 2 of them completed: 0.750000 USD per completed task." in str(found)


def test_one_outcome_may_be_named() -> None:
    spans = [*attempt("a", 0.1, **{LABEL: "closed"}), *attempt("b", 0.2, **{LABEL: "open"})]
    found = per_outcome(spans, "app.state=closed")
    assert rows(found) == [("closed", True, 1, Decimal("0.1")), ("open", False, 1, Decimal("0.2"))]
    assert found.cost_per_completed_usd == Decimal("0.3")


@pytest.mark.parametrize(
    ("given", "outcome", "completed"),
    [
        ({"score.value": 1}, "1", True),
        ({"score.value": 0.25}, "0.25", True),
        ({"score.value": 0}, "0", False),
        ({"score.value": -1}, "-1", False),
        ({"score.label": "yes", "score.value": 0}, "yes", True),
        ({"score.label": "No"}, "No", False),
        ({"score.label": "abandoned"}, "abandoned", False),
    ],
)
def test_feedback_is_an_outcome(given: Any, outcome: str, completed: bool) -> None:
    found = per_outcome([feedback("a", name="resolved", **given), *attempt("a")], "resolved")
    assert rows(found) == [(outcome, completed, 1, Decimal("0.5"))]


def test_the_last_feedback_counts_else_the_label_of_the_last_span() -> None:
    spans = [
        *attempt("a", **{LABEL: "closed"}),
        span("3", "1", trace="a", start=DAY_1 + 5, **{LABEL: "open"}),
        *attempt("b", **{LABEL: "open"}),
        feedback("b", start=DAY_1 + 9, name="state", **{"score.label": "no"}),
        feedback("b", start=DAY_1 + 3, name="state", **{"score.label": "closed"}),
        feedback("b", start=DAY_1 + 20, name="other", **{"score.label": "closed"}),
    ]
    assert rows(per_outcome(spans, "state")) == [
        ("open", True, 1, Decimal("0.5")),
        ("no", False, 1, Decimal("0.5")),
    ]


def test_feedback_may_come_after_the_days_that_are_reported() -> None:
    spans = [
        *attempt("a"),
        *attempt("b", start=DAY_1 + 2 * DAY),
        feedback("a", name="ok", **{"score.value": 1}),
    ]
    assert rows(per_outcome(spans, "ok", since=DAY_1, until=DAY_1 + DAY)) == [("1", True, 1, Decimal("0.5"))]


def test_without_a_completion_there_is_no_cost_per_task() -> None:
    found = per_outcome(attempt("a"), "state")
    assert found.cost_per_completed_usd is None
    assert "no cost per completed task" in str(found)


def test_unpriced_calls_are_told() -> None:
    spans = [
        *attempt("a", **{LABEL: "x"}),
        call("3", "1", trace="a", usd=None, status="unpriced", reason="no_rate"),
    ]
    found = per_outcome(spans, "state")
    assert found.rows[0].unpriced_calls == 1
    assert "Without a price, and so not in the costs: 1 call." in str(found)


def test_the_command_counts_what_the_application_recorded(captured: Captured, tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    captured.tracer_provider.add_span_processor(SimpleSpanProcessor(JsonLinesSpanExporter(file)))
    by_hand = recorder(**captured.providers)
    set_process_recorder(feedback, lambda: by_hand)
    for number in range(4):
        with workflow("task"):
            record_cost(usd="0.1", what="search")
        if number != 2:
            last = captured.spans[-1].context
            record_feedback(last.trace_id, name="resolved", score=number % 2)
    set_process_recorder(feedback, None)
    told = CliRunner().invoke(main, ["cost", str(file), "--per", "resolved", "--format", "json"])
    found = json.loads(told.output)
    assert {name: found[name] for name in ("tasks", "completed", "cost_usd", "cost_per_completed_usd")} == {
        "tasks": 4,
        "completed": 2,
        "cost_usd": "0.4",
        "cost_per_completed_usd": "0.2",
    }
    told = CliRunner().invoke(main, ["cost", str(file), "--per", "resolved=0", "--format", "csv"])
    assert told.output == (
        "outcome,completed,tasks,cost_usd,unpriced_calls\n0,True,1,0.1,0\n1,False,2,0.2,0\n,False,1,0.1,0\n"
    )
    refused = CliRunner().invoke(main, ["cost", str(file), "--per", "resolved", "--by", "tenant"])
    assert refused.exit_code == 2 and "--per cannot be used with --by" in refused.output
    refused = CliRunner().invoke(main, ["cost", str(file), "--per", "=x"])
    assert refused.exit_code == 2 and "must be a label or feedback such as 'resolved'" in refused.output
