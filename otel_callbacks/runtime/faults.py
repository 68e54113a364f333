"""The one place where a fault of ours is caught: logged once per kind, never passed on to the application."""

import functools
import logging
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

logger = logging.getLogger("otel_callbacks")

_FRAMES = 100  # the innermost of a deep recursion
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Refused(Exception):
    """Raised on purpose, to stop what the application is about to do because the application asked for that."""


def stack_of(error: BaseException) -> str:
    """Where an exception came from, innermost last: files, lines and functions.

    Without the lines themselves: a literal in them may be a key, and they would have to be read from disk.
    """
    frames = traceback.StackSummary.extract(
        traceback.walk_tb(error.__traceback__), limit=-_FRAMES, lookup_lines=False
    )
    return "".join(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n' for frame in frames)


class _Faults:
    """What has gone wrong so far. `strict` makes faults raise; the test suites set it."""

    def __init__(self) -> None:
        self.strict = False
        self.count = 0
        self._seen: set[tuple[str, type[BaseException]]] = set()

    def report(self, where: str, error: Exception) -> None:
        """Counts a fault and logs where it was the first time this kind (place and exception type) is seen.

        Not its message, which may quote what the application said.
        """
        self.count += 1
        kind = (where, type(error))
        if kind not in self._seen:
            self._seen.add(kind)
            logger.warning(
                "otel-callbacks failed in %s with %s; the application is not affected, telemetry of this call may be"
                " incomplete. Further faults of this kind are counted but not logged.\n%s",
                where,
                type(error).__qualname__,
                stack_of(error),
            )


faults = _Faults()


def guarded(function: Callable[_P, _R]) -> Callable[_P, _R | None]:
    """Makes `function` return None instead of raising an `Exception` of its own.

    `Refused` passes, which is meant for the application, and so do `BaseException`s such as `KeyboardInterrupt`,
    which are the application's.
    """
    where = function.__qualname__

    @functools.wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R | None:
        try:
            return function(*args, **kwargs)
        except Refused:
            raise
        except Exception as error:
            faults.report(where, error)
            if faults.strict:
                raise
            return None

    return wrapper
