"""The process-wide recorder: it records what happens outside every run."""

from collections.abc import Callable
from typing import Any

from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runtime import fork

_lock = fork.safe_lock()
_by_owner: tuple[tuple[Any, Callable[[], Recorder]], ...] = ()  # the newest last


def set_process_recorder(owner: Any, recorder: Callable[[], Recorder] | None) -> None:
    """Makes a recorder the process-wide one, until its owner takes it back or another owner sets one.

    Args:
        owner: whose recorder it is; an owner has one at a time.
        recorder: returns the recorder when it is first needed; None takes the owner's recorder back.
    """
    global _by_owner
    with _lock:
        others = tuple(each for each in _by_owner if each[0] is not owner)
        _by_owner = others if recorder is None else (*others, (owner, recorder))


def process_recorder() -> Recorder | None:
    """Returns the process-wide recorder, the one that was set last; None if there is none."""
    by_owner = _by_owner
    return by_owner[-1][1]() if by_owner else None
