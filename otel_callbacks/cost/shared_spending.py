"""What several processes have spent of one budget: each leases slices of what is left, ahead of time.

A callback must not do network or disk work, yet an enforced budget must know before a call whether it may be made.
So a thread of our own leases a slice of the remaining sum from the store, and callbacks only use memory: a call
reserves its likely cost from the slice, and replaces it by the real cost at its end. When the slice runs low, the
thread settles what was spent and leases the next one. Slices get smaller as the budget runs out. All leases and the
spent sum together never exceed the budget; only what a call costs above its reservation can.

The lease of a process that died runs out, and what was left of it can be leased again.
"""

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from multiprocessing import util
from typing import NamedTuple
from uuid import uuid4

from otel_callbacks.cost.budget_stores import State, Store, open_store
from otel_callbacks.cost.rates import ZERO, add
from otel_callbacks.limits import (
    BUDGET_LEASE_SECONDS,
    BUDGET_LEASE_WAIT_SECONDS,
    BUDGET_PERIODS_KEPT,
    BUDGET_RENEWAL_SECONDS,
    BUDGET_SETTLEMENT_SECONDS,
    BUDGET_SLICES,
    BUDGET_WORKER_REMEMBERED_SECONDS,
)
from otel_callbacks.privacy.redactor import redact_name
from otel_callbacks.runtime import fork

logger = logging.getLogger("otel_callbacks")

_FIRST_RESERVATION = Decimal("0.01")  # of the budget, as long as nobody knows what a call costs


class Settlement(NamedTuple):
    """What a process tells the store, in USD.

    Attributes:
        worker: the id of the process.
        budget: the whole budget.
        spent: what the process has spent in all. The store adds the difference, so that nothing counts twice if an
            answer is lost and the process repeats itself.
        highest: the highest cost of a call that it knows.
        reserved: what its calls in progress have reserved.
        one_call: what one more call reserves.
        wanted: the lease that it would like: for the calls in progress, and for calls to come.
    """

    worker: str
    budget: Decimal
    spent: Decimal
    highest: Decimal
    reserved: Decimal
    one_call: Decimal
    wanted: Decimal


class Standing(NamedTuple):
    """What the store answers: the lease of the process, what all have spent, the highest cost of a call."""

    leased: Decimal
    spent: Decimal
    highest: Decimal


def settle(state: State, now: float, told: Settlement) -> Standing:
    """Changes the state of a budget in the store: adds what was spent, and replaces the lease of one process.

    If less than one more call is free, only the calls in progress keep their lease.
    """
    # by process: its lease, when that runs out, and what the process has spent in all
    workers = {
        worker: entry
        for worker, entry in state.get("workers", {}).items()
        if now < entry[1] + BUDGET_WORKER_REMEMBERED_SECONDS
    }
    before = Decimal(workers.pop(told.worker, ("0", 0, "0"))[2])
    spent = add(Decimal(state.get("spent", "0")), _minus(told.spent, before))
    highest = max(Decimal(state.get("highest", "0")), told.highest)
    free = _minus(told.budget, spent)
    for leased, until, _ in workers.values():
        if now < until:
            free = _minus(free, Decimal(leased))
    enough = free >= add(told.reserved, told.one_call)
    lease = max(ZERO, min(told.wanted if enough else told.reserved, free))
    workers[told.worker] = (str(lease), now + BUDGET_LEASE_SECONDS, str(told.spent))
    state.update(spent=str(spent), highest=str(highest), workers=workers)
    return Standing(lease, spent, highest)


def _minus(a: Decimal, b: Decimal) -> Decimal:
    return add(a, b.copy_negate())  # exact, whatever the thread's decimal context is


