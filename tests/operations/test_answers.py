"""Tests what is read of answers beside their counts: where it stands, and what it says of the price and the end."""

import logging
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from openai.types.chat import ChatCompletionChunk

from otel_callbacks.operations import Billing, Inference, Usage
from otel_callbacks.operations.providers import (
    add_chunk_usage,
    message_finish_reason,
    read_answer,
    requested_billing,
)

COUNTS = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
PLAIN = Usage(1000, 200)


def read(provider: str | None, *answers: Any, model: str = "m", **more: Any) -> Inference:
    call = Inference(name=model, provider=provider, server_address=more.pop("host", None))
    read_answer(call, answers, **more)
    return call


RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "gpt-4o-2024-08-06",
    "status": "incomplete",
    "incomplete_details": {"reason": "max_output_tokens"},
    "usage": {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200},
    "metadata": {"usage": {"input_tokens": 7, "output_tokens": 7}, "cost": 1},
}
PLACES: dict[str, tuple[str, Any, str | None]] = {
    "the top": ("openai", {"usage": COUNTS, "choices": [{"finish_reason": "stop"}]}, "stop"),
    "a response": ("openai", RESPONSE, "max_output_tokens"),
    "the last event of a Responses stream": (
        "openai",
        SimpleNamespace(type="response.incomplete", response=SimpleNamespace(**RESPONSE)),
        "max_output_tokens",
    ),
    "an event of Mistral's": (
        "mistral_ai",
        SimpleNamespace(
            data=SimpleNamespace(usage=COUNTS, choices=[SimpleNamespace(finish_reason="length")])
        ),
        "length",
    ),
    "Groq's last chunk": (
        "groq",
        ChatCompletionChunk.model_construct(choices=[], x_groq={"id": "r", "usage": COUNTS}),
        None,
    ),
    "Moonshot's last choice": (
        "moonshot_ai",
        {"choices": [{"finish_reason": "stop", "usage": COUNTS}]},
        "stop",
    ),
    "a message of LangChain's": (
        "openai",
        {"response_metadata": {"token_usage": COUNTS, "finish_reason": "stop"}},
        "stop",
    ),
    "the metadata of a Bedrock stream": (
        "aws.bedrock",
        {"metadata": {"usage": {"inputTokens": 1000, "outputTokens": 200, "totalTokens": 1200}}},
        None,
    ),
    "Cohere's last chunk": (
        "cohere",
        {
            "finish_reason": "COMPLETE",
            "response": {
                "meta": {
                    "tokens": {"input_tokens": 1071.0, "output_tokens": 200.0},
                    "billed_units": {"input_tokens": 1000.0, "output_tokens": 200.0},
                }
            },
        },
        "COMPLETE",
    ),
    "beside the other details": (
        "ollama",
        {"prompt_eval_count": 1000, "eval_count": 200, "done_reason": "stop"},
        "stop",
    ),
    "the last event of Anthropic's stream": (
        "anthropic",
        {"delta": {"stop_reason": "end_turn"}, "usage": {"input_tokens": 1000, "output_tokens": 200}},
        "end_turn",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_where_it_stands(place: str) -> None:
    provider, answer, reason = PLACES[place]
    call = read(provider, answer)
    assert (call.usage, call.finish_reasons) == (PLAIN, None if reason is None else (reason,))
    assert (call.billing, call.reported_usd) == (None, None)


def test_the_details_that_only_the_providers_own_report_has() -> None:
    own = {"token_usage": {**COUNTS, "cached_tokens": 400}}
    other = {"usage": {"prompt_tokens": 7, "completion_tokens": 7, "cached_tokens": 6}}  # of something else
    normal = {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}
    assert read("moonshot_ai", other, own, normal=normal).usage == Usage(1000, 200, 400)


# --- what decides the price ----------------------------------------------------------------------------------------

SEARCH = {"type": "web_search_call", "action": {"type": "search"}}
BILLED: dict[str, tuple[str, Any, dict[str, Any], Billing | None]] = {
    "openai's flex": ("openai", {"service_tier": "flex"}, {}, Billing("flex")),
    "merged chunks": ("openai", {"service_tier": "flexflex"}, {}, Billing("flex")),
    "openai's default": ("openai", {"service_tier": "default"}, {}, Billing("default")),
    "azure": ("azure.ai.openai", {"service_tier": "priority"}, {}, Billing("priority")),
    "anthropic": (
        "anthropic",
        {"usage": {"service_tier": "batch", "speed": "fast", "inference_geo": "us"}},
        {},
        Billing("batch", {"speed": "fast", "inference_geo": "us"}),
    ),
    "anthropic as usual": (
        "anthropic",
        {"usage": {"service_tier": "standard", "speed": "standard", "inference_geo": "not_available"}},
        {},
        Billing("standard", {"speed": "standard", "inference_geo": "not_available"}),
    ),
    "anthropic's searches": (
        "anthropic",
        {"usage": {"server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 3}}},
        {"blocks": [{"type": "server_tool_use", "name": "web_search"}]},
        Billing(units={"web_searches": 2}),
    ),
    "anthropic's searches in a stream": (
        "anthropic",
        {},
        {"blocks": [{"type": "server_tool_use", "name": "web_search"}, {"type": "text"}]},
        Billing(units={"web_searches": 1}),
    ),
    "openai's tools": (
        "openai",
        {},
        {
            "blocks": [
                SEARCH,
                SimpleNamespace(**SEARCH),
                {"type": "web_search_call", "action": {"type": "open_page"}},
                {"type": "file_search_call"},
                {"type": "code_interpreter_call"},
                {"type": "image_generation_call"},
            ]
        },
        Billing(
            units={"web_searches": 2, "file_searches": 1}, unknown=("code_interpreter", "image_generation")
        ),
    ),
    "bedrock": (
        "aws.bedrock",
        {"serviceTier": {"type": "priority"}, "performanceConfig": {"latency": "optimized"}},
        {},
        Billing("priority", {"latency": "optimized"}),
    ),
    "bedrock as usual": (
        "aws.bedrock",
        {"serviceTier": {"type": "default"}, "performanceConfig": {"latency": "standard"}},
        {},
        Billing("default", {"latency": "standard"}),
    ),
    "gemini's priority": (
        "gcp.gemini",
        {"usage_metadata": {"traffic_type": "ON_DEMAND_PRIORITY"}},
        {},
        Billing("on_demand_priority"),
    ),
    "gemini as usual": (
        "gcp.gemini",
        {"usage_metadata": {"traffic_type": "ON_DEMAND"}},
        {},
        Billing("on_demand"),
    ),
    "gemini's capacity": (
        "gcp.vertex_ai",
        {"usage_metadata": {"traffic_type": "PROVISIONED_THROUGHPUT"}},
        {},
        Billing(conditions={"traffic_type": "PROVISIONED_THROUGHPUT"}),
    ),
    "gemini 2 bills the grounded answer": (
        "gcp.gemini",
        {"grounding_metadata": {"web_search_queries": ["a", "b"]}},
        {"model": "models/gemini-2.5-pro"},
        Billing(units={"web_searches": 1}),
    ),
    "gemini 3 bills each search": (
        "gcp.gemini",
        {"grounding_metadata": {"web_search_queries": ["a", "b"]}},
        {"model": "gemini-3-pro"},
        Billing(units={"web_searches": 2}),
    ),
    "groq": ("groq", {"service_tier": "flex"}, {}, Billing("flex")),
    "mistral": (
        "mistral_ai",
        {"usage": {**COUNTS, "service_tier": "priority", "prompt_audio_seconds": 30}},
        {},
        Billing("priority", units={"audio_seconds": 30}),
    ),
    "xai": ("x_ai", {"usage": {**COUNTS, "num_sources_used": 4}}, {}, Billing(units={"sources": 4})),
    "perplexity": (
        "perplexity",
        {"usage": {**COUNTS, "search_context_size": "low"}},
        {"model": "sonar"},
        Billing(conditions={"search_context_size": "low"}, units={"requests": 1}),
    ),
    "perplexity's deep research": (
        "perplexity",
        {"usage": {**COUNTS, "citation_tokens": 700, "num_search_queries": 18}},
        {"model": "sonar-deep-research"},
        Billing(units={"citation_tokens": 700, "web_searches": 18}),
    ),
    "a model that always searches": (
        "openai",
        {"usage": COUNTS},
        {"model": "gpt-4o-search-preview"},
        Billing(units={"web_searches": 1}),
    ),
    "cohere, what was read": (
        "cohere",
        {"token_count": {"input_tokens": 1071.0, "output_tokens": 200.0}},
        {"normal": {"input_tokens": 1071, "output_tokens": 200, "total_tokens": 1271}},
        Billing(unknown=("billed_tokens",)),
    ),
    "moonshot's stream in LangChain": (
        "openai",
        {},
        {
            "normal": {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200},
            "host": "api.moonshot.ai",
            "streamed": True,
        },
        Billing(unknown=("cached_tokens",)),
    ),
    "mistral's stream in LangChain": (
        "mistral_ai",
        {},
        {"normal": {"input_tokens": 1000, "output_tokens": 200, "total_tokens": 1200}, "streamed": True},
        Billing(unknown=("cached_tokens",)),
    ),
    "a stream in which nothing was cached": (
        "openai",
        {},
        {
            "normal": {
                "input_tokens": 1000,
                "output_tokens": 200,
                "total_tokens": 1200,
                "input_token_details": {"cache_read": 0},
            },
            "host": "api.moonshot.ai",
            "streamed": True,
        },
        None,
    ),
    "anthropic's compaction": (
        "anthropic",
        {"usage": {"input_tokens": 9, "output_tokens": 1, "iterations": [{"type": "compaction"}, {}]}},
        {},
        Billing(unknown=("compaction",)),
    ),
    "anthropic's compaction in a stream": (
        "anthropic",
        {},
        {"blocks": [{"type": "compaction", "content": "so far"}, {"type": "text"}]},
        Billing(unknown=("compaction",)),
    ),
    "anthropic's advisor": (
        "anthropic",
        {"usage": {"input_tokens": 9, "output_tokens": 1, "iterations": [{"type": "advisor_message"}]}},
        {},
        Billing(unknown=("other_models",)),
    ),
    "cache writes of nobody knows what lifetime": (
        "anthropic",
        {"usage": {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9}},
        {},
        Billing(unknown=("cache_write_lifetime",)),
    ),
}


@pytest.mark.parametrize("case", BILLED)
def test_what_decides_the_price(case: str) -> None:
    provider, answer, more, billing = BILLED[case]
    found = read(provider, answer, **more).billing
    if found is not None:  # what is found is in no order
        found = Billing(found.service_tier, found.conditions, found.units, tuple(sorted(found.unknown)))
    assert found == billing


@pytest.mark.parametrize(
    ("asked", "answered", "tier"),
    [
        ("flex", "default", "default"),
        ("flex", "priority", "priority"),
        ("flex", None, "flex"),
        ("auto", None, "auto"),
        (None, "flex", "flex"),
    ],
)
def test_the_tier_of_the_response_comes_before_that_of_the_request(
    asked: str | None, answered: str | None, tier: str
) -> None:
    call = Inference(provider="azure.ai.openai")
    call.billing = requested_billing(call.provider, {"service_tier": asked}, {})
    read_answer(call, [{"usage": COUNTS, "service_tier": answered}])
    assert call.billing == Billing(tier)


def test_what_was_asked_for_in_the_body_counts_too() -> None:
    asked = {"extra_body": {"speed": "fast", "service_tier": "flex"}, "service_tier": "priority"}
    assert requested_billing("anthropic", asked) == Billing("priority", {"speed": "fast"})


def test_what_was_asked_for_counts_where_the_answer_does_not_say() -> None:
    call = Inference(provider="anthropic")
    call.billing = requested_billing("anthropic", {"inference_geo": "us", "speed": "fast"})
    read_answer(call, [{"usage": {"input_tokens": 1, "output_tokens": 1, "speed": "standard"}}])
    assert call.billing == Billing(conditions={"inference_geo": "us", "speed": "standard"})


COSTS: dict[str, tuple[Any, str | None, tuple[str, ...]]] = {
    "openrouter": ({"usage": {**COUNTS, "cost": 0.0125, "is_byok": False}}, "0.0125", ()),
    "zero is a cost": ({"usage": {**COUNTS, "cost": 0}}, "0", ()),
    "one's own key": (
        {"usage": {**COUNTS, "cost": 0.1, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}},
        "0.3",
        (),
    ),
    "one's own key, which nobody said": (
        {"cost": 0.0125, "cost_details": {"upstream_inference_cost": 0.25}},
        "0.2625",
        (),
    ),
    "what openrouter paid itself": (
        {"cost": 0.25, "cost_details": {"upstream_inference_cost": 0.25}},
        "0.25",
        (),
    ),
    "one's own key, whose bill nobody said": (
        {"usage": {**COUNTS, "cost": 0.0125, "is_byok": True}},
        "0.0125",
        ("upstream_cost",),
    ),
    "perplexity": (
        {"usage": {**COUNTS, "cost": {"request_cost": 0.005, "total_cost": 0.0062}}},
        "0.0062",
        (),
    ),
    "xai's ticks": ({"usage": {**COUNTS, "cost_in_usd_ticks": 160_000_001}}, "0.0160000001", ()),
    "a text": ({"usage": {**COUNTS, "cost": "0.0045405"}}, "0.0045405", ()),
    "nonsense": ({"usage": {**COUNTS, "cost": -1}}, None, ()),
    "no number": ({"usage": {**COUNTS, "cost": float("nan")}}, None, ()),
    "none": ({"usage": COUNTS}, None, ()),
}


@pytest.mark.parametrize("case", COSTS)
def test_reported_cost(case: str) -> None:
    answer, usd, unknown = COSTS[case]
    call = read("openrouter", answer)
    assert call.reported_usd == (None if usd is None else Decimal(usd))
    assert (call.billing.unknown if call.billing else ()) == unknown


# --- the end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "cut", "reasons"),
    [
        ([{"finish_reason": "stop"}], False, ("stop",)),
        ([{"finish_reason": None}], False, None),
        ([{}], False, None),
        ([{}], True, ("error",)),
        ([], True, None),
        ([{"finish_reason": "stop"}, {"finish_reason": None}], False, ("stop", "error")),
        ([{"object": "response", "status": "completed"}], False, ("stop",)),
        ([{"object": "response", "status": "in_progress"}], True, ("error",)),
        ([{"status": "completed"}], False, None),  # of something else
    ],
)
def test_finish_reasons(said: list[Any], cut: bool, reasons: tuple[str, ...] | None) -> None:
    assert read("openai", *said, cut=cut).finish_reasons == reasons


def test_what_nobody_said_is_unknown_in_a_message() -> None:
    assert [message_finish_reason(reason) for reason in (None, "end_turn", "COMPLETE", "new")] == [
        "unknown",
        "stop",
        "stop",
        "new",
    ]


@pytest.mark.parametrize(
    ("provider", "more", "is_final"),
    [
        ("gcp.gemini", {"streamed": True}, False),
        ("gcp.gemini", {}, True),
        ("gcp.gemini", {"streamed": True, "reasons": ["STOP"]}, True),
        ("aws.bedrock", {"streamed": True}, True),  # its stream counts once, at the end
        ("aws.bedrock", {"streamed": True, "cut": True}, False),
        ("openai", {"streamed": True, "counted_again": True}, False),
    ],
)
def test_counts_of_a_stream_that_may_have_gone_on(
    provider: str, more: dict[str, Any], is_final: bool
) -> None:
    assert read(provider, {"usage": COUNTS}, **more).usage == Usage(1000, 200, is_final=is_final)


def normal(sent: int, received: int) -> dict[str, int]:
    return {"input_tokens": sent, "output_tokens": received, "total_tokens": sent + received}


def test_chunks_that_count_from_the_beginning_are_not_added_up() -> None:
    call = Inference(provider="openai", server_address="vllm.acme.example")
    for received in (0, 100, 200):
        add_chunk_usage(call, normal(1000, received))
    read_answer(call, [{"finish_reason": "stop"}], normal=normal(3000, 300), streamed=True)
    assert call.usage == PLAIN


def test_chunks_that_count_what_came_since_the_last_one_are_added_up() -> None:
    call = Inference(provider="gcp.gemini")
    for sent, received in ((1000, 1), (50, 199)):
        add_chunk_usage(call, normal(sent, received))
    read_answer(call, [{"finish_reason": "STOP"}], normal=normal(1050, 200), streamed=True)
    assert call.usage == Usage(1050, 200)


def test_a_stream_without_usage_is_said_once_for_each_model(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "otel_callbacks"):
        for model in ("told-once-1", "told-once-1", "told-once-2"):
            read("openai", {}, model=model, streamed=True, how_to_get_usage="write this")
        read("openai", {}, model="told-once-3", streamed=True, cut=True)
        read("openai", {}, model="told-once-4")
        read("acme", {}, model="told-once-5", streamed=True)
    assert [record.getMessage() for record in caplog.records] == [
        "streamed answers of told-once-1 (openai) come without usage, so they have no cost; write this",
        "streamed answers of told-once-2 (openai) come without usage, so they have no cost; write this",
        "streamed answers of told-once-5 (acme) come without usage, so they have no cost; for a rough count of their"
        " tokens, which is never priced, make the handler with estimate_usage=True",
    ]
