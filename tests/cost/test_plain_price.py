"""The quick way to price a call of text alone says what the way for every call says, of any usage and price book."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_callbacks.cost.call_cost import OperationPricer, _call_to_price
from otel_callbacks.cost.calls import Cost
from otel_callbacks.cost.price_book import PriceBook
from otel_callbacks.cost.price_list import NotLoaded, PriceList
from otel_callbacks.cost.pricing import Pricer
from otel_callbacks.operations import TOKEN_COUNTS, Billing, Inference, Usage

DAY_2026 = 1_780_000_000_000_000_000
RATES = ("input", "output", "cache_read", "cache_write", "reasoning", "image_output", "audio_input")

rates = st.decimals("0", "99", places=4)
tokens = st.none() | st.integers(0, 300_000) | st.sampled_from([-1, True, 2.5, "7", 10**15, 10**15 - 1])
usages = st.builds(
    Usage,
    input_tokens=tokens,
    output_tokens=tokens,
    cache_read_input_tokens=st.none() | st.integers(0, 2_000),
    reasoning_output_tokens=st.none() | st.integers(0, 2_000),
) | st.builds(
    lambda counts, flags: Usage(**counts, **flags),
    st.dictionaries(st.sampled_from(TOKEN_COUNTS), tokens, max_size=5),
    st.dictionaries(
        st.sampled_from(["contradictory", "is_final", "estimated", "cache_reported"]), st.booleans()
    ),
)


@st.composite
def books(draw: st.DrawFn) -> PriceBook:
    entry: dict[str, Any] = draw(st.dictionaries(st.sampled_from((*RATES, "per_request")), rates, min_size=1))
    if draw(st.booleans()):
        entry |= {"input": draw(rates), "output": draw(rates)}
    if draw(st.booleans()):
        entry["tiers"] = [{"above": above, "input": draw(rates)} for above in (1_000, 200_000)]
    return PriceBook.of(
        {"version": draw(st.sampled_from(["v1", "v2"])), "prices": [{"model": "m*", **entry}]}
    )


def by_every_step(pricer: Pricer, operation: Inference) -> Any:
    return pricer.price(_call_to_price(operation, DAY_2026))


@given(books(), usages, st.sampled_from(["m-1", "other"]), st.sampled_from([None, "flex", "default"]))
def test_any_usage_and_price_book(book: PriceBook, usage: Usage, model: str, tier: str | None) -> None:
    pricer = Pricer(book, None)
    call = Inference(provider="openai", name=model, usage=usage, request_service_tier=tier)
    plain = pricer.price_plain(call, DAY_2026)
    assert plain is None or plain == by_every_step(pricer, call)


@pytest.fixture(scope="module")
def listed() -> Pricer:
    pricer = Pricer()
    assert pricer.ready(60)
    return pricer


MODELS = [
    *(("openai", "gpt-4o-mini"), ("openai", "gpt-5"), ("anthropic", "claude-sonnet-4-0")),
    *(("gcp.gemini", "gemini-2.5-pro"), ("perplexity", "sonar-pro"), ("deepseek", "deepseek-chat")),
    *(("openai", "gpt-image-1"), ("acme", "unheard")),
]


TERMS = [
    None,
    *(Billing(service_tier="default"), Billing(service_tier="flex"), Billing(conditions={"speed": "fast"})),
]


@given(
    usages,
    st.sampled_from(MODELS),
    st.sampled_from([None, "api.openai.com", "localhost"]),
    st.sampled_from(TERMS),
)
def test_any_usage_at_list_prices(
    listed: Pricer, usage: Usage, model: tuple[str, str], host: str | None, billing: Billing | None
) -> None:
    call = Inference(
        provider=model[0], response_model=model[1], usage=usage, server_address=host, billing=billing
    )
    plain = listed.price_plain(call, DAY_2026)
    assert plain is None or plain == by_every_step(listed, call)


def test_most_calls_are_plain(listed: Pricer) -> None:
    cached = Usage(
        input_tokens=900, output_tokens=60, cache_read_input_tokens=800, reasoning_output_tokens=20
    )
    usual = Billing(service_tier="default")
    for usage in (Usage(input_tokens=900, output_tokens=60), cached, replace(cached, cache_reported=True)):
        call = Inference(provider="openai", name="gpt-5", usage=usage, billing=usual)
        assert isinstance(listed.price_plain(call, DAY_2026), Cost)


@pytest.mark.parametrize("billed", [{"billing": Billing(units={"web_searches": 1})}, {"cached": True}])
def test_what_is_billed_beside_the_text_is_not_plain(listed: Pricer, billed: dict[str, Any]) -> None:
    call = Inference(
        provider="openai", name="gpt-5", usage=Usage(input_tokens=900, output_tokens=60), **billed
    )
    assert listed.price_plain(call, DAY_2026) is None


def test_while_the_price_list_is_imported_no_call_is_plain() -> None:
    class Loading(PriceList):
        def find(self, *query: Any) -> Any:
            raise NotLoaded

    pricer = OperationPricer(Pricer(None, Loading()))
    call = Inference(provider="openai", name="gpt-5", usage=Usage(input_tokens=900, output_tokens=60))
    assert getattr(pricer.price(call, DAY_2026, failed=False), "reason", None) == "prices_loading"


def test_a_reported_cost_comes_first(listed: Pricer) -> None:
    call = Inference(
        provider="openai",
        name="gpt-5",
        usage=Usage(input_tokens=900, output_tokens=60),
        reported_usd=Decimal("0.25"),
    )
    cost = OperationPricer(listed).price(call, DAY_2026, failed=False)
    assert isinstance(cost, Cost) and (cost.total, cost.source) == (Decimal("0.25"), "reported")
