"""Any Python value as one that JSON can hold: bounded, without secrets, by as little of the value's own code as can be.

Values are read through the methods of the built-in types that theirs derive from; whatever is no data is `<Type>`.
"""

import dataclasses
import enum
import hashlib
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from pathlib import PurePath
from types import MappingProxyType
from typing import Any
from uuid import UUID

from otel_callbacks.privacy.redaction import REDACTED, Redactor
from otel_callbacks.privacy.texts import Room, shorten, told
from otel_callbacks.runtime.encodable import INT64

_MAX_DEPTH = 12
_MAX_KEY = 256
_MAX_HASHED = 1_000_000  # bytes
_MAX_PARSED = 65_536  # characters
_VECTOR = 16  # a list of more numbers than this is an embedding, not something to read


class Plain:
    """Makes values plain, within the room of one field.

    Args:
        redactor: what is removed, by key and from texts.
        room: how much may be written.
        by_key: whether what stands under the key of a secret is removed; not in a schema, which describes it.
    """

    def __init__(self, redactor: Redactor, room: Room, *, by_key: bool = True) -> None:
        self._redactor = redactor
        self._room = room
        self._by_key = by_key

    def of(self, value: Any, depth: int = 0) -> Any:
        """The value as None, bool, number, text, list or dict. Never raises."""
        kind: Any = type(value)
        try:
            return _reader(kind)(self, value, depth)
        except Exception:  # a type may be as hostile as it likes, and another thread may change a mapping
            return self.note(_placeholder(value))

    def note(self, written: Any) -> Any:
        """A number, or a few words in the place of something else, with the room it takes counted."""
        self._room.left -= len(str(written))
        return written

    def text(self, value: str) -> str:
        """A text, cleaned and cut to the room there is."""
        return shorten(value, self._room, self._redactor.clean)

    def items(self, items: Iterator[Any], size: int, depth: int) -> Any:
        """The items of a sequence or set."""
        if depth >= _MAX_DEPTH:
            return "<nested too deep>"
        shown: list[Any] = []
        for item in items:
            if not self._room.for_one_more():
                shown.append(f"<{size - len(shown):,} more>")
                break
            if len(shown) == 1 and size == 2 and self._names_secret(shown[0]):
                item = REDACTED  # a header as a pair
            shown.append(self.of(item, depth + 1))
        return shown

    def fields(self, fields: Iterable[tuple[Any, Any]], size: int, depth: int) -> Any:
        """The fields of a mapping or object."""
        if depth >= _MAX_DEPTH:
            return "<nested too deep>"
        shown: dict[str, Any] = {}
        for key, item in fields:
            if not self._room.for_one_more():
                shown["…"] = f"<{size - len(shown):,} more>"
                break
            name, hidden = self._redactor.key(_key(key))
            self._room.take(name)
            if hidden and self._by_key and not _is_harmless(item, hidden):
                item = REDACTED
            shown[name] = self.of(item, depth + 1)
        if "value" in shown and self._names_secret(shown.get("name", shown.get("key"))):
            shown["value"] = REDACTED  # a header as a record
        return shown

    def _names_secret(self, name: Any) -> bool:
        return isinstance(name, str) and len(name) <= _MAX_KEY and self._redactor.key(name)[1] is not None


def parsed(value: Any) -> Any:
    """What a text that is a JSON object or array stands for, so that its keys can be seen; any other value as it is."""
    if type(value) is str and value[:1] in ("{", "[") and len(value) <= _MAX_PARSED:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):  # it only began like JSON
            return value
    return value


def to_json(value: Any) -> str:
    """JSON of a plain value, readable in every script."""
    return json.dumps(value, ensure_ascii=False)


def _key(key: Any) -> str:
    kind = type(key)
    if issubclass(kind, str):
        return str.__str__(key)[:_MAX_KEY] or "<empty>"  # OpenTelemetry takes no empty key
    if kind is int and key not in INT64:
        return _large(key)
    return str(key) if kind in (int, float, bool, type(None)) else _placeholder(key)


def _large(number: int) -> str:
    return f"<int of {number.bit_length()} bits>"


def _is_harmless(item: Any, hidden: str) -> bool:
    """Whether what stands under the key of a secret is none: nothing, a switch, or a number where texts are hidden."""
    kind = type(item)
    return (
        item is None
        or kind is bool
        or (kind is str and not item)
        or (hidden == "text" and kind in (int, float))
    )


