"""The user's own prices: contracts, models that no list knows, servers of one's own.

A book is a mapping, a TOML file or a JSON file::

    version = "contract 2026"           # recorded with every cost
    currency = "USD"                    # the only one there is

    [[prices]]
    model = "llama-3.3-*"               # exact or with *, ?, [..]; upper and lower case are the same
    host = "*.gpu.example"              # optional: the server's address, without the port
    provider = "openai"                 # optional: as in gen_ai.provider.name, or as the framework spells it
    aliases = ["chat-prod"]             # optional: other names of the same model
    service_tier = "flex"               # optional: only calls of this tier ("batch" too; "*" is any)
    valid_from = 2026-01-01             # optional: the day (UTC) from which it holds
    input = 0.10                        # USD per million tokens; a 0 is a price, a missing rate is none
    output = 0.30
    tiers = [{ above = 200_000, input = 0.20, output = 0.60 }]

    [aliases]                           # names that stand for a model, of this book or of the list prices
    "my-azure-deployment" = "gpt-4o"

    [hosts]                             # gateways, and the provider who bills what goes through them
    "llm.corp.example" = "openai"
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from fnmatch import translate
from pathlib import Path
from typing import Any, NamedTuple

from otel_callbacks.cost.rates import KINDS, Price, Tier, check_rate
from otel_callbacks.operations.providers import provider_name

_TOP = ("prices", "aliases", "hosts", "version", "currency")
_RATES = (*KINDS, "per_request")
_ENTRY = (*_RATES, "model", "provider", "host", "aliases", "service_tier", "valid_from", "tiers")
_TIER = (*KINDS, "above")
_WILD = re.compile(r"[*?\[]")


class PriceBookError(ValueError):
    """A price book that cannot be used; the message names the file, the line or the key, and the remedy."""


class Query(NamedTuple):
    """What decides the price of a call, apart from its tokens; hashable, all names in lower case.

    Attributes:
        provider: as in `gen_ai.provider.name`.
        tier: the service tier, "" for the standard one.
        batch: whether it was part of a batch job, whatever its tier.
        day: the day on which the call began, in UTC.
    """

    provider: str | None
    request_model: str | None
    response_model: str | None
    host: str | None
    tier: str
    batch: bool
    day: date


@dataclass(frozen=True, slots=True)
class Pattern:
    """A name, or a shell-style pattern of names."""

    text: str
    expression: re.Pattern[str] | None

    @classmethod
    def of(cls, text: str) -> "Pattern":
        """Reads a name; case does not count."""
        text = text.strip().lower()
        return cls(text, re.compile(translate(text)) if _WILD.search(text) else None)

    def matches(self, name: str | None) -> bool:
        """Whether a name in lower case is meant."""
        if name is None:
            return False
        return name == self.text if self.expression is None else bool(self.expression.match(name))

    @property
    def weight(self) -> int:
        """How narrow: an exact name before any pattern, then the pattern with more letters of its own."""
        return 10_000 if self.expression is None else len(_WILD.sub("", self.text))


@dataclass(frozen=True, slots=True)
class Entry:
    """A price, and the calls it is for."""

    model: str
    price: Price
    names: tuple[Pattern, ...]
    provider: str | None = None
    host: Pattern | None = None
    service_tier: str = ""

    def rank(self, query: Query, names: Sequence[str]) -> tuple[int, bool, bool, bool, int, date] | None:
        """How closely it fits a call, or None if it does not; the newest price breaks a tie."""
        since = self.price.valid_from or date.min
        tier = "batch" if query.batch else query.tier
        if since > query.day or (self.provider is not None and self.provider != query.provider):
            return None
        if self.service_tier not in (tier, "*") or (self.host and not self.host.matches(query.host)):
            return None
        fits = [
            (name.weight, -place)
            for name in self.names
            for place, called in enumerate(names)
            if name.matches(called)
        ]
        if not fits:
            return None
        weight, place = max(fits)
        return (
            weight,
            self.host is not None,
            self.provider is not None,
            self.service_tier != "*",
            place,
            since,
        )


@dataclass(frozen=True, slots=True)
class PriceBook:
    """Prices of one's own, which come before all list prices; see the module for the format.

    Attributes:
        entries: the prices. Of those that fit a call the narrowest wins (an exact name before a pattern, then one
            that names the host, the provider, the tier), then the newest that was in force when the call began.
        aliases: names in lower case → the model they stand for.
        hosts: the address of a gateway → the provider who bills.
        version: recorded as the version of the price.
    """

    entries: tuple[Entry, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[tuple[Pattern, str], ...] = ()
    version: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.entries, Mapping):
            raise PriceBookError("entries is a mapping; PriceBook.of(...) reads one")

    @classmethod
    def of(cls, book: Mapping[str, Any]) -> "PriceBook":
        """Reads a mapping of the documented shape.

        `prices` is a list of entries, or a mapping of model names to an entry, a list of dated entries or a `Price`.
        Numbers may be Decimal, int, str or float; of a float its shortest spelling counts (0.1 is one tenth).

        Raises:
            PriceBookError: a key or a value makes no sense.
        """
        return _Reader().book(book)

    @classmethod
    def load(cls, path: str | Path) -> "PriceBook":
        """Reads a `.toml` or `.json` file.

        Raises:
            PriceBookError: the file is neither, is not well formed (the message has the line), or a key or a
                value makes no sense.
            OSError: the file cannot be read.
        """
        path = Path(path)
        content = _parse(path, path.read_bytes())
        try:
            return cls.of(content)
        except PriceBookError as error:
            raise PriceBookError(f"{path}: {error}") from None

    def find(self, query: Query) -> Entry | None:
        """The entry for a call, if any."""
        names = self.names(query)
        best: tuple[Any, Entry] | None = None
        for entry in self.entries:
            rank = entry.rank(query, names)
            if rank is not None and (best is None or rank > best[0]):
                best = rank, entry
        return best[1] if best else None

    def names(self, query: Query) -> list[str]:
        """What the call's model may be called here: as the response says, as was asked for, and their aliases."""
        called = [name for name in (query.response_model, query.request_model) if name]
        return list(
            dict.fromkeys([*called, *(self.aliases[name] for name in called if name in self.aliases)])
        )

    def biller(self, host: str | None) -> str | None:
        """The provider who bills the calls through a gateway, if the book knows the host."""
        return next((provider for pattern, provider in self.hosts if pattern.matches(host)), None)


