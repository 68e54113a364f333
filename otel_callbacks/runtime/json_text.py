"""JSON for programs that read a command's standard output: always valid, and bounded lists that say so."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any

from otel_callbacks.runtime.untrusted_text import printable_json


def json_text(document: Any, indent: int | None = 2) -> str:
    """Returns JSON for people and programs; amounts are strings, so that no digit is lost.

    What JSON has no number for (NaN, infinities) is null. What does not print is escaped, which means the same.

    Raises:
        TypeError: a value is nothing that JSON has, and no `Decimal`.
    """
    try:
        return printable_json(_encode(document, indent))
    except ValueError:  # NaN or an infinity
        return printable_json(_encode(_finite(document), indent))


def digits(amount: Decimal) -> str:
    """Returns all digits of an amount, without an exponent or trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def amount(usd: float | None) -> str | None:
    """Returns a cost that was added up in floats as an amount is written: `0.3`; None if it is not known.

    A double has 15 decimal digits that can be trusted.
    """
    return digits(Decimal(f"{usd:.15g}")) if usd is not None and isfinite(usd) else None


def bounded(name: str, rows: Sequence[Any], limit: int, total: int | None = None) -> dict[str, Any]:
    """Returns the first `limit` rows under `name`, and under `<name>_left_out` how many of `total` are not there.

    `total` is the number of rows where `rows` are only the first of them.
    """
    count = len(rows) if total is None else total
    return {name: list(rows[:limit]), f"{name}_left_out": max(0, count - limit)}


def _encode(document: Any, indent: int | None) -> str:
    return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False, default=_jsonable)


def _jsonable(value: Any) -> Any:
    """Converts an amount for `json.dumps` to a string with all its digits."""
    if isinstance(value, Decimal):
        return digits(value)
    raise TypeError(f"{type(value).__name__} cannot be part of a report")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(content) for name, content in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(content) for content in value]
    return None if isinstance(value, float) and not isfinite(value) else value
