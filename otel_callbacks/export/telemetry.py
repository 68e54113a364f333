"""What `configure` gives back: counts of what became of the telemetry, and bounded ways to wait for it."""

import asyncio
import atexit
import functools
import inspect
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import util as child_processes
from pathlib import Path
from typing import Any, TypeVar, cast

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace import TracerProvider

from otel_callbacks.export.outbox import Delivery, Outbox, close_all, flush_all
from otel_callbacks.export.signals import SHUTDOWN_SECONDS
from otel_callbacks.recording.metrics import span_counts
from otel_callbacks.recording.recorder import sweep_all
from otel_callbacks.runtime.faults import faults, guarded

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the process started, or was forked.

    Attributes:
        started: spans of ours that started, sampled or not.
        ended: spans of ours that ended.
        swept: of these, those that nobody ended and that we did: their task, their parent or the process was gone.
        exported: spans that destinations took, each counted once per destination; also spans of others.
        dropped: the same, lost on the way: in a full queue, in a failed export, at shutdown.
        unpriced: model calls without a known price.
        faults: failures of our own, which are logged once per kind.
        destinations: what became of the spans, by destination.
    """

    started: int
    ended: int
    swept: int
    exported: int
    dropped: int
    unpriced: int
    faults: int
    destinations: tuple[Delivery, ...]

    @property
    def open(self) -> int:
        """Spans of ours that have not ended."""
        return self.started - self.ended


@dataclass(slots=True, weakref_slot=True, eq=False)
class Telemetry:
    """What `configure` set up.

    Attributes:
        tracer_provider: the global tracer provider, ours or the application's.
        meter_provider: ours, if metrics are exported.
        logger_provider: ours, if events are exported.
        trace_file: the OTLP JSON Lines file that spans are written to, if one is.
    """

    tracer_provider: TracerProvider
    meter_provider: MeterProvider | None = None
    logger_provider: LoggerProvider | None = None
    trace_file: Path | None = None
    _destinations: Sequence[Outbox[Any]] = field(default=(), repr=False)
    _others: Sequence[Outbox[Any]] = field(default=(), repr=False)
    _readers: Sequence[MetricReader] = field(default=(), repr=False)
    _application: Outbox[TracerProvider] | None = field(default=None, repr=False)
    _is_shut_down: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        # exit functions run last in, first out: what ends spans at exit was mostly registered later than this
        atexit.register(self._exit)
        if multiprocessing.parent_process() is not None:
            self._exit_with_the_child()
        child_processes.register_after_fork(self, Telemetry._exit_with_the_child)

    def stats(self) -> Stats:
        """What became of the telemetry so far."""
        counts = span_counts(self.meter_provider)
        destinations = tuple(outbox.delivery() for outbox in self._destinations)
        return Stats(
            started=sum(each.started for each in counts),
            ended=sum(each.ended for each in counts),
            swept=sum(each.swept for each in counts),
            exported=sum(each.exported for each in destinations),
            dropped=sum(each.failed + each.dropped for each in destinations),
            unpriced=sum(each.unpriced for each in counts),
            faults=faults.count,
            destinations=destinations,
        )

    def flush(self, timeout: float = 10.0) -> bool:
        """Sends what is waiting; whether all of it was taken, within `timeout` seconds in all.

        Runs that are still open are not sent; a flush after they have ended sends them.
        """
        return flush_all(self._gathered(), timeout)

    def shutdown(self, timeout: float = 10.0) -> bool:
        """Sends what is waiting and stops; whether all of it was taken, within `timeout` seconds in all.

        What waits even then is lost, and counted as dropped. An exiting process does this by itself and gives it
        2 seconds. A tracer provider of the application's is only flushed.
        """
        if self._is_shut_down:
            return True
        self._is_shut_down = True
        taken = close_all(self._gathered(), timeout)
        ours = self.tracer_provider if self._application is None else None
        for provider in (ours, self.meter_provider, self.logger_provider):
            if provider is not None:
                guarded(provider.shutdown)()
        atexit.unregister(self._exit)
        return taken

    def flushing(self, timeout: float = 2.0) -> "Flushing":
        """Flushes when a block or a function has ended, for at most `timeout` seconds; for serverless handlers.

        To be used as `with`, `async with`, or a decorator of functions and coroutine functions. What the body
        returns or raises is left alone.
        """
        return Flushing(self, timeout)

    def _gathered(self) -> Sequence[Outbox[Any]]:
        """All outboxes, with what is still to be collected in them."""
        for reader in self._readers:
            guarded(reader.collect)()
        outboxes = [*self._destinations, *self._others]
        if self._application is not None:
            self._application.put(self.tracer_provider)
            outboxes.append(self._application)
        return outboxes

    def _exit(self) -> None:
        guarded(sweep_all)()
        guarded(self.shutdown)(SHUTDOWN_SECONDS)

    def _exit_with_the_child(self) -> None:
        """Children of multiprocessing leave by `os._exit`, after finalizers but without exit functions."""
        child_processes.Finalize(None, self._exit, exitpriority=0)


class Flushing:
    """See `Telemetry.flushing`."""

    def __init__(self, telemetry: Telemetry, timeout: float) -> None:
        self._flush = functools.partial(guarded(telemetry.flush), timeout)

    def __call__(self, function: F) -> F:
        """The same function, which flushes before it returns."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            async with self:
                return await function(*args, **kwargs)

        return cast(F, coroutine if inspect.iscoroutinefunction(function) else wrapper)

    def __enter__(self) -> None:
        """Nothing is done before the body."""

    def __exit__(self, *_: object) -> None:
        """Flushes."""
        self._flush()

    async def __aenter__(self) -> None:
        """Nothing is done before the body."""

    async def __aexit__(self, *_: object) -> None:
        """Flushes without blocking the event loop."""
        await asyncio.to_thread(self._flush)
