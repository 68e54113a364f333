"""The state of a page, which is all in its address: the filters, the order, and what is opened."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, get_type_hints
from urllib.parse import urlencode

from otel_callbacks.explore.index.filters import Filters

FILTERS = get_type_hints(Filters)
"""The type of each filter, by its name in the address."""

_KEPT = (*FILTERS, "live")  # goes from page to page
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class State:
    """What an address says.

    `words` are its parameters as they were written, `filters` those that are filters, read, and `wrong` says for each
    filter that cannot be read what would be right; it is left out of `filters`.
    """

    words: Mapping[str, str]
    filters: Filters = field(default_factory=lambda: Filters())
    wrong: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, words: Mapping[str, str]) -> "State":
        """Reads the parameters of an address; empty ones count as absent, and unknown ones stay as they are."""
        given = {name: text.strip() for name, text in words.items() if text.strip()}
        read: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for name in FILTERS:
            if name in given:
                try:
                    read[name] = _read(name, given[name])
                except ValueError as error:
                    wrong[name] = f"{name}={given[name]!r:.60}: {error}"
        return cls(given, Filters(**read), wrong)  # type: ignore[typeddict-item]  # read by the names of the type

    def number(self, name: str, least: int = 1) -> int:
        """Returns a whole number of at least `least`; `least` if the address has none."""
        text = self.words.get(name, "")
        return max(least, int(text)) if text.isascii() and text.isdecimal() and len(text) < 10 else least

    def link(self, path: str, **changes: object) -> str:
        """Returns the address of another page with the same filters; `None` leaves a parameter out."""
        kept = {name: self.words[name] for name in _KEPT if name in self.words}
        return address(path, kept | changes)

    def here(self, path: str, **changes: object) -> str:
        """Returns the address of the same page with changes to its parameters; `None` leaves one out."""
        return address(path, {**self.words, **changes})


def address(path: str, words: Mapping[str, object]) -> str:
    """Returns an address on this server, relative to the page, so that it also holds behind a proxy's prefix."""
    given = [(name, str(value)) for name, value in words.items() if value not in (None, "")]
    query = urlencode(given)
    return f"{path}?{query}" if query else path


def paged(number: int, count: int, size: int) -> tuple[int, int]:
    """Returns the page with this number, or the last one if there are fewer, and how many pages `count` rows fill."""
    pages = max(1, -(-count // size))
    return min(number, pages), pages


def _read(name: str, text: str) -> Any:
    """Reads the value of a filter.

    Raises:
        ValueError: It is not what the filter takes; the message says what would be right.
    """
    wanted = FILTERS[name]
    if wanted is str:
        return text
    if wanted is bool:
        if text.lower() in _YES or text.lower() in _NO:
            return text.lower() in _YES
        raise ValueError("use true or false")
    if wanted in (int, float):
        try:
            number = wanted(text)
        except (ValueError, OverflowError):
            number = None
        if number is None or not isfinite(number) or abs(number) > 2**62:
            raise ValueError("use a number, such as 5" if wanted is int else "use a number, such as 0.5")
        return number
    return _moment(text)


def _moment(text: str) -> datetime | timedelta:
    """Reads a time (UTC if it has no zone), or a time span before now, such as `15m`, `24h` or `7d`."""
    if span := re.fullmatch(r"(\d{1,6})\s*([smhdw])", text.lower()):
        return timedelta(seconds=int(span[1]) * _SECONDS[span[2]])
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=moment.tzinfo or UTC)
        moment.timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            "use a time such as 2026-01-31T09:30 (UTC), or a time span such as 15m, 24h, 7d"
        ) from None
    if not 1970 <= moment.year < 2262:  # what fits in nanoseconds since the epoch
        raise ValueError("use a year from 1970 to 2261")
    return moment
