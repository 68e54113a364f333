"""The recorder that records, process-wide, what no run encloses."""

from collections.abc import Callable
from typing import Any

from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runtime import fork

_lock = fork.safe_lock()
_in_charge: tuple[tuple[Any, Callable[[], Recorder]], ...] = ()


def put_in_charge(owner: Any, recorder: Callable[[], Recorder] | None) -> None:
    """Has a recorder record, process-wide, what no run encloses: the latest of those put in charge does.

    Args:
        owner: whose recorder it is, of which there is one at a time.
        recorder: gives the recorder, when it is first needed; None takes the owner's out of charge.
    """
    global _in_charge
    with _lock:
        others = tuple(each for each in _in_charge if each[0] is not owner)
        _in_charge = others if recorder is None else (*others, (owner, recorder))


def recorder_in_charge() -> Recorder | None:
    """The recorder that was put in charge last, if any."""
    in_charge = _in_charge
    return in_charge[-1][1]() if in_charge else None
