"""Ends the runs that are still open when the process exits."""

import atexit
import functools
import weakref
from typing import Protocol

from otel_callbacks.runtime.faults import guarded


class _Recorder(Protocol):
    def sweep(self) -> None: ...


_recorders: "weakref.WeakSet[_Recorder]" = weakref.WeakSet()


def add_recorder(recorder: _Recorder) -> None:
    """Has `sweep_all` end the open runs of a recorder, as long as the recorder is alive."""
    _recorders.add(recorder)


def count_recorders() -> int:
    """Returns how many recorders are alive, of handlers or by default."""
    return len(_recorders)


@functools.cache
def sweep_at_exit() -> None:
    """Has the open runs end when the interpreter exits.

    Called when the first run starts: exit functions run last in, first out, and the provider, which shuts down in an
    exit function of its own, exists by then.
    """
    atexit.register(sweep_all)


def sweep_all() -> None:
    """Ends every open run of the process."""
    for recorder in list(_recorders):
        guarded(recorder.sweep)()
