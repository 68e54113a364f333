"""Reads fields of an operation from the arguments of a decorated function, by parameter name."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
from otel_callbacks.runtime.faults import guarded


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _documents(value: Any) -> Any:
    return results.read_documents(value) if isinstance(value, list | tuple) else None


_Reader = tuple[str, Callable[[Any], Any]]
_MODEL: dict[str, _Reader] = {"model": ("name", results.text)}
_QUERY: dict[str, _Reader] = dict.fromkeys(("query", "question"), ("query", results.text))
_INPUT: dict[str, _Reader] = dict.fromkeys(
    ("messages", "prompt", "question", "query", "user_input", "input"),
    ("input_messages", messages.input_messages),
)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NO_POSITION = sys.maxsize
_CONTENT_FIELDS = {"query", "input_messages"}
_READ_PARAMETERS: dict[type[Operation], Mapping[str, _Reader]] = {
    Workflow: _INPUT,
    AgentInvocation: _INPUT,
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
        **_INPUT,
        "temperature": ("temperature", results.number),
        "max_tokens": ("max_tokens", _integer),
    },
}
"""The parameters that are read, by operation and name: the field they fill, and the function that reads the value."""


class FunctionArguments:
    """Reads the arguments of one decorated function."""

    def __init__(self, function: Callable[..., Any], kind: type[Operation]) -> None:
        self._kind = kind
        try:
            signature = inspect.signature(function)
        except ValueError:  # some functions written in C have no signature
            signature = inspect.Signature()
        self._signature = signature
        self._read_parameters = [
            (
                position if parameter.kind in _POSITIONAL else _NO_POSITION,
                name,
                parameter.default,
                *_READ_PARAMETERS[kind][name],
            )
            for position, (name, parameter) in enumerate(signature.parameters.items())
            if name in _READ_PARAMETERS.get(kind, ()) and parameter.kind not in _VARIADIC
        ]

    @guarded
    def read(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, content: bool) -> dict[str, Any]:
        """Returns the fields found in a call's arguments: those with content if `content` is true, else the others."""
        found: dict[str, Any] = {}
        for position, name, default, field, read in self._read_parameters:
            if (field in _CONTENT_FIELDS) is content:
                value = args[position] if position < len(args) else kwargs.get(name, default)
                if (known := read(value)) is not None:
                    found.setdefault(field, known)
        if content and issubclass(self._kind, ToolExecution):
            bound = self._signature.bind_partial(*args, **kwargs).arguments
            found["arguments"] = {name: value for name, value in bound.items() if name not in ("self", "cls")}
        return found
