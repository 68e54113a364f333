"""The fields of an operation as a caller names them: checked, and in their typed form."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from otel_callbacks.manual import messages, results
from otel_callbacks.operations import Operation, providers

_SCALARS = {str, int, float, bool}


class _Field(NamedTuple):
    """What a field of an operation may hold: values of these types, or one of these choices, if there are any."""

    types: tuple[type, ...]
    choices: tuple[Any, ...]


def _field(hint: Any) -> _Field:
    options = {*get_args(hint)} if get_origin(hint) in (Union, types.UnionType) else {hint}
    choices = tuple(
        choice for option in options if get_origin(option) is Literal for choice in get_args(option)
    )
    plain = {option for option in options if get_origin(option) is not Literal} - {types.NoneType}
    if not plain <= _SCALARS:
        return _Field((object,), ())
    wider = {int} if float in plain else set()
    return _Field(
        (types.NoneType, *sorted(plain | wider, key=str), *{type(choice) for choice in choices}), choices
    )


def _fields(kind: type[Operation]) -> dict[str, _Field]:
    hints = get_type_hints(kind)
    return {each.name: _field(hints[each.name]) for each in dataclasses.fields(kind)}


_FIELDS = {kind: _fields(kind) for kind in Operation.__subclasses__()}


def accept(word: str, kind: type[Operation], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an operation that a caller named, checked; documents, messages and usage in their typed form.

    Args:
        word: what the caller calls the operation.
        kind: its type.
        fields: what the caller gave.

    Raises:
        TypeError: the operation has no such argument, or its value is of another type.
        ValueError: the value is none of those that are known.
    """
    accepted: dict[str, Any] = {}
    for name, value in fields.items():
        field = _FIELDS[kind].get(name)
        if field is None:
            raise TypeError(f"{word}() has no argument {name!r}; it takes {', '.join(sorted(_FIELDS[kind]))}")
        if not isinstance(value, field.types):
            expected = " or ".join(each.__name__ for each in field.types[1:])
            raise TypeError(f"{word}({name}={value!r:.100}) must be {expected}, not {type(value).__name__}")
        if field.choices and value not in (None, *field.choices):
            known = ", ".join(map(repr, field.choices))
            raise ValueError(f"{word}({name}={value!r:.100}) is not known; use one of {known}")
        accepted[name] = _typed(name, value)
    return accepted


def _typed(name: str, value: Any) -> Any:
    """The value of a field, in its typed form where people have it in others."""
    match name:
        case "documents" | "candidates" if value is not None:
            return results.documents(results.sequence(name, value))
        case "input_messages":
            return messages.asked(value)
        case "output_messages":
            return messages.answered(value, None)
        case "usage":
            return results.usage(value)
        case "provider":
            return providers.provider_name(value)
    return value
