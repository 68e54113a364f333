"""The rules by which processes share one budget: what each tells the store, and what the store answers.

All leases and what was spent together never exceed the budget. `shared_spending.py` says who asks, and when.
"""

from decimal import Decimal
from typing import NamedTuple

from otel_callbacks.cost.budget_stores import State
from otel_callbacks.cost.rates import ZERO, add, subtract
from otel_callbacks.limits import BUDGET_LEASE_SECONDS, BUDGET_WORKER_REMEMBERED_SECONDS


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
        wanted: the lease that it would like: for the calls in progress, and for calls to come; 0 for none.
    """

    worker: str
    budget: Decimal
    spent: Decimal
    highest: Decimal
    reserved: Decimal
    one_call: Decimal
    wanted: Decimal


class Standing(NamedTuple):
    """What the store answers.

    Attributes:
        leased: the lease of the process.
        spent: what all have spent.
        highest: the highest cost of a call.
        workers: how many processes share the budget.
    """

    leased: Decimal
    spent: Decimal
    highest: Decimal
    workers: int


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
    spent = add(Decimal(state.get("spent", "0")), subtract(told.spent, before))
    highest = max(Decimal(state.get("highest", "0")), told.highest)
    free = subtract(told.budget, spent)
    others = [leased for leased, until, _ in workers.values() if now < until]
    for leased in others:
        free = subtract(free, Decimal(leased))
    enough = free >= add(told.reserved, told.one_call)
    lease = max(ZERO, min(told.wanted if enough else told.reserved, free))
    until = now + BUDGET_LEASE_SECONDS if told.wanted else now
    workers[told.worker] = (str(lease), until, str(told.spent))
    state.update(spent=str(spent), highest=str(highest), workers=workers)
    return Standing(lease, spent, highest, len(others) + 1)
