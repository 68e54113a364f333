"""Tables for terminals, spreadsheets and notebooks."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape

from otel_callbacks.runtime.json_text import digits
from otel_callbacks.runtime.untrusted_text import escaped

_FORMULA = re.compile(r"(?:^|;)\s*(?=[=+\-@＝＋－＠])")

ESTIMATE = (
    "Costs are estimates from the tokens that were counted and the prices that were known, not an invoice."
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its cells formatted, and notes below it.

    Attributes:
        columns: the headings.
        numbers: the indexes of the columns with numbers, which are aligned right.
        rows: the cells, one for each column.
        total: the last row, if any.
        notes: one line each.
    """

    columns: Sequence[str]
    numbers: range
    rows: Sequence[Sequence[str]]
    total: Sequence[str] | None
    notes: Sequence[str]

    def text(self) -> str:
        """Returns plain text with aligned columns."""
        body = [[escaped(cell) for cell in row] for row in (self.columns, *self.rows)]
        foot = [list(self.total)] if self.total is not None else []
        widths = [max(map(len, column)) for column in zip(*body, *foot, strict=True)]
        lines = [self._line(row, widths) for row in (*body, *foot)]
        rule = "─" * max(map(len, lines))
        lines.insert(1, rule)
        if foot:
            lines.insert(-1, rule)
        return "\n".join((*lines, *map(escaped, self.notes)))

    def html(self) -> str:
        """Returns HTML with only rows and cells: nbconvert's sanitiser removes styles and scripts."""
        rows = [_html_row(self.columns, bold=True), *map(_html_row, self.rows)]
        if self.total is not None:
            rows.append(_html_row(self.total, bold=True))
        notes = "".join(f"<div>{escape(escaped(note))}</div>" for note in self.notes)
        return f"<table>{''.join(rows)}</table>{notes}"

    def mimebundle(self) -> dict[str, str]:
        """Returns text and HTML, for a notebook to choose from."""
        return {"text/plain": self.text(), "text/html": self.html()}

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = [
            cell.rjust(width) if index in self.numbers else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns CSV (RFC 4180, but lines end in a line feed); None is an empty cell, amounts have no exponent.

    Control characters are escaped, and what a spreadsheet would take for a formula has a `'` in front.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows(map(_csv_cell, row) for row in (columns, *rows))
    return out.getvalue()


def dollars(usd: Decimal) -> str:
    """Formats an amount to a millionth of a dollar, for display only."""
    if 0 < abs(usd) < Decimal("0.0000005"):
        return "<0.000001" if usd > 0 else ">-0.000001"
    return f"{usd:,.6f}"


def percent(share: Decimal | float | None) -> str:
    """Formats a share as `43.2 %`; "" for None."""
    return "" if share is None else f"{share * 100:.1f} %"


def _csv_cell(cell: object) -> object:
    """Returns a cell that no spreadsheet takes for a formula: `'` stands before `=`, `+`, `-` and `@` at the beginning.

    A semicolon begins a cell where the decimal mark is a comma.
    """
    if isinstance(cell, Decimal):
        return digits(cell)
    return _FORMULA.sub(r"\g<0>'", escaped(cell)) if isinstance(cell, str) else cell


def _html_row(cells: Iterable[str], *, bold: bool = False) -> str:
    shown = (f"<b>{escape(cell)}</b>" if bold else escape(cell) for cell in map(escaped, cells))
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in shown) + "</tr>"
