"""A price of a price book, and the calls that it applies to."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fnmatch import translate
from typing import NamedTuple

from otel_callbacks.cost.rates import Price
from otel_callbacks.cost.terms import FEE_CONDITIONS, Terms

_WILDCARD = re.compile(r"[*?\[]")


class PriceQuery(NamedTuple):
    """Everything that decides the price of a call except its tokens; hashable, with all names in lower case.

    Attributes:
        provider: as in `gen_ai.provider.name`.
        terms: the service tier and the other terms that change the price; empty for the usual price.
        day: the day (UTC) on which the call began.
    """

    provider: str | None
    request_model: str | None
    response_model: str | None
    host: str | None
    terms: Terms
    day: date


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A name, or a shell-style pattern for names."""

    text: str
    expression: re.Pattern[str] | None

    @classmethod
    def of(cls, text: str) -> "NamePattern":
        """Reads a name or pattern, ignoring case."""
        text = text.strip().lower()
        return cls(text, re.compile(translate(text)) if _WILDCARD.search(text) else None)

    def matches(self, name: str | None) -> bool:
        """Tells whether a lower-case name matches."""
        if name is None:
            return False
        return name == self.text if self.expression is None else bool(self.expression.match(name))

    @property
    def weight(self) -> int:
        """How specific it is: an exact name beats any pattern, more literal letters beat fewer."""
        return 10_000 if self.expression is None else len(_WILDCARD.sub("", self.text))


@dataclass(frozen=True, slots=True)
class Entry:
    """A price, and the calls it applies to.

    `terms` are those that a call must have: a value, or "*" for any. A call at terms that an entry does not name has
    another price, except for those that change only a fee.
    """

    model: str
    price: Price
    names: tuple[NamePattern, ...]
    provider: str | None = None
    host: NamePattern | None = None
    terms: Mapping[str, str] = field(default_factory=dict)

    def rank(self, query: PriceQuery, names: Sequence[str]) -> tuple[int, bool, bool, int, int, date] | None:
        """Returns how specifically the entry matches a call, None if it does not; the newest price breaks a tie."""
        since = self.price.valid_from or date.min
        if since > query.day or (self.provider is not None and self.provider != query.provider):
            return None
        if not self._allows(query.terms) or (self.host and not self.host.matches(query.host)):
            return None
        matches = [
            (pattern.weight, -position)
            for pattern in self.names
            for position, name in enumerate(names)
            if pattern.matches(name)
        ]
        if not matches:
            return None
        weight, position = max(matches)
        return (
            weight,
            self.host is not None,
            self.provider is not None,
            sum(-1 if value == "*" else 1 for value in self.terms.values()),
            position,
            since,
        )

    def _allows(self, terms: Terms) -> bool:
        given = dict(terms)
        return all(value in ("*", given.get(name)) for name, value in self.terms.items()) and all(
            name in self.terms or name in FEE_CONDITIONS for name in given
        )
