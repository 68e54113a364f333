"""What was traced beside what is charged: first the tokens, then the money, by day (UTC), provider and model.

Tokens should agree to half a percent. Where they do and the money does not, the prices differ, and by how much says
why more often than not.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import localcontext
from pathlib import Path
from typing import Any

from otel_callbacks.cost.model_calls import Calls, OfSpans, spans_of
from otel_callbacks.cost.reporting.drift import TOKEN_TOLERANCE, USD_TOLERANCE, Traced, cause, drift, near
from otel_callbacks.cost.reporting.finished import EXACT, Charging, recorded
from otel_callbacks.cost.reporting.invoices import InvoiceError, read_invoice
from otel_callbacks.cost.reporting.matching import Match, compared, read_call, total
from otel_callbacks.cost.reporting.table import ESTIMATE, Table, csv_text, dollars, jsonable, percent


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Rows by day, provider and model; `str()` is a table. Notebooks show one too.

    Attributes:
        rows: what can be compared.
        total: over all rows.
        left_out: calls of days or providers that the invoice is not about.
    """

    rows: tuple[Match, ...]
    total: Match
    left_out: Traced

    @property
    def agrees(self) -> bool:
        """Whether the totals do: tokens to half a percent, money to one."""
        traced, charged = self.total.traced, self.total.charged
        tokens = near(traced.input_tokens + traced.output_tokens, charged.tokens, TOKEN_TOLERANCE)
        return tokens and near(traced.usd, charged.usd, USD_TOLERANCE)

    @property
    def coverage(self) -> float | None:
        """The part of the calls that have a cost, 0 to 1; None without calls."""
        calls = self.total.traced.calls
        return (calls - self.total.traced.unpriced_calls) / calls if calls else None

    def __str__(self) -> str:
        return self._table().text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self._table().mimebundle()

    def to_csv(self) -> str:
        """The rows, without the total; amounts with all their digits."""
        return csv_text(list(self.total.dict()), [list(row.dict().values()) for row in self.rows])

    def to_json(self) -> str:
        """An object with `rows`, `total`, `coverage`, `agrees` and `note`; amounts are strings with all digits."""
        document = {
            "note": ESTIMATE,
            "agrees": self.agrees,
            "coverage": self.coverage,
            "rows": [row.dict() for row in self.rows],
            "total": self.total.dict(),
        }
        return json.dumps(document, indent=2, ensure_ascii=False, default=jsonable)

    def _table(self) -> Table:
        tokens, money = ("traced tokens", "charged tokens", "drift"), ("traced USD", "charged USD", "drift")
        return Table(
            ("day", "provider", "model", "calls", *tokens, *money, "usual cause"),
            range(3, 10),
            [[*_names(row), *_cells(row), cause(row.traced, row.charged)] for row in self.rows],
            ["total", "", "", *_cells(self.total), ""],
            list(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        yield ESTIMATE
        if self.coverage is not None:
            calls = self.total.traced.calls
            priced = calls - self.total.traced.unpriced_calls
            yield f"Coverage: {priced:,} of {calls:,} calls have a price."
        if self.left_out.calls:
            yield (
                f"{self.left_out.calls:,} calls ({dollars(self.left_out.usd)} USD) are of days or providers that "
                "the invoice is not about."
            )


def reconcile(
    spans: Iterable[Any] | OfSpans, *invoices: str | Path, charging: Charging = recorded
) -> Reconciliation:
    """Compares what was traced with what providers charge.

    Args:
        spans: as for `report`.
        invoices: CSV files; see `otel_callbacks.cost.reporting.invoices` for those that can be read.
        charging: where a call's cost comes from.

    Raises:
        InvoiceError: a file is no invoice, or malformed, or none of the files says anything about models.
        OSError: a file cannot be read.
    """
    lines = [line for path in invoices for line in read_invoice(path)]
    if not lines:
        raise InvoiceError(
            f"{', '.join(map(str, invoices))}: no line is about models; nothing can be compared"
        )
    calls = Calls(lambda span: read_call(span, charging))
    for span in spans_of(spans):
        calls.add(span)
    with localcontext(EXACT):
        rows, left_out = compared([call for call in calls if call.charge.status != "cached"], lines)
        return Reconciliation(tuple(rows), total(rows), left_out)


def _names(row: Match) -> list[str]:
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
