"""Dataclasses that store only the fields that are given.

A model call has 45 fields and a usage 18, most of which are not known: storing each would take longer than reading the
payload. The others have their default from the class, so every field needs one.
"""

from dataclasses import dataclass, fields
from typing import Any, TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(kw_only_default=True)
def sparse(kind: type[_T]) -> type[_T]:
    """Makes a sparse dataclass. Its fields are given by name."""
    made: type[_T] = _store_what_is_given(dataclass(init=False)(kind))
    return made


@dataclass_transform(frozen_default=True)
def sparse_and_frozen(kind: type[_T]) -> type[_T]:
    """Makes a sparse dataclass whose fields cannot be set later, and which has a hash."""
    made: type[_T] = _store_what_is_given(dataclass(init=False, frozen=True)(kind))
    return made


def _store_what_is_given(kind: Any) -> Any:
    names = tuple(each.name for each in fields(kind))

    def store(self: Any, *values: Any, **named: Any) -> None:
        self.__dict__.update(zip(names, values, strict=False), **named)

    kind.__init__ = store
    return kind
