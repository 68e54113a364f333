"""Imports what will be needed later, in a thread of its own."""

import functools
import os
import threading
from contextlib import suppress
from importlib import import_module

from otel_callbacks.runtime.faults import guarded

FORK_WAITS_SECONDS = 5.0
"""A fork waits at most so long for an import under way: if the import hangs, the fork must not."""

_threads: list[threading.Thread] = []


@functools.cache  # once is enough
def import_beside(*modules: str) -> None:
    """Starts importing modules; whoever imports one meanwhile waits for it as for any import."""
    thread = threading.Thread(target=_import, args=modules, name="otel_callbacks imports", daemon=True)
    with suppress(RuntimeError):  # the process is about to exit, or has too many threads
        thread.start()
        _threads.append(thread)


@guarded
def _import(*modules: str) -> None:
    for name in modules:
        import_module(name)


def _wait() -> None:
    # a child would inherit the lock of a module that is half imported, and wait for it for good
    while _threads:
        _threads.pop().join(FORK_WAITS_SECONDS)


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_wait)
