"""What several processes have spent of one budget: each leases a share of what is left, ahead of time.

A callback must not do network or disk work nor wait for it, yet an enforced budget must know before a call whether it
may be made. So a thread of our own leases a share of the remaining sum from the store, and callbacks only use memory:
a call reserves its likely cost from the lease, and replaces it by the real cost at its end; without room for it the
call is refused at once. When half of the lease is used, the thread settles what was spent and leases the next one.
A process that is alone holds all that is left near the end of the budget; others get their shares as they come.

All leases and the spent sum together never exceed the budget. At most it is overspent by what calls in progress cost
above their reservations, and by what a process has spent that died, or lost the store, before it could settle.

The lease of a process that died runs out, and what was left of it can be leased again. A process that only watches the
budget leases nothing.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from multiprocessing import util
from uuid import uuid4

from otel_callbacks.cost.budget_stores import Store, open_store
from otel_callbacks.cost.rates import ZERO, add, subtract
from otel_callbacks.cost.settlements import Settlement, settle
from otel_callbacks.limits import (
    BUDGET_FEW_CALLS,
    BUDGET_FIRST_LEASE_SECONDS,
    BUDGET_LEASE_SECONDS,
    BUDGET_PERIODS_KEPT,
    BUDGET_RENEWAL_SECONDS,
    BUDGET_SETTLEMENT_SECONDS,
)
from otel_callbacks.privacy.redactor import redact_name
from otel_callbacks.runtime import fork

logger = logging.getLogger("otel_callbacks")

_ROUGHLY = Context(prec=12)
"""For shares, which need not be exact. Our own, because the application may have set another one for the thread."""
_FIRST_RESERVATION = Decimal("0.01")  # of the budget, as long as nobody knows what a call costs


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
        workers: how many processes share the budget, as the store said last.
        valid_until: when the lease runs out, by the monotonic clock.
        exceeded: whether this process has reported that the budget is spent.
    """

    leased: Decimal = ZERO
    reserved: Decimal = ZERO
    settled: Decimal = ZERO
    unsettled: Decimal = ZERO
    spent: Decimal = ZERO
    highest: Decimal = ZERO
    workers: int = 1
    valid_until: float = 0.0
    exceeded: bool = False

    def free(self) -> Decimal:
        """Returns what calls may still reserve."""
        if time.monotonic() >= self.valid_until:
            return ZERO
        return subtract(self.leased, add(self.reserved, self.unsettled))

    def is_half_used(self) -> bool:
        """Tells whether it is time for the next lease."""
        free = self.free()
        return add(free, free) <= self.leased

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
        enforce: whether calls reserve their cost, so that leases are needed.

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
        enforce: bool,
    ) -> None:
        self._store = store
        self._enforce = enforce
        self._key = key
        self._budget = budget
        self._reserve = reserve
        self._period_at = period_at
        self._start_over()
        for period in self._coming_periods():
            self._settle(period)
        self._start_thread()
        if enforce:
            self._await_first_lease()
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
        with self._changed:
            self._ask(urgent=True)
        self._start_thread()

    def _await_first_lease(self) -> None:
        """Waits a moment until the other processes have made room; a new process would refuse its first calls."""
        with self._changed:
            known = self._period(self._period_at(time.time_ns()))
            self._changed.wait_for(
                lambda: (
                    known.free() >= (one_call := self._one_call(known))
                    or subtract(self._budget, known.total()) < one_call
                    or self._failing
                ),
                BUDGET_FIRST_LEASE_SECONDS,
            )

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
            self._ask(urgent=known.is_half_used())
            return self._found_spent(known)

    def found_spent(self, period: str) -> Decimal | None:
        """Returns what is spent if this process finds for the first time that it is the whole budget."""
        with self._changed:
            return self._found_spent(self._period(period))

    def reserve(self, period: str) -> Decimal | None:
        """Reserves the likely cost of a call; returns it, or None if the lease has no room for it."""
        with self._changed:
            known = self._period(period)
            amount = self._one_call(known)
            has_room = known.free() >= amount
            if has_room:
                known.reserved = add(known.reserved, amount)
            self._ask(urgent=known.is_half_used())
            return amount if has_room else None

    def release(self, period: str, amount: Decimal) -> None:
        """Gives a reservation back, at the end of its call."""
        with self._changed:
            known = self._periods.get(period)
            if known is not None:
                known.reserved = max(ZERO, subtract(known.reserved, amount))

    def _period(self, period: str) -> _Period:
        known = self._periods.get(period)
        if known is None:
            known = self._periods[period] = _Period()
            if len(self._periods) > BUDGET_PERIODS_KEPT:
                self._periods.popitem(last=False)
        return known

    def _one_call(self, known: _Period) -> Decimal:
        return self._reserve or known.highest or _ROUGHLY.multiply(self._budget, _FIRST_RESERVATION)

    def _found_spent(self, known: _Period) -> Decimal | None:
        total = known.total()
        if known.exceeded or total < self._budget:
            return None
        known.exceeded = True
        return total

    def _ask(self, *, urgent: bool) -> None:
        """Asks the thread for a settlement. Another one may be under way."""
        self._asked += 1
        self._urgent = self._urgent or urgent
        self._changed.notify_all()

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
                known.unsettled = subtract(known.unsettled, subtract(told.spent, known.settled))
                known.settled = told.spent
                known.leased, known.spent = standing.leased, standing.spent
                if known.workers != standing.workers:
                    known.workers = standing.workers
                    self._ask(urgent=True)  # for a share of another size
                known.highest = max(known.highest, standing.highest)
                known.valid_until = began + BUDGET_LEASE_SECONDS

    def _settlement(self, known: _Period, *, current: bool) -> Settlement:
        one_call = self._one_call(known)
        needed = current and self._enforce
        share = max(self._share(known), add(known.reserved, one_call)) if needed else known.reserved
        return Settlement(
            self._worker,
            self._budget,
            add(known.settled, known.unsettled),
            known.highest,
            known.reserved,
            one_call,
            share,
        )

    def _share(self, known: _Period) -> Decimal:
        """Returns the part of what is left that this process should hold.

        Near the end each holds as much as every other. Before, one more part is left to a process that comes, or comes
        back after it was killed. As long as nobody knows what a call costs, the end may be near.
        """
        left, parts = subtract(self._budget, known.total()), known.workers
        cost = self._reserve or known.highest
        if cost and _ROUGHLY.divide(left, cost) >= BUDGET_FEW_CALLS * parts:
            parts += 1
        return _ROUGHLY.divide(left, Decimal(parts))

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
    store: object,
    key: str,
    budget: Decimal,
    reserve: Decimal | None,
    period_at: Callable[[int], str],
    enforce: bool,
) -> SharedSpending:
    """Returns what has been spent of a budget in the store at an address, see `SharedSpending`.

    Raises:
        TypeError, ValueError, ImportError: as `open_store`.
        OSError: the store cannot be reached.
    """
    opened = open_store(store)
    try:
        return SharedSpending(opened, key, budget, reserve, period_at, enforce)
    except Exception as error:  # each client has errors of its own for a server that cannot be reached
        raise OSError(
            f"store={redact_name(str(store))!r} cannot be reached: {type(error).__name__}"
        ) from error
