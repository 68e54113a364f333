"""Errors of calls with an unknown argument, which name the one that was meant."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")


def names_arguments(who: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Decorates a function so that a call with an unknown keyword argument says which was meant, or which there are.

    `who` is the function in the message, such as `configure()`. Types and signature of the function stay.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        parameters = inspect.signature(function).parameters
        known = frozenset(parameters)

        @functools.wraps(function)
        def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            for name in kwargs.keys() - known:
                raise unknown_argument(who, name, [each for each in parameters if each != "self"])
            return function(*args, **kwargs)

        return wrapper

    return decorate


def unknown_argument(who: str, name: str, known: Iterable[str]) -> TypeError:
    """Returns the error for an argument that `who` does not have."""
    from difflib import get_close_matches  # not needed when all is right

    close = get_close_matches(name, known := list(known), n=1)
    hint = f"did you mean {close[0]}?" if close else f"use {', '.join(known)}"
    return TypeError(f"{who} has no argument {name}; {hint}")
