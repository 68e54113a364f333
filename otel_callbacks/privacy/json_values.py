"""Converts any Python value to one that JSON can hold: of bounded size, and without secrets.

Values are read through the methods of the built-in types that theirs derive from, so that little code of the
application runs. A value that is not data is written as `<Type>`.
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

from otel_callbacks.limits import (
    CACHED_TYPES,
    HASHED_BYTES,
    KEY_CHARACTERS,
    NESTING_DEPTH,
    NUMBERS_WRITTEN,
    PARSED_CHARACTERS,
)
from otel_callbacks.privacy.allowance import Allowance
from otel_callbacks.privacy.base64_data import size_text
from otel_callbacks.privacy.redactor import REDACTED, Redactor
from otel_callbacks.privacy.shortening import shorten
from otel_callbacks.runtime.encodable import INT64


class JsonConverter:
    """Converts values to ones that JSON can hold, within an allowance.

    Args:
        redactor: removes secrets, by key and from texts.
        allowance: how much may be written.
        by_key: False keeps the values under the keys of secrets, as in a schema, which only describes them.
    """

    def __init__(self, redactor: Redactor, allowance: Allowance, *, by_key: bool = True) -> None:
        self._redactor = redactor
        self._allowance = allowance
        self._by_key = by_key

    def convert(self, value: Any, depth: int = 0) -> Any:
        """Returns the value as None, bool, number, text, list or dict. Never raises."""
        kind: Any = type(value)
        try:
            return _reader(kind)(self, value, depth)
        except Exception:  # the value's own code may fail, or another thread may change a mapping
            return self.counted(_placeholder(value))

    def counted(self, written: Any) -> Any:
        """Takes the characters of a number or a placeholder from the allowance, and returns it."""
        self._allowance.characters -= len(str(written))
        return written

    def text(self, value: str) -> str:
        """Returns a text, cleaned and cut to the allowance."""
        return shorten(value, self._allowance, self._redactor.clean)

    def items(self, items: Iterator[Any], size: int, depth: int) -> Any:
        """Converts the items of a sequence or set."""
        if depth >= NESTING_DEPTH:
            return "<nested too deep>"
        shown: list[Any] = []
        for item in items:
            if not self._allowance.take_item():
                shown.append(f"<{size - len(shown):,} more>")
                break
            if (
                shown
                and type(shown[-1]) is str
                and self._announces_secret(shown[-1], size == 2 == len(shown) + 1)
            ):
                item = REDACTED
            shown.append(self.convert(item, depth + 1))
        return shown

    def fields(self, fields: Iterable[tuple[Any, Any]], size: int, depth: int) -> Any:
        """Converts the fields of a mapping or object."""
        if depth >= NESTING_DEPTH:
            return "<nested too deep>"
        shown: dict[str, Any] = {}
        for key, item in fields:
            if not self._allowance.take_item():
                shown["…"] = f"<{size - len(shown):,} more>"
                break
            name, hidden = self._redactor.redact_key(_key(key))
            self._allowance.take_text(name)
            if hidden and self._by_key and not _is_harmless(item, hidden):
                item = REDACTED
            shown[name] = self.convert(item, depth + 1)
        if "value" in shown and self._names_secret(shown.get("name", shown.get("key"))):
            shown["value"] = REDACTED  # a header as a mapping of name and value
        return shown

    def _announces_secret(self, before: str, is_pair: bool) -> bool:
        """Tells whether the item after this one is a secret: of a header as a pair, or of an option of a command."""
        option = before[:1] == "-" and before[-1:] != "-" and "=" not in before
        return (is_pair or option) and self._names_secret(before.lstrip("-") if option else before)

    def _names_secret(self, name: Any) -> bool:
        return (
            isinstance(name, str)
            and len(name) <= KEY_CHARACTERS
            and self._redactor.redact_key(name)[1] is not None
        )


def parse_json(value: Any) -> Any:
    """Parses a JSON object or array, so that its secrets are found by key; returns other values unchanged."""
    if type(value) is str and value[:1] in ("{", "[") and len(value) <= PARSED_CHARACTERS:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):  # it only starts like JSON
            return value
    return value


def to_json(value: Any) -> str:
    """Writes a converted value as JSON, readable in every script."""
    return json.dumps(value, ensure_ascii=False)


def _key(key: Any) -> str:
    kind = type(key)
    if issubclass(kind, str):
        return str.__str__(key)[:KEY_CHARACTERS] or "<empty>"  # OpenTelemetry rejects an empty key
    if kind is int and key not in INT64:
        return _large(key)
    return str(key) if kind in (int, float, bool, type(None)) else _placeholder(key)


def _large(number: int) -> str:
    return f"<int of {number.bit_length()} bits>"


def _is_harmless(item: Any, hidden: str) -> bool:
    """Tells whether a value cannot be the secret of its key: empty, a boolean, or a number where texts are hidden."""
    kind = type(item)
    return (
        item is None
        or kind is bool
        or (kind is str and not item)
        or (hidden == "text" and kind in (int, float))
    )


def _placeholder(value: Any) -> str:
    return f"<{type(value).__name__}>"


_Reader = Callable[[JsonConverter, Any, int], Any]


@lru_cache(maxsize=CACHED_TYPES)
def _reader(kind: Any) -> _Reader:
    """Returns the function that converts values of a type."""
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
    return lambda converter, value, depth: converter.counted(_placeholder(value))


def _enum(converter: JsonConverter, value: Any, depth: int) -> Any:
    return converter.convert(object.__getattribute__(value, "_value_"), depth + 1)


def _float(converter: JsonConverter, value: float, depth: int) -> Any:
    number = float.__float__(value)
    return converter.counted(number if math.isfinite(number) else repr(number))  # JSON has no NaN


def _int(converter: JsonConverter, value: int, depth: int) -> Any:
    number = int.__int__(value)
    return converter.counted(number if number in INT64 else _large(number))


def _bytes(converter: JsonConverter, value: bytes | bytearray, depth: int) -> Any:
    size = len(value)
    digest = hashlib.sha256(value).hexdigest() if size <= HASHED_BYTES else None
    return converter.counted(f"<bytes: {size_text(size, digest)}>")


def _sequence(base: Any) -> _Reader:
    def read(converter: JsonConverter, value: Any, depth: int) -> Any:
        size = base.__len__(value)
        if size > NUMBERS_WRITTEN and all(
            type(item) in (int, float) for item in islice(base.__iter__(value), NUMBERS_WRITTEN)
        ):
            return converter.counted(f"<{size:,} numbers>")
        return converter.items(base.__iter__(value), size, depth)

    return read


def _mapping(converter: JsonConverter, value: dict[Any, Any], depth: int) -> Any:
    return converter.fields(dict.items(value), dict.__len__(value), depth)


def _written_out(base: Any) -> _Reader:
    return lambda converter, value, depth: converter.text(base.__str__(value))


def _array(converter: JsonConverter, value: Any, depth: int) -> Any:
    """Converts a number or an array of numpy, without importing it."""
    if value.ndim == 0:
        return converter.convert(value.item(), depth + 1)
    return converter.counted(f"<{value.size:,} numbers>")


def _dataclass_reader(kind: Any) -> _Reader:
    names = [field.name for field in dataclasses.fields(kind) if field.repr]

    def read(converter: JsonConverter, value: Any, depth: int) -> Any:
        found = ((name, object.__getattribute__(value, name)) for name in names)
        return converter.fields(found, len(names), depth)

    return read


def _model_reader(fields: dict[str, Any]) -> _Reader:
    """Returns a reader of pydantic models: it skips empty fields and those excluded from `repr` or dumps."""
    described = {name: getattr(field, "field_info", field) for name, field in fields.items()}
    kept_out = {name for name, field in described.items() if not field.repr or field.exclude}

    def read(converter: JsonConverter, value: Any, depth: int) -> Any:
        found = dict(object.__getattribute__(value, "__dict__"))
        found.update(getattr(value, "__pydantic_extra__", None) or {})
        shown = [(name, item) for name, item in found.items() if name not in kept_out and not _is_unset(item)]
        return converter.fields(shown, len(shown), depth)

    return read


def _is_unset(item: Any) -> bool:
    return item is None or (type(item) in (str, list, dict, tuple) and not item)


_READERS: tuple[tuple[type, _Reader], ...] = (
    (str, lambda converter, value, depth: converter.text(str.__str__(value))),
    (type(None), lambda converter, value, depth: None),
    (bool, lambda converter, value, depth: value),
    (enum.Enum, _enum),
    (int, _int),
    (float, _float),
    (dict, _mapping),
    (MappingProxyType, lambda converter, value, depth: converter.fields(value.items(), len(value), depth)),
    *((base, _sequence(base)) for base in (list, tuple, set, frozenset, deque)),
    *((base, _bytes) for base in (bytes, bytearray)),
    *((base, _written_out(base)) for base in (datetime, date, time, timedelta, UUID, Decimal, PurePath)),
)
