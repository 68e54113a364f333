"""Reads what an application handed over, whatever that is: nothing here raises, and nothing here takes long.

Values are taken for what their type is, not for what they say they are, and are read through the methods of the
built-in type that theirs derives from.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from types import MappingProxyType
from typing import Any, TypeGuard, TypeVar
from uuid import UUID

from otel_callbacks.runtime.encodable import INT64, well_formed

MOST = 1_000
"""How many messages, blocks or texts of one list are looked at."""

MOST_DESCRIPTION = 4_096
"""How many characters of a description are kept."""

_MAX_BITS = 512  # of a whole number that is a name
_MOST_LINES = 1_000_000
_MOST_WORDS = 100

_T = TypeVar("_T")


def is_a(value: Any, kind: type[_T]) -> TypeGuard[_T]:
    """Whether a value is of a type. `isinstance` asks the value as well, and pydantic's asks it for attributes."""
    return issubclass(type(value), kind)


def is_list(value: Any) -> bool:
    """Whether a value is a list or a tuple."""
    return issubclass(type(value), list | tuple)


def text(value: Any) -> str | None:
    """A text that is not empty."""
    kind = type(value)
    if kind is str:
        return value or None
    return str.__str__(value) or None if issubclass(kind, str) else None


def ends(text: str, most: int) -> str:
    """The text, or as many characters of its head and tail."""
    return text if len(text) <= most else f"{text[: most // 2]}\n{text[-most // 2 :]}"


def lines(texts: Iterable[str]) -> str:
    """Texts as lines; if they are very long, as much of the head and tail of each."""
    given = list(texts)
    size = sum(map(len, given))
    return "\n".join(given if size <= _MOST_LINES else (ends(t, len(t) * _MOST_LINES // size) for t in given))


def word(value: Any, most: int = 256) -> str | None:
    """A text that is a name, an id or the like, of so many characters at most; well formed, not empty."""
    if value is None:
        return None
    if type(value) is str and len(value) <= most and value.isascii():  # nearly all are
        return value or None
    found = text(value)
    return None if found is None else well_formed(found[:most])


def words(value: Any) -> tuple[str, ...] | None:
    """The words in a list, or the one there is; None if there are none."""
    if value is None:
        return None
    given = (value,) if is_a(value, str) else items(value)[:_MOST_WORDS]
    return tuple(found for item in given if (found := word(item)) is not None) or None


def name(value: Any) -> str | None:
    """What an application may call something: a word, a whole number or a UUID."""
    kind = type(value)
    if kind is str:
        return word(value)
    if kind is UUID:
        return str(value)
    if kind is bool or not issubclass(kind, int):
        return word(value)
    number = int.__int__(value)
    return str(number) if number.bit_length() <= _MAX_BITS else None


def integer(value: Any) -> int | None:
    """A whole number that OTLP can carry."""
    if value is None or type(value) is bool or not is_a(value, int):
        return None
    number = int.__int__(value)
    return number if number in INT64 else None


def number(value: Any) -> float | None:
    """A finite number as a float, also one of numpy's."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if value is None or type(value) is bool or not is_a(value, Real):  # type: ignore[type-abstract]
        return None
    try:
        found = int.__float__(value) if is_a(value, int) else float(value)
    except Exception:  # an integer that no float can hold, or a number of the application's own kind
        return None
    return found if math.isfinite(found) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping; empty for anything else."""
    kind = type(value)
    if kind is dict or kind is MappingProxyType:
        return value  # type: ignore[no-any-return]
    if value is None:
        return {}
    if issubclass(kind, dict):
        return dict(dict.items(value))
    if not issubclass(kind, Mapping):
        return {}
    try:
        return dict(value)
    except Exception:  # a mapping of the application's own kind, which may fail
        return {}


def items(value: Any) -> Sequence[Any]:
    """The items of a list or tuple; none of anything else."""
    kind = type(value)
    if kind is list or kind is tuple:
        return value  # type: ignore[no-any-return]
    if issubclass(kind, list):
        return list.copy(value)
    return tuple(tuple.__iter__(value)) if issubclass(kind, tuple) else ()


def attribute(value: Any, name: str) -> Any:
    """An attribute of an object of the application's; None where it has none."""
    try:
        return getattr(value, name, None)
    except Exception:  # a property or a __getattr__ of the application's, which may fail
        return None
