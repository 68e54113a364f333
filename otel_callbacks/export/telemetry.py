"""`Telemetry`, which `configure` returns: delivery counts, flush and shutdown, each within a time limit."""

import asyncio
import atexit
import functools
import inspect
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import util as child_processes
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace import TracerProvider

from otel_callbacks.export import process_end
from otel_callbacks.export.keep import Keep
from otel_callbacks.export.keep_processor import KeepProcessor, KeptSpans
from otel_callbacks.export.outbox import Delivery, Outbox, close_all, flush_all
from otel_callbacks.export.routes import Route
from otel_callbacks.export.signals import SHUTDOWN_SECONDS
from otel_callbacks.recording.exit_sweep import sweep_all
from otel_callbacks.recording.metrics import span_counts
from otel_callbacks.runtime.faults import faults, guarded
from otel_callbacks.runtime.words import plural

if TYPE_CHECKING:
    from otel_callbacks.explore.ui.server import LocalPage

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the process started or was forked.

    Attributes:
        started: our spans that started, sampled or not.
        ended: our spans that ended.
        swept: ended spans that no callback ended: we did, because their task, parent or process was gone.
        exported: spans that destinations accepted, counted once per destination; includes other libraries' spans.
        dropped: spans lost in a full queue, a failed export or at shutdown, counted in the same way.
        unpriced: model calls without a known price.
        faults: our own failures, which are logged once per kind.
        destinations: what became of the spans, by destination.
        keep: what `configure(keep=...)` decided about the spans that ended; None without it.
    """

    started: int
    ended: int
    swept: int
    exported: int
    dropped: int
    unpriced: int
    faults: int
    destinations: tuple[Delivery, ...]
    keep: KeptSpans | None = None

    @property
    def open(self) -> int:
        """Our spans that have not ended."""
        return self.started - self.ended


@dataclass(slots=True, weakref_slot=True, eq=False)
class Telemetry:
    """The providers and exporters that `configure` set up.

    Attributes:
        tracer_provider: the tracer provider, ours or the application's; ours is the global one, unless the
            application has set one that takes no exporters.
        meter_provider: the meter provider, as above; None if no metrics are exported.
        logger_provider: the logger provider, as above; None if no events are exported.
        trace_file: the OTLP JSON Lines file that spans are written to; None if there is no file.
    """

    tracer_provider: TracerProvider
    meter_provider: MeterProvider | None = None
    logger_provider: LoggerProvider | None = None
    trace_file: Path | None = None
    _destinations: Sequence[Outbox[Any]] = field(default=(), repr=False)
    _others: Sequence[Outbox[Any]] = field(default=(), repr=False)
    _readers: Sequence[MetricReader] = field(default=(), repr=False)
    _application: Outbox[TracerProvider] | None = field(default=None, repr=False)
    _keep: KeepProcessor | None = field(default=None, init=False, repr=False)
    _routes: Sequence[Route] = field(default=(), repr=False)
    _service: str = field(default="", repr=False)
    _notes: Sequence[str] = field(default=(), repr=False)
    _page: "LocalPage | None" = field(default=None, init=False, repr=False)
    _local: bool = field(default=False, init=False, repr=False)
    _is_shut_down: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        # exit functions run last in, first out: those that end spans were mostly registered after this one
        atexit.register(self._exit)
        if multiprocessing.parent_process() is not None:
            self._exit_with_the_child()
        child_processes.register_after_fork(self, Telemetry._exit_with_the_child)
        process_end.add(self)

    def __repr__(self) -> str:
        to = ", ".join(
            f"{each.destination} ({plural(each.exported, 'span')} exported, {each.waiting:,} waiting,"
            f" {each.failed + each.dropped:,} lost)"
            for each in (outbox.delivery() for outbox in self._destinations)
        )
        return f"<Telemetry to {to or 'what the application has set up'}>"

    def stats(self) -> Stats:
        """Returns what became of the telemetry so far."""
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
            keep=self._keep.counts() if self._keep is not None else None,
        )

    def keep_only(self, keep: Keep) -> None:
        """Exports only the traces that are worth it; `configure` calls this."""
        takes = [outbox.divert() for outbox in self._destinations]
        self._keep = KeepProcessor(keep, takes)
        self.tracer_provider.add_span_processor(self._keep)

    def waiting(self) -> int:
        """Returns how many spans, events and collections of metrics have not been sent yet."""
        return sum(outbox.delivery().waiting for outbox in (*self._destinations, *self._others))

    def __str__(self) -> str:
        """Says where each signal goes, who names the service, and what had no effect."""
        names = {"traces": "traces", "metrics": "metrics", "logs": "events"}
        lines = [f"{names[route.signal]}: {route}" for route in self._routes]
        if self._local:
            lines[:1] = [f"{line}; also kept in memory" for line in lines[:1]]
        if self._page is not None and self._page.is_running:
            lines.append(f"page: {self._page.url}")
        notes = "; ".join(self._notes) or "none"
        return "\n".join((*lines, f"service: {self._service}", f"without effect: {notes}"))

    def flush(self, timeout: float = 10.0) -> bool:
        """Sends what is waiting; returns True if all of it was accepted within `timeout` seconds in all.

        Returns False as well if spans go nowhere; `print(telemetry)` shows where they go. Runs that are still open are
        not sent; a flush after they have ended sends them.
        """
        return flush_all(self._outboxes(), timeout) and self._has_reached()

    def keeps_locally(self) -> None:
        """Notes that traces are also kept in memory."""
        self._local = True

    def shows(self, page: "LocalPage") -> None:
        """Notes that a page shows the traces, until the shutdown."""
        self._page = page

    def shutdown(self, timeout: float = 10.0) -> bool:
        """Sends what is waiting, then stops; returns True if all of it was accepted within `timeout` seconds in all.

        What still waits then is lost and counted as dropped. An exiting process shuts down by itself, within
        2 seconds. The application's own tracer provider is only flushed.
        """
        if self._is_shut_down:
            return True
        self._is_shut_down = True
        if self._keep is not None:
            self._keep.decide_all()
        if self._page is not None:
            self._page.stop(timeout=0)
        accepted = close_all(self._outboxes(), timeout)
        for route in self._routes:
            guarded(route.leave)()
        for provider in self._own_providers():
            guarded(provider.shutdown)()
        atexit.unregister(self._exit)
        return accepted

    def flushing(self, timeout: float = 2.0) -> "Flushing":
        """Flushes after a block or function, for at most `timeout` seconds; meant for serverless handlers.

        Use it with `with` or `async with`, or as a decorator of functions and coroutine functions. It does not
        change what the body returns or raises.
        """
        return Flushing(self, timeout)

    def _outboxes(self) -> Sequence[Outbox[Any]]:
        """Collects the metrics and returns all outboxes."""
        for reader in self._readers:
            guarded(reader.collect)()
        outboxes = [*self._destinations, *self._others]
        if self._application is not None:
            self._application.put(self.tracer_provider)
            outboxes.append(self._application)
        return outboxes

    def _own_providers(self) -> Sequence[Any]:
        """Returns the providers that we made; the application shuts its own down."""
        kept = {id(route.provider) for route in self._routes if not route.is_ours}
        providers = (self.tracer_provider, self.meter_provider, self.logger_provider)
        return [each for each in providers if each is not None and id(each) not in kept]

    def _has_reached(self) -> bool:
        """Tells whether spans go somewhere: to the global provider, or where a handler was told to send them."""
        nowhere = any(route.signal == "traces" and not route.is_reached for route in self._routes)
        return not nowhere or self._local or any(each.delivery().exported for each in self._destinations)

    def _exit(self) -> None:
        guarded(sweep_all)()
        guarded(self.shutdown)(SHUTDOWN_SECONDS)

    def _exit_with_the_child(self) -> None:
        """Registers a finalizer: children of multiprocessing leave by `os._exit`, which skips exit functions."""
        child_processes.Finalize(None, self._exit, exitpriority=0)


class Flushing:
    """The context manager and decorator that `Telemetry.flushing` returns."""

    def __init__(self, telemetry: Telemetry, timeout: float) -> None:
        self._flush = functools.partial(guarded(telemetry.flush), timeout)

    def __call__(self, function: F) -> F:
        """Returns a function that calls `function` and flushes before it returns."""

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
        """Does nothing before the body."""

    def __exit__(self, *_: object) -> None:
        """Flushes."""
        self._flush()

    async def __aenter__(self) -> None:
        """Does nothing before the body."""

    async def __aexit__(self, *_: object) -> None:
        """Flushes without blocking the event loop."""
        await asyncio.to_thread(self._flush)
