"""A table for the three places where one is read: a terminal, a spreadsheet, a notebook."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

ESTIMATE = (
    "Costs are estimates from the tokens that were counted and the prices that were known, not an invoice."
)


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as they are shown, and what has to be said below them.

    Attributes:
        columns: the headings.
        numbers: the columns that hold numbers and are aligned at the right.
        rows: as many cells each as there are columns.
        total: the last row; None for none.
        notes: a line each.
    """

    columns: Sequence[str]
    numbers: range
    rows: Sequence[Sequence[str]]
    total: Sequence[str] | None
    notes: Sequence[str]

    def text(self) -> str:
        """Plain text, columns aligned."""
        body = [[_printable(cell) for cell in row] for row in (self.columns, *self.rows)]
        foot = [list(self.total)] if self.total is not None else []
        widths = [max(map(len, column)) for column in zip(*body, *foot, strict=True)]
        lines = [self._line(row, widths) for row in (*body, *foot)]
        rule = "─" * max(map(len, lines))
        lines.insert(1, rule)
        if foot:
            lines.insert(-1, rule)
        return "\n".join((*lines, *self.notes))

    def html(self) -> str:
        """Rows and cells alone, without style or script: more of a table does not survive nbconvert's sanitiser."""
        rows = [_html_row(self.columns, bold=True), *map(_html_row, self.rows)]
        if self.total is not None:
            rows.append(_html_row(self.total, bold=True))
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.notes)
        return f"<table>{''.join(rows)}</table>{notes}"

    def mimebundle(self) -> dict[str, str]:
        """Both, for a notebook to choose from."""
        return {"text/plain": self.text(), "text/html": self.html()}

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = [
            cell.rjust(width) if place in self.numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV (RFC 4180, but lines end in a line feed); None is an empty cell, amounts have no exponent."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([digits(cell) if isinstance(cell, Decimal) else cell for cell in row] for row in rows)
    return out.getvalue()


def jsonable(value: Any) -> Any:
    """For `json.dumps`: an amount as a text of all its digits."""
    if isinstance(value, Decimal):
        return digits(value)
    raise TypeError(f"{type(value).__name__} has no place in a report")


def digits(amount: Decimal) -> str:
    """All its digits, without an exponent and without zeros that say nothing."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def dollars(usd: Decimal) -> str:
    """To a millionth, for the eye only."""
    if 0 < abs(usd) < Decimal("0.0000005"):
        return "<0.000001" if usd > 0 else ">-0.000001"
    return f"{usd:,.6f}"


def percent(share: Decimal | float | None) -> str:
    """`43.2 %`; nothing if there is no share."""
    return "" if share is None else f"{share * 100:.1f} %"


def _printable(cell: str) -> str:
    """One line, whatever a label holds."""
    return cell if cell.isprintable() else ascii(cell)[1:-1]


def _html_row(cells: Iterable[str], *, bold: bool = False) -> str:
    shown = (f"<b>{escape(cell)}</b>" if bold else escape(cell) for cell in cells)
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in shown) + "</tr>"
