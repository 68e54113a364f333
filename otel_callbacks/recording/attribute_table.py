"""Reads span attributes from the fields of an operation. Texts are cleaned once per set of values."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import compress, repeat
from operator import attrgetter, is_not
from typing import Any

from opentelemetry.util.types import AttributeValue

from otel_callbacks.limits import CACHED_PLANS
from otel_callbacks.privacy.redactor import GENERATED, redact_attributes, redact_unique

Attributes = dict[str, AttributeValue]
Rows = Sequence[tuple[str, str]]
"""Pairs of a field and the attribute that carries it."""

_UNIQUE = ("call_id", "checkpoint_ns", "previous_response_id", "response_id")
"""Texts that differ in every call, so that a cached result would never be used."""
_FEW = 2  # numbers, which are read one by one more quickly than together


class AttributeTable:
    """Reads the attributes of one class of operations: those that are set, without credentials.

    Args:
        kind: the class whose fields are read.
        rows: the fields and their attributes.
    """

    def __init__(self, kind: Any, rows: Rows) -> None:
        types = {each.name: str(each.type) for each in fields(kind)}
        texts = [row for row in rows if "str" in types.get(row[0], "str") and row[0] not in _UNIQUE]
        unique = [row for row in rows if row[0] in _UNIQUE]
        others = [row for row in rows if row not in texts and row not in unique]
        if len(others) <= _FEW:
            unique, others = [*others, *unique], []
        self.text_fields = tuple(field for field, _ in texts if field in types)
        self.read_texts = _values_of(texts)
        self._text_names = tuple(attribute for _, attribute in texts)
        self._one_by_one = [
            (field, attribute, field in _UNIQUE and attribute not in GENERATED) for field, attribute in unique
        ]
        self._read_others = reader(others) if others else None
        self._varying = frozenset(field for field, _ in (*unique, *others))
        self.varies = bool(self._varying)

    def read(self, operation: Any) -> Attributes:
        """Returns the attributes of an operation."""
        attributes = self.clean_texts(self.read_texts(operation))
        self.add_varying(attributes, operation)
        return attributes

    def clean_texts(self, texts: Sequence[Any]) -> Attributes:
        """Returns the attributes of texts that `read_texts` has read, in a dictionary of its own."""
        try:
            return _cleaned(self._text_names, texts).copy()
        except TypeError:  # a list among them has no hash
            return _cleaned.__wrapped__(self._text_names, texts)

    def add_varying(self, attributes: Attributes, operation: Any) -> None:
        """Adds what differs in every call: ids and numbers."""
        given = operation.__dict__  # an operation stores only the fields that were given
        if self._varying.isdisjoint(given):
            return
        if self._read_others is not None:
            attributes.update(self._read_others(operation))
        for field, attribute, may_have_secrets in self._one_by_one:
            if (value := getattr(operation, field)) is not None:
                attributes[attribute] = redact_unique(value) if may_have_secrets else value


@lru_cache(maxsize=CACHED_PLANS)
def _cleaned(names: Sequence[str], values: Sequence[Any]) -> Attributes:
    """Returns the attributes with these names and values without credentials, and without those that are None."""
    attributes = _present(names, values)
    redact_attributes(attributes)
    return attributes


def reader(rows: Rows) -> Callable[[Any], Attributes]:
    """Compiles rows into a function that returns the attributes of the fields that are set, as they are."""
    names = tuple(attribute for _, attribute in rows)
    read = _values_of(rows)
    return lambda held: _present(names, read(held))


def _present(names: Sequence[str], values: Sequence[Any]) -> Attributes:
    return dict(compress(zip(names, values, strict=True), map(is_not, values, repeat(None))))


def _values_of(rows: Rows) -> Callable[[Any], Sequence[Any]]:
    read = attrgetter(*(field for field, _ in rows)) if rows else lambda held: ()
    return read if len(rows) != 1 else lambda held: (read(held),)
