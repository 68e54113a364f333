"""Catches our own faults: each kind is logged once, and none reaches the application."""

import functools
import logging
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

logger = logging.getLogger("otel_callbacks")

# The outer frames of a deeper stack are left out: in a deep recursion the innermost ones say where it failed.
STACK_FRAMES = 100

_P = ParamSpec("_P")
_R = TypeVar("_R")


class DeliberateError(Exception):
    """An error that is meant for the application, which asked to be stopped. `guarded` lets it pass."""


def stack_frames(error: BaseException) -> str:
    """Returns the files, line numbers and functions of an exception's stack, innermost last.

    The lines of code are left out: a literal in them may be a key, and they would have to be read from disk.
    """
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), limit=-STACK_FRAMES, lookup_lines=False
    )
    return "".join(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n' for frame in frames)


class _Faults:
    """The faults of this process. `count` is how many there were; `strict` raises them, which the tests use."""

    def __init__(self) -> None:
        self.strict = False
        self.count = 0
        self._logged: set[tuple[str, type[BaseException]]] = set()

    def report(self, where: str, error: Exception) -> None:
        """Counts a fault, and logs its stack the first time that this kind (place and exception type) occurs.

        The exception's message is not logged: it may quote content.
        """
        self.count += 1
        kind = (where, type(error))
        if kind not in self._logged:
            self._logged.add(kind)
            logger.warning(
                "otel-callbacks failed in %s with %s; the application is not affected, telemetry of this call may be"
                " incomplete. Further faults of this kind are counted but not logged.\n%s",
                where,
                type(error).__qualname__,
                stack_frames(error),
            )


faults = _Faults()


def caught(where: str, error: Exception) -> None:
    """Reports an exception that was caught in `where`; raises it again if the application shall get it, or a test."""
    if not isinstance(error, DeliberateError):
        faults.report(where, error)
        if not faults.strict:
            return
    raise error


def guarded(function: Callable[_P, _R]) -> Callable[_P, _R | None]:
    """Decorates a function so that it reports an `Exception` and returns None instead of raising it.

    `DeliberateError` passes, and so do `BaseException`s such as `KeyboardInterrupt`: both belong to the application.
    """
    where = function.__qualname__

    @functools.wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # the guard
            caught(where, error)
            return None

    return wrapper
