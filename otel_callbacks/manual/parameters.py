"""What an operation is given: the fields that a caller names, and what a function's arguments tell."""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, get_type_hints

from otel_callbacks.guard import guarded
from otel_callbacks.manual import messages, results
from otel_callbacks.operations import (
    AgentInvocation,
    Embedding,
    Inference,
    Operation,
    Rerank,
    Retrieval,
    ToolExecution,
    Workflow,
)

_SCALARS = {str, int, float, bool}
_LOOSE: dict[str, Callable[[Any], Any]] = {
    "documents": results.documents,
    "candidates": results.documents,
    "input_messages": lambda given: messages.read(given, "user"),
    "output_messages": lambda given: messages.answered(given, None),
    "usage": results.usage,
}
"""Fields that take values as people have them, and how they are read."""


def _types(kind: type[Operation]) -> Mapping[str, tuple[type, ...]]:
    """The fields of an operation and the types of those that hold no more than a text, number or flag."""
    found: dict[str, tuple[type, ...]] = {}
    for name, hint in get_type_hints(kind).items():
        if name != "operation":
            options = {*get_args(hint)} if isinstance(hint, types.UnionType) else {hint}
            scalar = options - {types.NoneType} <= _SCALARS
            found[name] = tuple(options | {int} if float in options else options) if scalar else (object,)
    return found


_TYPES = {kind: _types(kind) for kind in Operation.__subclasses__()}


def accept(word: str, kind: type[Operation], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an operation that a caller named, checked; documents, messages and usage in their typed form.

    Args:
        word: what the caller calls the operation.
        kind: its type.
        fields: what the caller gave.

    Raises:
        TypeError: the operation has no such argument, or its value is of another type.
    """
    known = _TYPES[kind]
    accepted: dict[str, Any] = {}
    for name, value in fields.items():
        if name not in known:
            raise TypeError(f"{word}() has no argument {name!r}; it takes {', '.join(sorted(known))}")
        if not isinstance(value, known[name]):
            expected = " or ".join(sorted(each.__name__ for each in known[name]))
            raise TypeError(f"{word}({name}={value!r:.100}) must be {expected}, not {type(value).__name__}")
        accepted[name] = _LOOSE[name](value) if name in _LOOSE and value is not None else value
    return accepted


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _documents(value: Any) -> Any:
    return results.documents(value) if isinstance(value, list | tuple) else None


_Reader = tuple[str, Callable[[Any], Any]]
_MODEL: dict[str, _Reader] = {"model": ("name", _text)}
_QUERY: dict[str, _Reader] = dict.fromkeys(("query", "question"), ("query", _text))
_ASKED: dict[str, _Reader] = dict.fromkeys(
    ("messages", "prompt", "question", "query", "user_input", "input"),
    ("input_messages", _LOOSE["input_messages"]),
)
_CONTENT = {"query", "input_messages"}
_TELLING: dict[type[Operation], Mapping[str, _Reader]] = {
    Workflow: _ASKED,
    AgentInvocation: _ASKED,
    Retrieval: {**_QUERY, "top_k": ("top_k", _integer), "k": ("top_k", _integer)},
    Embedding: _MODEL,
    Rerank: {
        **_MODEL,
        **_QUERY,
        "top_n": ("top_n", _integer),
        **dict.fromkeys(("documents", "docs", "candidates", "nodes"), ("candidates", _documents)),
    },
    Inference: {
        **_MODEL,
        **_ASKED,
        "temperature": ("temperature", _number),
        "max_tokens": ("max_tokens", _integer),
    },
}
"""By operation the parameters of a function that tell something: the field, and how the value is read."""


class Parameters:
    """The parameters of a function that tell something about an operation."""

    def __init__(self, function: Callable[..., Any], kind: type[Operation]) -> None:
        self._kind = kind
        try:
            signature = inspect.signature(function)
        except ValueError:  # some functions written in C have none
            signature = inspect.Signature()
        self._signature = signature
        self._telling = [
            (position, name, parameter.default, *_TELLING[kind][name])
            for position, (name, parameter) in enumerate(signature.parameters.items())
            if name in _TELLING.get(kind, ())
        ]

    @guarded
    def read(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, with_content: bool) -> dict[str, Any]:
        """The fields of the operation that a call's arguments tell."""
        found: dict[str, Any] = {}
        for position, name, default, field, read in self._telling:
            if field not in _CONTENT or with_content:
                value = args[position] if position < len(args) else kwargs.get(name, default)
                if (known := read(value)) is not None:
                    found.setdefault(field, known)
        if with_content and issubclass(self._kind, ToolExecution):
            given = self._signature.bind_partial(*args, **kwargs).arguments
            found["arguments"] = {name: value for name, value in given.items() if name not in ("self", "cls")}
        return found
