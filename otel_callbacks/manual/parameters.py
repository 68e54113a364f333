"""What the arguments of a function tell about the operation that it is, by the names of its parameters."""

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
    return results.documents(value) if isinstance(value, list | tuple) else None


_Reader = tuple[str, Callable[[Any], Any]]
_MODEL: dict[str, _Reader] = {"model": ("name", results.text)}
_QUERY: dict[str, _Reader] = dict.fromkeys(("query", "question"), ("query", results.text))
_ASKED: dict[str, _Reader] = dict.fromkeys(
    ("messages", "prompt", "question", "query", "user_input", "input"),
    ("input_messages", messages.asked),
)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NOWHERE = sys.maxsize
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
        "temperature": ("temperature", results.number),
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
            (
                position if parameter.kind in _POSITIONAL else _NOWHERE,
                name,
                parameter.default,
                *_TELLING[kind][name],
            )
            for position, (name, parameter) in enumerate(signature.parameters.items())
            if name in _TELLING.get(kind, ()) and parameter.kind not in _VARIADIC
        ]

    @guarded
    def read(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, content: bool) -> dict[str, Any]:
        """The fields of the operation that a call's arguments tell: those that hold content, or the others."""
        found: dict[str, Any] = {}
        for position, name, default, field, read in self._telling:
            if (field in _CONTENT) is content:
                value = args[position] if position < len(args) else kwargs.get(name, default)
                if (known := read(value)) is not None:
                    found.setdefault(field, known)
        if content and issubclass(self._kind, ToolExecution):
            given = self._signature.bind_partial(*args, **kwargs).arguments
            found["arguments"] = {name: value for name, value in given.items() if name not in ("self", "cls")}
        return found
