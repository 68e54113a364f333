"""The class behind `workflow`, `step`, `agent` and the others: a decorator that is also a context manager."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, overload

from otel_callbacks.manual.decorated_functions import decorate
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
    """Records one kind of operation, as a decorator or as a context manager.

    Use `@retrieval` or `@retrieval("docs", top_k=5)` on a function, method or generator function, synchronous or
    asynchronous, and `with retrieval("docs", top_k=5) as span:` around any code. The first argument is the name: of
    the workflow, step, agent or tool (by default the function's name), of the data source, or of the model. The other
    arguments are the fields of the operation, see `otel_callbacks.operations`.

    Arguments of a decorated function are read by parameter name: `model`, `query`, `top_k`, `documents`, `prompt`,
    `messages` and a few more. Its result is read as in `OperationSpan.result`. A generator's operation starts when
    its first item is requested and ends with the generator. Decorate the generator function itself: a function that
    returns a generator ends before the generator is read.
    """

    def __init__(self, word: str, operation: Callable[_Fields, Operation]) -> None:
        self._word = word
        self._operation: Any = operation

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
