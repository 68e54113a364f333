"""A price book or an invoice that cannot be read is one clear error: a price or a charge left out would be wrong."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from fuzzed import DOCUMENTS, FUZZ, replaced
from hypothesis import given
from hypothesis import strategies as st

from otel_callbacks.cost.price_book import PriceBook, PriceBookError
from otel_callbacks.cost.reporting.invoices import InvoiceError, read_invoice

BOOK = {
    "version": "1",
    "prices": [{"model": "a", "input": 1, "output": 2, "tiers": [{"above": 5, "input": 2}]}],
}
BOOK |= {"aliases": {"b": "a"}, "hosts": {"*.x": "openai"}}


@FUZZ
@given(st.lists(st.integers(0, 9), max_size=5), DOCUMENTS)
def test_any_value_in_any_place_of_a_price_book(tmp_path: Path, steps: list[int], value: Any) -> None:
    path = tmp_path / "book.json"
    path.write_text(json.dumps(replaced(BOOK, steps, value)))
    try:
        PriceBook.load(path)
    except PriceBookError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", "[" * 100_000),
        ("a.json", '{"prices": ' + "[" * 5_000 + "]" * 5_000 + "}"),
        ("a.json", '{"prices": [{"model": "a", "input": ' + "9" * 5_000 + "}]}"),
        ("a.json", '{"prices": [{"model": "a", "input": 1e' + "9" * 30 + "}]}"),
        ("a.json", '{"prices": [{"model": "a", "input": "1e999999999"}]}'),
        ("a.toml", "a = " + "[" * 100_000),
        ("a.toml", "a = " + "9" * 5_000),
        ("a.toml", "version = 2026-02-30"),
        ("a.toml", "[[prices]]\nmodel = 'a'\ninput = 1e" + "9" * 30),
        ("a.json", " " * 10_000_001),
    ],
)
def test_a_price_book_that_cannot_be_read_is_one_clear_error(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PriceBookError, match=name) as raised:
        PriceBook.load(tmp_path / name)
    assert len(str(raised.value)) < 1_000


HEADERS = [
    ["start_time", "amount_value", "amount_currency", "line_item", "quantity"],
    ["start_time", "num_model_requests", "model", "input_tokens", "output_tokens"],
    ["usage_date_utc", "cost_usd", "model"],
    ["usage_date_utc", "model_version", "usage_output_tokens", "usage_input_tokens_no_cache"],
    [
        "BilledCost",
        "ChargePeriodStart",
        "ChargePeriodEnd",
        "ServiceName",
        "ConsumedQuantity",
        "ConsumedUnit",
        "ChargeCategory",
    ],
]
CELLS = st.text(max_size=8) | st.sampled_from(
    (
        "1|1e999999999|-1|NaN|sNaN|0001-01-01T00:00:00+14:00|9999-12-31T23:59:59-14:00|2026-01-01|openai|Usage"
        "|1K tokens|1760000000|gpt-4o, input|99999999999999999999 million tokens|" + "9" * 5_000
    ).split("|")
)


@FUZZ
@given(st.data(), st.sampled_from(HEADERS))
def test_any_cells_of_an_invoice(tmp_path: Path, data: st.DataObject, header: list[str]) -> None:
    rows = data.draw(st.lists(st.lists(CELLS, min_size=len(header), max_size=len(header)), max_size=3))
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    path = tmp_path / "invoice.csv"
    path.write_text(out.getvalue(), newline="", errors="replace")
    try:
        read_invoice(path)
    except InvoiceError as error:
        assert str(path) in str(error) and len(str(error)) < 1_500


def test_an_invoice_of_one_long_line_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "invoice.csv"
    path.write_text("usage_date_utc,cost_usd\n" + "x" * 2_000_000)
    with pytest.raises(InvoiceError, match="2: is longer than"):
        read_invoice(path)
