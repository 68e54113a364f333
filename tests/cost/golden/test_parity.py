"""The same answer of a provider through LangChain and through LlamaIndex: the same usage, cost and end."""

from collections.abc import Mapping
from typing import Any

import pytest
from openai_wire import chat, completion, response_tokens, responses, tokens
from other_wire import (
    anthropic,
    bedrock,
    claude_tokens,
    cohere,
    converse_tokens,
    gemini,
    gemini_tokens,
    ollama,
)
from table import USAGE, Row, book, call, calls, handler_of, make
from wire import Answer, Wire

from otel_callbacks.testing import capture

pytestmark = pytest.mark.filterwarnings("ignore")

COMPARED = (
    *USAGE.values(),
    "gen_ai.usage.cost_usd",
    "otel_callbacks.cost.status",
    "otel_callbacks.cost.unpriced_reason",
    "gen_ai.response.finish_reasons",
)
DETAILS = tokens(1000, 200, into={"cached_tokens": 400}, out_of={"reasoning_tokens": 64})
ANSWERED = response_tokens(1000, 200, into={"cached_tokens": 400}, out_of={"reasoning_tokens": 64})
COST = {"cost": 0.0125, "is_byok": False}
RATES = {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75", "cache_write_1h": "6"}
CLAUDE_ON_BEDROCK = "anthropic.claude-sonnet-4-5-20250929-v1:0"

# what one of the two integrations keeps to itself cannot be compared: why that is so is in the rows of the table
FINISH = "gen_ai.response.finish_reasons"
PRICE = ("gen_ai.usage.cost_usd", "otel_callbacks.cost.status", "otel_callbacks.cost.unpriced_reason")
PROVIDERS: dict[str, tuple[str, Answer, Mapping[str, tuple[str, ...]]]] = {
    "openai": ("gpt-4o", chat(DETAILS, service_tier="default"), {}),
    "responses": ("gpt-4o", responses(ANSWERED, incomplete="max_output_tokens"), {}),
    "azure": ("chat-prod", chat(DETAILS), {}),
    "openai_text": (
        "gpt-3.5-turbo-instruct",
        completion(tokens(1000, 200)),
        {"stream": tuple(USAGE.values())},
    ),
    "anthropic": ("claude-sonnet-4-5", anthropic(claude_tokens(1000, 200, read=400, write=300)), {}),
    "gemini": ("gemini-2.5-flash", gemini(gemini_tokens(1000, 200, thoughts=64, tools=50, cached=400)), {}),
    "bedrock": (
        CLAUDE_ON_BEDROCK,
        bedrock(converse_tokens(1000, 200, read=400, write=300, hour=100)),
        {"stream": (FINISH,)},
    ),
    "groq": ("openai/gpt-oss-120b", chat(DETAILS, model="openai/gpt-oss-120b", place="x_groq"), {}),
    "mistral": (
        "mistral-small-latest",
        chat(tokens(1000, 200), model="mistral-small-latest", place="last", finish="length"),
        {"stream": PRICE},  # langchain-mistralai drops what of it was cached
    ),
    "deepseek": (
        "deepseek-chat",
        chat(
            tokens(1000, 200, prompt_cache_hit_tokens=400, prompt_cache_miss_tokens=600),
            model="deepseek-chat",
            place="last",
        ),
        {},
    ),
    "xai": ("grok-4-0709", chat({**DETAILS, "total_tokens": 1264}, model="grok-4-0709"), {}),
    "perplexity": ("sonar", chat(tokens(1000, 200), model="sonar", place="last"), {"invoke": (FINISH,)}),
    "openrouter": ("openai/gpt-4o", chat({**DETAILS, **COST}, model="openai/gpt-4o", place="after"), {}),
    "moonshot": (
        "kimi-k2-0905-preview",
        chat(tokens(1000, 200, cached_tokens=400), model="kimi-k2-0905-preview"),
        {"stream": ("gen_ai.usage.cache_read.input_tokens", *PRICE)},
    ),
    "cohere": ("command-r-plus", cohere((1000, 200), (1000, 200)), {"invoke": PRICE}),
    "ollama": ("llama3.2", ollama(1000, 200), {}),
    "vllm": (
        "meta-llama/Llama-3.3-70B-Instruct",
        chat(DETAILS, model="meta-llama/Llama-3.3-70B-Instruct"),
        {},
    ),
}


def said(row: Row, wire: Wire) -> dict[str, Any]:
    """What the span of the row's call says, as far as both must agree."""
    wire.answer = row.answer
    with capture() as captured:
        handler = handler_of(row, captured)
        call(make(row, handler), row, handler)
        spans = [span for span in captured.spans if "otel_callbacks.cost.status" in (span.attributes or {})]
    assert len(spans) == 1, [span.name for span in captured.spans]
    return {name: value for name, value in (spans[0].attributes or {}).items() if name in COMPARED}


UNHEARD = {("openai_text", "stream"), ("perplexity", "stream")}  # one of the two drops the usage of a stream
BOTH_HEAR = [
    (name, mode) for name in PROVIDERS for mode in ("invoke", "stream") if (name, mode) not in UNHEARD
]


@pytest.mark.parametrize(("provider", "mode"), BOTH_HEAR)
def test_same_numbers(provider: str, mode: str, wire: Wire) -> None:
    model, answer, apart = PROVIDERS[provider]
    rows = calls(
        provider, f"lc.{provider} li.{provider}", mode, model=model, answer=answer, prices=book("*", **RATES)
    )
    ours, theirs = (said(row, wire) for row in rows)
    for name in apart.get(mode, ()):
        ours.pop(name, None)
        theirs.pop(name, None)
    assert ours == theirs
