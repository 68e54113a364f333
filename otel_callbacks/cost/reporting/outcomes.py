"""Cost per completed task: the cost of all traces, divided by the number of those whose outcome is a completion.

A task is a trace. Its outcome is what the application recorded: by feedback (`record_feedback(name="resolved", …)`), or
as a label (`app.resolved` on any of its spans). The last feedback counts, else the label on the span that started
last. Traces that were not completed, such as discarded attempts, count in the cost.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.cost.attribution import attribute_of
from otel_callbacks.cost.model_calls import FinishedSpan, HasSpans, ModelCalls, finished_span, spans_of
from otel_callbacks.cost.rates import ZERO
from otel_callbacks.cost.reporting.span_cost import EXACT, CostReader, SpanCost, recorded_cost
from otel_callbacks.cost.reporting.table import ESTIMATE, Table, csv_text, dollars
from otel_callbacks.runtime.json_text import json_text
from otel_callbacks.runtime.words import plural

NOT_COMPLETED = ("0", "false", "no", "fail", "failed", "failure", "error", "cancelled", "abandoned")
"""The outcomes, in lower case, that are no completion if none is asked for by name; nor is a score of 0 or less."""

_COLUMNS = ("outcome", "completed", "tasks", "cost_usd", "unpriced_calls")


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """The traces with one outcome.

    Attributes:
        outcome: the outcome as it was recorded; None if none was.
        completed: whether it is a completion.
        tasks: the number of traces.
        cost_usd: what they cost.
        unpriced_calls: their model calls without a cost, which `cost_usd` leaves out.
    """

    outcome: str | None
    completed: bool
    tasks: int
    cost_usd: Decimal
    unpriced_calls: int


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """The cost per completed task; `str()` and notebooks show it as a table.

    Attributes:
        name: the name of the outcome.
        rows: one row for each outcome, completions first, then the most expensive first.
    """

    name: str
    rows: tuple[OutcomeRow, ...]

    @property
    def tasks(self) -> int:
        """The number of traces, completed or not."""
        return sum(row.tasks for row in self.rows)

    @property
    def completed(self) -> int:
        """The number of completed tasks."""
        return sum(row.tasks for row in self.rows if row.completed)

    @property
    def cost_usd(self) -> Decimal:
        """What all traces cost, those that were not completed included."""
        with localcontext(EXACT):
            return sum((row.cost_usd for row in self.rows), ZERO)

    @property
    def cost_per_completed_usd(self) -> Decimal | None:
        """The cost of all traces divided by the number of completed tasks; None if no task was completed."""
        return self.cost_usd / self.completed if self.completed else None

    def __str__(self) -> str:
        return self._table().text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self._table().mimebundle()

    def to_csv(self) -> str:
        """Returns the rows as CSV, without the total; amounts have all their digits."""
        return csv_text(_COLUMNS, [[getattr(row, name) for name in _COLUMNS] for row in self.rows])

    def to_json(self) -> str:
        """Returns JSON with `per`, `rows` and the sums; amounts are strings, so that no digit is lost."""
        return json_text(self.document())

    def document(self) -> dict[str, Any]:
        """Returns what `to_json` writes; amounts are `Decimal`."""
        return {
            "note": ESTIMATE,
            "per": self.name,
            "rows": [{name: getattr(row, name) for name in _COLUMNS} for row in self.rows],
            "tasks": self.tasks,
            "completed": self.completed,
            "cost_usd": self.cost_usd,
            "cost_per_completed_usd": self.cost_per_completed_usd,
        }

    def _table(self) -> Table:
        rows = [
            [
                "(none)" if row.outcome is None else row.outcome,
                "yes" if row.completed else "no",
                f"{row.tasks:,}",
                dollars(row.cost_usd),
            ]
            for row in self.rows
        ]
        each = self.cost_per_completed_usd
        notes = [
            f"{dollars(self.cost_usd)} USD for {plural(self.tasks, 'trace')}, {self.completed:,} of them completed: "
            + (
                f"{dollars(each)} USD per completed task."
                if each is not None
                else "no cost per completed task."
            ),
            ESTIMATE,
        ]
        if unpriced := sum(row.unpriced_calls for row in self.rows):
            notes.append(f"Without a price, and so not in the costs: {plural(unpriced, 'call')}.")
        total = ["total", "", f"{self.tasks:,}", dollars(self.cost_usd)]
        return Table((self.name, "completed", "traces", "cost USD"), range(2, 4), rows, total, notes)


class _Tasks:
    """Collects the outcomes of traces from spans that arrive one by one."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._attribute = attribute_of(name) if _is_label(name) else None
        self._found: dict[
            str, tuple[bool, int, str]
        ] = {}  # by trace: whether it is feedback, when, the outcome

    def add(self, span: FinishedSpan, links: Iterable[Any]) -> bool:
        """Reads the outcome that a span records; returns whether the span is feedback, and so no part of a task."""
        attributes = span.attributes
        if semconv.EVALUATION_NAME not in attributes:
            if self._attribute and (label := attributes.get(self._attribute)) not in (None, ""):
                self._put(span.trace_id, (False, span.start_ns, str(label)))
            return False
        if attributes[semconv.EVALUATION_NAME] == self._name and (outcome := _judgement(attributes)):
            for link in links:
                self._put(_trace_id(link), (True, span.start_ns, outcome))
        return True

    def _put(self, trace_id: str, found: tuple[bool, int, str]) -> None:
        self._found[trace_id] = max(found, self._found.get(trace_id, found))

    def outcome(self, trace_id: str) -> str | None:
        found = self._found.get(trace_id)
        return found[2] if found is not None else None


