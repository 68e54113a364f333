"""Sends what waits before a process ends in a way that runs no exit functions.

- uvicorn stops gracefully and then kills itself with the signal that it got: `flushing_lifespan`, `flush_on_signal`.
- Celery's worker processes leave by `os._exit`, but send a signal of Celery's first: `watch_celery`.
- RQ's do so as well and tell nobody: `rq_worker.py`.
"""

import asyncio
import signal
import sys
import threading
import time
import weakref
from _thread import allocate_lock, start_new_thread  # see `_beside`
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, Protocol

from opentelemetry import _logs, metrics, trace

from otel_callbacks.export.signals import SHUTDOWN_SECONDS
from otel_callbacks.recording.exit_sweep import sweep_all
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded, logger

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
"""What FastAPI and Starlette take as `lifespan`: a function of the application."""


class _Delivers(Protocol):
    def waiting(self) -> int: ...

    def flush(self, timeout: float) -> bool: ...

    def shutdown(self, timeout: float) -> bool: ...


_delivering: "weakref.WeakSet[_Delivers]" = weakref.WeakSet()


def add(delivers: _Delivers) -> None:
    """Has the functions below flush and shut down what `configure` returns, and Celery call them."""
    _delivering.add(delivers)
    watch_celery()


def flush_process(timeout: float = SHUTDOWN_SECONDS) -> bool:
    """Sends what waits in this process, also in providers that the application has set up itself.

    Returns True if all of it was accepted within `timeout` seconds; logs a warning if not.
    """
    deadline = time.monotonic() + timeout
    ours = [each.flush(max(deadline - time.monotonic(), 0)) for each in _delivering]
    sent = all(ours) if ours else _flush_providers(timeout)
    if not sent:
        waiting = sum(each.waiting() for each in _delivering)
        logger.warning(
            "not all telemetry was accepted within %g s; %s is lost if the process ends now",
            timeout,
            f"what waits ({waiting} spans, events or collections of metrics)"
            if _delivering
            else "what waits",
        )
    return sent


def finish_process(timeout: float = SHUTDOWN_SECONDS) -> None:
    """Ends the open runs, sends what waits, and stops: for a process that leaves by `os._exit` or a signal."""
    guarded(sweep_all)()
    for each in list(_delivering):
        guarded(each.shutdown)(timeout)
    if not _delivering:
        flush_process(timeout)


def _flush_providers(timeout: float) -> bool:
    """Flushes the global providers at once; the SDK's own flush may take any time."""
    providers: list[Any] = [
        trace.get_tracer_provider(),
        metrics.get_meter_provider(),
        _logs.get_logger_provider(),
    ]
    flushes = [flush for each in providers if (flush := getattr(each, "force_flush", None))]
    sent: list[object] = []
    ended = [_beside(lambda flush=flush: sent.append(guarded(flush)())) for flush in flushes]
    deadline = time.monotonic() + timeout
    in_time = [end.acquire(timeout=max(deadline - time.monotonic(), 0)) for end in ended]
    return all(in_time) and False not in sent


# --- ASGI -----------------------------------------------------------------------------------------------------------


def flushing_lifespan(inner: Lifespan | None = None, *, timeout: float = SHUTDOWN_SECONDS) -> Lifespan:
    """Returns a lifespan that sends what waits when the server stops: `FastAPI(lifespan=flushing_lifespan())`.

    uvicorn ends the lifespan after the last request, and then kills itself with the signal that stopped it.

    Args:
        inner: the application's own lifespan, which goes around the same application.
        timeout: seconds to wait for the back ends.
    """

    @asynccontextmanager
    async def lifespan(application: Any) -> AsyncIterator[Any]:
        try:
            async with nullcontext() if inner is None else inner(application) as state:
                yield state
        finally:
            await asyncio.to_thread(guarded(flush_process), timeout)

    return lifespan


# --- signals --------------------------------------------------------------------------------------------------------


def flush_on_signal(number: int = signal.SIGTERM, *, timeout: float = SHUTDOWN_SECONDS) -> Callable[[], None]:
    """Has a signal send what waits before it does what it did so far; returns the function that takes this back.

    If the signal ends the process, open runs are ended and sent, too. Call it in the main thread, before a server such
    as uvicorn sets its own handlers: it restores the earlier ones before it repeats the signal.

    Raises:
        ValueError: this is not the main thread, or there is no such signal.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ValueError(
            "flush_on_signal must be called in the main thread: no other can set a signal handler"
        )
    previous = signal.getsignal(number)

    def handler(number: int, frame: Any) -> None:
        work = finish_process if previous is signal.SIG_DFL else flush_process
        _beside(guarded(work), timeout).acquire(timeout=timeout)
        if callable(previous):
            previous(number, frame)
        elif previous is signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def restore() -> None:
        if signal.getsignal(number) is handler:
            signal.signal(number, previous)

    signal.signal(number, handler)
    return restore


def _beside(work: Callable[..., object], *arguments: Any) -> Any:
    """Runs a function in a thread and returns a lock that is released at its end.

    A signal handler interrupts code that may hold any lock, so it must take none itself: not those of our queues, nor
    the one that `threading.Thread.start` needs.
    """
    ended = allocate_lock()
    ended.acquire()

    def run() -> None:
        try:
            work(*arguments)
        finally:
            ended.release()

    start_new_thread(run, ())
    return ended


# --- Celery ---------------------------------------------------------------------------------------------------------


def watch_celery() -> None:
    """Has Celery's worker processes send what waits before they leave, if Celery is imported."""
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(_leave, weak=False, dispatch_uid="otel_callbacks")


def forget_celery() -> None:
    """Takes `watch_celery` back."""
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.disconnect(_leave, dispatch_uid="otel_callbacks")


def _leave(**_: Any) -> None:
    guarded(finish_process)()


def _watch_in_child() -> None:
    if _delivering:  # Celery may have been imported after `configure`
        watch_celery()


fork.run_in_child(_watch_in_child)
