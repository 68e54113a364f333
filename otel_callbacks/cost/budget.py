"""Budgets: how much certain calls may cost in a period, and what happens when they cost more."""

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol, get_args

from otel_callbacks import semconv
from otel_callbacks.cost.attribution import labels_by_attribute
from otel_callbacks.cost.rates import ZERO, add
from otel_callbacks.limits import BUDGET_PERIODS_KEPT
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import DeliberateError

Per = Literal["hour", "day", "month", "total"]

_PERIOD_FORMATS: dict[str, str] = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m", "total": ""}


class BudgetExceeded(DeliberateError):
    """Raised instead of a model call whose budget is spent, or reserved by other calls to its end.

    Attributes:
        budget: the budget.
        spent: USD spent in its current period.
    """

    def __init__(self, budget: "Budget", spent: Decimal) -> None:
        if spent >= budget.usd:
            why = f"is spent ({spent.normalize():f} USD): no further model calls until the period is over"
        else:
            why = f"has no room for this call: {spent.normalize():f} USD are spent, and other calls may cost the rest"
        super().__init__(f"{budget} {why}")
        self.budget = budget
        self.spent = spent


class Crossing(NamedTuple):
    """Passed to `on_exceeded` when a call spends a budget.

    Attributes:
        budget: the budget that is spent.
        spent: USD spent in the period, including the call that spent the last of it.
        period: the period in UTC, such as "2026-11-24"; "" if the budget has no periods.
        labels: who pays for that call, by attribute name, redacted as on its span.
    """

    budget: "Budget"
    spent: Decimal
    period: str
    labels: Mapping[str, str]


class _Spending(Protocol):
    """What has been spent of a budget. The methods use memory only; `SharedSpending` describes them."""

    def spent(self, period: str) -> Decimal: ...

    def spend(self, period: str, amount: Decimal) -> Decimal | None: ...

    def found_spent(self, period: str) -> Decimal | None: ...

    def reserve(self, period: str) -> Decimal | None: ...

    def release(self, period: str, amount: Decimal) -> None: ...


class _OwnSpending:
    """What this process has spent. Nothing is reserved: calls in progress may exceed the budget."""

    def __init__(self, budget: Decimal) -> None:
        self._budget = budget
        self._spent: OrderedDict[str, Decimal] = OrderedDict()
        self._lock = fork.safe_lock()

    def spent(self, period: str) -> Decimal:
        return self._spent.get(period, ZERO)

    def spend(self, period: str, amount: Decimal) -> Decimal | None:
        with self._lock:
            before = self._spent.get(period, ZERO)
            after = self._spent[period] = add(before, amount)
            if len(self._spent) > BUDGET_PERIODS_KEPT:
                self._spent.popitem(last=False)
        return after if before < self._budget <= after else None

    def found_spent(self, period: str) -> Decimal | None:
        return None  # the call that spent the last of it has reported that

    def reserve(self, period: str) -> Decimal | None:
        return ZERO if self.spent(period) < self._budget else None

    def release(self, period: str, amount: Decimal) -> None:
        pass


