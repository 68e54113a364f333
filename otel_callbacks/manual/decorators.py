"""The class behind `workflow`, `step`, `agent` and the others: a decorator that is also a context manager."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from otel_callbacks.manual.decorated_functions import decorate
from otel_callbacks.manual.descriptions import docstring_of, signature_of
from otel_callbacks.manual.operation_fields import check_fields
from otel_callbacks.manual.operation_span import OperationSpan
from otel_callbacks.operations import Operation

_Fields = ParamSpec("_Fields")
_F = TypeVar("_F")


class PreparedOperation(OperationSpan):
    """An operation that has not started. `with` starts it; as a decorator it starts one at every call."""

    def __call__(self, function: _F) -> _F:
        """Records every call of `function` as this operation. Nothing else about the function changes.

        Raises:
            TypeError: `function` is not a function, method, class method or static method.
        """
        decorated: _F = decorate(function, self._kind, self._fields)
        return decorated


class OperationDecorator(Generic[_Fields]):
    """Records one kind of operation, as a decorator or as a context manager. Each has a docstring of its own.

    Arguments of a decorated function are read by parameter name: `model`, `query`, `top_k`, `documents`, `prompt`,
    `messages` and a few more. Decorate the generator function itself: a function that returns a generator ends before
    the generator is read.

    Args:
        word: the name of the decorator.
        operation: the type of the operation, whose fields are the arguments.
        summary: the first line of the docstring.
        name: what the first argument is.
        example: the arguments of a call, for the docstring.
    """

    def __init__(
        self, word: str, operation: Callable[_Fields, Operation], summary: str, name: str, example: str
    ) -> None:
        self._word = self.__name__ = word
        self._operation: Any = operation
        kind = cast("type[Operation]", operation)
        self.__doc__ = docstring_of(word, kind, summary, name, example)
        self.__signature__ = signature_of(kind)

    @overload
    def __call__(
        self, name: str | None = None, /, *args: _Fields.args, **fields: _Fields.kwargs
    ) -> PreparedOperation: ...

    @overload
    def __call__(self, function: _F, /) -> _F: ...

    def __call__(self, what: Any = None, /, *args: Any, **fields: Any) -> Any:
        """Prepares an operation, or records every call of a function as one.

        Raises:
            TypeError: an argument is unknown or has the wrong type, or something else than a function is decorated.
            ValueError: an argument has an unknown value.
        """
        if args:
            raise TypeError(
                f"{self._word}() takes one positional argument, the name; got {args!r:.100} as well"
            )
        if isinstance(what, str) and "name" in fields:
            raise TypeError(f"{self._word}() takes one name; got {what!r:.100} and {fields['name']!r:.100}")
        if what is None or isinstance(what, str):
            named = fields if what is None else {"name": what, **fields}
            return PreparedOperation(self._operation, check_fields(self._word, self._operation, named))
        return decorate(what, self._operation, {})

    def __repr__(self) -> str:
        return f"<otel_callbacks.{self._word}>"
