"""What changes a price counts, and what has no price is named. The rates are those of the list or of a book."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from golden_prices import NOW

from otel_callbacks import PriceBook
from otel_callbacks.cost.price_book import PriceBookError
from otel_callbacks.cost.pricing import Call, Cost, Pricer, Unpriced
from otel_callbacks.operations import Usage

MANY = Usage(100_000, 100_000)
WHO = {
    "openai": ("openai", "gpt-4o"),
    "azure": ("azure.ai.openai", "gpt-4o"),
    "anthropic": ("anthropic", "claude-opus-4-8"),
    "sonnet": ("anthropic", "claude-sonnet-4-5"),
    "bedrock": ("aws.bedrock", "amazon.nova-pro-v1:0"),
    "gemini": ("gcp.gemini", "gemini-2.5-flash"),
    "gemini 3": ("gcp.gemini", "gemini-3.5-flash"),
    "groq": ("groq", "llama-3.3-70b-versatile"),
    "mistral": ("mistral_ai", "mistral-small-latest"),
    "grok": ("x_ai", "grok-4-0709"),
    "sonar": ("perplexity", "sonar"),
    "deep": ("perplexity", "sonar-deep-research"),
    "gpt-5": ("openai", "gpt-5"),
}


def call(who: str, usage: Usage | None = MANY, **given: Any) -> Call:
    provider, model = WHO[who]
    return Call(provider=provider, request_model=model, usage=usage, started_at=NOW, **given)


def outcome(pricer: Pricer, made: Call) -> str:
    """The cost, with what it leaves out; or why there is none."""
    cost = pricer.price(made)
    if isinstance(cost, Unpriced):
        return cost.reason
    if "cached_tokens" not in cost.missing:  # then nobody knows the parts of the input
        assert cost.total == sum(filter(None, cost[2:7]), Decimal(0)), "the parts are not the total"
    return " ".join([f"{cost.total.normalize():f}", *cost.missing])


LISTED: list[tuple[str, Mapping[str, Any], str]] = [
    # terms that are the usual ones, by all their names
    ("openai", {"service_tier": "auto"}, "1.25"),
    ("anthropic", {"service_tier": "standard", "conditions": {"speed": "standard"}}, "3"),
    ("anthropic", {"service_tier": "Standard_Only", "conditions": {"inference_geo": "global"}}, "3"),
    ("anthropic", {"conditions": {"inference_geo": "not_available"}}, "3"),
    ("bedrock", {"service_tier": "default", "conditions": {"latency": "standard"}}, "0.4"),
    ("gemini", {"service_tier": "ON_DEMAND"}, "0.28"),
    ("groq", {"service_tier": "on_demand"}, "0.138"),
    ("groq", {"service_tier": "flex"}, "0.138"),
    ("mistral", {"service_tier": "standard"}, "0.075"),
    # terms that the list has a price for
    ("openai", {"service_tier": "priority"}, "2.125"),
    ("openai", {"service_tier": "batch"}, "0.625"),
    ("anthropic", {"conditions": {"speed": "fast"}}, "6"),
    ("anthropic", {"service_tier": "batch"}, "1.5"),
    # and those that it has not
    ("openai", {"service_tier": "scale"}, "no_rate"),
    ("azure", {"service_tier": "priority"}, "no_rate"),
    ("anthropic", {"service_tier": "priority"}, "no_rate"),
    ("anthropic", {"service_tier": "fast"}, "no_rate"),
    ("sonnet", {"conditions": {"speed": "fast"}}, "no_rate"),
    ("anthropic", {"conditions": {"inference_geo": "us"}}, "no_rate"),
    ("anthropic", {"service_tier": "batch", "conditions": {"speed": "fast"}}, "no_rate"),
    ("anthropic", {"conditions": {"something": "else"}}, "no_rate"),
    ("bedrock", {"service_tier": "flex"}, "no_rate"),
    ("bedrock", {"conditions": {"latency": "optimized"}}, "no_rate"),
    ("gemini", {"service_tier": "on_demand_priority"}, "no_rate"),
    ("gemini", {"conditions": {"traffic_type": "PROVISIONED_THROUGHPUT"}}, "no_rate"),
    ("groq", {"service_tier": "performance"}, "no_rate"),
    ("mistral", {"service_tier": "priority"}, "no_rate"),
    ("grok", {"service_tier": "priority"}, "no_rate"),
    # fees
    ("sonnet", {"units": {"web_searches": 3}}, "1.83"),
    ("gpt-5", {"units": {"web_searches": 3, "file_searches": 2}}, "1.16"),
    ("openai", {"units": {"web_searches": 3}}, "1.25 web_searches"),  # 10 or 25 USD, by the tool's version
    ("azure", {"units": {"web_searches": 3}}, "1.25 web_searches"),  # the list has OpenAI's fee only
    ("gemini", {"units": {"web_searches": 1}}, "0.315"),
    ("gemini 3", {"units": {"web_searches": 2}}, "1.078"),
    ("grok", {"units": {"sources": 4}}, "1.8 sources"),
    ("mistral", {"units": {"audio_seconds": 30}}, "0.075 audio_seconds"),
    ("sonnet", {"units": {"web_searches": 0}}, "1.8"),
    ("sonnet", {"units": {"web_searches": -1}}, "invalid_usage"),
    ("sonnet", {"unknown": ("code_interpreter",)}, "1.8 code_interpreter"),
    ("sonnet", {"units": {"sources": 1}, "unknown": ("code_interpreter",)}, "1.8 code_interpreter sources"),
    ("sonnet", {"unknown": ("billed_tokens",)}, "no_usage"),  # those counted are others
    ("mistral", {"unknown": ("cached_tokens",)}, "0.0615 cached_tokens"),  # all of the input at 0.015
    ("groq", {"unknown": ("cached_tokens",)}, "0.138"),  # cached or not, at one rate
    ("openai", {"unknown": ("reported_cost",)}, "no_rate"),
    ("sonar", {"units": {"requests": 1}, "conditions": {"search_context_size": "high"}}, "0.212"),
    ("sonar", {"units": {"requests": 1}, "conditions": {"search_context_size": "low"}}, "0.2 requests"),
    ("sonar", {}, "0.2 requests"),
    # counts that are not the whole truth
    ("sonnet", {"usage": Usage(100_000, 100, is_final=False)}, "0.3015 ended_early"),
    ("sonnet", {"usage": Usage(100_000, None, is_final=False)}, "0.3 ended_early"),
    ("sonnet", {"usage": Usage(100_000, None)}, "no_usage"),
    ("sonnet", {"usage": Usage(None, None, is_final=False)}, "no_usage"),
    ("sonnet", {"usage": Usage(100_000, 100, contradictory=True)}, "invalid_usage"),
    ("sonnet", {"usage": Usage(100_000, 100, estimated=True)}, "estimated_usage"),
    ("sonnet", {"usage": Usage(200_001, 0)}, "1.200006"),  # dearer above 200,000
]


@pytest.fixture(scope="module")
def listed() -> Pricer:
    return Pricer()


@pytest.mark.parametrize(("who", "given", "expected"), LISTED, ids=str)
def test_at_list_price(who: str, given: Mapping[str, Any], expected: str, listed: Pricer) -> None:
    assert outcome(listed, call(who, **given)) == expected


def test_deep_research_is_billed_by_its_searches_citations_and_thoughts(listed: Pricer) -> None:
    usage = Usage(33, 7_163 + 73_997, reasoning_output_tokens=73_997)
    made = call("deep", usage, units={"citation_tokens": 20_016, "web_searches": 18})
    dollars = Decimal(33 * 2 + 7_163 * 8 + 20_016 * 2 + 73_997 * 3) / 10**6 + Decimal(18 * 5) / 1000
    assert outcome(listed, made) == f"{dollars}"
    two_rates = Pricer(PriceBook.of({"prices": {"sonar-deep-research": {"input": 2, "output": 8}}}), None)
    known = Decimal(33 * 2 + 7_163 * 8) / 10**6
    assert outcome(two_rates, made) == f"{known} citation_tokens reasoning_tokens web_searches"
    assert outcome(two_rates, replace(made, provider="openai", host="api.perplexity.ai")).startswith(
        f"{known} "
    )


BOOK = """
[[prices]]
model = "m"
input = 10
output = 10

