"""Budgets whose sum several processes share: together they do not overspend."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal, Inexact, localcontext
from pathlib import Path
from typing import Any

import budget_worker
import pytest
from fakes import ScriptedModel
from hypothesis import given, settings
from hypothesis import strategies as st
from redis_servers import running_redis

from otel_callbacks import Budget, BudgetExceeded, OTelCallbackHandler, attribution
from otel_callbacks.cost.budget_stores import SqliteStore, State, open_store
from otel_callbacks.cost.settlements import Settlement, settle
from otel_callbacks.cost.shared_spending import SharedSpending
from otel_callbacks.limits import BUDGET_LEASE_SECONDS
from otel_callbacks.testing import Captured

PRICES = {"prices": {"scripted-1*": {"input": 2, "output": 10}}}  # a scripted call costs 0.0004 USD
CALL = Decimal("0.0004")
NOW = 1_000.0


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "budgets.sqlite")


def stored(file: str) -> State:
    return open_store(file).update('["total"]|', lambda state, now: dict(state))


def until(condition: Any, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def config(captured: Captured, *budgets: Budget) -> Any:
    return {"callbacks": [OTelCallbackHandler(**captured.providers, prices=PRICES, budgets=budgets)]}


# --- the rules ---------------------------------------------------------------------------------------------------


amounts = st.integers(0, 30).map(Decimal)
steps = st.tuples(st.sampled_from("abc"), amounts, amounts, st.integers(0, 20), st.booleans())


@given(st.lists(steps, max_size=30))
@settings(deadline=None)
def test_leases_and_what_was_spent_never_exceed_the_budget(given_steps: Any) -> None:
    """Each process spends at most its lease; a settlement may be repeated, and time passes."""
    state: State = {}
    leases: dict[str, tuple[Decimal, float]] = {}
    totals: dict[str, Decimal] = {}
    now = NOW
    for worker, spent, wanted, seconds, repeats in given_steps:
        now += seconds
        held, until_ = leases.get(worker, (Decimal(0), 0.0))
        totals[worker] = totals.get(worker, Decimal(0)) + (min(spent, held) if now < until_ else 0)
        told = Settlement(worker, Decimal(100), totals[worker], Decimal(3), Decimal(0), Decimal(1), wanted)
        for _ in range(2 if repeats else 1):
            standing = settle(state, now, told)
        leases[worker] = standing.leased, now + BUDGET_LEASE_SECONDS
        alive = sum(amount for amount, end in leases.values() if now < end)
        assert standing.spent == sum(totals.values())
        assert standing.spent + alive <= 100
        assert standing.leased <= wanted


def told(worker: str, **given_: Any) -> Settlement:
    zero = Decimal(0)
    usual = {"budget": Decimal(10), "spent": zero, "highest": zero, "reserved": zero, "one_call": Decimal(1)}
    return Settlement(worker, **{**usual, "wanted": Decimal(6), **given_})


def test_a_lease_is_what_is_wanted_as_far_as_it_is_free() -> None:
    state: State = {}
    assert settle(state, NOW, told("a")).leased == 6
    assert settle(state, NOW, told("b")).leased == 4
    assert settle(state, NOW, told("c")).leased == 0


def test_without_room_for_one_more_call_the_calls_in_progress_keep_their_lease() -> None:
    state: State = {}
    settle(state, NOW, told("a", wanted=Decimal(7)))
    assert settle(state, NOW, told("b", reserved=Decimal(2), one_call=Decimal(2))).leased == 2


def test_the_lease_of_a_dead_process_runs_out() -> None:
    state: State = {}
    settle(state, NOW, told("dead", wanted=Decimal(10)))
    assert settle(state, NOW + 14, told("b")).leased == 0
    assert settle(state, NOW + 16, told("b")).leased == 6


def test_what_a_process_spent_counts_once_even_after_its_lease_ran_out() -> None:
    state: State = {}
    settle(state, NOW, told("a", spent=Decimal(3)))
    assert settle(state, NOW + 100, told("a", spent=Decimal(3))).spent == 3
    assert settle(state, NOW + 200, told("a", spent=Decimal(4))).spent == 4


def test_processes_are_not_remembered_for_good() -> None:
    state: State = {}
    for number in range(50):
        settle(state, NOW + number * 1_000, told(str(number)))
    assert len(state["workers"]) == 4


# --- processes ---------------------------------------------------------------------------------------------------


def start_workers(store: str, usd: str, number: int) -> list["subprocess.Popen[str]"]:
    ordered = [sys.executable, budget_worker.__file__, store, usd, "ready"]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(ordered, cwd=Path.cwd(), **pipes) for _ in range(number)]
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    return workers


def run_ten_workers(store: str) -> list[int]:
    """How many calls each of ten processes makes of 250 that the budget allows."""
    workers = start_workers(store, "0.1", 10)
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [int(worker.communicate(timeout=120)[0]) for worker in workers]


def test_ten_processes_do_not_overspend(file: str) -> None:
    calls = run_ten_workers(file)
    assert 250 - 10 <= sum(calls) <= 250
    assert Decimal(stored(file)["spent"]) == sum(calls) * CALL


def test_a_killed_process_leaves_its_lease_to_others(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (worker,) = start_workers(file, "0.001", 1)
    (entry,) = stored(file)["workers"].values()
    assert Decimal(entry[0]) >= CALL
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    state = stored(file)
    ours = Settlement("other", Decimal("0.001"), Decimal(0), CALL, Decimal(0), CALL, Decimal("0.001"))
    assert settle(dict(state), entry[1] - 1, ours).leased == Decimal("0.001") - Decimal(entry[0])
    assert settle(dict(state), entry[1] + 1, ours).leased == Decimal("0.001")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_a_lease_of_its_own(file: str) -> None:
    budget = Budget(usd="0.01", per="total", enforce=True, store=file)
    now = time.time_ns()
    budget.spend(CALL, {}, now)
    child = os.fork()
    if child == 0:
        try:
            until(lambda: budget.reserve(now) is not None)
            budget.spend(CALL, {}, now)
            budget._spending.close()  # type: ignore[attr-defined]
        finally:
            os._exit(sys.exc_info()[0] is not None)
    assert os.waitpid(child, 0)[1] == 0
    budget._spending.close()  # type: ignore[attr-defined]
    assert Decimal(stored(file)["spent"]) == 2 * CALL
    assert len(stored(file)["workers"]) == 2


# --- in a process ------------------------------------------------------------------------------------------------


def test_two_budgets_share_one_sum(captured: Captured, file: str) -> None:
    first = Budget(tenant="acme", usd="0.001", enforce=True, store=file)
    second = Budget(tenant="acme", usd="0.001", enforce=True, store=file)
    other = Budget(tenant="globex", usd="0.001", enforce=True, store=file)
    now = time.time_ns()
    first.spend(Decimal("0.0009"), {}, now)
    until(lambda: second.reserve(now) is None and second.spent(now) == Decimal("0.0009"))
    assert other.reserve(now) is not None


def test_a_reservation_is_the_highest_cost_so_far_and_is_replaced_by_the_real_cost(
    captured: Captured, file: str
) -> None:
    budget = Budget(usd="0.1", per="total", enforce=True, store=file)
    now = time.time_ns()
    first = budget.reserve(now)
    assert first is not None and first.amount == Decimal("0.001")
    budget.spend(CALL, {}, now)
    first.release()
    second = budget.reserve(now)
    assert second is not None and second.amount == CALL
    second.release()
    known = budget._spending._periods[""]  # type: ignore[attr-defined]
    assert (known.reserved, known.total()) == (0, CALL)


@pytest.mark.parametrize("failing", [False, True])
def test_a_call_gives_its_reservation_back(failing: bool, captured: Captured, file: str) -> None:
    budget = Budget(usd="0.1", per="total", enforce=True, store=file)
    held: list[Any] = []
    known = budget._spending._periods[""]  # type: ignore[attr-defined]
    script = [ConnectionError("no")] if failing else ["yes"]
    model = ScriptedModel(body=lambda: held.append(known.reserved), script=script)
    try:
        model.invoke("q", config(captured, budget))
    except ConnectionError:
        assert failing
    assert held == [Decimal("0.001")]
    assert known.reserved == 0
    assert budget.spent(time.time_ns()) == (0 if failing else CALL)


def test_the_application_gets_the_refusal_and_the_report(captured: Captured, file: str) -> None:
    crossings: list[Any] = []
    budget = Budget(usd="0.001", enforce=True, store=file, on_exceeded=crossings.append)
    elsewhere = Budget(usd="0.001", store=file)
    elsewhere.spend(Decimal("0.001"), {}, time.time_ns())
    until(lambda: budget.reserve(time.time_ns()) is None and budget.spent(time.time_ns()) == Decimal("0.001"))
    for _ in range(2):
        with pytest.raises(BudgetExceeded, match=r"is spent \(0.001 USD\)"), attribution(tenant="acme"):
            ScriptedModel().invoke("q", config(captured, budget))
    assert [(crossing.spent, crossing.labels) for crossing in crossings] == [
        (Decimal("0.001"), {"app.tenant_id": "acme"})
    ]
    assert [[event.name for event in span.events] for span in captured.spans] == [
        ["otel_callbacks.budget.exceeded", "exception"],
        ["exception"],
    ]
    (point,) = captured.metrics()["otel_callbacks.budget.exceeded"]
    assert point.value == 1


def test_what_other_calls_have_reserved_is_refused_but_not_called_spent(
    captured: Captured, file: str
) -> None:
    budget = Budget(usd="0.001", enforce=True, store=file, reserve_usd="0.001")
    assert budget.reserve(time.time_ns()) is not None
    with pytest.raises(
        BudgetExceeded, match="has no room for this call: 0 USD are spent, and other calls may cost"
    ):
        ScriptedModel().invoke("q", config(captured, budget))


class HangingStore:
    """A store that answers until it is told to hang."""

    def __init__(self) -> None:
        self.state: State = {}
        self.answers = threading.Event()
        self.hangs = threading.Event()
        self.answers.set()

    def update(self, key: str, change: Any) -> Any:
        if not self.answers.is_set():
            self.hangs.set()
        self.answers.wait()
        return change(self.state, time.time())


def shared(store: Any, usd: str, *, enforce: bool = True) -> SharedSpending:
    return SharedSpending(store, "k", Decimal(usd), CALL, lambda at: "", enforce)


def test_no_callback_waits_for_a_store_that_hangs() -> None:
    store = HangingStore()
    spending = shared(store, "0.1")
    store.answers.clear()
    store.hangs.wait(20)
    started = time.monotonic()
    reserved = [spending.reserve("") for _ in range(300)]
    for amount in filter(None, reserved):
        spending.spend("", CALL)
        spending.release("", amount)
    assert (sum(each is not None for each in reserved), spending.spent("")) == (125, 125 * CALL)
    assert [spending.reserve("") for _ in range(50)] == [None] * 50
    assert time.monotonic() - started < 5
    store.answers.set()
    until(lambda: spending.reserve("") is not None)
    assert store.state["spent"] == "0.0500"
    spending.close()


async def test_a_call_without_room_is_refused_at_once(captured: Captured, file: str) -> None:
    budget = Budget(usd="0.001", enforce=True, store=file, reserve_usd="0.001")
    assert budget.reserve(time.time_ns()) is not None
    with pytest.raises(BudgetExceeded):
        await ScriptedModel().ainvoke("q", config(captured, budget))
    with pytest.raises(BudgetExceeded):
        ScriptedModel().invoke("q", config(captured, budget))


def test_a_process_that_is_alone_can_spend_the_budget_to_its_end(captured: Captured, file: str) -> None:
    """As fast as it can, although the first reservations are a guess."""
    budget = Budget(usd="0.002", enforce=True, store=file)
    for _ in range(5):
        ScriptedModel().invoke("q", config(captured, budget))
    with pytest.raises(BudgetExceeded, match=r"is spent \(0.002 USD\)"):
        ScriptedModel().invoke("q", config(captured, budget))


def test_while_much_is_left_a_process_that_comes_finds_a_part() -> None:
    """Also one that comes back after it was killed, whose old lease has not run out."""
    store = HangingStore()
    killed = shared(store, "1")
    known = killed._periods[""]
    until(lambda: known.leased == Decimal("0.5"))
    comes = told("other", budget=Decimal(1), one_call=CALL)
    assert settle(store.state, time.time(), comes).leased == Decimal("0.5")
    killed.close()


def test_near_its_end_a_budget_is_shared_with_the_process_that_comes() -> None:
    store = HangingStore()
    first = shared(store, "0.01")
    assert first._periods[""].leased == Decimal("0.01")
    second = shared(store, "0.01")  # waits for its part
    assert second.reserve("") is not None
    until(lambda: first._periods[""].leased == Decimal("0.005"))
    first.close()
    second.close()


def test_a_budget_that_only_watches_holds_nothing_back() -> None:
    store = HangingStore()
    watching = shared(store, "0.01", enforce=False)
    enforced = shared(store, "0.01")
    assert (watching._periods[""].leased, enforced._periods[""].leased) == (0, Decimal("0.01"))
    watching.close()
    enforced.close()


def test_the_decimal_context_of_a_thread_changes_nothing(file: str) -> None:
    with localcontext(prec=200):
        budget = Budget(usd="0.123456789123456789", per="total", enforce=True, store=file)
    now = time.time_ns()
    with localcontext(prec=2) as careful:
        careful.traps[Inexact] = True
        reservation = budget.reserve(now)
        assert reservation is not None
        budget.spend(Decimal("0.000123456789123456789"), {}, now)
        reservation.release()
    budget._spending.close()  # type: ignore[attr-defined]
    assert stored(file)["spent"] == "0.000123456789123456789"


def test_a_store_that_fails_is_logged_once_and_the_lease_goes_on(
    file: str, caplog: pytest.LogCaptureFixture
) -> None:
    budget = Budget(usd="0.1", per="total", enforce=True, store=file, reserve_usd="0.001")
    os.rename(file, f"{file}.away")
    os.mkdir(file)
    now = time.time_ns()
    assert sum(budget.reserve(now) is not None for _ in range(200)) == 50  # the lease of a half
    until(lambda: "cannot be reached" in caplog.text)
    assert caplog.text.count("cannot be reached") == 1


def test_the_root_span_says_how_much_is_used(captured: Captured, file: str) -> None:
    shared = Budget(usd="0.004", store=file)
    budgets = [Budget(usd=1), shared, Budget(tenant="nobody", usd="0.0001")]
    for _ in range(2):
        ScriptedModel().invoke("q", config(captured, *budgets))
    found = {
        name: value for name, value in (captured.spans[-1].attributes or {}).items() if ".budget." in name
    }
    assert found == {
        "otel_callbacks.budget.used_share": 0.2,
        "otel_callbacks.budget.spent_usd": 0.0008,
        "otel_callbacks.budget.usd": 0.004,
        "otel_callbacks.budget.per": "day",
    }


@pytest.mark.parametrize(
    ("given_", "kind", "message"),
    [
        ({"store": 5}, TypeError, "store must be the path of an SQLite file or redis://…, not 5"),
        ({"store": ""}, ValueError, "store='' is not known"),
        ({"store": "mysql://x"}, ValueError, "store='mysql://x' is not known"),
        ({"store": "my://me:hunter2hunter2@x"}, ValueError, r"store='my://\[redacted.*@x' is not known"),
        ({"store": "/no/such/folder/x"}, OSError, "store='/no/such/folder/x' cannot be used"),
        ({"reserve_usd": 1}, ValueError, "reserve_usd=1 needs a store"),
        ({"store": "x", "reserve_usd": 11}, ValueError, "must not be more than the budget"),
        ({"store": "x", "reserve_usd": 0}, ValueError, "reserve_usd must be more than 0, and is 0"),
    ],
)
def test_wrong_arguments_are_refused(given_: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Budget(usd=10, **given_)


def test_the_file_is_for_its_owner(tmp_path: Path) -> None:
    SqliteStore(str(tmp_path / "b.sqlite")).update("acme", lambda state, now: None)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("these are notes, and not a database at all" * 100)
    with pytest.raises(OSError, match="cannot be used as a budget's SQLite file"):
        Budget(usd=10, store=tmp_path / "x")


# --- Redis -------------------------------------------------------------------------------------------------------


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[str]:
    with running_redis(tmp_path) as address:
        yield address


@pytest.mark.services
def test_ten_processes_do_not_overspend_with_redis(redis_server: str) -> None:
    calls = run_ten_workers(redis_server)
    assert 250 - 10 <= sum(calls) <= 250
    spent = open_store(redis_server).update('["total"]|', lambda state, now: state["spent"])
    assert Decimal(spent) == sum(calls) * CALL


@pytest.mark.services
def test_redis_keeps_a_state_and_tells_the_time(redis_server: str) -> None:
    store = open_store(redis_server)
    assert store.update("k", lambda state, now: state.update(n=1) or now) > NOW
    assert store.update("k", lambda state, now: state["n"]) == 1
    with pytest.raises(OSError, match="cannot be reached: ConnectionError") as raised:
        Budget(usd=1, store="redis://me:hunter2hunter2@127.0.0.1:1/0")
    assert "hunter2" not in str(raised.value)
