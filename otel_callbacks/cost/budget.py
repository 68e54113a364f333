"""Budgets: how much certain calls may cost in a period, and what happens when they cost more."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NamedTuple, get_args

from otel_callbacks.cost.attribution import labels_by_attribute
from otel_callbacks.cost.rates import ZERO, add
from otel_callbacks.limits import BUDGET_PERIODS_KEPT
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import DeliberateError

Per = Literal["hour", "day", "month", "total"]

_PERIOD_FORMATS: dict[str, str] = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m", "total": ""}


class BudgetExceeded(DeliberateError):
    """Raised instead of a model call whose budget is spent.

    Attributes:
        budget: the budget that is spent.
        spent: USD spent in its current period.
    """

    def __init__(self, budget: "Budget", spent: Decimal) -> None:
        super().__init__(
            f"{budget} is spent ({spent.normalize():f} USD): no further model calls until the period is over"
        )
        self.budget = budget
        self.spent = spent


class Crossing(NamedTuple):
    """Passed to `on_exceeded` when a call spends a budget.

    Attributes:
        budget: the budget that is spent.
        spent: USD spent in the period, including this call.
        period: the period in UTC, such as "2026-11-24"; "" if the budget has no periods.
        labels: who pays for that call, by attribute name, redacted as on its span.
    """

    budget: "Budget"
    spent: Decimal
    period: str
    labels: Mapping[str, str]


class Budget:
    """Limits what calls with certain labels may cost in a period; pass it to a handler's `budgets`.

    By default a budget only watches. Once per period, the call that spends it (its last cent, or more than there is)
    gets an event on its span, is counted in a metric, and `on_exceeded` is called. With `enforce`, the next model call
    raises `BudgetExceeded` before anything is sent. Calls in progress always finish, so their cost may exceed the
    budget.

    LlamaIndex stops a call only through the callback manager of its model, so the handler must be in that manager
    (`Settings` puts it there). With `instrument()` alone the budget only watches.

    Each process counts by itself and starts at 0. Unpriced calls count as 0, partial costs as what is known of them.

    Args:
        usd: how much may be spent.
        per: "hour", "day" or "month" (calendar periods in UTC, by the start of the call), or "total".
        on_exceeded: called with the `Crossing` in the application's thread, so it should be quick.
        enforce: stop model calls when the budget is spent.
        labels: whose calls count, as in `attribution`: `Budget(tenant="acme", usd=5)`. Without labels every call
            counts. Values are compared before the content policy redacts them.

    Raises:
        ValueError: `usd` is not positive or not finite, `per` is unknown, or a label is wrong.
        TypeError: `usd` is not a number, `on_exceeded` is not callable, or the value of a label has a wrong type.
    """

    def __init__(
        self,
        *,
        usd: Decimal | float | str,
        per: Per = "day",
        on_exceeded: Callable[[Crossing], object] | None = None,
        enforce: bool = False,
        **labels: object,
    ) -> None:
        self.usd = _positive_amount(usd)
        if per not in _PERIOD_FORMATS:
            raise ValueError(f"per={per!r} is not known; use one of {', '.join(map(repr, get_args(Per)))}")
        if on_exceeded is not None and not callable(on_exceeded):
            raise TypeError(f"on_exceeded must be a function, not {on_exceeded!r}")
        self.per: Per = per
        self.on_exceeded = on_exceeded
        self.enforce = enforce
        self.labels = labels_by_attribute(labels)
        self._spent: OrderedDict[str, Decimal] = OrderedDict()
        self._lock = fork.safe_lock()

    def __repr__(self) -> str:
        whose = "".join(f"{name}={value!r}, " for name, value in self.labels.items())
        return f"Budget({whose}usd={self.usd}, per={self.per!r})"

    def covers(self, labels: Mapping[str, str]) -> bool:
        """Tells whether a call with these labels counts."""
        return all(labels.get(name) == value for name, value in self.labels.items())

    def spent(self, at: int) -> Decimal:
        """Returns the USD spent in the period that contains `at` (nanoseconds since 1970)."""
        return self._spent.get(self._period(at), ZERO)

    def spend(self, amount: Decimal, labels: Mapping[str, str], at: int) -> Crossing | None:
        """Adds the cost of a call that began at `at`; returns a `Crossing` if this call spends the budget."""
        period = self._period(at)
        with self._lock:
            before = self._spent.get(period, ZERO)
            after = self._spent[period] = add(before, amount)
            if len(self._spent) > BUDGET_PERIODS_KEPT:
                self._spent.popitem(last=False)
        return Crossing(self, after, period, labels) if before < self.usd <= after else None

    def _period(self, at: int) -> str:
        pattern = _PERIOD_FORMATS[self.per]
        return datetime.fromtimestamp(at // 1_000_000_000, UTC).strftime(pattern) if pattern else ""


def _positive_amount(usd: object) -> Decimal:
    if isinstance(usd, bool) or not isinstance(usd, Decimal | int | float | str):
        raise TypeError(f"usd must be a number, not {usd!r}")
    try:
        amount = Decimal(str(usd))
    except ArithmeticError:
        raise ValueError(f"usd must be a number, not {usd!r}") from None
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"usd must be more than 0, and is {usd!r}")
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

    def exceeded(self, labels: Mapping[str, str], at: int) -> BudgetExceeded | None:
        """Returns the error that stops a model call with these labels; None if the call may be made."""
        for budget in self._budgets:
            if budget.enforce and budget.covers(labels) and (spent := budget.spent(at)) >= budget.usd:
                return BudgetExceeded(budget, spent)
        return None

    def spend(self, amount: Decimal, labels: Mapping[str, str], at: int) -> list[Crossing]:
        """Adds the cost of a call to the budgets that cover it; returns a `Crossing` for each that it spends."""
        return [
            crossing
            for budget in self._budgets
            if budget.covers(labels) and (crossing := budget.spend(amount, labels, at)) is not None
        ]