def per_outcome(
    spans: Iterable[Any] | HasSpans,
    per: str,
    cost_of_span: CostReader = recorded_cost,
    *,
    since: int = 0,
    until: int | None = None,
) -> OutcomeReport:
    """Reports the cost per completed task among finished spans.

    Args:
        spans: as for `report`, with the spans of feedback.
        per: the name of a label or of feedback, such as "resolved". Then every outcome of that name is a completion
            but those in `NOT_COMPLETED`. Or a name and the one outcome that is, such as "ticket_state=closed".
        cost_of_span: as for `report`.
        since: leaves out spans that started earlier, in nanoseconds since 1970. Feedback may come at any time.
        until: leaves out spans that started then or later.

    Raises:
        ValueError: `per` is empty.
    """
    name, wanted = split_outcome(per)
    tasks = _Tasks(name)
    traces: set[str] = set()
    calls = ModelCalls(lambda span: (span.trace_id, cost_of_span(span)), with_recorded_costs=True)
    for each in spans_of(spans):
        span = finished_span(each)
        is_feedback = tasks.add(span, getattr(each, "links", None) or ())
        if not is_feedback and since <= span.start_ns and (until is None or span.start_ns < until):
            traces.add(span.trace_id)
            calls.add(span)
    return OutcomeReport(name, tuple(_rows(traces, tasks, calls, wanted)))


def split_outcome(per: str) -> tuple[str, str | None]:
    """Returns the name of an outcome, and the value that counts as a completion; None if any does.

    Raises:
        ValueError: the name is empty.
    """
    name, equals, wanted = per.partition("=")
    if not name.strip() or (equals and not wanted.strip()):
        raise ValueError(f"{per!r} must be a label or feedback such as 'resolved', or 'ticket_state=closed'")
    return name.strip(), wanted.strip() or None


def _rows(
    traces: Iterable[str], tasks: _Tasks, calls: Iterable[tuple[str, SpanCost]], wanted: str | None
) -> list[OutcomeRow]:
    number: dict[str | None, int] = {}
    cost: dict[str | None, Decimal] = {}
    unpriced: dict[str | None, int] = {}
    for trace_id in traces:
        outcome = tasks.outcome(trace_id)
        number[outcome] = number.get(outcome, 0) + 1
    with localcontext(EXACT):
        for trace_id, call in calls:
            outcome = tasks.outcome(trace_id)
            cost[outcome] = cost.get(outcome, ZERO) + (call.usd or ZERO)
            unpriced[outcome] = unpriced.get(outcome, 0) + (call.reason is not None)
    rows = [
        OutcomeRow(each, _is_completion(each, wanted), tasks_, cost.get(each, ZERO), unpriced.get(each, 0))
        for each, tasks_ in number.items()
    ]
    return sorted(rows, key=lambda row: (not row.completed, -row.cost_usd, row.outcome or ""))


def _is_completion(outcome: str | None, wanted: str | None) -> bool:
    if outcome is None:
        return False
    if wanted is not None:
        return outcome == wanted
    try:
        return float(outcome) > 0
    except ValueError:
        return outcome.strip().lower() not in NOT_COMPLETED


def _judgement(attributes: Mapping[str, Any]) -> str | None:
    """Returns the label of feedback, else its score."""
    label, score = (
        attributes.get(semconv.EVALUATION_SCORE_LABEL),
        attributes.get(semconv.EVALUATION_SCORE_VALUE),
    )
    if isinstance(label, str) and label:
        return label
    return f"{score:.15g}" if isinstance(score, int | float) else None


def _is_label(name: str) -> bool:
    try:
        attribute_of(name)
    except ValueError:
        return False
    return True


def _trace_id(link: Any) -> str:
    """Returns the trace id of a link, in hex, of our own records or of the SDK."""
    context = getattr(link, "context", None)
    return f"{context.trace_id:032x}" if context is not None else str(link.trace_id)
