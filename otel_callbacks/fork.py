"""What a forked child (gunicorn's preload, Celery's prefork, multiprocessing) has to do before it goes on."""

import os
import weakref
from collections.abc import Callable
from types import MethodType

from otel_callbacks.guard import guarded


def in_child(action: Callable[[], None]) -> None:
    """Has `action` called in every process that is forked from this one, in the order of registration.

    The child has one thread. A lock that another thread held at the fork would stay locked there for good. A bound
    method is called as long as its object is alive, and does not keep it alive.
    """
    if not hasattr(os, "register_at_fork"):  # Windows has no fork
        return
    alive = weakref.WeakMethod(action) if isinstance(action, MethodType) else lambda: action

    @guarded
    def after_fork() -> None:
        if (method := alive()) is not None:
            method()

    os.register_at_fork(after_in_child=after_fork)
