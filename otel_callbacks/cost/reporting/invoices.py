"""Reads invoices: the CSV exports of OpenAI and Anthropic, and FOCUS, the billing format of the clouds.

The header tells which of these a file is:

- OpenAI, platform.openai.com/usage, "Export": costs (`amount_value`; ungrouped as in October 2025, grouped by
  `line_item` and with `quantity` as in September 2026) and usage of completions or embeddings
  (`num_model_requests`). https://platform.openai.com/docs/api-reference/usage describes the fields.
- Anthropic, platform.claude.com, "Cost" and "Usage", "Export" (`usage_date_utc`; columns as in December 2025 and in
  August 2026). https://support.claude.com/en/articles/9534590 describes the pages.
- FOCUS 1.0 to 1.3, https://focus.finops.org/focus-columns: `BilledCost`, `ChargePeriodStart` and, where filled in,
  `ConsumedQuantity` and `ConsumedUnit`. Rows that are not about models are skipped.

OpenAI and Anthropic export money and tokens to two files; read both.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from otel_callbacks.limits import INVOICE_DIGITS, INVOICE_LINE_CHARACTERS
from otel_callbacks.operations.providers import provider_name


class InvoiceError(ValueError):
    """A file cannot be read as an invoice; the message names the file, the line and the column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of an invoice. A line with only a day and a provider means that nothing was charged on that day.

    Attributes:
        day: the day in UTC.
        provider: who bills: openai, anthropic, aws, azure, gcp.
        model: the model as the invoice names it, perhaps among other words; None for all models together.
        other: what the line charges if not tokens: a tool, tax, a credit.
        input_tokens: including cached ones; None if the line does not count them.
        output_tokens: None if the line does not count them.
        usd: the charge, negative for a credit; None if the line only counts tokens.
    """

    day: date
    provider: str
    model: str | None = None
    other: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: Decimal | None = None

    @property
    def counts(self) -> bool:
        """Tells whether the line counts tokens."""
        return self.input_tokens is not None or self.output_tokens is not None


def read_invoice(path: str | Path) -> list[Line]:
    """Reads the lines of one file.

    Raises:
        InvoiceError: the file has none of the formats above, or a line is malformed.
        OSError: the file cannot be read.
    """
    path = Path(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(_lines(path, file), strict=True)
        try:
            read_line = _line_reader(path, reader.fieldnames or ())
            lines = [read_line(_Cells(f"{path}:{reader.line_num}", cells)) for cells in reader]
        except UnicodeDecodeError as error:
            raise InvoiceError(f"{path}: is not UTF-8 text: {error}") from None
        except csv.Error as error:
            raise InvoiceError(f"{path}:{reader.reader.line_num}: is not CSV: {error}") from None
    return [line for line in lines if line is not None]


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    """Yields the lines of a file, none of which is longer than the bound."""
    for number, line in enumerate(iter(partial(file.readline, INVOICE_LINE_CHARACTERS + 1), ""), 1):
        if len(line) > INVOICE_LINE_CHARACTERS:
            raise InvoiceError(f"{path}:{number}: is longer than {INVOICE_LINE_CHARACTERS:,} characters")
        yield line


class _Cells:
    """The cells of one line; each is checked when it is read."""

    def __init__(self, location: str, cells: Mapping[Any, Any]) -> None:
        self._location = location
        self._cells = cells
        if None in cells or None in cells.values():
            raise InvoiceError(f"{location}: has more or fewer cells than the header")

    def text(self, *columns: str) -> str:
        """Returns the first of the cells that is not empty; "" if all are."""
        cells = (self._cells.get(column, "").strip() for column in columns)
        return next((cell for cell in cells if cell not in ("", "NULL")), "")

    def number(self, column: str) -> Decimal | None:
        """Returns a number with all its digits; None if the cell is empty."""
        text = self.text(column)
        try:
            number = Decimal(text) if text else None
        except InvalidOperation:
            raise self.error(column, "is not a number") from None
        if number is not None and not (number.is_finite() and number.adjusted() < INVOICE_DIGITS):
            raise self.error(column, "is not a number")
        return number

    def count(self, *columns: str, unit: int = 1) -> int | None:
        """Returns the sum of the cells that are not empty; None if all are."""
        counted: int | None = None
        for column in columns:
            number = self.number(column)
            if number is None:
                continue
            if number < 0:
                raise self.error(column, "is negative")
            counted = (counted or 0) + round(number * unit)
        return counted

    def usd(self, column: str, currency: str) -> Decimal | None:
        """Returns an amount, after a check that the currency is USD."""
        if self.text(currency).upper() not in ("USD", ""):
            raise self.error(currency, "is not USD, the only currency that can be compared")
        return self.number(column)

    def moment(self, column: str) -> datetime:
        """Returns a time written in ISO 8601; without a time zone it is UTC."""
        try:
            moment = datetime.fromisoformat(self.text(column))
        except ValueError:
            raise self.error(column, "is not a date") from None
        try:
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except OverflowError:
            raise self.error(column, "is not a date") from None

    def unix_day(self, column: str) -> date:
        """Returns the day of a time in seconds since 1970."""
        seconds = self.number(column)
        if seconds is None or not 0 <= seconds < 10**11:  # milliseconds would be more
            raise self.error(column, "is not a time in seconds since 1970")
        return date(1970, 1, 1) + timedelta(seconds=int(seconds))

    def error(self, column: str, fault: str) -> InvoiceError:
        return InvoiceError(f"{self._location}: {column}: {self.text(column)!r:.200} {fault}")


def _openai_costs(cells: _Cells) -> Line:
    """Items look like "gpt-4o-mini-2024-07-18, cached input", "evals | gpt-5, output" or "web search tool calls"."""
    day, usd = cells.unix_day("start_time"), cells.usd("amount_value", "amount_currency")
    model, comma, kind = cells.text("line_item").rpartition(", ")
    if not comma:
        return Line(day=day, provider="openai", other=kind or None, usd=usd)
    counted = cells.count("quantity") if cells.text("quantity_unit") in ("", "tokens") else None
    return Line(
        day=day,
        provider="openai",
        model=model.rpartition(" | ")[2].partition(" ")[0],  # a modality may follow: "gpt-audio image"
        input_tokens=counted if "input" in kind or "cache" in kind else None,
        output_tokens=counted if "output" in kind else None,
        usd=usd,
    )


def _openai_usage(cells: _Cells) -> Line:
    return Line(
        day=cells.unix_day("start_time"),
        provider="openai",
        model=cells.text("model") or None,
        input_tokens=cells.count("input_tokens"),
        output_tokens=cells.count("output_tokens"),
    )


def _anthropic_costs(cells: _Cells) -> Line:
    for_tokens = cells.text("cost_type") in ("", "token", "tokens")
    return Line(
        day=cells.moment("usage_date_utc").date(),
        provider="anthropic",
        model=cells.text("model") or None if for_tokens else None,
        other=None if for_tokens else cells.text("cost_type"),
        usd=cells.number("cost_usd"),
    )


def _anthropic_usage(cells: _Cells) -> Line:
    kinds = ("no_cache", "cache_read", "cache_write", "cache_write_5m", "cache_write_1h")
    return Line(
        day=cells.moment("usage_date_utc").date(),
        provider="anthropic",
        model=cells.text("model_version") or None,
        input_tokens=cells.count(*(f"usage_input_tokens_{kind}" for kind in kinds)),
        output_tokens=cells.count("usage_output_tokens"),
    )


_CLOUDS = (("amazon", "aws"), ("aws", "aws"), ("microsoft", "azure"), ("azure", "azure"), ("google", "gcp"))
_ABOUT_MODELS = re.compile(
    r"bedrock|openai|anthropic|claude|vertex|gemini|foundry|\btokens?\b", re.IGNORECASE
)
_TOKENS = re.compile(r"(\d+)?\s*(k|m|thousand|million)?\s*tokens?", re.IGNORECASE)
_THOUSANDS = {"": 1, "k": 1_000, "thousand": 1_000, "m": 1_000_000, "million": 1_000_000}
_OUTPUT = re.compile(r"\b(output|outp|opt|completions?)\b", re.IGNORECASE)
_INPUT = re.compile(r"\b(input|inpt?|prompt|cached?|cchd)\b", re.IGNORECASE)


def _focus(cells: _Cells) -> Line | None:
    labels = ("ServiceName", "SkuMeter", "x_SkuMeterName", "ChargeDescription", "SkuPriceDetails", "SkuId")
    label = " · ".join(text for column in labels if (text := cells.text(column)))
    if cells.text("ServiceCategory") != "AI and Machine Learning" and not _ABOUT_MODELS.search(label):
        return None
    day, usd = _focus_day(cells), cells.usd("BilledCost", "BillingCurrency")
    provider = _focus_provider(cells.text("ServiceProviderName", "ProviderName", "PublisherName"))
    category = cells.text("ChargeCategory") or "Usage"
    if category != "Usage":
        return Line(day=day, provider=provider, other=category.lower(), usd=usd)
    counted = _focus_tokens(cells)
    is_input, is_output = bool(_INPUT.search(label)), bool(_OUTPUT.search(label))
    return Line(
        day=day,
        provider=provider,
        model=label,
        input_tokens=counted if is_input and not is_output else None,
        output_tokens=counted if is_output else None,
        usd=usd,
    )


def _focus_day(cells: _Cells) -> date:
    start = cells.moment("ChargePeriodStart")
    is_usage = cells.text("ChargeCategory") in ("", "Usage")
    is_long = cells.text("ChargePeriodEnd") and cells.moment("ChargePeriodEnd") - start > timedelta(days=1)
    if is_usage and is_long:
        raise cells.error("ChargePeriodEnd", "is more than a day after the start; export charges by the day")
    return start.date()


def _focus_provider(name: str) -> str:
    name = name.strip().lower()
    cloud = next((cloud for word, cloud in _CLOUDS if word in name), None)
    return cloud or (provider_name(name) or "").replace(" ", "_")


def _focus_tokens(cells: _Cells) -> int | None:
    unit = _TOKENS.fullmatch(cells.text("ConsumedUnit"))
    if unit is None:
        return None
    return cells.count("ConsumedQuantity", unit=int(unit[1] or 1) * _THOUSANDS[(unit[2] or "").lower()])


_LineReader = Callable[[_Cells], Line | None]
_LINE_READERS: tuple[tuple[str, frozenset[str], _LineReader], ...] = (
    ("OpenAI costs", frozenset(("start_time", "amount_value")), _openai_costs),
    ("OpenAI usage", frozenset(("start_time", "num_model_requests", "model", "input_tokens")), _openai_usage),
    ("Anthropic cost", frozenset(("usage_date_utc", "cost_usd")), _anthropic_costs),
    (
        "Anthropic usage",
        frozenset(("usage_date_utc", "model_version", "usage_output_tokens")),
        _anthropic_usage,
    ),
    ("FOCUS", frozenset(("BilledCost", "ChargePeriodStart", "ServiceName")), _focus),
)


def _line_reader(path: Path, header: Iterable[str]) -> _LineReader:
    present = set(header)
    for _, columns, read_line in _LINE_READERS:
        if columns <= present:
            return read_line
    known = "; ".join(f"{name} ({', '.join(sorted(columns))})" for name, columns, _ in _LINE_READERS)
    raise InvoiceError(
        f"{path}:1: is not an invoice of a known format. The known formats and their columns: {known}"
    )
