"""What the same calls would have cost at other prices: before a contract is signed, after a list was corrected."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any

from otel_callbacks.cost.model_calls import OfSpans, spans_of
from otel_callbacks.cost.pricing import Pricer, Prices, price_book
from otel_callbacks.cost.reporting.finished import EXACT, recorded, repriced
from otel_callbacks.cost.reporting.reports import DEFAULT_BY, Accumulator, Key, Report, Row, names_of
from otel_callbacks.cost.reporting.table import ESTIMATE, Table, csv_text, dollars, jsonable, percent

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
    """The calls with one key, priced twice."""

    key: Key
    recorded: Row
    recomputed: Row

    @property
    def difference_usd(self) -> Decimal:
        """What the other prices add; negative if they are cheaper. Calls that only one of them prices are in it."""
        with localcontext(EXACT):
            return self.recomputed.cost_usd - self.recorded.cost_usd

    def numbers(self) -> dict[str, Any]:
        """The figures by name."""
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
    """Rows by falling new cost; `str()` is a table. Notebooks show one too."""

    by: tuple[str, ...]
    rows: tuple[Change, ...]
    total: Change

    def __str__(self) -> str:
        return self._table().text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self._table().mimebundle()

    def to_csv(self) -> str:
        """The rows, without the total; amounts with all their digits."""
        rows = [[*names_of(self.by, row.key), *row.numbers().values()] for row in self.rows]
        return csv_text([*self.by, *_NUMBERS], rows)

    def to_json(self) -> str:
        """An object with `by`, `rows`, `total` and `note`; amounts are strings, so that no digit is lost."""
        rows = [{**dict(zip(self.by, row.key, strict=True)), **row.numbers()} for row in self.rows]
        document = {"note": ESTIMATE, "by": self.by, "rows": rows, "total": self.total.numbers()}
        return json.dumps(document, indent=2, ensure_ascii=False, default=jsonable)

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
            [[*names_of(self.by, row.key), *_cells(row)] for row in self.rows],
            ["total", *[""] * (len(self.by) - 1), *_cells(self.total)],
            [ESTIMATE],
        )


def recompute(
    spans: Iterable[Any] | OfSpans, prices: Prices | Pricer | None = None, by: Sequence[str] = DEFAULT_BY
) -> Repricing:
    """Prices every call again, from its tokens and at the prices of the day on which it began.

    Args:
        spans: as for `report`.
        prices: as for a handler, before the list prices; a `Pricer`; None for the list prices alone.
        by: as for `report`, without `status`, which the prices decide.

    Raises:
        TypeError, ValueError: `prices` are none, or `by` holds a name that cannot be grouped by.
        OSError: the price book cannot be read.
    """
    if "status" in by:
        raise ValueError("by: 'status' is not the same before and after; group by something else")
    pricer = prices if isinstance(prices, Pricer) else Pricer(None if prices is None else price_book(prices))
    before, after = Accumulator(by, recorded), Accumulator(by, repriced(pricer))
    for span in spans_of(spans):
        before.add(span)
        after.add(span)
    return _joined(before.report(), after.report())


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
