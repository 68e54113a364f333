"""Why an operation failed."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an operation failed. `type` is the value of `error.type`, of low cardinality."""

    type: str
    message: str | None = None
    exception: BaseException | None = None

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        """Describes an exception: its class name, with the module unless it is built in."""
        kind = type(error)
        name = kind.__qualname__
        return cls(name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}", exception=error)

    def said(self) -> Any:
        """What was said about it: a text, or what would take an exception long to put into one."""
        return _said(self.exception) if self.message is None and self.exception is not None else self.message


def _said(error: BaseException) -> Any:
    """What an exception says. Its own `str` would write out all that it was made with."""
    given = error.args
    if type(error).__str__ is BaseException.__str__ and any(type(each) in _LARGE for each in given):
        return given[0] if len(given) == 1 else given
    try:
        return str(error)
    except Exception:  # the application's exception, whose __str__ may fail as it likes
        return f"<{type(error).__name__}>"


_LARGE = {dict, list, tuple, set, frozenset, bytes, bytearray}