[[prices]]
model = "m"
service_tier = "priority"
input = 20
output = 20

[[prices]]
model = "m"
speed = "fast"
input = 30
output = 30

[[prices]]
model = "m"
speed = "fast"
inference_geo = "us"
input = 40
output = 40
units = { web_searches = 10.00, citation_tokens = 2 }

[[prices]]
model = "any"
service_tier = "*"
speed = "*"
input = 10
output = 10

[[prices]]
model = "fee"
input = 1
output = 1
per_request = 0.008

[[prices]]
model = "fee"
search_context_size = "low"
input = 1
output = 1
per_request = 0.005

[[prices]]
model = "rerank"
units = { rerank_searches = 2 }

[[prices]]
model = "rerank-flat"
per_request = 0.001
"""
OWN: list[tuple[str, Mapping[str, Any], str]] = [
    ("m", {}, "2"),
    ("m", {"service_tier": "default", "conditions": {"speed": "standard"}}, "2"),
    ("m", {"service_tier": "priority"}, "4"),
    ("m", {"conditions": {"speed": "fast"}}, "6"),
    ("m", {"conditions": {"speed": "fast", "inference_geo": "us"}}, "8"),
    ("m", {"conditions": {"inference_geo": "us"}}, "no_rate"),
    ("m", {"service_tier": "priority", "conditions": {"speed": "fast"}}, "no_rate"),
    ("m", {"service_tier": "flex"}, "no_rate"),
    ("any", {}, "2"),
    ("any", {"service_tier": "flex", "conditions": {"speed": "fast"}}, "2"),
    ("any", {"conditions": {"inference_geo": "us"}}, "no_rate"),
    ("m", {"unknown": ("cached_tokens", "reported_cost")}, "2"),
    ("m", {"units": {"web_searches": 1}}, "2 web_searches"),
    (
        "m",
        {
            "conditions": {"speed": "fast", "inference_geo": "us"},
            "units": {"web_searches": 3, "citation_tokens": 500_000},
        },
        "9.03",
    ),
    ("fee", {"conditions": {"search_context_size": "low"}, "units": {"requests": 1}}, "0.205"),
    ("fee", {"conditions": {"search_context_size": "high"}, "units": {"requests": 1}}, "0.208"),
    ("fee", {"units": {"web_searches": 4}}, "0.208"),  # the request's fee includes its searches
    ("fee", {"units": {"sources": 4}}, "0.208 sources"),
    ("rerank", {"usage": None, "units": {"rerank_searches": 3}}, "0.006"),
    ("rerank", {"usage": None}, "no_usage"),
    ("rerank-flat", {"usage": None}, "0.001"),
    ("rerank-flat", {"usage": Usage(3_000)}, "0.001"),  # whether tokens are counted or not
    ("rerank-flat", {"usage": None, "units": {"rerank_searches": 3}}, "0.001"),
]


@pytest.mark.parametrize(("model", "given", "expected"), OWN, ids=str)
def test_at_prices_of_ones_own(model: str, given: Mapping[str, Any], expected: str, tmp_path: Path) -> None:
    file = tmp_path / "book.toml"
    file.write_text(BOOK)
    made = Call(provider="acme", request_model=model, **{"usage": MANY, **given})
    assert outcome(Pricer(PriceBook.load(file), None), made) == expected


def test_a_tier_that_costs_no_more_needs_no_price_of_its_own() -> None:
    one = Pricer(PriceBook.of({"prices": {"llama-3.3-*": {"input": 10, "output": 10}}}), None)
    assert outcome(one, call("groq", service_tier="flex")) == "2"
    assert outcome(one, call("groq", service_tier="performance")) == "no_rate"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"units": {"web_search": 1}},
            r"units: the key 'web_search' is not known; did you mean 'web_searches'",
        ),
        ({"units": 3}, r"units: must be a table"),
        ({"units": {"web_searches": -1}}, r"web_searches must not be negative"),
        ({"input": 1, "speed": 3}, r"speed: must be a name, not 3"),
        ({"input": 1, "sped": "fast"}, r"the key 'sped' is not known; did you mean 'speed'"),
        ({}, r"has no rate; give at least one of .*units"),
    ],
)
def test_what_is_wrong_with_a_price(entry: Mapping[str, Any], message: str) -> None:
    with pytest.raises(PriceBookError, match=message):
        PriceBook.of({"prices": [{"model": "m", **entry}]})


def test_two_prices_at_the_same_terms_are_refused() -> None:
    fast = {"model": "m", "speed": "fast", "input": 1}
    with pytest.raises(PriceBookError, match="two prices"):
        PriceBook.of({"prices": [fast, {**fast, "input": 2}]})
    PriceBook.of({"prices": [fast, {**fast, "speed": "slow"}]})


def test_a_reported_cost_has_everything_in_it_but_what_others_bill(listed: Pricer) -> None:
    made = call("sonar", reported_usd=Decimal("0.25"), unknown=("code_interpreter",))
    assert listed.price(made) == Cost(Decimal("0.25"), "reported")
    through = replace(made, unknown=("upstream_cost",))
    assert listed.price(through) == Cost(Decimal("0.25"), "reported", missing=("upstream_cost",))