def _placeholder(value: Any) -> str:
    return f"<{type(value).__name__}>"


_Reader = Callable[[Plain, Any, int], Any]


@lru_cache(maxsize=1024)
def _reader(kind: Any) -> _Reader:
    """How values of a type are read."""
    for base, reader in _READERS:
        if issubclass(kind, base):
            return reader
    if kind.__module__.partition(".")[0] == "numpy":
        return _array
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(kind)
    fields = getattr(kind, "__pydantic_fields__", None)  # version 2
    fields = kind.__dict__.get("__fields__") if fields is None else fields
    if isinstance(fields, dict):
        return _model_reader(fields)
    return lambda plain, value, depth: plain.note(_placeholder(value))


def _float(plain: Plain, value: float, depth: int) -> Any:
    number = float.__float__(value)
    return plain.note(number if math.isfinite(number) else repr(number))  # JSON has no NaN


def _int(plain: Plain, value: int, depth: int) -> Any:
    number = int.__int__(value)
    return plain.note(number if number in INT64 else _large(number))


def _bytes(plain: Plain, value: bytes | bytearray, depth: int) -> Any:
    size = len(value)
    digest = hashlib.sha256(value).hexdigest() if size <= _MAX_HASHED else None
    return plain.note(f"<bytes: {told(size, digest)}>")


def _sequence(base: Any) -> _Reader:
    def read(plain: Plain, value: Any, depth: int) -> Any:
        size = base.__len__(value)
        if size > _VECTOR and all(
            type(item) in (int, float) for item in islice(base.__iter__(value), _VECTOR)
        ):
            return plain.note(f"<{size:,} numbers>")
        return plain.items(base.__iter__(value), size, depth)

    return read


def _mapping(plain: Plain, value: dict[Any, Any], depth: int) -> Any:
    return plain.fields(dict.items(value), dict.__len__(value), depth)


def _written_out(base: Any) -> _Reader:
    return lambda plain, value, depth: plain.text(base.__str__(value))


def _array(plain: Plain, value: Any, depth: int) -> Any:
    """A number or an array of numpy's, which need not be imported for that."""
    return plain.of(value.item(), depth + 1) if value.ndim == 0 else plain.note(f"<{value.size:,} numbers>")


def _dataclass_reader(kind: Any) -> _Reader:
    names = [field.name for field in dataclasses.fields(kind) if field.repr]

    def read(plain: Plain, value: Any, depth: int) -> Any:
        found = ((name, object.__getattribute__(value, name)) for name in names)
        return plain.fields(found, len(names), depth)

    return read


def _model_reader(fields: dict[str, Any]) -> _Reader:
    """How models of pydantic are read: the fields that are set, but those that are kept out of `repr` or dumps."""
    described = {name: getattr(field, "field_info", field) for name, field in fields.items()}
    kept_out = {name for name, field in described.items() if not field.repr or field.exclude}

    def read(plain: Plain, value: Any, depth: int) -> Any:
        found = dict(object.__getattribute__(value, "__dict__"))
        found.update(getattr(value, "__pydantic_extra__", None) or {})
        shown = [(name, item) for name, item in found.items() if name not in kept_out and not _is_unset(item)]
        return plain.fields(shown, len(shown), depth)

    return read


def _is_unset(item: Any) -> bool:
    return item is None or (type(item) in (str, list, dict, tuple) and not item)


_READERS: tuple[tuple[type, _Reader], ...] = (
    (str, lambda plain, value, depth: plain.text(str.__str__(value))),
    (type(None), lambda plain, value, depth: None),
    (bool, lambda plain, value, depth: value),
    (enum.Enum, lambda plain, value, depth: plain.of(object.__getattribute__(value, "_value_"), depth + 1)),
    (int, _int),
    (float, _float),
    (dict, _mapping),
    (MappingProxyType, lambda plain, value, depth: plain.fields(value.items(), len(value), depth)),
    *((base, _sequence(base)) for base in (list, tuple, set, frozenset, deque)),
    *((base, _bytes) for base in (bytes, bytearray)),
    *((base, _written_out(base)) for base in (datetime, date, time, timedelta, UUID, Decimal, PurePath)),
)
