import asyncio
import decimal
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from golden_prices import BOOK, BOOK_ROWS, GPT, LIST_ROWS, NOW, UNPRICED, Golden, owed
from hypothesis import given
from hypothesis import strategies as st

from otel_callbacks.cost import day_prices, price_list
from otel_callbacks.cost.price_book import PriceBook
from otel_callbacks.cost.price_list import PriceList
from otel_callbacks.cost.pricing import Call, Cost, Pricer, Unpriced
from otel_callbacks.cost.rates import Price, Tier
from otel_callbacks.limits import PRICES_REMEMBERED
from otel_callbacks.operations import Usage


@pytest.fixture(scope="module")
def pricer() -> Pricer:
    pricer = Pricer()
    assert pricer.ready(60)
    return pricer


@pytest.fixture(scope="module")
def own() -> Pricer:
    pricer = Pricer(BOOK)
    assert pricer.ready(60)
    return pricer


def check(cost: Cost | Unpriced, golden: Golden) -> None:
    assert isinstance(cost, Cost), cost
    assert (cost.source, (cost.model or "").lower()) == (golden.source, golden.model.lower())
    parts = {side: Fraction(getattr(cost, side)) for side in ("input", "output", "cache_read", "cache_write")}
    assert parts == {side: owed(getattr(golden, side)) for side in parts}
    assert Fraction(cost.fees or 0) == Fraction(golden.request)
    assert Fraction(cost.total) == sum(parts.values()) + Fraction(golden.request)


@pytest.mark.parametrize("golden", LIST_ROWS, ids=lambda golden: f"{golden.call.provider}-{golden.name}")
def test_list_prices_to_the_last_digit(pricer: Pricer, golden: Golden) -> None:
    cost = pricer.price(golden.call)
    check(cost, golden)
    assert isinstance(cost, Cost) and cost.version and cost.version.startswith("genai-prices 0.2")


@pytest.mark.parametrize("golden", BOOK_ROWS, ids=lambda golden: golden.name)
def test_own_prices_to_the_last_digit(own: Pricer, golden: Golden) -> None:
    cost = own.price(golden.call)
    check(cost, golden)
    if golden.source == "price_book":
        assert isinstance(cost, Cost) and cost.version == "contract 7"


def test_the_application_may_round_as_it_likes(own: Pricer) -> None:
    tiny = next(golden for golden in BOOK_ROWS if golden.name == "to the last digit")
    with decimal.localcontext(prec=3) as context:
        check(own.price(tiny.call), tiny)
        assert decimal.getcontext() is context


@pytest.mark.parametrize(
    ("reason", "call"), [(reason, call) for reason, calls in UNPRICED.items() for call in calls], ids=str
)
def test_unknown_calls_have_no_price(pricer: Pricer, reason: str, call: Call) -> None:
    assert pricer.price(call) == Unpriced(reason)
    assert pricer.price(call) == Unpriced(reason)  # as remembered


@pytest.mark.parametrize("fault", [None, "absent", "broken"])
def test_without_list_prices(fault: str | None, caplog: pytest.LogCaptureFixture) -> None:
    def absent() -> None:
        raise ModuleNotFoundError("No module named 'genai_prices'", name="genai_prices")

    def broken() -> None:
        raise AttributeError("providers")

    source = None if fault is None else PriceList(absent if fault == "absent" else broken)
    with caplog.at_level(logging.WARNING, "otel_callbacks"):
        pricer = Pricer(BOOK, source)
        pricer.start_import()
        assert pricer.ready() is False
        assert pricer.price(GPT) == Unpriced("no_price_source")
        assert pricer.price(replace(GPT, request_model="gpt-99")) == Unpriced("no_price_source")
    assert len(caplog.records) == (fault == "broken")
    assert pricer.price(replace(GPT, usage=None)) == Unpriced("no_usage")
    assert pricer.price(replace(GPT, host="localhost")) == Unpriced("local_endpoint")
    assert pricer.price(replace(GPT, reported_usd=Decimal("0.5"))) == Cost(Decimal("0.5"), "reported")
    assert isinstance(pricer.price(replace(GPT, request_model="dated")), Cost)


def test_a_reported_cost_comes_first(own: Pricer) -> None:
    reported = Cost(Decimal("0.0123"), "reported")
    assert own.price(replace(GPT, reported_usd=Decimal("0.0123"))) == reported
    assert own.price(replace(GPT, usage=None, reported_usd=Decimal("0.0123"))) == reported
    assert own.price(replace(GPT, reported_usd=Decimal(0))).total == 0


@pytest.mark.parametrize("reported", [Decimal("NaN"), Decimal("Infinity"), Decimal(-1), 0.5])
def test_invalid_reported_costs_are_ignored(pricer: Pricer, reported: Decimal) -> None:
    cost = pricer.price(replace(GPT, reported_usd=reported))
    assert isinstance(cost, Cost) and cost.source == "genai_prices"