class Budget:
    """Limits what calls with certain labels may cost in a period; pass it to a handler's `budgets`.

    By default a budget only watches. The call that spends it (its last cent, or more than there is) gets an event on
    its span, is counted in a metric, and `on_exceeded` is called, once per period. With `enforce`, model calls are
    refused from then until the period is over: they raise `BudgetExceeded` before anything is sent. Calls in progress
    always finish, so their cost may exceed the budget. Embeddings, rerankers and `record_cost` count, and are never
    refused. The root span of every trace says how much of it is used.

    LlamaIndex stops a call only through the callback manager of its model, so the handler must be in that manager
    (`Settings` puts it there). With `instrument()` alone the budget only watches.

    By default each process counts by itself and starts at 0. With a `store`, all processes that use it share one sum
    for the same labels and period, and an enforced budget reserves the likely cost of a call before the call. Make such
    a budget once per process: it has a thread, which leases a share of the budget ahead of time, because callbacks do
    no network or disk work and never wait for it. So a call may be refused although something is left: other processes
    hold it for their calls (a killed one for 15 seconds more), or the next lease has not arrived (after a fork, or a
    burst of calls that used a whole lease). Making the budget waits for the first one, a second at most.

    Together all processes overspend at most by what calls in progress cost above their reservations, and by what a
    process had spent and not yet settled (every 50 milliseconds) when it was killed. Each process reports once per
    period that the budget is spent. If the store cannot be reached, calls are refused once the lease is used up or has
    run out, after 15 seconds.

    Unpriced calls count as 0, partial costs as what is known of them.

    Args:
        usd: how much may be spent.
        per: "hour", "day" or "month" (calendar periods in UTC, by the start of the call), or "total".
        on_exceeded: called with the `Crossing` in the application's thread, so it should be quick.
        enforce: stop model calls when the budget is spent.
        store: where several processes share the sum: the path of an SQLite file, on one machine, or an address
            `redis://…` (the extra `redis`).
        reserve_usd: what a call reserves in the store. By default the highest cost of a call so far, of any process;
            a hundredth of the budget as long as there was none.
        labels: whose calls count, as in `attribution`: `Budget(tenant="acme", usd=5)`. Without labels every call
            counts. Values are compared before the content policy redacts them.

    Raises:
        ValueError: `usd` is not positive or not finite, `per` or `store` is unknown, or a label is wrong.
        TypeError: `usd` is not a number, `on_exceeded` is not callable, or an argument or label has a wrong type.
        OSError: the store cannot be used.
        ImportError: the store needs a package that is not installed.
    """

    def __init__(
        self,
        *,
        usd: Decimal | float | str,
        per: Per = "day",
        on_exceeded: Callable[[Crossing], object] | None = None,
        enforce: bool = False,
        store: str | os.PathLike[str] | None = None,
        reserve_usd: Decimal | float | str | None = None,
        **labels: object,
    ) -> None:
        self.usd = _positive_amount("usd", usd)
        if per not in _PERIOD_FORMATS:
            raise ValueError(f"per={per!r} is not known; use one of {', '.join(map(repr, get_args(Per)))}")
        if on_exceeded is not None and not callable(on_exceeded):
            raise TypeError(f"on_exceeded must be a function, not {on_exceeded!r}")
        reserve = None if reserve_usd is None else _positive_amount("reserve_usd", reserve_usd)
        if reserve is not None and (store is None or reserve > self.usd):
            raise ValueError(
                f"reserve_usd={reserve_usd!r} needs a store, and must not be more than the budget ({self.usd})"
            )
        self.per: Per = per
        self.on_exceeded = on_exceeded
        self.enforce = enforce
        self.labels = labels_by_attribute(labels)
        if store is None:
            self._spending: _Spending = _OwnSpending(self.usd)
        else:
            from otel_callbacks.cost.shared_spending import (
                share_spending,  # most applications need none of it
            )

            key = json.dumps([self.per, *sorted(self.labels.items())])
            self._spending = share_spending(store, key, self.usd, reserve, self.period, enforce)

    def __repr__(self) -> str:
        whose = "".join(f"{name}={value!r}, " for name, value in self.labels.items())
        return f"Budget({whose}usd={self.usd}, per={self.per!r})"

    def covers(self, labels: Mapping[str, str]) -> bool:
        """Tells whether a call with these labels counts."""
        return all(labels.get(name) == value for name, value in self.labels.items())

    def spent(self, at: int) -> Decimal:
        """Returns the USD spent in the period that contains `at` (nanoseconds since 1970)."""
        return self._spending.spent(self.period(at))

    def spend(self, amount: Decimal, labels: Mapping[str, str], at: int) -> Crossing | None:
        """Adds the cost of a call that began at `at`; returns a `Crossing` if this call spends the budget."""
        period = self.period(at)
        total = self._spending.spend(period, amount)
        return Crossing(self, total, period, labels) if total is not None else None

    def reserve(self, at: int) -> "Reservation | None":
        """Reserves the likely cost of a call that begins at `at`; returns None if the call must not be made."""
        period = self.period(at)
        amount = self._spending.reserve(period)
        return Reservation(self._spending, period, amount) if amount is not None else None

    def refusal(self, labels: Mapping[str, str], at: int) -> "Refusal":
        """Returns the error that stops a call, with the `Crossing` if nobody in this process has reported that yet."""
        period = self.period(at)
        total = self._spending.found_spent(period)
        crossing = Crossing(self, total, period, labels) if total is not None else None
        return Refusal(BudgetExceeded(self, self._spending.spent(period)), crossing)

    def period(self, at: int) -> str:
        """Returns the period that contains `at` (nanoseconds since 1970), such as "2026-11-24"."""
        pattern = _PERIOD_FORMATS[self.per]
        return datetime.fromtimestamp(at // 1_000_000_000, UTC).strftime(pattern) if pattern else ""


class Reservation(NamedTuple):
    """The likely cost of a call in progress."""

    spending: _Spending
    period: str
    amount: Decimal

    def release(self) -> None:
        """Gives it back at the end of the call, when the real cost has been added."""
        self.spending.release(self.period, self.amount)


class Refusal(NamedTuple):
    """Why a call must not be made, and what is still to be reported about it."""

    error: BudgetExceeded
    crossing: Crossing | None


def _positive_amount(argument: str, usd: object) -> Decimal:
    if isinstance(usd, bool) or not isinstance(usd, Decimal | int | float | str):
        raise TypeError(f"{argument} must be a number, not {usd!r}")
    try:
        amount = Decimal(str(usd))
    except ArithmeticError:
        raise ValueError(f"{argument} must be a number, not {usd!r}") from None
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"{argument} must be more than 0, and is {usd!r}")
    return amount


