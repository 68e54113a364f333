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
        return "\n".join((*self._lines(range(len(self.columns))), *self.notes))

    def html(self) -> str:
        """The text in tags that notebooks and their converters leave alone, without columns that hold nothing.

        A `table` would not do: nbconvert's sanitiser shows its `thead`, `th` and `tfoot` as words.
        """
        body = [*self.rows, self.total] if self.total is not None else self.rows
        told = [place for place in range(len(self.columns)) if any(row[place] not in ("", "0") for row in body)]
        head, *lines = map(escape, self._lines(told or range(len(self.columns))))
        table = "\n".join((f"<b>{head}</b>", *lines))
        notes = "".join(f"<div><i>{escape(note)}</i></div>" for note in self.notes)
        return f"<blockquote><pre><code>{table}</code></pre></blockquote>{notes}"

    def _lines(self, places: Sequence[int]) -> list[str]:
        """The columns at some places, with rulers under the headings and over the total."""
        body = [[_printable(row[place]) for place in places] for row in (self.columns, *self.rows)]
        foot = [[self.total[place] for place in places]] if self.total is not None else []
        right = [place in self.numbers for place in places]
        widths = [max(map(len, column)) for column in zip(*body, *foot, strict=True)]
        lines = [_line(row, widths, right) for row in (*body, *foot)]
        rule = "─" * max(map(len, lines))
        lines.insert(1, rule)
        if foot:
            lines.insert(-1, rule)
        return lines


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = [
        cell.rjust(width) if at_right else cell.ljust(width)
        for cell, width, at_right in zip(row, widths, right, strict=True)
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

