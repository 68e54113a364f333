"""A bounded queue and the thread that sends what is in it, whatever its destination does.

The SDK's batch processors will not do: their flush and shutdown keep to no time limit, they do not count what they
drop, several of them flush one after another, so that a dead back end starves the live ones, and what a restarting
collector did not take is lost although there is room in the queue.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from opentelemetry import context as context_api

from otel_callbacks.limits import (
    BATCH_ITEMS,
    LOSS_LOG_SECONDS,
    QUEUE_ITEMS,
    RETRY_AFTER_SECONDS,
    RETRY_SECONDS,
)
from otel_callbacks.privacy.patterns import remove_secrets
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import logger

T = TypeVar("T")

_FIRST_PAUSE = 0.5  # seconds
_LONGEST_PAUSE = 3.0


class TryAgain(Exception):
    """A destination may accept the rest of a batch later.

    Attributes:
        done: how many of the first items need not be sent again.
        accepted: how many of these were accepted.
        after: after how many seconds it wants to be asked again; None if it did not tell.
    """

    def __init__(self, why: str, done: int = 0, accepted: int = 0, after: float | None = None) -> None:
        super().__init__(why)
        self.done = done
        self.accepted = accepted
        self.after = after


class NotTaken(Exception):
    """A destination does not take such items at all."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many items may wait, how many are sent at a time, and how many seconds a smaller batch waits."""

    queue: int = QUEUE_ITEMS
    batch: int = BATCH_ITEMS
    delay: float = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the items put into an outbox; the counts add up to all of them.

    Attributes:
        destination: where the items go.
        waiting: in the queue, or being sent, perhaps not for the first time.
        exported: accepted by the destination. A back end may still reject some later, or lose them.
        failed: refused, alone or out of a request that was accepted, or not confirmed in time; unconfirmed items may
            have arrived. A collection of metrics of which some points were refused counts as failed.
        dropped: not sent, because the queue was full or shut down.
        not_taken: not to be delivered, because the destination does not take such items.
    """

    destination: str
    waiting: int
    exported: int
    failed: int
    dropped: int
    not_taken: int = 0


class Mark(NamedTuple):
    """A point in an outbox's history: how many items it had accepted, and how many had failed by then."""

    accepted: int
    failed: int


