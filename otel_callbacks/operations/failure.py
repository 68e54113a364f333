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
    def from_exception(cls, error: BaseException) -> "Failure":
        """Describes an exception: its type is the class name, with the module unless it is built in."""
        kind = type(error)
        name = kind.__qualname__
        return cls(name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}", exception=error)

    def message_or_arguments(self) -> Any:
        """Returns the message, or the exception's arguments where turning them into text would take long."""
        if self.message is not None or self.exception is None:
            return self.message
        return _message_or_arguments(self.exception)


def _message_or_arguments(error: BaseException) -> Any:
    arguments = error.args
    if type(error).__str__ is BaseException.__str__ and any(type(each) in _LARGE for each in arguments):
        return arguments[0] if len(arguments) == 1 else arguments
    try:
        return str(error)
    except Exception:  # the application's own __str__ may fail
        return f"<{type(error).__name__}>"


_LARGE = {dict, list, tuple, set, frozenset, bytes, bytearray}
