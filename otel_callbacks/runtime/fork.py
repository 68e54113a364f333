"""Keeps locks and tables right in forked children (gunicorn's preload, Celery's prefork, multiprocessing)."""

import os
import threading
import weakref
from collections.abc import Callable
from types import MethodType

from otel_callbacks.runtime.faults import guarded


def run_in_child(action: Callable[[], None]) -> None:
    """Runs `action` in every process that is forked from this one, in the order of registration.

    A bound method does not keep its object alive; it runs as long as something else does.
    """
    if not hasattr(os, "register_at_fork"):  # Windows has no fork
        return
    alive = weakref.WeakMethod(action) if isinstance(action, MethodType) else lambda: action

    @guarded
    def after_fork() -> None:
        if (method := alive()) is not None:
            method()

    os.register_at_fork(after_in_child=after_fork)


def safe_lock() -> threading.Lock:
    """Creates a lock that is open in a forked child.

    A child has one thread. A lock that another thread held at the fork would stay locked there for good.
    """
    created = threading.Lock()
    _locks.add(created)
    return created


_locks: "weakref.WeakSet[threading.Lock]" = weakref.WeakSet()


def _open_locks() -> None:
    for each in _locks:
        each._at_fork_reinit()  # type: ignore[attr-defined] # the standard library does this with its own locks


run_in_child(_open_locks)
