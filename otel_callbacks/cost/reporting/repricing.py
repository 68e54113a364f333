"""Computes what recorded calls would cost at other prices: to judge a contract, or after a price was corrected."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from otel_callbacks.cost.model_calls import HasSpans, ModelCalls, spans_of
from otel_callbacks.cost.pricing import Pricer, Prices, as_price_book
from otel_callbacks.cost.reporting.reports import (
    DEFAULT_BY,
    Key,
    Report,
    Row,
    call_reader,
    check_grouping,
    display_names,
    report_of,
)
from otel_callbacks.cost.reporting.span_cost import EXACT, recorded_cost, repriced_cost
from otel_callbacks.cost.reporting.table import ESTIMATE, Table, csv_text, dollars, percent
from otel_callbacks.runtime.json_text import json_text

_NUMBERS = (
    "calls",
    "recorded_usd",
    "recomputed_usd",
    "difference_usd",
    "recorded_unpriced_calls",
    "recomputed_unpriced_calls",
)


@dataclass(frozen=True, slots=True)
class Change:
    """The cost of the calls with one key, as recorded and at the other prices."""

    key: Key
    recorded: Row
    recomputed: Row

    @property
    def difference_usd(self) -> Decimal:
        """The recomputed minus the recorded cost. Calls that only one side prices are part of it."""
        with localcontext(EXACT):
            return self.recomputed.cost_usd - self.recorded.cost_usd

    def numbers(self) -> dict[str, Any]:
        """Returns the numbers by name."""
        return {
            "calls": self.recorded.calls,
            "recorded_usd": self.recorded.cost_usd,
            "recomputed_usd": self.recomputed.cost_usd,
            "difference_usd": self.difference_usd,
            "recorded_unpriced_calls": self.recorded.unpriced_calls,
            "recomputed_unpriced_calls": self.recomputed.unpriced_calls,
        }


@dataclass(frozen=True, slots=True)
class Repricing:
    """Recorded and recomputed costs, the most expensive first; `str()` and notebooks show them as a table."""

    by: tuple[str, ...]
    rows: tuple[Change, ...]
    total: Change

    def __str__(self) -> str:
        return self._table().text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self._table().mimebundle()

    def to_csv(self) -> str:
        """Returns the rows as CSV, without the total; amounts have all their digits."""
        rows = [[*display_names(self.by, row.key), *row.numbers().values()] for row in self.rows]
        return csv_text([*self.by, *_NUMBERS], rows)

    def to_json(self) -> str:
        """Returns JSON with `by`, `rows`, `total` and `note`; amounts are strings, so that no digit is lost."""
        return json_text(self.document())

    def document(self) -> dict[str, Any]:
        """Returns what `to_json` writes; amounts are `Decimal`."""
        rows = [{**dict(zip(self.by, row.key, strict=True)), **row.numbers()} for row in self.rows]
        return {"note": ESTIMATE, "by": self.by, "rows": rows, "total": self.total.numbers()}

    def _table(self) -> Table:
        columns = (
            *self.by,
            "calls",
            "recorded USD",
            "recomputed USD",
            "difference USD",
            "change",
            "unpriced",
        )
        return Table(
            columns,
            range(len(self.by), len(columns)),
            [[*display_names(self.by, row.key), *_cells(row)] for row in self.rows],
            ["total", *[""] * (len(self.by) - 1), *_cells(self.total)],
            [ESTIMATE],
        )


def recompute(
    spans: Iterable[Any] | HasSpans, prices: Prices | Pricer | None = None, by: Sequence[str] = DEFAULT_BY
) -> Repricing:
    """Prices every call again, from its tokens at the prices of the day on which it began.

    Args:
        spans: as for `report`.
        prices: as for a handler (the price list prices the other models), or a `Pricer`; None for the price list.
        by: as for `report`, without `status`, which depends on the prices.

    Raises:
        TypeError, ValueError: `prices` are not prices, or `by` has a name that a report cannot be grouped by.
        OSError: the price book cannot be read.
    """
    if "status" in by:
        raise ValueError("by: 'status' is not the same before and after; group by something else")
    pricer = (
        prices if isinstance(prices, Pricer) else Pricer(None if prices is None else as_price_book(prices))
    )
    names = check_grouping(by)
    recorded, repriced = call_reader(names, recorded_cost), call_reader(names, repriced_cost(pricer))
    calls = ModelCalls(lambda span: (recorded(span), repriced(span)), with_recorded_costs=True)
    for span in spans_of(spans):
        calls.add(span)
    counted = list(calls)
    before, after = (report_of(names, [call[side] for call in counted]) for side in (0, 1))
    return _joined(before, after)


def _joined(before: Report, after: Report) -> Repricing:
    earlier = {row.key: row for row in before.rows}
    rows = tuple(Change(row.key, earlier[row.key], row) for row in after.rows)
    return Repricing(before.by, rows, Change((), before.total, after.total))


def _cells(change: Change) -> list[str]:
    before, difference = change.recorded, change.difference_usd
    unpriced = f"{before.unpriced_calls:,} → {change.recomputed.unpriced_calls:,}"
    return [
        f"{before.calls:,}",
        dollars(before.cost_usd),
        dollars(change.recomputed.cost_usd),
        dollars(difference),
        percent(difference / before.cost_usd if before.cost_usd else None),
        unpriced if unpriced != "0 → 0" else "",
    ]
