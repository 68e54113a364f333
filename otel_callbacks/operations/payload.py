"""Reads untrusted payloads of the application: no function here raises, and none takes long.

A value counts as what its type is, whatever its `__class__` says. It is read through the methods of the built-in type
that its own type derives from, so that overridden methods do not run.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from numbers import Real
from types import MappingProxyType
from typing import Any, TypeGuard, TypeVar
from uuid import UUID

from otel_callbacks.limits import (
    CACHED_TEXTS,
    JOINED_CHARACTERS,
    NAME_BITS,
    REPEATED_CHARACTERS,
    WORD_CHARACTERS,
    WORDS_READ,
)
from otel_callbacks.runtime.encodable import INT64, well_formed

_T = TypeVar("_T")


def is_a(value: Any, kind: type[_T]) -> TypeGuard[_T]:
    """Tells whether a value is of a type. `isinstance` would also ask the value, which may run its code."""
    return type(value) is kind or issubclass(type(value), kind)


def is_list(value: Any) -> bool:
    """Tells whether a value is a list or a tuple."""
    return issubclass(type(value), list | tuple)


def text(value: Any) -> str | None:
    """Returns a text that is not empty; None for anything else."""
    kind = type(value)
    if kind is str:
        return value or None
    return str.__str__(value) or None if issubclass(kind, str) else None


def head_and_tail(text: str, most: int) -> str:
    """Returns the text; of one with more than `most` characters, as many from its head and tail."""
    return text if len(text) <= most else f"{text[: most // 2]}\n{text[-most // 2 :]}"


def join_lines(texts: Iterable[str]) -> str:
    """Joins texts as lines; if they are very long together, the head and tail of each."""
    lines = list(texts)
    size = sum(map(len, lines))
    if size > JOINED_CHARACTERS:
        lines = [head_and_tail(line, len(line) * JOINED_CHARACTERS // size) for line in lines]
    return "\n".join(lines)


def word(value: Any, most: int = WORD_CHARACTERS) -> str | None:
    """Returns a name, an id or another short text, well formed and cut to `most` characters; None for anything else."""
    if type(value) is str and len(value) <= most and value.isascii():  # nearly all are
        return value or None
    if value is None:
        return None
    found = text(value)
    return None if found is None else well_formed(found[:most])


def words(value: Any) -> tuple[str, ...] | None:
    """Returns the words of a list, or a single word; None if there are none."""
    if value is None:
        return None
    candidates = (value,) if is_a(value, str) else items(value)[:WORDS_READ]
    return tuple(found for item in candidates if (found := word(item)) is not None) or None


def name(value: Any) -> str | None:
    """Returns what an application may use as a name: a word, a whole number or a UUID, as text."""
    kind = type(value)
    if kind is str:
        return word(value)
    if kind is UUID:
        return str(value)
    if kind is bool or not issubclass(kind, int):
        return word(value)
    number = int.__int__(value)
    return str(number) if number.bit_length() <= NAME_BITS else None


def integer(value: Any) -> int | None:
    """Returns a whole number that OTLP can carry; None for anything else."""
    if value is None or type(value) is bool or not is_a(value, int):
        return None
    number = int.__int__(value)
    return number if number in INT64 else None


def number(value: Any) -> float | None:
    """Returns a finite number as a float, numpy's included; None for anything else."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if value is None or type(value) is bool or not is_a(value, Real):  # type: ignore[type-abstract]
        return None
    try:
        found = int.__float__(value) if is_a(value, int) else float(value)
    except Exception:  # an integer that no float can hold, or the application's own type of number
        return None
    return found if math.isfinite(found) else None


def mapping(value: Any) -> Mapping[str, Any]:
    """Returns a mapping; an empty one for anything else."""
    if type(value) is dict:  # nearly always
        return value
    if value is None:
        return {}
    kind = type(value)
    if kind is MappingProxyType:
        return value  # type: ignore[no-any-return]
    if issubclass(kind, dict):
        return dict(dict.items(value))
    if not issubclass(kind, Mapping):
        return {}
    try:
        return dict(value)
    except Exception:  # the application's own type of mapping may fail
        return {}


def mappings(*values: Any) -> Sequence[Mapping[str, Any]]:
    """Returns several mappings, each as `mapping` does."""
    return values if {*map(type, values)} == _ONLY_DICTS else [*map(mapping, values)]


_ONLY_DICTS = {dict}


def mapping_or_fields(value: Any) -> Mapping[str, Any]:
    """Returns a mapping, or the fields of a pydantic or plain object; an empty mapping for anything else.

    What a pydantic model keeps beside its declared fields (`model_extra`) are fields too: providers report more than
    their client's types declare.
    """
    if type(value) is dict:
        return value
    kind = type(value)
    if value is None or issubclass(kind, Mapping):
        return mapping(value)
    fields = attribute(value, "__dict__")
    if type(fields) is not dict:
        return {}
    undeclared = attribute(value, "__pydantic_extra__") if hasattr(kind, "__pydantic_extra__") else None
    return {**fields, **undeclared} if type(undeclared) is dict and undeclared else fields


def items(value: Any) -> Sequence[Any]:
    """Returns the items of a list or tuple; none for anything else."""
    if type(value) is list:  # nearly always
        return value
    kind = type(value)
    if kind is tuple:
        return value  # type: ignore[no-any-return]
    if issubclass(kind, list):
        return list.copy(value)
    return tuple(tuple.__iter__(value)) if issubclass(kind, tuple) else ()


def attribute(value: Any, name: str) -> Any:
    """Returns an attribute of the application's object; None if it has none or its code fails."""
    try:
        return getattr(value, name, None)
    except Exception:  # a property or `__getattr__` of the application's
        return None


def attributes(value: Any, names: Sequence[str]) -> Sequence[Any]:
    """Returns several attributes of the application's object, each as `attribute` does."""
    try:
        return [*map(getattr, repeat(value), names, repeat(None))]
    except Exception:  # one of them failed; the others may be right
        return [attribute(value, name) for name in names]


def undo_repetition(value: Any) -> str | None:
    """Returns a text without the repetition that merging chunks may cause (`stopstop`); None for anything else."""
    found = word(value, REPEATED_CHARACTERS)
    return None if found is None else without_repetition(found)


@lru_cache(maxsize=CACHED_TEXTS)
def without_repetition(found: str) -> str:
    """Returns a word without the repetition that merging chunks may cause."""
    # a text of k copies of a shorter one occurs in its own double before the end of the first copy
    at = (found + found).find(found, 1)
    return found[:at] if 0 < at < len(found) else found
