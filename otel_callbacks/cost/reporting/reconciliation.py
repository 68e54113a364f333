"""Compares traces with invoices by day (UTC), provider and model: first the tokens, then the money.

Tokens should agree within half a percent. If they agree and the money does not, the prices differ, and the ratio
usually tells why.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import localcontext
from pathlib import Path
from typing import Any

from otel_callbacks.cost.model_calls import HasSpans, ModelCalls, spans_of
from otel_callbacks.cost.reporting.differences import (
    TOKEN_TOLERANCE,
    USD_TOLERANCE,
    TracedSums,
    agree,
    drift,
    usual_cause,
)
from otel_callbacks.cost.reporting.invoice_matching import Match, match_calls, total_of, traced_call
from otel_callbacks.cost.reporting.invoices import InvoiceError, read_invoice
from otel_callbacks.cost.reporting.span_cost import EXACT, CostReader, recorded_cost
from otel_callbacks.cost.reporting.table import ESTIMATE, Table, csv_text, dollars, percent
from otel_callbacks.runtime.json_text import json_text
from otel_callbacks.runtime.words import plural


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A comparison by day, provider and model; `str()` and notebooks show it as a table.

    Attributes:
        rows: the days, providers and models on the invoice or in the traces.
        total: the sums over all rows.
        left_out: the sums over calls of days or providers that the invoice does not cover.
    """

    rows: tuple[Match, ...]
    total: Match
    left_out: TracedSums

    @property
    def agrees(self) -> bool:
        """Tells whether the totals agree: tokens within half a percent, money within one percent."""
        traced, charged = self.total.traced, self.total.charged
        tokens = agree(traced.input_tokens + traced.output_tokens, charged.tokens, TOKEN_TOLERANCE)
        return tokens and agree(traced.usd, charged.usd, USD_TOLERANCE)

    @property
    def coverage(self) -> float | None:
        """The share of the calls that have a cost, from 0 to 1; None without calls."""
        calls = self.total.traced.calls
        return (calls - self.total.traced.unpriced_calls) / calls if calls else None

    def __str__(self) -> str:
        return self._table().text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self._table().mimebundle()

    def to_csv(self) -> str:
        """Returns the rows as CSV, without the total; amounts have all their digits."""
        return csv_text(list(self.total.dict()), [list(row.dict().values()) for row in self.rows])

    def to_json(self) -> str:
        """Returns JSON with `rows`, `total`, `coverage`, `agrees` and `note`; amounts are strings with all digits."""
        return json_text(self.document())

    def document(self) -> dict[str, Any]:
        """Returns what `to_json` writes; amounts are `Decimal`."""
        return {
            "note": ESTIMATE,
            "agrees": self.agrees,
            "coverage": self.coverage,
            "rows": [row.dict() for row in self.rows],
            "total": self.total.dict(),
        }

    def _table(self) -> Table:
        tokens, money = ("traced tokens", "charged tokens", "drift"), ("traced USD", "charged USD", "drift")
        return Table(
            ("day", "provider", "model", "calls", *tokens, *money, "usual cause"),
            range(3, 10),
            [[*_row_names(row), *_cells(row), usual_cause(row.traced, row.charged)] for row in self.rows],
            ["total", "", "", *_cells(self.total), ""],
            list(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        yield ESTIMATE
        if self.coverage is not None:
            calls = self.total.traced.calls
            priced = calls - self.total.traced.unpriced_calls
            yield f"Coverage: {priced:,} of {plural(calls, 'call')} have a price."
        if self.left_out.calls:
            left_out = f"{plural(self.left_out.calls, 'call')} ({dollars(self.left_out.usd)} USD)"
            yield f"{left_out} of days or providers that the invoice is not about."


def reconcile(
    spans: Iterable[Any] | HasSpans, *invoices: str | Path, cost_of_span: CostReader = recorded_cost
) -> Reconciliation:
    """Compares the calls in spans with what providers charge.

    Args:
        spans: as for `report`.
        invoices: CSV files in one of the formats of `otel_callbacks.cost.reporting.invoices`.
        cost_of_span: as for `report`.

    Raises:
        InvoiceError: a file is not an invoice or is malformed, or no line of the files is about models.
        OSError: a file cannot be read.
    """
    lines = [line for path in invoices for line in read_invoice(path)]
    if not lines:
        raise InvoiceError(
            f"{', '.join(map(str, invoices))}: no line is about models; nothing can be compared"
        )
    calls = ModelCalls(lambda span: traced_call(span, cost_of_span))
    for span in spans_of(spans):
        calls.add(span)
    with localcontext(EXACT):
        rows, left_out = match_calls([call for call in calls if call.cost.status != "cached"], lines)
        return Reconciliation(tuple(rows), total_of(rows), left_out)


def _row_names(row: Match) -> list[str]:
    return [str(row.day), row.provider or "(unknown)", row.model]


def _cells(row: Match) -> list[str]:
    traced, charged = row.traced, row.charged
    counted = traced.input_tokens + traced.output_tokens
    return [
        f"{traced.calls:,}",
        f"{counted:,}",
        "" if charged.tokens is None else f"{charged.tokens:,}",
        percent(drift(counted, charged.tokens)),
        dollars(traced.usd),
        "" if charged.usd is None else dollars(charged.usd),
        percent(drift(traced.usd, charged.usd)),
    ]
