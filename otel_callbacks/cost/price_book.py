"""The user's own prices: contracts, models that the price list does not know, self-hosted servers.

A price book is a mapping, a TOML file or a JSON file::

    version = "contract 2026"           # recorded with every cost
    currency = "USD"                    # no other is supported

    [[prices]]
    model = "llama-3.3-*"               # exact or a pattern with *, ?, [..]; case does not matter
    host = "*.gpu.example"              # optional: the server's address without the port
    provider = "openai"                 # optional: as in gen_ai.provider.name, or as the framework spells it
    aliases = ["chat-prod"]             # optional: other names of the same model
    service_tier = "flex"               # optional: only calls of this tier; "batch" is one, "*" is any
    speed = "fast"                      # optional, so are inference_geo, latency, traffic_type, search_context_size
    valid_from = 2026-01-01             # optional: the first day (UTC) of this price
    input = 0.10                        # USD per million tokens; 0 is free, a missing rate is unknown
    output = 0.30
    tiers = [{ above = 200_000, input = 0.20, output = 0.60 }]
    per_request = 0.005                 # USD for each call; includes its searches, unless `units` has a price for them
    units = { web_searches = 10.00 }    # USD per thousand; for units that are tokens (citation_tokens) per million

    [aliases]                           # other names for a model of this book or of the price list
    "my-azure-deployment" = "gpt-4o"

    [hosts]                             # gateways, and the provider who bills the calls through them
    "llm.corp.example" = "openai"

A price holds for the terms that it names, and for the usual ones: a call of another tier, speed or place has no price
here. What a call used and no price covers (`units`) makes its cost partial.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from otel_callbacks.cost.price_entry import Entry, NamePattern, PriceQuery
from otel_callbacks.cost.rates import TOKEN_KINDS, UNITS, Price, Tier, check_rate
from otel_callbacks.cost.terms import CONDITIONS, TIER, terms_of
from otel_callbacks.limits import PRICE_BOOK_BYTES
from otel_callbacks.operations.providers import provider_name

_BOOK_KEYS = ("prices", "aliases", "hosts", "version", "currency")
_RATE_KEYS = (*TOKEN_KINDS, "per_request")
_ENTRY_KEYS = (
    *_RATE_KEYS,
    *("model", "provider", "host", "aliases", "valid_from", "tiers", "units"),
    *(TIER, *CONDITIONS),
)
_TIER_KEYS = (*TOKEN_KINDS, "above")


class PriceBookError(ValueError):
    """A price book cannot be read; the message names the file, the line or key, and the remedy."""


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The user's own prices, which come before the price list; see the module for the format.

    Attributes:
        entries: the prices. The most specific entry for a call wins: an exact name before a pattern, then an entry
            with a host, a provider or a tier, then the newest price in force when the call began.
        aliases: other names, in lower case → the model they stand for.
        hosts: the address of a gateway → the provider who bills.
        version: recorded as the price version.
    """

    entries: tuple[Entry, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[tuple[NamePattern, str], ...] = ()
    version: str | None = None

    def __repr__(self) -> str:
        count, version = len(self.entries), "" if self.version is None else f", version {self.version!r:.100}"
        return f"<PriceBook of {count:,} price{'s' * (count != 1)}{version}>"

    def __post_init__(self) -> None:
        if isinstance(self.entries, Mapping):
            raise PriceBookError("entries is a mapping; PriceBook.of(...) reads one")

    @classmethod
    def of(cls, book: Mapping[str, Any]) -> "PriceBook":
        """Reads a mapping in the format of this module.

        `prices` is a list of entries, or a mapping of model names to an entry, a list of dated entries or a `Price`.
        Numbers may be Decimal, int, str or float; a float means its shortest spelling (0.1 is one tenth).

        Raises:
            PriceBookError: a key is unknown or a value is wrong.
        """
        return _BookReader().book(book)

    @classmethod
    def load(cls, path: str | Path) -> "PriceBook":
        """Reads a `.toml` or `.json` file.

        Raises:
            PriceBookError: the file is neither, is malformed (the message has the line), has an unknown key or a
                wrong value.
            OSError: the file cannot be read.
        """
        path = Path(path)
        with path.open("rb") as file:
            content = _parse(path, file.read(PRICE_BOOK_BYTES + 1))
        try:
            return cls.of(content)
        except PriceBookError as error:
            raise PriceBookError(f"{path}: {error}") from None

    def find(self, query: PriceQuery) -> Entry | None:
        """Returns the entry for a call, or None."""
        names = self.names(query)
        best: tuple[Any, Entry] | None = None
        for entry in self.entries:
            rank = entry.rank(query, names)
            if rank is not None and (best is None or rank > best[0]):
                best = rank, entry
        return best[1] if best else None

    def names(self, query: PriceQuery) -> list[str]:
        """Returns the names of a call's model: from the response, from the request, then their aliases."""
        names = [name for name in (query.response_model, query.request_model) if name]
        return list(dict.fromkeys([*names, *(self.aliases[name] for name in names if name in self.aliases)]))

    def biller(self, host: str | None) -> str | None:
        """Returns the provider who bills the calls through a gateway; None if the book does not list the host."""
        return next((provider for pattern, provider in self.hosts if pattern.matches(host)), None)


def _parse(path: Path, content: bytes) -> Mapping[str, Any]:
    if len(content) > PRICE_BOOK_BYTES:
        raise PriceBookError(f"{path}: is larger than {PRICE_BOOK_BYTES:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PriceBookError(f"{path}:{line}: is not UTF-8 text") from None
    suffix = path.suffix.lower()
    try:
        if suffix == ".toml":
            return tomllib.loads(text, parse_float=Decimal)
        if suffix == ".json":
            book = json.loads(text, parse_float=Decimal, object_pairs_hook=_without_duplicates)
            return book if isinstance(book, Mapping) else {"prices": book}
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise PriceBookError(f"{path}:{line}: is not TOML: {error}") from None
    except json.JSONDecodeError as error:
        raise PriceBookError(
            f"{path}:{error.lineno}: is not JSON: {error.msg} (column {error.colno})"
        ) from None
    except PriceBookError as error:
        raise PriceBookError(f"{path}: {error}") from None
    except (RecursionError, ValueError, ArithmeticError) as error:  # nested too deep, or thousands of digits
        raise PriceBookError(f"{path}: has a value that cannot be read: {error!s:.200}") from None
    raise PriceBookError(f"{path}: a price book is a .toml or a .json file")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Builds a JSON object; refuses duplicate keys as TOML does, because JSON would silently keep the last."""
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise PriceBookError(f"the key {key!r} is given twice")
        table[key] = value
    return table


class _BookReader:
    """Reads a price book; an error names the key that is wrong."""

    def book(self, book: object) -> PriceBook:
        top = _table(book, "the price book", _BOOK_KEYS)
        currency = top.get("currency", "USD")
        if currency != "USD":
            raise PriceBookError(f"currency: only USD is supported, not {currency!r}; convert the rates")
        version = top.get("version")
        entries = tuple(self._entries(top.get("prices", ())))
        self._refuse_duplicates(entries)
        aliases = self._names(top.get("aliases", {}), "aliases")
        hosts = self._names(top.get("hosts", {}), "hosts")
        return PriceBook(
            entries,
            {name: model.strip().lower() for name, model in aliases.items()},
            tuple((NamePattern.of(host), _provider(name)) for host, name in hosts.items()),
            None if version is None else str(version),
        )

    def _entries(self, prices: object) -> Iterable[Entry]:
        if isinstance(prices, Mapping):
            for model, value in prices.items():
                key = f"prices.{json.dumps(model)}"
                dated = value if isinstance(value, Sequence) and not isinstance(value, str) else None
                for number, entry in enumerate([value] if dated is None else dated, 1):
                    yield self._entry(entry, key if dated is None else f"{key}[{number}]", model)
        elif isinstance(prices, Sequence) and not isinstance(prices, str | bytes):
            for number, entry in enumerate(prices, 1):
                yield self._entry(entry, f"prices[{number}]")
        else:
            raise PriceBookError(f"prices: must be a list or a table, not {prices!r}")

    def _entry(self, value: object, key: str, model: object = None) -> Entry:
        if isinstance(value, Price) and model is not None:
            name = _text(model, f"{key}: the model")
            return Entry(name, value, (NamePattern.of(name),))
        table = dict(_table(value, key, _ENTRY_KEYS))
        model = _text(table.setdefault("model", model), f"{key}.model")
        aliases = table.get("aliases", ())
        if isinstance(aliases, str) or not isinstance(aliases, Sequence):
            raise PriceBookError(f"{key}.aliases: must be a list of names, not {aliases!r}")
        names = [model, *(_text(alias, f"{key}.aliases") for alias in aliases)]
        host, provider = table.get("host"), table.get("provider")
        terms = {name: _text(table[name], f"{key}.{name}") for name in (TIER, *CONDITIONS) if name in table}
        return Entry(
            model,
            self._price(table, key),
            tuple(map(NamePattern.of, names)),
            None if provider is None else _provider(_text(provider, f"{key}.provider")),
            None if host is None else NamePattern.of(_text(host, f"{key}.host")),
            dict(terms_of(terms.pop(TIER, None), terms.items())),
        )

    def _price(self, table: Mapping[str, Any], key: str) -> Price:
        rates = _rates(table, key, _RATE_KEYS)
        units = _units(table.get("units", {}), f"{key}.units")
        tiers = table.get("tiers", ())
        if isinstance(tiers, str | Mapping) or not isinstance(tiers, Sequence):
            raise PriceBookError(f"{key}.tiers: must be a list of tables, not {tiers!r}")
        if not rates and not units:
            raise PriceBookError(f"{key}: has no rate; give at least one of {', '.join(_RATE_KEYS)}, units")
        steps = [self._tier(tier, f"{key}.tiers[{number}]") for number, tier in enumerate(tiers, 1)]
        try:
            since = _day(table.get("valid_from"), f"{key}.valid_from")
            return Price(**rates, units=units, tiers=tuple(steps), valid_from=since)
        except PriceBookError:
            raise
        except ValueError as error:
            raise PriceBookError(f"{key}.tiers: {error}") from None

    def _tier(self, value: object, key: str) -> Tier:
        table = _table(value, key, _TIER_KEYS)
        above = table.get("above")
        if type(above) is not int or above < 0:
            raise PriceBookError(f"{key}.above: must be a number of input tokens, not {above!r}")
        return Tier(above=above, **_rates(table, key, TOKEN_KINDS))

    def _names(self, value: object, key: str) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise PriceBookError(f"{key}: must be a table of names, not {value!r:.100}")
        return {
            _text(name, key).strip().lower(): _text(target, f"{key}.{json.dumps(name)}")
            for name, target in value.items()
        }

    def _refuse_duplicates(self, entries: Sequence[Entry]) -> None:
        seen: set[object] = set()
        for entry in entries:
            for name in entry.names:
                terms = frozenset(entry.terms.items())
                conditions = name.text, entry.provider, entry.host, terms, entry.price.valid_from
                if conditions in seen:
                    raise PriceBookError(f"prices: {name.text!r} has two prices from the same day")
                seen.add(conditions)


def _table(value: object, key: str, known: Iterable[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise PriceBookError(f"{key}: must be a table, not {value!r:.100}")
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.0)[0]
            raise PriceBookError(f"{key}: the key {name!r} is not known; did you mean {near!r}?")
    return value


def _rates(table: Mapping[str, Any], key: str, kinds: Iterable[str]) -> dict[str, Decimal]:
    return {kind: _rate(table[kind], f"{key}.{kind}") for kind in kinds if kind in table}


def _units(value: object, key: str) -> dict[str, Decimal]:
    if not isinstance(value, Mapping):
        raise PriceBookError(f"{key}: must be a table such as {{ web_searches = 10 }}, not {value!r:.100}")
    return _rates(_table(value, key, UNITS), key, UNITS)


def _rate(value: object, key: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
        raise PriceBookError(f"{key}: must be a number of USD, not {value!r}")
    try:
        rate = Decimal(str(value))
    except InvalidOperation:
        raise PriceBookError(f"{key}: must be a number of USD, not {value!r}") from None
    try:
        check_rate(rate, key)
    except ValueError as error:
        raise PriceBookError(str(error)) from None
    return rate


def _day(value: object, key: str) -> date | None:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    elif value is None or type(value) is date:
        return value
    raise PriceBookError(f"{key}: must be a day such as 2026-01-31, not {value!r}")


def _text(value: object, key: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise PriceBookError(f"{key}: must be a name, not {value!r}")
    return value


def _provider(name: str) -> str:
    return (provider_name(name.strip()) or name).lower()
