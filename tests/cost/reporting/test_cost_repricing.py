"""Repricing uses the tokens and the day of each call, and gives the same cost in every framework."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import fakes
import llama_fakes
import pytest
from cost_spans import call, span
from golden_prices import LIST_ROWS, NOW, Golden, owed
from llama_fakes import no_faults, untouched_settings  # noqa: F401 - fixtures
from llama_index.core import Settings
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from payloads import RECORDED, ReplayedModel

from otel_callbacks.cost import recompute, report
from otel_callbacks.cost.call_cost import billing_attributes
from otel_callbacks.cost.price_book import PriceBook
from otel_callbacks.cost.pricing import Pricer
from otel_callbacks.cost.reporting.span_cost import repriced_cost
from otel_callbacks.explore import SpanRecord, Traces
from otel_callbacks.langchain import OTelCallbackHandler as LangChainHandler
from otel_callbacks.llama_index import OTelCallbackHandler as LlamaIndexHandler
from otel_callbacks.operations import Billing, Inference
from otel_callbacks.testing import Captured

BOOK = PriceBook.of({"prices": {"gpt-4o": {"input": 1, "output": 1}, "new": {"input": 2, "output": 2}}})
RUN = [
    call("1", tenant="acme"),
    call("2", tenant="acme", usd=0.1, status="reported"),
    call("3", tenant="zeta", model="new", usd=None, status="unpriced", reason="unknown_model"),
    call("4", model="older", usd=0.5),
    call("5", error="TimeoutError", sent=None, received=None, usd=None),
]


def test_old_and_new_and_the_difference() -> None:
    found = recompute(RUN, Pricer(BOOK, None), by=["tenant"])
    assert {row.key: (row.recorded.cost_usd, row.recomputed.cost_usd) for row in found.rows} == {
        ("zeta",): (0, Decimal("0.0022")),
        ("acme",): (Decimal("0.1035"), Decimal("0.0022")),
        (None,): (Decimal("0.5"), 0),
    }
    total = found.total
    assert total.difference_usd == Decimal("0.0044") - Decimal("0.6035")
    assert (total.recorded.unpriced, total.recomputed.unpriced) == (
        {"unknown_model": 1},
        {"no_price_source": 1},
    )


def test_a_price_book_comes_before_the_list_prices() -> None:
    assert recompute([call("1")], by=["model"]).total.difference_usd == 0
    assert recompute([call("1")], BOOK, by=["model"]).total.recomputed.cost_usd == Decimal("0.0011")


def test_prices_are_given_as_to_a_handler(tmp_path: Path) -> None:
    mapping = {"prices": {"gpt-4o": {"input": 1, "output": 1}}}
    file = tmp_path / "book.json"
    file.write_text(json.dumps(mapping))
    for prices in (mapping, file, str(file)):
        assert recompute([call("1")], prices, by=["model"]).total.recomputed.cost_usd == Decimal("0.0011")
    with pytest.raises(TypeError, match="prices must be a PriceBook, a mapping or the path of one, not 3"):
        recompute([call("1")], 3)  # type: ignore[arg-type]


def test_a_trace_or_traces_can_be_passed_as_spans() -> None:
    spans = [call("1", trace="a" * 32), call("2", trace="a" * 32), call("3", trace="b" * 32)]
    traces = Traces.of(spans)
    assert recompute(traces, BOOK, by=["model"]) == recompute(spans, BOOK, by=["model"])
    assert recompute(traces[0], BOOK, by=["model"]) == recompute(spans[:2], BOOK, by=["model"])
    assert report(traces) == report(spans) == traces.cost()
    assert report(traces.last()) == report(spans[2:])


def test_the_day_of_the_call_decides() -> None:
    then = int(datetime(2025, 5, 1, tzinfo=UTC).timestamp()) * 10**9
    usd = {"sent": 1_000, "received": 0, "usd": None, "model": "o3"}
    found = recompute([call("1", start=then, **usd), call("2", **usd)], by=["day"])
    assert {row.key[0]: row.recomputed.cost_usd for row in found.rows} == {
        "2025-05-01": Decimal("0.01"),
        "2026-10-07": Decimal("0.002"),
    }


def test_a_cache_hit_stays_free_and_saves_at_the_new_price() -> None:
    hit = span(
        "1",
        operation="chat",
        model="gpt-4o",
        usd=0.0,
        status="cached",
        saved=9.0,
        **{"otel_callbacks.cached.input_tokens": 1_000, "otel_callbacks.cached.output_tokens": 100},
    )
    after = recompute([hit], Pricer(BOOK, None), by=["model"]).total.recomputed
    assert (after.cached_calls, after.cost_usd, after.saved_usd) == (1, 0, Decimal("0.0011"))


def test_status_is_not_the_same_before_and_after() -> None:
    with pytest.raises(ValueError, match="'status' is not the same"):
        recompute(RUN, by=["status"])


def test_how_it_is_shown() -> None:
    found = recompute(RUN[:2], Pricer(BOOK, None), by=["tenant"])
    row = next(csv.DictReader(StringIO(found.to_csv())))
    assert (row["tenant"], row["recorded_usd"], row["difference_usd"]) == ("acme", "0.1035", "-0.1013")
    assert json.loads(found.to_json())["total"]["recomputed_usd"] == "0.0022"
    shown = str(found).splitlines()[2].split()
    assert shown == ["acme", "2", "0.103500", "0.002200", "-0.101300", "-97.9", "%"]
    assert "0 → 1" in str(recompute([call("1")], Pricer(None, None), by=["tenant"]))
    assert "<table>" in found._repr_mimebundle_()["text/html"]


# A span carries enough to price its call again.

SPOKEN = {
    "provider": "gen_ai.provider.name",
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "host": "server.address",
}
USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_input_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_output_tokens": "gen_ai.usage.reasoning.output_tokens",
    "audio_input_tokens": "gen_ai.usage.audio.input_tokens",
    "audio_output_tokens": "gen_ai.usage.audio.output_tokens",
    "cache_write_1h_input_tokens": "otel_callbacks.usage.cache_write_1h.input_tokens",
    "image_input_tokens": "gen_ai.usage.image.input_tokens",
    "image_output_tokens": "gen_ai.usage.image.output_tokens",
}


def as_span(golden: Golden) -> SpanRecord:
    told = {name: getattr(golden.call, field) for field, name in SPOKEN.items()}
    told |= {name: getattr(golden.call.usage, field) for field, name in USAGE.items()}
    billing = Billing(golden.call.service_tier, golden.call.conditions, golden.call.units)
    told |= billing_attributes(Inference(billing=billing))
    moment = golden.call.started_at
    start = moment if isinstance(moment, int) else int((moment or NOW).timestamp()) * 10**9
    return span(
        "1",
        start=start,
        operation="chat",
        **{name: value for name, value in told.items() if value is not None},
    )


@pytest.mark.parametrize("golden", LIST_ROWS, ids=lambda golden: f"{golden.call.provider}-{golden.name}")
def test_golden_calls_from_their_spans(golden: Golden) -> None:
    sides = (golden.input, golden.output, golden.cache_read, golden.cache_write)
    expected = sum(map(owed, sides), Fraction(golden.request))
    found = recompute([as_span(golden)], by=["model"]).total.recomputed
    assert Fraction(found.cost_usd) == expected


# Recorded answers of the providers' integrations, streamed and not.

BILLED = {
    "openai": ((100, "2.50"), (50, "10")),
    "openai with cache and reasoning": ((20, "2.50"), (80, "1.25"), (50, "10")),
    "openai priority tier": ((20, "4.25"), (80, "2.125"), (50, "17")),
    "anthropic": ((30, "3"), (50, "0.30"), (20, "3.75"), (12, "15")),
    "bedrock converse": ((30, "3.30"), (50, "0.33"), (20, "4.125"), (12, "16.50")),
    "mistral": ((16, "0.15"), (34, "0.60")),
}


@pytest.mark.parametrize("case", BILLED)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_recorded_answers(
    case: str, stream: bool, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "MISTRAL_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    model, config = (
        ReplayedModel(payload=RECORDED[case]),
        {"callbacks": [LangChainHandler(**captured.providers)]},
    )
    _ = list(model.stream("q", config)) if stream else model.invoke("q", config)
    found = recompute(captured.spans, by=["model"]).total.recomputed
    # that recorded report does not say for how long the cache is written, which decides the rate
    missing = {"cache_write_lifetime": 1} if case == "anthropic" else {}
    billed = BILLED[case]
    if (case, stream) == ("mistral", True):  # nor does a stream say how much of the input was read from it
        missing, billed = {"cached_tokens": 1}, ((16, "0.015"), (34, "0.60"))
    assert (Fraction(found.cost_usd), dict(found.unpriced)) == (owed(billed), missing)


# 100 input tokens at 2.50 dollars and 20 output tokens at 10, streamed or not, in either framework.

SCRIPTED = PriceBook.of({"prices": {"scripted-*": {"input": "2.50", "output": 10}}})
ASK = [ChatMessage(role="user", content="q")]


async def langchain(how: str, captured: Captured) -> None:
    model, config = fakes.ScriptedModel(), {"callbacks": [LangChainHandler(**captured.providers)]}
    match how:
        case "whole":
            model.invoke("q", config)
        case "streamed":
            list(model.stream("q", config))
        case "whole, async":
            await model.ainvoke("q", config)
        case "streamed, async":
            [chunk async for chunk in model.astream("q", config)]


async def llama_index(how: str, captured: Captured) -> None:
    handler = LlamaIndexHandler(**captured.providers)
    Settings.callback_manager = CallbackManager([handler])
    model = llama_fakes.ScriptedModel()
    match how:
        case "whole":
            model.chat(ASK)
        case "streamed":
            list(model.stream_chat(ASK))
        case "whole, async":
            await model.achat(ASK)
        case "streamed, async":
            [chunk async for chunk in await model.astream_chat(ASK)]


@pytest.mark.parametrize("framework", [langchain, llama_index])
@pytest.mark.parametrize("how", ["whole", "streamed", "whole, async", "streamed, async"])
async def test_a_call_costs_the_same_however_it_was_made(
    framework: Callable[..., Any], how: str, captured: Captured
) -> None:
    await framework(how, captured)
    found = report(captured.spans, by=["provider"], cost_of_span=repriced_cost(Pricer(SCRIPTED, None))).total
    assert (found.calls, found.cost_usd) == (1, Decimal("0.00045"))
