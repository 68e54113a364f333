"""Budgets watch by default; with `enforce` they stop the next model call."""

from decimal import Decimal
from hashlib import sha256
from typing import Any

import llama_fakes
import pytest
from fakes import ScriptedModel, call
from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from llama_fakes import untouched_settings  # noqa: F401 - a fixture
from llama_index.core import Settings
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.callbacks import CallbackManager
from llama_index.core.instrumentation.dispatcher import instrument_tags

from otel_callbacks import Budget, BudgetExceeded, ContentPolicy, OTelCallbackHandler, attribution
from otel_callbacks.testing import Captured

pytestmark = llama_fakes.IGNORED

PRICES = {"prices": {"scripted-1*": {"input": 2, "output": 10}}}  # a scripted call costs 0.0004 USD
DAY = 86_400 * 10**9


def config(captured: Captured, *budgets: Budget) -> Any:
    handler = OTelCallbackHandler(**captured.providers, prices=PRICES, budgets=budgets)
    return {"callbacks": [handler]}


def test_exceeding_a_budget_is_reported_once(captured: Captured) -> None:
    crossings: list[Any] = []
    budget = Budget(tenant="acme", usd="0.001", on_exceeded=crossings.append)
    given = config(captured, budget)
    for tenant in ("acme", "globex", "acme", "globex", "acme", "acme"):
        with attribution(tenant=tenant):
            ScriptedModel().invoke("q", given)
    (crossing,) = crossings
    assert (crossing.budget, crossing.spent) == (budget, Decimal("0.0012"))
    assert crossing.labels == {"app.tenant_id": "acme"}
    events = [event for span in captured.spans for event in span.events]
    assert [(event.name, dict(event.attributes)) for event in events] == [
        (
            "otel_callbacks.budget.exceeded",
            {
                "app.tenant_id": "acme",
                "otel_callbacks.budget.usd": 0.001,
                "otel_callbacks.budget.spent_usd": 0.0012,
                "otel_callbacks.budget.per": "day",
            },
        )
    ]
    (point,) = captured.metrics()["otel_callbacks.budget.exceeded"]
    assert (point.value, point.attributes["app.tenant_id"]) == (1, "acme")


REDACTING = [
    ContentPolicy(redact=("emails",)),
    ContentPolicy("spans", redact=(lambda text: sha256(text.encode()).hexdigest(),)),
]


@pytest.mark.parametrize("content", REDACTING, ids=["redacted", "pseudonyms"])
def test_a_budget_compares_labels_that_telemetry_redacts(content: ContentPolicy, captured: Captured) -> None:
    crossings: list[Any] = []
    budget = Budget(user="alice@example.com", usd="0.0001", on_exceeded=crossings.append)
    handler = OTelCallbackHandler(
        **captured.providers, prices=PRICES, budgets=[budget], content=content, metric_labels=("team",)
    )
    chain = (RunnableLambda(lambda asked: asked) | ScriptedModel()).with_config(run_name="chain")
    for user in ("bob@example.com", "alice@example.com"):
        with attribution(user=user, team=user):
            chain.invoke("q", {"callbacks": [handler]})
    (crossing,) = crossings
    shown = content.label("alice@example.com")
    assert crossing.labels == {"user.id": shown, "app.team": shown}
    (event,) = [event for span in captured.spans for event in span.events]
    assert (event.attributes or {})["user.id"] == shown
    assert [(span.attributes or {})["user.id"] for span in captured.spans[-2:]] == [shown] * 2
    told = [span.to_json() for span in captured.spans] + [str(captured.metrics())]
    assert not [each for each in told if "example.com" in each]


@pytest.mark.parametrize("content", REDACTING, ids=["redacted", "pseudonyms"])
def test_langchain_redactors_do_not_lift_it(content: ContentPolicy, captured: Captured) -> None:
    budget = Budget(user="alice@example.com", usd="0.0001", enforce=True)
    handler = OTelCallbackHandler(**captured.providers, prices=PRICES, budgets=[budget], content=content)
    for user in ("alice@example.com", "bob@example.com", "bob@example.com"):
        ScriptedModel().invoke("q", {"callbacks": [handler], "metadata": {"user_id": user}})
    with pytest.raises(BudgetExceeded):
        ScriptedModel().invoke("q", {"callbacks": [handler], "metadata": {"user_id": "alice@example.com"}})
    assert not [span for span in captured.spans if "example.com" in span.to_json()]