class Budgets:
    """The budgets of a handler.

    Raises:
        TypeError: `budgets` is not a list of `Budget` objects.
    """

    def __init__(self, budgets: Iterable[Budget] = ()) -> None:
        if not isinstance(budgets, Iterable):
            raise TypeError(f"budgets must be a list of Budget objects, not {budgets!r:.100}")
        self._budgets: Sequence[Budget] = tuple(budgets)
        for budget in self._budgets:
            if not isinstance(budget, Budget):
                raise TypeError(f"budgets must be Budget objects, not {budget!r:.100}")
        self.enforce = any(budget.enforce for budget in self._budgets)

    def __len__(self) -> int:
        return len(self._budgets)

    def reserve(self, labels: Mapping[str, str], at: int) -> Sequence[Reservation] | Refusal:
        """Reserves the likely cost of a call with these labels; returns a `Refusal` if the call must not be made."""
        reserved: list[Reservation] = []
        for budget in self._budgets:
            if not budget.enforce or not budget.covers(labels):
                continue
            reservation = budget.reserve(at)
            if reservation is None:
                for each in reserved:
                    each.release()
                return budget.refusal(labels, at)
            reserved.append(reservation)
        return reserved

    def spend(self, amount: Decimal, labels: Mapping[str, str], at: int) -> list[Crossing]:
        """Adds the cost of a call to the budgets that cover it; returns a `Crossing` for each that it spends."""
        return [
            crossing
            for budget in self._budgets
            if budget.covers(labels) and (crossing := budget.spend(amount, labels, at)) is not None
        ]

    def attributes(self, labels: Mapping[str, str], at: int) -> dict[str, float | str]:
        """Returns the attributes of a root span that say how much is used, of the budget that is used most."""
        spent = [(float(budget.spent(at)), budget) for budget in self._budgets if budget.covers(labels)]
        if not spent:
            return {}
        usd, budget = max(spent, key=lambda each: each[0] / float(each[1].usd))
        return {
            semconv.BUDGET_USED_SHARE: usd / float(budget.usd),
            semconv.BUDGET_SPENT_USD: usd,
            semconv.BUDGET_USD: float(budget.usd),
            semconv.BUDGET_PER: budget.per,
        }
