"""The one mechanism behind `workflow`, `step`, `agent` and the rest: a kind of operation that can be called."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, overload

from otel_callbacks.manual.fields import accept
from otel_callbacks.manual.functions import decorate
from otel_callbacks.manual.span import OperationSpan
from otel_callbacks.operations import Operation

_Fields = ParamSpec("_Fields")
_F = TypeVar("_F")


class DescribedOperation(OperationSpan):
    """An operation that has not begun: `with` begins it; as a decorator it makes one of every call."""

    def __call__(self, function: _F) -> _F:
        """Makes every call of `function` such an operation; nothing else about the function changes.

        Raises:
            TypeError: it is no function, method, class method or static method.
        """
        decorated: _F = decorate(function, self._kind, self._fields)
        return decorated


class Kind(Generic[_Fields]):
    """A kind of operation, as a decorator and as a context manager.

    `@retrieval` and `@retrieval("docs", top_k=5)` before a function, a generator function, asynchronous or not, or a
    method; `with retrieval("docs", top_k=5) as span:` around any code. The first argument is the name: of the
    workflow, step, agent or tool (by default that of the function), of the data source, or of the model. The others
    are the fields of the operation, see `otel_callbacks.operations`.

    A function tells more by its arguments and its result: `model`, `query`, `top_k`, `documents`, `prompt`,
    `messages` and a few more are read by the name of the parameter, results as `OperationSpan.result` says. A
    generator's operation begins when its first item is asked for and ends with the generator. A function that
    returns a generator ends before that is read: decorate the generator function instead.
    """

    def __init__(self, word: str, operation: Callable[_Fields, Operation]) -> None:
        self._word = word
        self._operation: Any = operation

    @overload
    def __call__(
        self, name: str | None = None, /, *args: _Fields.args, **fields: _Fields.kwargs
    ) -> DescribedOperation: ...

    @overload
    def __call__(self, function: _F, /) -> _F: ...

    def __call__(self, what: Any = None, /, *args: Any, **fields: Any) -> Any:
        """Describes an operation, or makes every call of a function one.

        Raises:
            TypeError: there is no such argument, its value is of the wrong type, or the operand is no function.
        """
        if args:
            raise TypeError(
                f"{self._word}() takes one argument by position, its name; got {args!r:.100} as well"
            )
        if isinstance(what, str) and "name" in fields:
            raise TypeError(f"{self._word}() takes one name; got {what!r:.100} and {fields['name']!r:.100}")
        if what is None or isinstance(what, str):
            named = fields if what is None else {"name": what, **fields}
            return DescribedOperation(self._operation, accept(self._word, self._operation, named))
        return decorate(what, self._operation, {})

    def __repr__(self) -> str:
        return f"<otel_callbacks.{self._word}>"
