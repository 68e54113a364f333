"""A bounded queue and the worker that sends what is in it, whatever its destination does.

The SDK's batch processors are not used: neither their flush nor their shutdown keeps to a bound, they do not tell
what they dropped, and several of them flush in turn, so that a dead back end starves the live ones.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from opentelemetry import context as context_api

from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import logger

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much waits, how much is sent at a time, and after how many seconds at the latest."""

    queue: int = 2_048
    batch: int = 512
    delay: float = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What has become of everything that was put into an outbox; the four add up to it.

    Attributes:
        destination: where it goes.
        waiting: in the queue, or being sent.
        exported: taken by the destination. A back end may still reject some of it, or lose it later.
        failed: refused, or not answered for in time; in the latter case it may have arrived.
        dropped: not sent, because the queue was full or had been shut down.
    """

    destination: str
    waiting: int
    exported: int
    failed: int
    dropped: int


class Mark(NamedTuple):
    """How many items an outbox had accepted at a time, and how many it had failed to send by then."""

    accepted: int
    failed: int


class Outbox(Generic[T]):
    """Sends what is put in from a thread of its own, in order. Putting something in takes a microsecond, always.

    In a forked child it starts empty: what waited at the fork is the parent's to send.

    Args:
        destination: where it goes, in words.
        send: sends a batch and returns how many of it were taken; it may raise, block or lie.
        limits: the bounds.
    """

    def __init__(self, destination: str, send: Callable[[Sequence[T]], int], limits: Limits) -> None:
        self._destination = destination
        self._send = send
        self._limits = limits
        self._closed = False
        self._reset()
        fork.run_in_child(self._reset)

    def _reset(self) -> None:
        # Reentrant, because the garbage collector may end a span while this very thread holds the lock.
        self._changed = threading.Condition()
        self._queue: deque[T] = deque()
        self._sending = 0
        self._accepted = 0
        self._urgent = 0
        self._exported = self._failed = self._dropped = 0
        self._is_taken = True
        self._worker: threading.Thread | None = None
        self._told = False

    def put(self, item: T) -> None:
        """Takes an item to send, or drops it if as many wait as may."""
        with self._changed:
            waiting = len(self._queue)
            if self._closed or waiting + self._sending >= self._limits.queue:
                self._dropped += 1
                return
            self._queue.append(item)
            self._accepted += 1
            if self._worker is None:
                self._start()
            if waiting == 0 or waiting + 1 == self._limits.batch:
                self._changed.notify_all()

    def hurry(self) -> Mark:
        """Has what waits sent now; does not wait for it. Returns the mark to wait for."""
        with self._changed:
            self._urgent = self._accepted
            self._changed.notify_all()
            return Mark(self._accepted, self._failed)

    def flush(self, timeout: float, mark: Mark | None = None) -> bool:
        """Whether all that waits now (or waited at `mark`) was taken by the destination within `timeout` seconds."""
        with self._changed:
            accepted, failed = mark or self.hurry()
            done = self._changed.wait_for(lambda: self._settled >= accepted, max(timeout, 0))
            return done and self._failed == failed

    def close(self, timeout: float, mark: Mark | None = None) -> bool:
        """As `flush`, and then sends nothing any more: what still waits is dropped, as is what comes later.

        What is being sent has failed: whether it is taken later, nobody waits to hear.
        """
        with self._changed:
            if self._closed:
                return True
            self._closed = True
            worker = self._worker
        if worker is None:
            self._work()  # nothing was put in, or there was no thread to be had
        sent = self.flush(timeout, mark)
        with self._changed:
            self._dropped += len(self._queue)
            self._queue.clear()
            self._failed += self._sending
            self._sending = 0
            self._changed.notify_all()
        return sent

    @property
    def is_behind(self) -> bool:
        """Whether another batch waits already, though the destination takes them."""
        return self._is_taken and len(self._queue) >= self._limits.batch

    def delivery(self) -> Delivery:
        """The counts as they are now."""
        with self._changed:
            waiting = len(self._queue) + self._sending
            return Delivery(self._destination, waiting, self._exported, self._failed, self._dropped)

    @property
    def _settled(self) -> int:
        """How many of the accepted items wait no more. They leave in the order in which they came."""
        return self._accepted - len(self._queue) - self._sending

    def _start(self) -> None:
        worker = threading.Thread(target=self._work, name=f"otel_callbacks {self._destination}", daemon=True)
        try:
            worker.start()
        except RuntimeError:
            return  # too many threads, or (3.12.0 and 3.12.1) at exit: the next item tries again, then `close`
        self._worker = worker

    def _work(self) -> None:
        # or else an instrumented HTTP client would trace how traces are sent
        token = context_api.attach(context_api.set_value(context_api._SUPPRESS_INSTRUMENTATION_KEY, True))
        while batch := self._next():
            try:
                taken = self._send(batch)
            except Exception as error:
                # some exporters raise when they reach nobody; the next batch may arrive
                self._tell(f"the exporter raised {error!r:.300}")
                taken = 0
            self._settle(len(batch), taken)
            if self._dropped:  # told here and not where it was dropped: a log handler may be slow
                self._tell("telemetry is not taken as fast as it comes")
        context_api.detach(token)

    def _next(self) -> list[T]:
        """Waits for the next batch; there is none when the outbox is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            self._changed.wait_for(self._is_due, self._limits.delay)
            self._sending = min(len(self._queue), self._limits.batch)
            return [self._queue.popleft() for _ in range(self._sending)]

    def _is_due(self) -> bool:
        waiting = len(self._queue)
        return self._closed or waiting >= self._limits.batch or self._accepted - waiting < self._urgent

    def _settle(self, sent: int, taken: int) -> None:
        with self._changed:
            if self._sending:  # else `close` has given up on it
                self._sending = 0
                self._exported += taken
                self._failed += sent - taken
            self._is_taken = taken == sent
            self._changed.notify_all()

    def _tell(self, what: str) -> None:
        """Logs that something is lost, once."""
        if not self._told:
            self._told = True
            logger.warning("%s: %s; some is lost, see Telemetry.stats()", self._destination, what)


def flush_all(outboxes: Sequence[Outbox[Any]], timeout: float) -> bool:
    """Flushes side by side; True if everything was taken within `timeout` seconds in all."""
    return _side_by_side(outboxes, Outbox.flush, timeout)


def close_all(outboxes: Sequence[Outbox[Any]], timeout: float) -> bool:
    """Closes side by side; True if everything was taken within `timeout` seconds in all."""
    return _side_by_side(outboxes, Outbox.close, timeout)


def _side_by_side(
    outboxes: Sequence[Outbox[Any]], wait: Callable[[Outbox[Any], float, Mark], bool], timeout: float
) -> bool:
    deadline = time.monotonic() + timeout
    marked = [(outbox, outbox.hurry()) for outbox in outboxes]
    taken = [wait(outbox, deadline - time.monotonic(), mark) for outbox, mark in marked]
    return all(taken)
