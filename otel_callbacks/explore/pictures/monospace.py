"""Text in monospace columns, where some characters are two columns wide and some none."""

import unicodedata
from collections.abc import Sequence

_GAP = "  "


def width(text: str) -> int:
    """Returns how many columns `text` takes in a terminal."""
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def fit(text: str, columns: int) -> str:
    """Returns `text`, cut off with `…` if it is wider than `columns`."""
    if width(text) <= columns:
        return text
    used, kept = 1, []
    for character in text:
        used += _character_width(character)
        if used > columns:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def fit_ends(text: str, columns: int) -> str:
    """Returns `text`, without its middle if it is wider than `columns`, because paths differ at their end."""
    if width(text) <= columns:
        return text
    end = fit(text[::-1], columns // 2)[::-1]
    return fit(text, columns - width(end) + 1).removesuffix("…") + end


def pad(text: str, columns: int) -> str:
    """Returns `text` followed by spaces up to `columns`."""
    return text + " " * (columns - width(text))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the lines of a table, whose first row is the head. Numbers align right; empty columns are left out."""
    columns = [_column(column) for column in zip(*rows, strict=True) if any(column[1:])]
    return [_GAP.join(cells).rstrip() for cells in zip(*columns, strict=True)]


def _column(cells: Sequence[str]) -> list[str]:
    widest = max(map(width, cells))
    numbers = all(cell[-1:].isdigit() and not any(map(str.isalpha, cell)) for cell in cells[1:] if cell)
    return [" " * (widest - width(cell)) + cell if numbers else pad(cell, widest) for cell in cells]


def _character_width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