@dataclass(slots=True)
class _Period:
    """The part of this process in one period, in USD.

    Attributes:
        leased: the lease, without what has been settled.
        reserved: what calls in progress have reserved.
        settled: what was spent and the store knows.
        unsettled: what was spent and the store does not know yet.
        spent: what all processes have spent, as the store said last.
        highest: the highest cost of a call.
        valid_until: when the lease runs out, by the monotonic clock.
        exceeded: whether this process has reported that the budget is spent.
    """

    leased: Decimal = ZERO
    reserved: Decimal = ZERO
    settled: Decimal = ZERO
    unsettled: Decimal = ZERO
    spent: Decimal = ZERO
    highest: Decimal = ZERO
    valid_until: float = 0.0
    exceeded: bool = False

    def free(self) -> Decimal:
        """Returns what calls may still reserve."""
        if time.monotonic() >= self.valid_until:
            return ZERO
        return _minus(self.leased, add(self.reserved, self.unsettled))

    def total(self) -> Decimal:
        """Returns what all processes have spent, as far as this one knows."""
        return add(self.spent, self.unsettled)


class SharedSpending:
    """What has been spent of one budget by all processes that share its store.

    Args:
        store: keeps the sum.
        key: names the budget in the store.
        budget: the whole budget, in USD.
        reserve: what a call reserves; None for the highest cost of a call so far.
        period_at: returns the period that contains a time in nanoseconds since 1970.

    Raises:
        Exception: the store cannot be used.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        budget: Decimal,
        reserve: Decimal | None,
        period_at: Callable[[int], str],
    ) -> None:
        self._store = store
        self._key = key
        self._budget = budget
        self._reserve = reserve
        self._period_at = period_at
        self._start_over()
        for period in self._coming_periods():
            self._settle(period)
        self._start_thread()
        fork.run_in_child(self._restart_in_child)
        self._close_at_exit()
        util.register_after_fork(self, SharedSpending._close_at_exit)

    def _start_over(self) -> None:
        self._worker = uuid4().hex
        self._periods: OrderedDict[str, _Period] = OrderedDict()
        self._changed = threading.Condition()
        self._settling = threading.Lock()
        self._asked = self._answered = 0  # settlements
        self._urgent = False
        self._closed = False
        self._failing = False

    def _restart_in_child(self) -> None:
        """Starts without a lease in a forked process; the parent process settles what was spent before."""
        self._start_over()
        self._start_thread()

    def _close_at_exit(self) -> None:
        util.Finalize(
            None, self.close, exitpriority=0
        )  # also in children of multiprocessing, unlike `atexit`

    def _start_thread(self) -> None:
        threading.Thread(target=self._keep_leases, name="otel-callbacks budget", daemon=True).start()

    # --- what callbacks use: memory only ---------------------------------------------------------------------------

    def spent(self, period: str) -> Decimal:
        """Returns the USD that all processes have spent, as far as this one knows."""
        with self._changed:
            known = self._periods.get(period)
            return ZERO if known is None else known.total()

    def spend(self, period: str, amount: Decimal) -> Decimal | None:
        """Adds the cost of a call; returns what is spent if this process finds for the first time that it is all."""
        with self._changed:
            known = self._period(period)
            known.unsettled = add(known.unsettled, amount)
            known.highest = max(known.highest, amount)
            self._ask(urgent=known.free() < self._one_call(known))
            return self._found_spent(known)

    def found_spent(self, period: str) -> Decimal | None:
        """Returns what is spent if this process finds for the first time that it is the whole budget."""
        with self._changed:
            return self._found_spent(self._period(period))

    def reserve(self, period: str) -> Decimal | None:
        """Reserves the likely cost of a call; returns it, or None if the lease has no room for it.

        If the next lease is under way, a thread waits for it a moment; an event loop never does.
        """
        with self._changed:
            known = self._period(period)
            amount = self._take(known)
            if amount is not None:
                self._ask(urgent=known.free() < self._one_call(known))
                return amount
            asked = self._ask(urgent=True)
            if _on_event_loop():
                return None
            self._changed.wait_for(
                lambda: self._closed or self._answered >= asked or known.free() >= self._one_call(known),
                BUDGET_LEASE_WAIT_SECONDS,
            )
            return self._take(known)

    def release(self, period: str, amount: Decimal) -> None:
        """Gives a reservation back, at the end of its call."""
        with self._changed:
            known = self._periods.get(period)
            if known is not None:
                known.reserved = max(ZERO, _minus(known.reserved, amount))

    def _period(self, period: str) -> _Period:
        known = self._periods.get(period)
        if known is None:
            known = self._periods[period] = _Period()
            if len(self._periods) > BUDGET_PERIODS_KEPT:
                self._periods.popitem(last=False)
        return known

    def _one_call(self, known: _Period) -> Decimal:
        return self._reserve or known.highest or self._budget * _FIRST_RESERVATION

    def _take(self, known: _Period) -> Decimal | None:
        amount = self._one_call(known)
        if known.free() < amount:
            return None
        known.reserved = add(known.reserved, amount)
        return amount

    def _found_spent(self, known: _Period) -> Decimal | None:
        total = known.total()
        if known.exceeded or total < self._budget:
            return None
        known.exceeded = True
        return total

    def _ask(self, *, urgent: bool) -> int:
        """Asks the thread for a settlement, and returns its number. Another one may be under way."""
        self._asked += 1
        self._urgent = self._urgent or urgent
        self._changed.notify_all()
        return self._asked

    # --- the thread ------------------------------------------------------------------------------------------------

    def _keep_leases(self) -> None:
        changed = self._changed  # of this process
        while True:
            with changed:
                changed.wait_for(lambda: self._closed or self._asked > self._answered, BUDGET_RENEWAL_SECONDS)
                changed.wait_for(lambda: self._closed or self._urgent, BUDGET_SETTLEMENT_SECONDS)
                if self._closed:
                    return
                self._urgent = False
                asked = self._asked
                periods = {**dict.fromkeys(self._coming_periods()), **dict.fromkeys(self._periods)}
            for period in periods:
                try:
                    self._settle(period)
                    self._failing = False
                except Exception as error:  # whatever a client raises when its server cannot be reached
                    self._report(error)
            with changed:
                self._answered = asked
                changed.notify_all()

    def _coming_periods(self) -> list[str]:
        """Returns the current period, and the next one shortly before it begins."""
        now = time.time_ns()
        return [self._period_at(now), self._period_at(now + int(BUDGET_LEASE_SECONDS * 1e9))]

    def _settle(self, period: str) -> None:
        """Settles what was spent, and renews the lease. Gives up first what it will no longer want."""
        with self._settling:
            current = not self._closed and period in self._coming_periods()
            with self._changed:
                known = self._period(period)
                if not current and not known.unsettled and not known.leased:
                    return
                told = self._settlement(known, current=current)
                known.leased = min(known.leased, add(told.wanted, known.unsettled))
            began = time.monotonic()
            standing = self._store.update(
                f"{self._key}|{period}", lambda state, now: settle(state, now, told)
            )
            with self._changed:
                known.unsettled = _minus(known.unsettled, _minus(told.spent, known.settled))
                known.settled = told.spent
                known.leased, known.spent = standing.leased, standing.spent
                known.highest = max(known.highest, standing.highest)
                known.valid_until = began + BUDGET_LEASE_SECONDS

    def _settlement(self, known: _Period, *, current: bool) -> Settlement:
        one_call = self._one_call(known)
        slice_ = max(one_call, _minus(self._budget, known.total()) / BUDGET_SLICES) if current else ZERO
        return Settlement(
            self._worker,
            self._budget,
            add(known.settled, known.unsettled),
            known.highest,
            known.reserved,
            one_call,
            add(known.reserved, slice_),
        )

    def _report(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            logger.warning(
                "the store of the budget %s cannot be reached (%s); an enforced budget refuses calls when the lease"
                " of this process is used up or has run out",
                self._key,
                type(error).__name__,
            )

    def close(self) -> None:
        """Settles what was spent, and returns the leases, at the end of the process."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        for period in list(self._periods):
            try:
                self._settle(period)
            except Exception as error:  # as in `_keep_leases`
                self._report(error)


def share_spending(
    store: object, key: str, budget: Decimal, reserve: Decimal | None, period_at: Callable[[int], str]
) -> SharedSpending:
    """Returns what has been spent of a budget in the store at an address.

    Raises:
        TypeError, ValueError, ImportError: as `open_store`.
        OSError: the store cannot be reached.
    """
    opened = open_store(store)
    try:
        return SharedSpending(opened, key, budget, reserve, period_at)
    except Exception as error:  # each client has errors of its own for a server that cannot be reached
        raise OSError(
            f"store={redact_name(str(store))!r} cannot be reached: {type(error).__name__}"
        ) from error


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
