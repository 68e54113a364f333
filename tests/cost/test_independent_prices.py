"""Compares the golden table with a price map that others maintain, with the arithmetic written a second time.

`independent_prices.json` names its source. Where the two differ, the difference and who is right stand below.
"""

import json
from fractions import Fraction
from pathlib import Path

import pytest
from golden_prices import LIST_ROWS, Golden, owed

from otel_callbacks.operations import Usage

RATES = json.loads((Path(__file__).parents[1] / "support" / "independent_prices.json").read_text())["models"]

TODAY = "the map knows today's prices only"
STEP = "the map has no step at 200,000 tokens for this model"
LAGS = "a moving alias, which genai-prices 0.2.3 still has at an older model's price: name the model"
DIFFER = {
    "o3 before its price fell": TODAY,
    "o3 on the last day": TODAY,
    "a step that a later day removed": TODAY,
    "200,001, most of it cached": STEP,
    "long and written for an hour": STEP,
    "gemini batch": "the map has no batch price above the step, which Google prints",
    "fast": "the map has no price for the fast mode",
    "mistral batch": "the map has no batch price",
    "bedrock, a model's ARN": "genai-prices takes the regional price, which is 10 % higher, for a plain id",
    "mistral alias": LAGS,
    "deepseek by day": LAGS,
    "deepseek by night": LAGS,
    "deepseek after midnight": LAGS,
    "together": "0.88 here, 1.04 there",
}


def suffixes(golden: Golden, rates: dict[str, str]) -> tuple[str, str]:
    """How the map calls the rates of a long input, and of a tier."""
    long = ""
    for above in ("100", "200", "272"):
        if f"input_above_{above}k" in rates and golden.call.usage.input_tokens > int(above) * 1_000:
            long = f"_above_{above}k"
    tier = (golden.call.service_tier or "").lower()
    return long, f"_{tier}" if f"input_{tier}" in rates else ""


def total(golden: Golden, rates: dict[str, str]) -> Fraction:
    usage = golden.call.usage or Usage()
    hour = usage.cache_write_1h_input_tokens or 0
    long, tier = suffixes(golden, rates)

    def rate(kind: str, instead: str) -> Fraction:
        names = (f"{kind}{long}{tier}", f"{kind}{tier}", f"{kind}{long}", kind)
        found = next((rates[name] for name in names if name in rates), None)
        return Fraction(found) if found is not None else rate(instead, "")

    read, written = usage.cache_read_input_tokens or 0, usage.cache_write_input_tokens or 0
    heard, spoken = usage.audio_input_tokens or 0, usage.audio_output_tokens or 0
    thought, drawn = usage.reasoning_output_tokens or 0, usage.image_output_tokens or 0
    fresh = (usage.input_tokens or 0) - read - written - heard
    said = (usage.output_tokens or 0) - thought - spoken - drawn
    parts = (
        (fresh, "input", ""),
        (heard, "audio_input", "input"),
        (read, "cache_read", "input"),
        (written - hour, "cache_write", "input"),
        (hour, "cache_write_1h", "cache_write"),
        (said, "output", ""),
        (thought, "reasoning", "output"),
        (spoken, "audio_output", "output"),
        (drawn, "image_output", "output"),
    )
    return sum((tokens * rate(*kinds) for tokens, *kinds in parts if tokens), Fraction(0)) / 1_000_000


def key(golden: Golden) -> str:
    provider = "openrouter" if golden.call.host == "openrouter.ai" else golden.call.provider
    return f"{provider} {golden.model}"


KNOWN = [golden for golden in LIST_ROWS if key(golden) in RATES]


@pytest.mark.parametrize("golden", KNOWN, ids=lambda golden: f"{golden.call.provider}-{golden.name}")
def test_both_tables_agree(golden: Golden) -> None:
    sides = (golden.input, golden.output, golden.cache_read, golden.cache_write)
    ours = sum(map(owed, sides), Fraction(0))  # without fees, which the map counts per search
    agree = ours == total(golden, RATES[key(golden)])
    assert agree != (golden.name in DIFFER)


def test_enough_is_compared() -> None:
    assert len(KNOWN) - len(DIFFER) >= 55