class Outbox(Generic[T]):
    """Sends items in order, from a thread of its own. `put` takes a microsecond, whatever the destination does.

    In a forked child the outbox starts empty: the parent sends what waited at the fork.

    Args:
        destination: the destination's name, for logs and counts.
        send: sends a batch and returns how many of it were accepted; it may block, and raise `TryAgain`, `NotTaken` or
            any other exception, after which the batch is lost.
        limits: how much may wait, and how much is sent at a time.
        items: what the items are, such as "spans"; the log says how many of them are lost. None: nothing is lost.

    Attributes:
        refusal: why the destination refused items last; the log says it. `send` may set it.
    """

    def __init__(
        self,
        destination: str,
        send: Callable[[Sequence[T]], int],
        limits: QueueLimits,
        items: str | None = None,
    ) -> None:
        self._destination = destination
        self._items = items
        self.refusal = ""
        self._send = send
        self._limits = limits
        self._closed = self._diverted = False
        self._reset()
        fork.run_in_child(self._reset)

    def _reset(self) -> None:
        # A Condition's lock is reentrant: the garbage collector may end a span while this thread holds it.
        self._changed = threading.Condition()
        self._queue: deque[T] = deque()
        self._sending = 0
        self._accepted = 0
        self._urgent = 0
        self._wakes = 0
        self._exported = self._failed = self._dropped = self._not_taken = 0
        self._takes_none = self._is_down = False
        self._last_batch_accepted = True
        self._worker: threading.Thread | None = None
        self._warned = False
        self._logged_loss = 0
        self._log_loss_from = self._log_pause_from = 0.0

    def put(self, item: T) -> None:
        """Adds an item to send, or drops and counts it if the queue is full."""
        if not self._diverted:
            self._add(item)

    def divert(self) -> Callable[[T], None]:
        """Ends what `put` does; returns the function that does it instead, for somebody who decides first."""
        self._diverted = True
        return self._add

    def _add(self, item: T) -> None:
        with self._changed:
            waiting = len(self._queue)
            if self._takes_none:
                self._not_taken += 1
                return
            if self._closed or waiting + self._sending >= self._limits.queue:
                self._dropped += 1
                return
            self._queue.append(item)
            self._accepted += 1
            if self._worker is None:
                self._start()
            if waiting == 0 or waiting + 1 == self._limits.batch:
                self._changed.notify_all()

    def send_now(self) -> Mark:
        """Starts sending what waits, without waiting for it; returns the mark that `flush` can wait for."""
        with self._changed:
            self._urgent = self._accepted
            self._wakes += 1
            self._changed.notify_all()
            return Mark(self._accepted, self._failed)

    def flush(self, timeout: float, mark: Mark | None = None) -> bool:
        """Tells whether the destination accepted all that waits (or waited at `mark`) within `timeout` seconds.

        What it does not take at all does not count.
        """
        with self._changed:
            accepted, failed = mark or self.send_now()
            done = self._changed.wait_for(lambda: self._settled >= accepted, max(timeout, 0))
            return done and self._failed == failed

    def close(self, timeout: float, mark: Mark | None = None) -> bool:
        """Flushes as `flush` does and then stops: drops what still waits, and whatever is put in later.

        A batch still being sent counts as failed: nobody waits to learn whether it arrives.
        """
        with self._changed:
            if self._closed:
                return True
            self._closed = True
            worker = self._worker
        mark = mark or self.send_now()
        if worker is None:
            self._work()  # the queue is empty, or no thread could be started
        sent = self.flush(timeout, mark)
        with self._changed:
            self._dropped += len(self._queue)
            self._queue.clear()
            self._failed += self._sending
            self._sending = 0
            self._changed.notify_all()
        self._log_loss(at_end=True)
        return sent

    @property
    def is_behind(self) -> bool:
        """Whether another full batch waits although the destination accepts them."""
        return self._last_batch_accepted and len(self._queue) >= self._limits.batch

    def delivery(self) -> Delivery:
        """Returns the current counts."""
        with self._changed:
            waiting = len(self._queue) + self._sending
            counts = self._exported, self._failed, self._dropped, self._not_taken
            return Delivery(self._destination, waiting, *counts)

    @property
    def _settled(self) -> int:
        """How many accepted items no longer wait. Items leave in the order in which they came."""
        return self._accepted - len(self._queue) - self._sending

    def _start(self) -> None:
        worker = threading.Thread(target=self._work, name=f"otel_callbacks {self._destination}", daemon=True)
        try:
            worker.start()
        except RuntimeError:
            return  # too many threads, or (3.12.0 and 3.12.1) at exit: the next item tries again, then `close`
        self._worker = worker

    def _work(self) -> None:
        # Keeps an instrumented HTTP client from tracing our own exports.
        token = context_api.attach(context_api.set_value(context_api._SUPPRESS_INSTRUMENTATION_KEY, True))
        while batch := self._next():
            self._deliver(batch)
            self._log_loss()  # here and not in `put`, because a log handler may be slow
        context_api.detach(token)

    def _deliver(self, batch: list[T]) -> None:
        """Sends a batch until it is accepted or refused, or until nobody waits for it any more."""
        # without a thread it is `close` that waits here, and it has a time limit
        until, tries = time.monotonic() + (RETRY_SECONDS if self._worker is not None else 0), 0
        while batch:
            wakes, was_closed = self._wakes, self._closed
            try:
                self._settle(len(batch), self._send(batch))
                return
            except TryAgain as told:
                self.refusal = str(told)
                self._settle(told.done, told.accepted)
                self._warn_of_pause(told)
                self._log_loss()  # of items that found no room meanwhile
                batch, tries = batch[told.done :], tries + 1 if told.done == 0 else 1
                if time.monotonic() >= until or not self._pause(
                    tries, told.after, wakes, was_closed=was_closed
                ):
                    self._settle(len(batch), 0)
                    return
            except NotTaken as told:
                self._leave(len(batch), str(told))
                return
            except Exception as error:
                # some exporters raise when they cannot connect; the next batch may arrive
                self._warn_once(f"the exporter raised {remove_secrets(repr(error)):.300}")
                self._settle(len(batch), 0)
                return

    def _pause(self, tries: int, after: float | None, wakes: int, *, was_closed: bool) -> bool:
        """Waits before the next attempt; tells whether there is one.

        A flush ends the pause, but not one that the destination asked for; the end of the process ends both.
        A destination that asks for none gets one all the same, or it would be asked a thousand times a second.
        """
        pause = min(_FIRST_PAUSE * 2 ** min(tries - 1, 10), _LONGEST_PAUSE) * random.uniform(0.8, 1.2)
        if after:
            pause = max(pause, min(after, RETRY_AFTER_SECONDS))
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    self._closed != was_closed or not self._sending or (not after and self._wakes != wakes)
                ),
                pause,
            )
            return bool(self._sending)  # else `close` has given up on this batch

    def _leave(self, number: int, why: str) -> None:
        """Sends nothing to this destination any more, because it takes nothing of the kind."""
        logger.warning(
            "%s does not take %s: %s; none are sent there from now on", self._destination, self._noun, why
        )
        with self._changed:
            if self._sending:
                self._sending = 0
                self._not_taken += number + len(self._queue)
                self._queue.clear()
            self._takes_none = True
            self._changed.notify_all()

    @property
    def _noun(self) -> str:
        return (self._items or "items").split()[-1]

    def _warn_of_pause(self, told: TryAgain) -> None:
        now = time.monotonic()
        if self._items and not self._is_down and now >= self._log_pause_from:
            self._is_down, self._log_pause_from = True, now + LOSS_LOG_SECONDS
            logger.warning(
                "%s takes no %s now: %s; they wait and are sent again", self._destination, self._noun, told
            )

    def _next(self) -> list[T]:
        """Waits for the next batch and returns it; empty when the outbox is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            self._changed.wait_for(self._is_due, self._limits.delay)
            self._sending = min(len(self._queue), self._limits.batch)
            return [self._queue.popleft() for _ in range(self._sending)]

    def _is_due(self) -> bool:
        waiting = len(self._queue)
        return self._closed or waiting >= self._limits.batch or self._accepted - waiting < self._urgent

    def _settle(self, sent: int, accepted: int) -> None:
        if self._is_down and accepted and sent >= self._sending:
            self._is_down = False
            logger.info("%s takes %s again", self._destination, self._noun)
        with self._changed:
            if self._sending:  # else `close` has given up on this batch
                self._sending -= sent
                self._exported += accepted
                self._failed += sent - accepted
            self._last_batch_accepted = self._sending == 0 and accepted == sent
            self._changed.notify_all()

    def _warn_once(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("%s: %s; some telemetry is lost, see Telemetry.stats()", self._destination, reason)

    def _log_loss(self, *, at_end: bool = False) -> None:
        """Logs how many items are lost if there are more than the log says; while losses go on, once a minute."""
        failed, dropped, now = self._failed, self._dropped, time.monotonic()
        more = failed + dropped > self._logged_loss
        if self._items and more and (at_end or now >= self._log_loss_from):
            self._logged_loss, self._log_loss_from = failed + dropped, now + LOSS_LOG_SECONDS
            logger.warning(
                "%s: %d %s are lost so far: %d were not accepted%s, %d found the queue full or closed",
                *(self._destination, failed + dropped, self._items, failed),
                *(f" ({self.refusal})" if self.refusal else "", dropped),
            )


def flush_all(outboxes: Sequence[Outbox[Any]], timeout: float) -> bool:
    """Flushes all outboxes at once; returns True if everything was accepted within `timeout` seconds in all."""
    return _at_once(outboxes, Outbox.flush, timeout)


def close_all(outboxes: Sequence[Outbox[Any]], timeout: float) -> bool:
    """Closes all outboxes at once; returns True if everything was accepted within `timeout` seconds in all."""
    return _at_once(outboxes, Outbox.close, timeout)


def _at_once(
    outboxes: Sequence[Outbox[Any]], wait: Callable[[Outbox[Any], float, Mark], bool], timeout: float
) -> bool:
    deadline = time.monotonic() + timeout
    marked = [(outbox, outbox.send_now()) for outbox in outboxes]
    accepted = [wait(outbox, deadline - time.monotonic(), mark) for outbox, mark in marked]
    return all(accepted)
