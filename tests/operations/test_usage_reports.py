"""Tests what is read of usage reports: real ones, in every provider's words, and those that make no sense."""

from enum import StrEnum
from typing import Any

import pytest
from openai.types.completion_usage import CompletionUsage

from otel_callbacks.operations import Usage
from otel_callbacks.operations.providers import read_embedding_usage, read_usage


class Modality(StrEnum):
    AUDIO = "AUDIO"
    TEXT = "TEXT"
    IMAGE = "IMAGE"


CHAT = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
THOUGHT = {**CHAT, "total_tokens": 1264, "completion_tokens_details": {"reasoning_tokens": 64}}
CACHED = {"prompt_tokens_details": {"cached_tokens": 400}}
CLAUDE = {"input_tokens": 1000, "output_tokens": 200, "cache_read_input_tokens": 400}
CONVERSE = {
    "inputTokens": 1000,
    "outputTokens": 200,
    "cacheReadInputTokens": 400,
    "cacheWriteInputTokens": 300,
}
COPY = {"prompt_tokens": 1000, "completion_tokens": 200, "cache_read_input_tokens": 400, "total_tokens": 1600}
NORMAL = {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}

INSIDE_AND_BESIDE: dict[str, tuple[str | None, Any, Usage]] = {
    "gemini, nothing but thoughts": (
        "gcp.gemini",
        {"promptTokenCount": 1000, "thoughtsTokenCount": 507, "totalTokenCount": 1507},
        Usage(1000, 507, reasoning_output_tokens=507),
    ),
    "gemini, a prompt that was refused": (
        "gcp.gemini",
        {"promptTokenCount": 8, "totalTokenCount": 8},
        Usage(8, 0),
    ),
    "gemini, a total of something else": (
        "gcp.gemini",
        {"promptTokenCount": 8, "totalTokenCount": 9},
        Usage(8),
    ),
    "anthropic, thinking inside": (
        "anthropic",
        {"input_tokens": 1000, "output_tokens": 200, "output_tokens_details": {"thinking_tokens": 64}},
        Usage(1000, 200, reasoning_output_tokens=64),
    ),
    "openai": ("openai", {**CHAT, **CACHED}, Usage(1000, 200, 400)),
    "openai, an object": (
        "openai",
        CompletionUsage.model_validate({**CHAT, **CACHED}),
        Usage(1000, 200, 400),
    ),
    "openai, reasoning inside": (
        "openai",
        {**CHAT, "completion_tokens_details": {"reasoning_tokens": 64}},
        Usage(1000, 200, reasoning_output_tokens=64),
    ),
    "responses": (
        "openai",
        {
            "input_tokens": 1000,
            "output_tokens": 200,
            "total_tokens": 1200,
            "input_tokens_details": {"cached_tokens": 400},
            "output_tokens_details": {"reasoning_tokens": 64},
        },
        Usage(1000, 200, 400, reasoning_output_tokens=64),
    ),
    "moonshot, an undeclared field": (
        "moonshot_ai",
        CompletionUsage.model_validate({**CHAT, "cached_tokens": 400}),
        Usage(1000, 200, 400),
    ),
    "deepseek, in both words": (
        "deepseek",
        {**CHAT, **CACHED, "prompt_cache_hit_tokens": 400, "prompt_cache_miss_tokens": 600},
        Usage(1000, 200, 400),
    ),
    "anthropic": ("anthropic", CLAUDE, Usage(1400, 200, 400)),
    "anthropic's format, from somebody": (None, CLAUDE, Usage(1400, 200, 400)),
    "anthropic, lifetimes": (
        "anthropic",
        {
            **CLAUDE,
            "cache_creation_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
        },
        Usage(1700, 200, 400, 300, cache_write_1h_input_tokens=100),
    ),
    "anthropic, five minutes only": (
        "anthropic",
        {
            **CLAUDE,
            "cache_creation_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 0},
        },
        Usage(1700, 200, 400, 300, cache_write_1h_input_tokens=0),
    ),
    "bedrock": ("aws.bedrock", {**CONVERSE, "totalTokens": 1900}, Usage(1700, 200, 400, 300)),
    "bedrock, lifetimes": (
        "aws.bedrock",
        {
            **CONVERSE,
            "totalTokens": 1900,
            "cacheDetails": [{"ttl": "5m", "inputTokens": 200}, {"ttl": "1h", "inputTokens": 100}],
        },
        Usage(1700, 200, 400, 300, cache_write_1h_input_tokens=100),
    ),
    "bedrock, as LlamaIndex copies it": ("aws.bedrock", COPY, Usage(1400, 200, 400)),
    "a copy whose total tells": (None, COPY, Usage(1400, 200, 400)),
    "gemini": (
        "gcp.gemini",
        {
            "prompt_token_count": 1000,
            "candidates_token_count": 200,
            "thoughts_token_count": 64,
            "tool_use_prompt_token_count": 50,
            "cached_content_token_count": 400,
            "total_token_count": 1314,
        },
        Usage(1050, 264, 400, reasoning_output_tokens=64),
    ),
    "gemini, as the API spells it": (
        "gcp.vertex_ai",
        {
            "promptTokenCount": 1000,
            "candidatesTokenCount": 200,
            "thoughtsTokenCount": 64,
            "toolUsePromptTokenCount": 50,
            "totalTokenCount": 1314,
        },
        Usage(1050, 264, reasoning_output_tokens=64),
    ),
    "gemini, modalities": (
        "gcp.gemini",
        {
            "prompt_token_count": 1000,
            "candidates_token_count": 1300,
            "cached_content_token_count": 300,
            "total_token_count": 2300,
            "prompt_tokens_details": [
                {"modality": Modality.TEXT, "token_count": 700},
                {"modality": Modality.AUDIO, "token_count": 300},
            ],
            "cache_tokens_details": [
                {"modality": "TEXT", "tokenCount": 200},
                {"modality": "AUDIO", "tokenCount": 100},
            ],
            "candidates_tokens_details": [{"modality": Modality.IMAGE, "token_count": 1290}],
        },
        Usage(
            1000,
            1300,
            300,
            text_input_tokens=700,
            audio_input_tokens=300,
            image_output_tokens=1290,
            text_cache_read_input_tokens=200,
            audio_cache_read_input_tokens=100,
        ),
    ),
    "xai, reasoning beside": ("x_ai", THOUGHT, Usage(1000, 264, reasoning_output_tokens=64)),
    "xai, reasoning inside": (
        "x_ai",
        {**THOUGHT, "total_tokens": 1200},
        Usage(1000, 200, reasoning_output_tokens=64),
    ),
    "xai, images": (
        "x_ai",
        {**CHAT, "prompt_tokens_details": {"text_tokens": 742, "image_tokens": 258, "audio_tokens": 0}},
        Usage(1000, 200, text_input_tokens=742, image_input_tokens=258),
    ),
    "perplexity, reasoning beside and not in the total": (
        "perplexity",
        {**CHAT, "reasoning_tokens": 5000, "citation_tokens": 700},
        Usage(1000, 5200, reasoning_output_tokens=5000),
    ),
    "an imitation whose total tells": (None, THOUGHT, Usage(1000, 264, reasoning_output_tokens=64)),
    "ollama": ("ollama", {"prompt_eval_count": 1000, "eval_count": 200}, Usage(1000, 200)),
    "cohere": ("cohere", {"input_tokens": 1000.0, "output_tokens": 200.0}, Usage(1000, 200)),
    "nothing counted": ("openai", {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
    "no report": ("openai", None, None),
}


@pytest.mark.parametrize("name", INSIDE_AND_BESIDE)
def test_what_is_inside_what(name: str) -> None:
    provider, report, usage = INSIDE_AND_BESIDE[name]
    assert read_usage(report, provider) == usage


LANGCHAIN: dict[str, tuple[str, Any, Usage]] = {
    "anthropic": ("anthropic", {**NORMAL, "input_token_details": {"cache_read": 400}}, Usage(1000, 200, 400)),
    "lifetimes, whose sum is 0": (
        "anthropic",
        {
            **NORMAL,
            "input_token_details": {
                "cache_creation": 0,
                "ephemeral_5m_input_tokens": 200,
                "ephemeral_1h_input_tokens": 100,
            },
        },
        Usage(1000, 200, None, 300, cache_write_1h_input_tokens=100),
    ),
    "bedrock, as older versions left it": (
        "aws.bedrock",
        {**NORMAL, "total_tokens": 1600, "input_token_details": {"cache_read": 400}},
        Usage(1400, 200, 400),
    ),
    "a tier before the names": (
        "openai",
        {
            **NORMAL,
            "input_token_details": {"priority_cache_read": 400, "priority": 600, "cache_read": 400},
            "output_token_details": {"priority_reasoning": 64, "priority": 136},
        },
        Usage(1000, 200, 400, reasoning_output_tokens=64),
    ),
    "xai at a dearer tier": (
        "x_ai",
        {**NORMAL, "total_tokens": 1264, "output_token_details": {"priority_reasoning": 64}},
        Usage(1000, 264, reasoning_output_tokens=64),
    ),
    "perplexity": (
        "perplexity",
        {**NORMAL, "output_token_details": {"reasoning": 5000, "citation_tokens": 700}},
        Usage(1000, 5200, reasoning_output_tokens=5000),
    ),
}


@pytest.mark.parametrize("name", LANGCHAIN)
def test_langchains_normal_form(name: str) -> None:
    provider, report, usage = LANGCHAIN[name]
    assert read_usage(report, provider, normal=True) == usage


def test_the_host_tells_who_imitates_openai() -> None:
    without_total = {key: value for key, value in THOUGHT.items() if key != "total_tokens"}
    assert read_usage(without_total, "openai", "api.x.ai") == Usage(1000, 264, reasoning_output_tokens=64)
    assert read_usage(without_total, "openai") == Usage(1000, 200, reasoning_output_tokens=64)
    assert read_usage(THOUGHT, "openai", "llm.acme.example") == Usage(1000, 264, reasoning_output_tokens=64)


CONTRADICTORY: dict[str, tuple[str | None, Any, Usage]] = {
    "a total that fits no reading": (
        "openai",
        {**CHAT, "total_tokens": 5000},
        Usage(1000, 200, contradictory=True),
    ),
    "openai has no reasoning beside": (
        "openai",
        THOUGHT,
        Usage(1000, 200, reasoning_output_tokens=64, contradictory=True),
    ),
    "xai, neither inside nor beside": (
        "x_ai",
        {**THOUGHT, "total_tokens": 1300},
        Usage(1000, 264, reasoning_output_tokens=64, contradictory=True),
    ),
    "bedrock, a total without the cache": (
        "aws.bedrock",
        {**CONVERSE, "totalTokens": 1200},
        Usage(1700, 200, 400, 300, contradictory=True),
    ),
    "more cached than sent": (
        "openai",
        {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 500}},
        Usage(100, 20, contradictory=True),
    ),
    "more cached than sent, by anybody": (
        None,
        {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 500}},
        Usage(100, 20, contradictory=True),
    ),
    "more reasoning than output": (
        "openai",
        {**CHAT, "completion_tokens_details": {"reasoning_tokens": 500}},
        Usage(1000, 200, contradictory=True),
    ),
    "more sound than input": (
        "openai",
        {**CHAT, "prompt_tokens_details": {"audio_tokens": 900, "text_tokens": 800}},
        Usage(1000, 200, contradictory=True),
    ),
}


@pytest.mark.parametrize("name", CONTRADICTORY)
def test_counts_that_fit_no_reading(name: str) -> None:
    provider, report, usage = CONTRADICTORY[name]
    assert read_usage(report, provider) == usage


@pytest.mark.parametrize(
    ("report", "sent"),
    [
        ({"prompt_tokens": 8, "total_tokens": 8}, 8),
        ({"total_tokens": 8}, 8),  # Voyage, Jina
        ({"input_tokens": 8.0}, 8),  # Cohere
        ({"total_tokens": 0}, None),
        (None, None),
    ],
)
def test_texts_that_are_embedded(report: Any, sent: int | None) -> None:
    assert read_embedding_usage(report) == (None if sent is None else Usage(sent))
