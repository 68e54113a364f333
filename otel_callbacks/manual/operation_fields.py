"""Checks the keyword arguments of manual operations and converts them to the fields of the operation."""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from otel_callbacks.manual import messages, results
from otel_callbacks.operations import (
    AgentInvocation,
    Embedding,
    Inference,
    Operation,
    PromptTemplate,
    Rerank,
    Retrieval,
    Step,
    ToolExecution,
    Workflow,
    providers,
)

_SCALARS = {str, int, float, bool}
_OURS = {"billing", "request"}
"""Fields that only a framework's payload can fill."""


class _AllowedValues(NamedTuple):
    """The values that a field may have: these types, and only these choices if there are any."""

    types: tuple[type, ...]
    choices: tuple[Any, ...]
    items: type = object  # of a list


_LISTS: dict[Any, type] = {Sequence[str]: str, Sequence[Mapping[str, Any]]: Mapping}


def _allowed_values(hint: Any) -> _AllowedValues:
    options = {*get_args(hint)} if get_origin(hint) in (Union, types.UnionType) else {hint}
    choices = tuple(
        choice for option in options if get_origin(option) is Literal for choice in get_args(option)
    )
    plain = {option for option in options if get_origin(option) is not Literal} - {types.NoneType}
    if plain and plain <= _LISTS.keys():
        return _AllowedValues((types.NoneType, list, tuple), (), _LISTS[next(iter(plain))])
    if not plain <= _SCALARS:
        return _AllowedValues((object,), ())
    wider = {int} if float in plain else set()
    return _AllowedValues(
        (types.NoneType, *sorted(plain | wider, key=str), *{type(choice) for choice in choices}), choices
    )


def _fields(kind: type[Operation]) -> dict[str, _AllowedValues]:
    hints = get_type_hints(kind)
    return {
        each.name: _allowed_values(hints[each.name])
        for each in dataclasses.fields(kind)
        if each.name not in _OURS
    }


_KINDS: tuple[type[Operation], ...] = (
    *(Workflow, AgentInvocation, Step, ToolExecution),
    *(Retrieval, Embedding, Rerank, Inference),
)
_FIELDS = {kind: _fields(kind) for kind in _KINDS}


def fields_of(kind: type[Operation]) -> tuple[str, ...]:
    """Returns the names of the fields that a caller may give."""
    return tuple(_FIELDS[kind])


def check_fields(word: str, kind: type[Operation], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of an operation, checked and converted.

    Args:
        word: the name of the decorator, such as "retrieval", for error messages.
        kind: the type of the operation.
        fields: the keyword arguments of the caller.

    Raises:
        TypeError: an argument is unknown or has the wrong type.
        ValueError: an argument has an unknown value.
    """
    checked: dict[str, Any] = {}
    for name, value in fields.items():
        allowed = _FIELDS[kind].get(name)
        if allowed is None:
            raise TypeError(f"{word}() has no argument {name!r}; it takes {', '.join(sorted(_FIELDS[kind]))}")
        if not isinstance(value, allowed.types):
            expected = " or ".join(each.__name__ for each in allowed.types[1:])
            raise TypeError(f"{word}({name}={value!r:.100}) must be {expected}, not {type(value).__name__}")
        listed = value if isinstance(value, list | tuple) and allowed.items is not object else ()
        if not all(isinstance(each, allowed.items) for each in listed):
            raise TypeError(f"{word}({name}={value!r:.100}) must be a list of {allowed.items.__name__}")
        if allowed.choices and value not in (None, *allowed.choices):
            known = ", ".join(map(repr, allowed.choices))
            raise ValueError(f"{word}({name}={value!r:.100}) is not known; use one of {known}")
        checked[name] = _converted(kind, name, value, fields.get("provider"))
    return checked


def _converted(kind: type[Operation], name: str, value: Any, provider: str | None) -> Any:
    """Returns a field's value in the form that the operation needs: typed documents, messages and usage."""
    match name:
        case "documents" | "candidates" if value is not None:
            return results.read_documents(results.check_sequence(name, value))
        case "input_messages":
            return messages.input_messages(value)
        case "output_messages":
            return messages.output_messages(value, None)
        case "system_instructions" if value is not None:
            return messages.instructions(value)
        case "tool_definitions":
            return providers.tool_definitions(value)
        case "prompt_template" if value is not None:
            return _prompt_template(value)
        case "usage":
            if kind is Embedding:
                return providers.read_embedding_usage(value)
            return providers.read_usage(value, providers.provider_name(provider))
        case "provider" if kind is not Retrieval:  # whose provider is a store, named by its class
            return providers.provider_name(value)
        case "compacted":
            return value or None  # the conventions have it only where it is true
    return value


def _prompt_template(value: Any) -> PromptTemplate:
    """Returns a template from its name, or from a mapping with `name`, `version` and `variables`."""
    fields = {"name": value} if isinstance(value, str) else value
    if isinstance(fields, PromptTemplate):
        return fields
    if (
        not isinstance(fields, Mapping)
        or not fields.keys() <= {"name", "version", "variables"}
        or not all(isinstance(fields.get(key, ""), str) for key in ("name", "version"))
        or not isinstance(fields.get("variables", {}), Mapping)
    ):
        raise TypeError(
            f"prompt_template={value!r:.100} must be the name of the template, or a mapping with its name, version and"
            " variables"
        )
    return PromptTemplate(**fields)