def test_the_frameworks_cache_is_free_and_saves(own: Pricer) -> None:
    cost = own.price(replace(GPT, cached=True))
    assert isinstance(cost, Cost)
    assert (cost.total, cost.input, cost.source, cost.model) == (0, 0, "cache", "gpt-4o")
    assert cost.saved == Decimal("0.000125")
    unknown = own.price(replace(GPT, cached=True, request_model="gpt-99"))
    assert isinstance(unknown, Cost) and (unknown.total, unknown.saved) == (0, None)


def test_the_day_is_the_day_in_utc(own: Pricer) -> None:
    east = timezone(timedelta(hours=9))
    call = replace(GPT, request_model="dated", usage=Usage(1_000_000, 0))
    for moment, dollars in (
        (datetime(2026, 3, 1, 8, tzinfo=east), 1),
        (datetime(2026, 3, 1, 9, tzinfo=east), 3),
    ):
        assert own.price(replace(call, started_at=moment)).total == dollars
        in_ns = round(moment.timestamp()) * 10**9
        assert own.price(replace(call, started_at=in_ns)).total == dollars
    assert own.price(replace(call, started_at=None)).total == 5
    assert own.price(replace(GPT, request_model="soon")) == Unpriced("unknown_model")
    with pytest.raises(ValueError, match="no time zone"):
        own.price(replace(call, started_at=datetime(2026, 3, 1)))


def test_every_mapped_provider_is_listed(pricer: Pricer) -> None:
    from genai_prices.data import providers

    known = {provider.id for provider in providers}
    assert set(price_list._PROVIDER_IDS.values()) <= known
    assert not set(price_list._PROVIDER_IDS) & known  # else the line is not needed
    assert {identifier for _, identifier in price_list._HOSTS} <= known
    assert {kind for kind, _ in day_prices._RATE_KEYS} == set(day_prices.TOKEN_KINDS)


def test_parts_that_overlap_have_no_price(own: Pricer) -> None:
    usage = Usage(0, 10, reasoning_output_tokens=6, audio_output_tokens=6)
    assert own.price(replace(GPT, request_model="talker", usage=usage)) == Unpriced("invalid_usage")


def test_our_arithmetic_agrees_with_theirs(pricer: Pricer) -> None:
    """Compares all models, with usage that needs none of the rules in which we differ."""
    from genai_prices import Usage as Theirs
    from genai_prices.data import providers

    compared = 0
    for provider in providers:
        for model in provider.models:
            usage = Usage(250_123, 4_567, 2_345)
            call = Call(
                provider=provider.id,
                request_model=model.id,
                usage=usage,
                conditions={"search_context_size": "high"} if provider.id == "perplexity" else None,
                started_at=NOW,
            )
            cost = pricer.price(call)
            found = provider.find_model(model.id, all_providers=providers)
            if isinstance(cost, Unpriced) or found is None or "embed" in found.id:
                continue
            theirs = found.calc_price(
                Theirs(input_tokens=250_123, output_tokens=4_567, cache_read_tokens=2_345),
                provider,
                genai_request_timestamp=NOW,
            )
            assert cost.total == theirs.total_price, call
            compared += 1
    assert compared > 1_800


