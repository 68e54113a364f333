import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from golden_prices import GPT

from otel_callbacks.cost.price_book import PriceBook, PriceBookError
from otel_callbacks.cost.pricing import Cost, Pricer
from otel_callbacks.cost.rates import Price, Tier

TOML = """
version = "2026-11"
[aliases]
"deployment" = "gpt-4o"
[hosts]
"llm.corp.example" = "openai"
[[prices]]
model = "house-*"
aliases = ["chat"]
host = "*.gpu.example"
provider = "azure"
service_tier = "*"
valid_from = 2026-01-01
input = 0.1
output = 3
per_request = "0.001"
tiers = [{ above = 200_000, input = 0.2 }]
"""


def test_a_mapping_is_refused_as_entries() -> None:
    with pytest.raises(PriceBookError, match=r"entries is a mapping; PriceBook\.of\(\.\.\.\) reads one"):
        PriceBook({"prices": {}})  # type: ignore[arg-type]


def test_toml_json_and_mapping_give_the_same_book(tmp_path) -> None:
    entry = {"model": "house-*", "aliases": ["chat"], "host": "*.gpu.example", "provider": "azure"} | {
        "service_tier": "*",
        "valid_from": "2026-01-01",
        "input": 0.1,
        "output": 3,
        "per_request": "0.001",
        "tiers": [{"above": 200_000, "input": 0.2}],
    }
    same = {
        "aliases": {"deployment": "gpt-4o"},
        "hosts": {"llm.corp.example": "openai"},
        "version": "2026-11",
    }
    (tmp_path / "p.toml").write_text(TOML)
    (tmp_path / "p.json").write_text(json.dumps({"prices": [entry], **same}))
    books = [
        PriceBook.load(tmp_path / "p.toml"),
        PriceBook.load(str(tmp_path / "p.json")),
        PriceBook.of({"prices": [entry], **same}),
        PriceBook.of({"prices": {"house-*": {k: v for k, v in entry.items() if k != "model"}}, **same}),
    ]
    assert books[0] == books[1] == books[2] == books[3]
    price = books[0].entries[0].price
    assert price == Price(
        input=Decimal("0.1"),
        output=Decimal(3),
        per_request=Decimal("0.001"),
        tiers=(Tier(above=200_000, input=Decimal("0.2"), output=Decimal(3)),),
        valid_from=date(2026, 1, 1),
    )


def test_prices_in_python() -> None:
    book = PriceBook.of({"prices": {"m": Price(input=Decimal(1), output=Decimal(2)), "n": [{"input": 1}]}})
    cost = Pricer(book, None).price(replace(GPT, request_model="M"))
    assert isinstance(cost, Cost) and cost.total == Decimal("0.00003") and cost.version is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.toml", 'version = "1"\n[[prices]\nmodel = 1', r"p\.toml:2: is not TOML"),
        ("p.toml", "input = ", r"p\.toml:1: is not TOML"),
        ("p.toml", "a = 1\na = 2", r"p\.toml:2: is not TOML"),
        ("p.json", '{\n  "prices": [\n  {"model": "m",}\n]}', r"p\.json:3: is not JSON.*column"),
        (
            "p.json",
            '{"prices": [{"model": "m", "input": 1, "input": 2}]}',
            r"p\.json: the key 'input' is given twice",
        ),
        ("p.yaml", "prices: []", r"p\.yaml: a price book is a \.toml or a \.json file"),
        ("p.toml", b"a = 1\nb = '\xff'", r"p\.toml:2: is not UTF-8"),
        (
            "p.toml",
            "[[prices]]\nmodel = 'm'\ninput = -1",
            r"p\.toml: prices\[1\]\.input must not be negative, and is -1",
        ),
        (
            "p.json",
            '{"prices": [{"model": "m", "input": NaN}]}',
            r"prices\[1\]\.input must be a finite number",
        ),
    ],
)
def test_a_malformed_file_says_where(tmp_path, name: str, text: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PriceBookError, match=message):
        PriceBook.load(path)


def test_a_missing_file_is_an_os_error(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        PriceBook.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"input": -0.1}, r"prices\[1\]\.input must not be negative, and is -0\.1"),
        ({"output": float("nan")}, r"prices\[1\]\.output must be a finite number, not NaN"),
        ({"output": "Infinity"}, r"finite"),
        ({"input": True}, r"prices\[1\]\.input: must be a number of USD, not True"),
        ({"input": "cheap"}, r"not 'cheap'"),
        ({"input": None}, r"not None"),
        ({"input": "0." + "1" * 40}, r"more digits than a price"),
        ({"inptu": 1}, r"prices\[1\]: the key 'inptu' is not known; did you mean 'input'\?"),
        ({"input": 1, "cached_read": 1}, r"did you mean 'cache_read'\?"),
        ({}, r"prices\[1\]: has no rate"),
        ({"input": 1, "valid_from": "soon"}, r"valid_from: must be a day such as 2026-01-31, not 'soon'"),
        ({"input": 1, "valid_from": datetime(2026, 1, 1, tzinfo=UTC)}, r"must be a day"),
        (
            {"input": 1, "tiers": [{"above": -1}]},
            r"prices\[1\]\.tiers\[1\]\.above: must be a number of input",
        ),
        ({"input": 1, "tiers": [{"above": True}]}, r"above: must be"),
        (
            {"input": 1, "tiers": [{"above": 1, "input": -1}]},
            r"prices\[1\]\.tiers\[1\]\.input must not be neg",
        ),
        ({"input": 1, "tiers": [{"above": 1, "outptu": 1}]}, r"tiers\[1\]: the key 'outptu'.*'output'"),
        ({"input": 1, "tiers": [{"above": 5}, {"above": 5}]}, r"tiers: two tiers begin above 5"),
        ({"input": 1, "tiers": {"above": 5}}, r"tiers: must be a list"),
        ({"input": 1, "aliases": "x"}, r"aliases: must be a list of names"),
        ({"input": 1, "model": ""}, r"model: must be a name"),
        ({"input": 1, "host": 7}, r"host: must be a name"),
        ([], r"prices\[1\]: must be a table"),
    ],
)
def test_an_error_names_what_is_wrong_with_a_price(entry: object, message: str) -> None:
    with pytest.raises(PriceBookError, match=message):
        PriceBook.of({"prices": [{"model": "m", **entry} if isinstance(entry, dict) else entry]})


@pytest.mark.parametrize(
    ("book", "message"),
    [
        ({"currency": "EUR"}, r"only USD is supported, not 'EUR'"),
        ({"price": []}, r"the key 'price' is not known; did you mean 'prices'\?"),
        ({"prices": 3}, r"prices: must be a list or a table"),
        ({"prices": {"m": {"input": -1}}}, r'prices\."m"\.input must not be negative'),
        ({"aliases": {"a": 3}}, r'aliases\."a": must be a name'),
        ({"hosts": []}, r"hosts: must be a table"),
        (
            {"prices": [{"model": "m", "input": 1}, {"model": "M", "input": 2}]},
            r"'m' has two prices from the same day",
        ),
        ([], r"the price book: must be a table"),
    ],
)
def test_an_error_names_what_is_wrong_with_a_book(book: dict[str, object], message: str) -> None:
    with pytest.raises(PriceBookError, match=message):
        PriceBook.of(book)


@pytest.mark.parametrize("rate", [Decimal(-1), Decimal("NaN"), 0.5, True])
def test_a_price_in_python_is_checked_too(rate: Decimal) -> None:
    with pytest.raises(ValueError, match="input must"):
        Price(input=rate)