@pytest.mark.parametrize("content", REDACTING, ids=["redacted", "pseudonyms"])
def test_llama_index_redactors_do_not_lift_it(
    content: ContentPolicy,
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    budget = Budget(user="alice@example.com", usd="0.0001", enforce=True)
    handler = OTelCallbackHandler(**captured.providers, prices=PRICES, budgets=[budget], content=content)
    Settings.callback_manager = CallbackManager([handler])
    llm = llama_fakes.ScriptedModel()
    for user in ("alice@example.com", "bob@example.com", "bob@example.com"):
        with instrument_tags({"user": user}):
            llm.complete("q")
    with pytest.raises(BudgetExceeded), instrument_tags({"user": "alice@example.com"}):
        llm.complete("q")
    assert not [span for span in captured.spans if "example.com" in span.to_json()]


def test_a_period_has_its_own_count() -> None:
    budget = Budget(usd=1, per="day")
    assert budget.spend(Decimal("1.5"), {}, 0) is not None
    assert budget.spend(Decimal("0.5"), {}, DAY) is None
    assert [budget.spent(day * DAY) for day in range(3)] == [Decimal("1.5"), Decimal("0.5"), Decimal(0)]


@pytest.mark.parametrize(
    ("per", "later"), [("hour", DAY // 24), ("day", DAY), ("month", 31 * DAY), ("total", None)]
)
def test_periods_are_those_of_the_calendar(per: Any, later: int | None) -> None:
    budget = Budget(usd=1, per=per)
    budget.spend(Decimal(1), {}, 0)
    assert budget.spent((later or 10_000 * DAY) - 1) == 1
    assert later is None or budget.spent(later) == 0


def test_only_the_last_periods_are_remembered() -> None:
    budget = Budget(usd=1, per="day")
    for day in range(20):
        budget.spend(Decimal(1), {}, day * DAY)
    assert (budget.spent(0), budget.spent(19 * DAY)) == (0, 1)


def test_a_budget_that_is_spent_exactly_is_reported_with_the_refusal(captured: Captured) -> None:
    crossings: list[Any] = []
    given = config(captured, Budget(usd="0.0008", enforce=True, on_exceeded=crossings.append))
    for _ in range(2):
        ScriptedModel().invoke("q", given)
    assert [crossing.spent for crossing in crossings] == [Decimal("0.0008")]
    for _ in range(2):
        with pytest.raises(BudgetExceeded, match=r"is spent \(0.0008 USD\)"):
            ScriptedModel().invoke("q", given)
    assert len(crossings) == 1
    found = [[event.name for event in span.events] for span in captured.spans]
    assert found == [[], ["otel_callbacks.budget.exceeded"], ["exception"], ["exception"]]
    (point,) = captured.metrics()["otel_callbacks.budget.exceeded"]
    assert point.value == 1


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_langchain_the_next_call_is_not_made(mode: str, captured: Captured) -> None:
    given = config(captured, Budget(usd="0.0001", enforce=True))
    calls: list[None] = []
    model = ScriptedModel(body=lambda: calls.append(None)) | StrOutputParser()

    async def run() -> None:
        match mode:
            case "invoke":
                model.invoke("q", given)
            case "ainvoke":
                await model.ainvoke("q", given)
            case "stream":
                list(model.stream("q", given))
            case _:
                _ = [chunk async for chunk in model.astream("q", given)]

    await run()  # the call that crosses the line ends as usual
    with pytest.raises(BudgetExceeded, match=r"Budget\(usd=0.0001, per='day'\) is spent \(0.0004 USD\)"):
        await run()
    assert len(calls) == 1
    refused = captured.spans[-1].attributes or {}
    assert refused["error.type"] == "otel_callbacks.cost.budget.BudgetExceeded"
    assert "otel_callbacks.cost.status" not in refused


def test_langchain_never_in_the_middle_of_an_agents_tool(captured: Captured) -> None:
    used: list[str] = []

    @tool
    def look_up(word: str) -> str:
        """Looks a word up."""
        used.append(word)
        return "found"

    agent = create_agent(ScriptedModel(script=[call("look_up", word="x"), "done"]), [look_up])
    with pytest.raises(BudgetExceeded):
        agent.invoke({"messages": [("user", "q")]}, config(captured, Budget(usd="0.0001", enforce=True)))
    assert used == ["x"]


@pytest.mark.parametrize("mode", ["chat", "achat", "stream_chat", "astream_chat", "complete"])
async def test_llama_index_the_next_call_is_not_made(
    mode: str,
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    Settings.callback_manager = CallbackManager(
        config(captured, Budget(usd="0.0001", enforce=True))["callbacks"]
    )
    calls: list[None] = []
    llm = llama_fakes.ScriptedModel(body=lambda: calls.append(None))

    async def run() -> None:
        messages = [llama_fakes.ChatMessage("q")]
        match mode:
            case "chat":
                llm.chat(messages)
            case "achat":
                await llm.achat(messages)
            case "stream_chat":
                list(llm.stream_chat(messages))
            case "astream_chat":
                _ = [chunk async for chunk in await llm.astream_chat(messages)]
            case _:
                llm.complete("q")

    await run()
    with pytest.raises(BudgetExceeded):
        await run()
    assert len(calls) == 1
    assert (captured.spans[-1].attributes or {})["error.type"].endswith("BudgetExceeded")


async def test_llama_index_agents_stop_too(
    captured: Captured,
    untouched_settings: None,  # noqa: F811
) -> None:
    Settings.callback_manager = CallbackManager(
        config(captured, Budget(usd="0.0001", enforce=True))["callbacks"]
    )
    llm = llama_fakes.ScriptedModel(script=[llama_fakes.call("look_up", word="x"), "done"])

    def look_up(word: str) -> str:
        """Looks a word up."""
        return "found"

    with pytest.raises(Exception, match="is spent"):
        await FunctionAgent(name="a", llm=llm, tools=[look_up]).run("q")


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"usd": 0}, ValueError, "usd must be more than 0, and is 0"),
        ({"usd": "five"}, ValueError, "usd must be a number, not 'five'"),
        ({"usd": True}, TypeError, "usd must be a number, not True"),
        ({"usd": float("nan")}, ValueError, "usd must be more than 0"),
        ({"usd": 1, "per": "week"}, ValueError, "per='week' is not known; use one of 'hour', 'day'"),
        ({"usd": 1, "on_exceeded": 3}, TypeError, "on_exceeded must be a function"),
        ({"usd": 1, "tenant": ""}, ValueError, "tenant must not be empty"),
    ],
)
def test_wrong_budgets_are_refused(given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        Budget(**given)