def test_lookups_are_remembered_and_bounded(pricer: Pricer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    find = PriceList.find

    def counting(self: PriceList, query: price_list.PriceQuery, names: list[str]) -> object:
        asked.append(names[0])
        return find(self, query, names)

    monkeypatch.setattr(PriceList, "find", counting)
    fresh = Pricer()
    for _ in range(3):
        for model in ("gpt-4o", "gpt-99"):
            fresh.price(replace(GPT, request_model=model))
    assert asked == ["gpt-4o", "gpt-99"]
    for number in range(PRICES_REMEMBERED + 10):
        fresh.price(replace(GPT, provider="nobody", host=None, request_model=f"m{number}"))
    assert fresh._lookup.cache_info().currsize == PRICES_REMEMBERED


@pytest.fixture
def slow() -> Iterator[tuple[PriceList, threading.Event]]:
    """A price list that is imported when the event is set."""
    release = threading.Event()

    def load() -> object:
        release.wait(60)
        return price_list._load_genai_prices()

    yield PriceList(load), release
    release.set()


def test_no_call_waits_for_the_list(slow: tuple[PriceList, threading.Event]) -> None:
    prices, release = slow
    pricer = Pricer(BOOK, prices)
    assert pricer.price(GPT) == Unpriced("prices_loading")  # and the import has begun
    assert isinstance(pricer.price(replace(GPT, request_model="dated")), Cost)
    cached = pricer.price(replace(GPT, cached=True))
    assert isinstance(cached, Cost) and cached.saved is None
    assert not prices.ready(0.001)
    assert prices.version is None
    release.set()
    assert prices.ready(60)
    assert (prices.version or "").startswith("genai-prices 0.2")
    assert isinstance(pricer.price(GPT), Cost)  # what was not there yet was not remembered


def test_making_a_pricer_imports_the_list_at_once(slow: tuple[PriceList, threading.Event]) -> None:
    prices, release = slow
    release.set()
    Pricer(None, prices).start_import()
    assert prices.version


async def test_but_not_on_an_event_loop(slow: tuple[PriceList, threading.Event]) -> None:
    prices, release = slow
    pricer = Pricer(None, prices)
    pricer.start_import()  # returns although the list is not there
    assert pricer.price(GPT) == Unpriced("prices_loading")
    release.set()
    assert await asyncio.to_thread(prices.ready, 60)
    assert isinstance(pricer.price(GPT), Cost)


def test_start_up_code_waits_for_the_list_that_all_handlers_share() -> None:
    code = (
        "import otel_callbacks; assert otel_callbacks.prices.ready(); print(otel_callbacks.prices.version);"
        "from otel_callbacks.cost.pricing import Pricer; assert Pricer()._price_list is otel_callbacks.prices"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.startswith("genai-prices 0.2")


def test_a_thread_lost_in_a_fork_is_replaced() -> None:
    forked = PriceList()
    lost = threading.Thread(target=lambda: None)
    lost.start()
    lost.join()
    forked._thread = lost
    assert Pricer(None, forked).price(GPT) == Unpriced("prices_loading")
    assert forked.ready(60)


# Properties of every price and every usage.

rates = st.decimals(min_value=0, max_value=10_000, places=6)
tokens = st.integers(min_value=0, max_value=10**9)


@st.composite
def prices(draw: st.DrawFn, *, tiers: bool = True) -> Price:
    some = {kind: draw(rates) for kind in ("input", "output")}
    more = {
        kind: draw(rates)
        for kind in ("cache_read", "cache_write", "reasoning", "audio_input", "audio_output")
        if draw(st.booleans())
    }
    steps = (
        draw(st.lists(st.tuples(tokens, rates), max_size=3, unique_by=lambda step: step[0])) if tiers else []
    )
    return Price(**some, **more, tiers=tuple(Tier(above=above, input=rate) for above, rate in steps))


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    read, written, fresh, reasoning, text = (draw(tokens) for _ in range(5))
    return Usage(read + written + fresh, reasoning + text, read, written, reasoning)


def priced(price: Price, usage: Usage) -> Cost:
    pricer = Pricer(PriceBook.of({"prices": {"m": price}}), None)
    cost = pricer.price(Call(request_model="m", usage=usage, started_at=NOW))
    assert isinstance(cost, Cost)
    return cost


def parts(cost: Cost) -> list[Fraction]:
    found = (cost.input, cost.output, cost.cache_read, cost.cache_write, cost.fees)
    return [Fraction(part) for part in found if part is not None]


def plus(one: Usage, other: Usage) -> Usage:
    names = ("input", "output", "cache_read_input", "cache_write_input", "reasoning_output")
    return Usage(*((getattr(one, f"{n}_tokens") or 0) + (getattr(other, f"{n}_tokens") or 0) for n in names))


nonzero = usages().filter(lambda usage: bool(usage.input_tokens or usage.output_tokens))


@given(prices(), nonzero)
def test_a_cost_is_the_sum_of_its_parts(price: Price, usage: Usage) -> None:
    cost = priced(price, usage)
    assert Fraction(cost.total) == sum(parts(cost)) and all(part >= 0 for part in parts(cost))


@given(prices(tiers=False), nonzero, nonzero)
def test_costs_add_up_and_never_fall(price: Price, one: Usage, other: Usage) -> None:
    together = priced(price, plus(one, other))
    apart = [priced(price, one), priced(price, other)]
    assert Fraction(together.total) == sum(Fraction(cost.total) for cost in apart)
    assert together.total >= max(cost.total for cost in apart)


@given(nonzero)
def test_a_dearer_step_never_makes_a_longer_call_cheaper(usage: Usage) -> None:
    price = Price(
        input=Decimal(1), output=Decimal(2), tiers=(Tier(above=10**6, input=Decimal(3), output=Decimal(5)),)
    )
    assert priced(price, plus(usage, Usage(1, 1))).total > priced(price, usage).total


@pytest.mark.parametrize(
    "first",
    [
        "import openai; import otel_callbacks.langchain",
        "from otel_callbacks.langchain import OTelCallbackHandler as h; h()",
    ],
)
def test_no_http_client_is_half_imported_beside_the_application(first: str) -> None:
    """openai breaks on a response when another thread is in the middle of importing httpx2."""
    code = f"import sys; {first}; assert 'httpx2' in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
