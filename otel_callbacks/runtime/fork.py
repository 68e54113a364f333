"""What a forked child (gunicorn's preload, Celery's prefork, multiprocessing) has to do before it goes on."""

import os
import threading
import weakref
from collections.abc import Callable
from types import MethodType

from otel_callbacks.runtime.faults import guarded


def in_child(action: Callable[[], None]) -> None:
    """Has `action` called in every process that is forked from this one, in the order of registration.

    A bound method is called as long as its object is alive, and does not keep it alive.
    """
    if not hasattr(os, "register_at_fork"):  # Windows has no fork
        return
    alive = weakref.WeakMethod(action) if isinstance(action, MethodType) else lambda: action

    @guarded
    def after_fork() -> None:
        if (method := alive()) is not None:
            method()

    os.register_at_fork(after_in_child=after_fork)


def lock() -> threading.Lock:
    """A lock that is open in a forked child.

    The child has one thread: what another held at the fork would stay locked there for good.
    """
    made = threading.Lock()
    _locks.add(made)
    return made


_locks: "weakref.WeakSet[threading.Lock]" = weakref.WeakSet()


def _open_locks() -> None:
    for each in _locks:
        each._at_fork_reinit()  # type: ignore[attr-defined] # what the standard library does with its own


in_child(_open_locks)