def _parse(path: Path, content: bytes) -> Mapping[str, Any]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PriceBookError(f"{path}:{line}: is not UTF-8 text") from None
    kind = path.suffix.lower()
    try:
        if kind == ".toml":
            return tomllib.loads(text, parse_float=Decimal)
        if kind == ".json":
            read = json.loads(text, parse_float=Decimal, object_pairs_hook=_without_doubles)
            return read if isinstance(read, Mapping) else {"prices": read}
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        raise PriceBookError(f"{path}:{line}: is not TOML: {error}") from None
    except json.JSONDecodeError as error:
        raise PriceBookError(
            f"{path}:{error.lineno}: is not JSON: {error.msg} (column {error.colno})"
        ) from None
    except PriceBookError as error:
        raise PriceBookError(f"{path}: {error}") from None
    raise PriceBookError(f"{path}: a price book is a .toml or a .json file")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; TOML refuses a key given twice, JSON would silently keep the last."""
    read: dict[str, Any] = {}
    for key, value in pairs:
        if key in read:
            raise PriceBookError(f"the key {key!r} is given twice")
        read[key] = value
    return read


class _Reader:
    """Checks a book and names the key of what is wrong."""

    def book(self, book: object) -> PriceBook:
        top = _table(book, "the price book", _TOP)
        currency = top.get("currency", "USD")
        if currency != "USD":
            raise PriceBookError(f"currency: only USD is supported, not {currency!r}; convert the rates")
        version = top.get("version")
        entries = tuple(self._entries(top.get("prices", ())))
        self._refuse_doubles(entries)
        aliases = self._names(top.get("aliases", {}), "aliases")
        hosts = self._names(top.get("hosts", {}), "hosts")
        return PriceBook(
            entries,
            {name: model.strip().lower() for name, model in aliases.items()},
            tuple((Pattern.of(host), _provider(name)) for host, name in hosts.items()),
            None if version is None else str(version),
        )

    def _entries(self, prices: object) -> Iterable[Entry]:
        if isinstance(prices, Mapping):
            for model, given in prices.items():
                key = f"prices.{json.dumps(model)}"
                dated = given if isinstance(given, Sequence) and not isinstance(given, str) else None
                for number, entry in enumerate([given] if dated is None else dated, 1):
                    yield self._entry(entry, key if dated is None else f"{key}[{number}]", model)
        elif isinstance(prices, Sequence) and not isinstance(prices, str | bytes):
            for number, entry in enumerate(prices, 1):
                yield self._entry(entry, f"prices[{number}]")
        else:
            raise PriceBookError(f"prices: must be a list or a table, not {prices!r}")

    def _entry(self, given: object, key: str, model: object = None) -> Entry:
        if isinstance(given, Price) and model is not None:
            name = _text(model, f"{key}: the model")
            return Entry(name, given, (Pattern.of(name),))
        table = dict(_table(given, key, _ENTRY))
        model = _text(table.setdefault("model", model), f"{key}.model")
        aliases = table.get("aliases", ())
        if isinstance(aliases, str) or not isinstance(aliases, Sequence):
            raise PriceBookError(f"{key}.aliases: must be a list of names, not {aliases!r}")
        names = [model, *(_text(alias, f"{key}.aliases") for alias in aliases)]
        host, provider = table.get("host"), table.get("provider")
        tier = _text(table.get("service_tier", "default"), f"{key}.service_tier")
        return Entry(
            model,
            self._price(table, key),
            tuple(map(Pattern.of, names)),
            None if provider is None else _provider(_text(provider, f"{key}.provider")),
            None if host is None else Pattern.of(_text(host, f"{key}.host")),
            standard_tier(tier),
        )

    def _price(self, table: Mapping[str, Any], key: str) -> Price:
        rates = _rates(table, key, _RATES)
        tiers = table.get("tiers", ())
        if isinstance(tiers, str | Mapping) or not isinstance(tiers, Sequence):
            raise PriceBookError(f"{key}.tiers: must be a list of tables, not {tiers!r}")
        if not rates:
            raise PriceBookError(f"{key}: has no rate; give at least one of {', '.join(_RATES)}")
        steps = [self._tier(tier, f"{key}.tiers[{number}]") for number, tier in enumerate(tiers, 1)]
        try:
            since = _day(table.get("valid_from"), f"{key}.valid_from")
            return Price(**rates, tiers=tuple(steps), valid_from=since)
        except PriceBookError:
            raise
        except ValueError as error:
            raise PriceBookError(f"{key}.tiers: {error}") from None

    def _tier(self, given: object, key: str) -> Tier:
        table = _table(given, key, _TIER)
        above = table.get("above")
        if type(above) is not int or above < 0:
            raise PriceBookError(f"{key}.above: must be a number of input tokens, not {above!r}")
        return Tier(above=above, **_rates(table, key, KINDS))

    def _names(self, given: object, key: str) -> dict[str, str]:
        if not isinstance(given, Mapping):
            raise PriceBookError(f"{key}: must be a table of names, not {given!r}")
        return {
            _text(name, key).strip().lower(): _text(meant, f"{key}.{json.dumps(name)}")
            for name, meant in given.items()
        }

    def _refuse_doubles(self, entries: Sequence[Entry]) -> None:
        seen: set[object] = set()
        for entry in entries:
            for name in entry.names:
                same = (name.text, entry.provider, entry.host, entry.service_tier, entry.price.valid_from)
                if same in seen:
                    raise PriceBookError(f"prices: {name.text!r} has two prices from the same day")
                seen.add(same)


STANDARD_TIERS = frozenset(("", "auto", "default", "standard", "standard_only", "on_demand"))
"""How OpenAI, Anthropic, Groq and Bedrock spell "at the list price"."""


def standard_tier(tier: str | None) -> str:
    """A service tier in lower case, "" for the standard one."""
    tier = (tier or "").strip().lower()
    return "" if tier in STANDARD_TIERS else tier


def _table(given: object, key: str, known: Iterable[str]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise PriceBookError(f"{key}: must be a table, not {given!r}")
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.0)[0]
            raise PriceBookError(f"{key}: the key {name!r} is not known; did you mean {near!r}?")
    return given


def _rates(table: Mapping[str, Any], key: str, kinds: Iterable[str]) -> dict[str, Decimal]:
    return {kind: _rate(table[kind], f"{key}.{kind}") for kind in kinds if kind in table}


def _rate(given: object, key: str) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, Decimal | int | float | str):
        raise PriceBookError(f"{key}: must be a number of USD per million tokens, not {given!r}")
    try:
        rate = Decimal(str(given))
    except InvalidOperation:
        raise PriceBookError(f"{key}: must be a number of USD per million tokens, not {given!r}") from None
    try:
        check_rate(rate, key)
    except ValueError as error:
        raise PriceBookError(str(error)) from None
    return rate


def _day(given: object, key: str) -> date | None:
    if isinstance(given, str):
        try:
            return date.fromisoformat(given)
        except ValueError:
            pass
    elif given is None or type(given) is date:
        return given
    raise PriceBookError(f"{key}: must be a day such as 2026-01-31, not {given!r}")


def _text(given: object, key: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise PriceBookError(f"{key}: must be a name, not {given!r}")
    return given


def _provider(name: str) -> str:
    return (provider_name(name.strip()) or name).lower()
