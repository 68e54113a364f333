"""What somebody may spend, and what happens when it is spent."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NamedTuple, get_args

from otel_callbacks.cost.attribution import checked
from otel_callbacks.cost.rates import ZERO, add
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import Refused

Per = Literal["hour", "day", "month", "total"]

_FORMATS: dict[str, str] = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "month": "%Y-%m", "total": ""}
_MAX_PERIODS = 8


class BudgetExceeded(Refused):
    """A model call was not made, because the budget for it is spent.

    Attributes:
        budget: the budget.
        spent: USD, in its current period.
    """

    def __init__(self, budget: "Budget", spent: Decimal) -> None:
        super().__init__(
            f"{budget} is spent ({spent.normalize():f} USD): no further model calls until the period is over"
        )
        self.budget = budget
        self.spent = spent


class Crossing(NamedTuple):
    """A budget has just been exceeded.

    Attributes:
        budget: the budget.
        spent: USD in the period, the call that crossed the line included.
        period: the period in UTC, such as "2026-11-24"; "" for a budget without one.
        labels: who pays for that call, by attribute, as its span says it.
    """

    budget: "Budget"
    spent: Decimal
    period: str
    labels: Mapping[str, str]


class Budget:
    """What the calls with certain labels may cost in a period; hand it to a handler's `budgets`.

    It observes: the call that crosses the line gets an event on its span, a metric counts it, and `on_exceeded`
    is called, once per period. With `enforce` the next model call raises `BudgetExceeded` before anything is sent;
    a call under way always ends, so the budget is overdrawn by what was under way.

    In LlamaIndex a call is stopped through the callback manager of its model, where the handler has to be (`Settings`
    puts it there); with `instrument()` alone the budget only observes.

    The count is this process's own and starts at 0 with it. Calls without a price cost nothing here either.

    Args:
        usd: what may be spent.
        per: "hour", "day" or "month" (calendar periods in UTC, by the start of the call), or "total".
        on_exceeded: called with the `Crossing`; in the thread of the application, so it should be quick.
        enforce: stop model calls when it is spent.
        labels: whose calls count, as in `attribution`: `Budget(tenant="acme", usd=5)`. None: everybody's.
            They are compared as given, before the content policy's redactors.

    Raises:
        ValueError: `usd` is not positive or finite, `per` is not known, or a label is wrong.
        TypeError: `usd` is no number, `on_exceeded` cannot be called, or a label's value is of another kind.
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
        self.usd = _amount(usd)
        if per not in _FORMATS:
            raise ValueError(f"per={per!r} is not known; use one of {', '.join(map(repr, get_args(Per)))}")
        if on_exceeded is not None and not callable(on_exceeded):
            raise TypeError(f"on_exceeded must be a function, not {on_exceeded!r}")
        self.per: Per = per
        self.on_exceeded = on_exceeded
        self.enforce = enforce
        self.labels = checked(labels)
        self._spent: OrderedDict[str, Decimal] = OrderedDict()
        self._lock = fork.lock()

    def __repr__(self) -> str:
        whose = "".join(f"{name}={value!r}, " for name, value in self.labels.items())
        return f"Budget({whose}usd={self.usd}, per={self.per!r})"

    def covers(self, labels: Mapping[str, str]) -> bool:
        """Whether a call with these labels counts."""
        return all(labels.get(name) == value for name, value in self.labels.items())

    def spent(self, at: int) -> Decimal:
        """USD spent in the period that `at` (nanoseconds since 1970) is in."""
        return self._spent.get(self._period(at), ZERO)

    def spend(self, amount: Decimal, labels: Mapping[str, str], at: int) -> Crossing | None:
        """Adds what a call cost that began at `at`; tells if this crosses the line."""
        period = self._period(at)
        with self._lock:
            before = self._spent.get(period, ZERO)
            after = self._spent[period] = add(before, amount)
            if len(self._spent) > _MAX_PERIODS:
                self._spent.popitem(last=False)
        return Crossing(self, after, period, labels) if before <= self.usd < after else None

    def _period(self, at: int) -> str:
        form = _FORMATS[self.per]
        return datetime.fromtimestamp(at // 1_000_000_000, UTC).strftime(form) if form else ""


def _amount(usd: object) -> Decimal:
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
        TypeError: they are no list, or one of them is no `Budget`.
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

    def refusal(self, labels: Mapping[str, str], at: int) -> BudgetExceeded | None:
        """Why a model call with these labels must not be made, if so."""
        for budget in self._budgets:
            if budget.enforce and budget.covers(labels) and (spent := budget.spent(at)) >= budget.usd:
                return BudgetExceeded(budget, spent)
        return None

    def spend(self, amount: Decimal, labels: Mapping[str, str], at: int) -> list[Crossing]:
        """Adds what a call cost to the budgets it counts for; returns those that this exceeds."""
        return [
            crossing
            for budget in self._budgets
            if budget.covers(labels) and (crossing := budget.spend(amount, labels, at)) is not None
        ]
