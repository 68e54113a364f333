"""What a provider bills by other rates or beside the tokens: one row of a table for each of its words.

Tiers and conditions are kept as they were said; `cost/terms.py` knows which of them change nothing.

Conditions, which decide the rate of the tokens:
    speed: Anthropic's faster inference ("fast").
    inference_geo: the part of the world that Anthropic's inference is kept in ("us").
    latency: Bedrock's latency-optimized inference ("optimized").
    traffic_type: Google's capacity that was bought beforehand ("PROVISIONED_THROUGHPUT").
    search_context_size: how much Perplexity searched ("low", "medium", "high"); decides the fee of a request only.

Units, which are billed by number:
    requests: the call has a fee of its own.
    web_searches: searches of the web; for Gemini 2 a grounded answer is one, however often it searched.
    file_searches: searches of OpenAI's vector stores.
    sources: the sources of xAI's live search.
    citation_tokens: what Perplexity read of the pages that it cites; not in the input.
    audio_seconds: sound in a prompt of Mistral's, billed by its length.
    rerank_searches: Cohere's search units.

Unknown, which is billed, and nobody said how much:
    code_interpreter: sandboxes of OpenAI's and Anthropic's code execution.
    image_generation: images that OpenAI's tool made.
    upstream_cost: what the provider behind OpenRouter bills for the application's own key.
    audio_tokens: sound in a prompt to Gemini, which costs more than text; langchain-google-genai drops the count.
    cached_tokens: how much of the prompt was read from the cache, which costs less.
    cache_write_lifetime: how many of the cache writes are kept for an hour, which costs more.
    maps: an answer that Gemini took from Google's maps, which has a fee of its own.
    compaction: the run in which Anthropic's model made the conversation shorter; not in the counts.
    other_models: runs of other models than the one that answered (Anthropic's advisor and fallback).
    reported_cost: what OpenRouter says that the call cost; it depends on who answered.
    billed_tokens: the tokens that are billed; those reported are the ones that were read (Cohere).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from otel_callbacks.limits import ITEMS_READ, MESSAGE_BLOCKS_READ, first
from otel_callbacks.operations.payload import items, mapping_or_fields, undo_repetition, word
from otel_callbacks.operations.providers.payload_places import enum_word
from otel_callbacks.operations.providers.usage_counts import token_count
from otel_callbacks.operations.usage import Billing


class _Bill:
    """A bill while it is read."""

    def __init__(self, provider: str | None, model: str, requested: Billing | None) -> None:
        self.provider, self.model = provider, model
        self.service_tier = requested.service_tier if requested is not None else None
        self.conditions = dict(requested.conditions or ()) if requested is not None else {}
        self.units = dict(requested.units or ()) if requested is not None else {}
        self.unknown: dict[str, None] = dict.fromkeys(requested.unknown if requested is not None else ())

    def count(self, unit: str, value: Any) -> None:
        if counted := token_count(value):
            self.units[unit] = counted

    def condition(self, name: str, value: str | None) -> None:
        if value is not None:
            self.conditions[name] = value

    def done(self) -> Billing | None:
        if not (self.service_tier or self.conditions or self.units or self.unknown):
            return None
        return Billing(self.service_tier, self.conditions or None, self.units or None, tuple(self.unknown))


def _service_tier(bill: _Bill, value: Any) -> None:
    said = enum_word(value) or mapping_or_fields(value).get("type")  # Bedrock: {"type": "priority"}
    bill.service_tier = undo_repetition(said) or bill.service_tier


def _traffic_type(bill: _Bill, value: Any) -> None:
    traffic = enum_word(value) or ""
    if traffic.startswith("ON_DEMAND"):
        bill.service_tier = traffic.lower()
    elif traffic.startswith("PROVISIONED"):
        bill.condition("traffic_type", traffic)


def _latency(bill: _Bill, value: Any) -> None:
    bill.condition("latency", word(mapping_or_fields(value).get("latency")))


def _server_tools(bill: _Bill, value: Any) -> None:
    used = mapping_or_fields(value)
    bill.count("web_searches", used.get("web_search_requests"))
    if token_count(used.get("code_execution_requests")):
        bill.unknown["code_interpreter"] = None


def _xai_tools(bill: _Bill, value: Any) -> None:
    used = mapping_or_fields(value)
    searches = (token_count(used.get(name)) or 0 for name in ("web_search_calls", "x_search_calls"))
    bill.count("web_searches", sum(searches))
    bill.count("file_searches", used.get("file_search_calls"))
    if token_count(used.get("code_interpreter_calls")):
        bill.unknown["code_interpreter"] = None


def _grounding(bill: _Bill, value: Any) -> None:
    known = mapping_or_fields(value)
    chunks = items(known.get("grounding_chunks")) or items(known.get("groundingChunks"))
    if any(mapping_or_fields(chunk).get("maps") is not None for chunk in chunks[:ITEMS_READ]):
        bill.unknown["maps"] = None
    queries = items(known.get("web_search_queries")) or items(known.get("webSearchQueries"))
    if queries:
        per_answer = bill.model.startswith(("gemini-1", "gemini-2"))
        bill.units["web_searches"] = 1 if per_answer else len(queries)


def _search_parameters(bill: _Bill, value: Any) -> None:
    """Notes that xAI may search; how many sources it used is what the answer says, if that is passed on."""
    asked = mapping_or_fields(value)
    if asked and word(asked.get("mode")) != "off":
        bill.unknown["sources"] = None


def _sources(bill: _Bill, value: Any) -> None:
    if token_count(value) is not None:
        bill.unknown.pop("sources", None)
    bill.count("sources", value)


def _iterations(bill: _Bill, value: Any) -> None:
    """Notes the runs in which Anthropic did not answer: the counts beside them leave those out."""
    for run in items(value)[:ITEMS_READ]:
        kind = word(mapping_or_fields(run).get("type"))
        if kind in _OTHER_RUNS:
            bill.unknown[_OTHER_RUNS[kind]] = None


_OTHER_RUNS = {
    "compaction": "compaction",
    "advisor_message": "other_models",
    "fallback_message": "other_models",
}


def _condition(name: str) -> Callable[[_Bill, Any], None]:
    return lambda bill, value: bill.condition(name, word(value))


def _unit(name: str) -> Callable[[_Bill, Any], None]:
    return lambda bill, value: bill.count(name, value)


_REQUESTED: dict[str, Callable[[_Bill, Any], None]] = {
    "service_tier": _service_tier,  # beside the usage; Anthropic's and Mistral's is inside
    "serviceTier": _service_tier,  # Bedrock
    "performanceConfig": _latency,  # Bedrock
    "performance_config": _latency,
    "speed": _condition("speed"),  # Anthropic
    "inference_geo": _condition("inference_geo"),  # Anthropic
    "search_parameters": _search_parameters,  # xAI
}
"""What may be asked for; what the response says counts instead."""
_REQUESTING = frozenset((*_REQUESTED, "extra_body"))
REPORTED: dict[str, Callable[[_Bill, Any], None]] = {
    **_REQUESTED,
    "traffic_type": _traffic_type,  # Google
    "trafficType": _traffic_type,
    "grounding_metadata": _grounding,  # Google
    "groundingMetadata": _grounding,
    "server_tool_use": _server_tools,  # Anthropic, OpenRouter
    "iterations": _iterations,  # Anthropic
    "server_side_tool_usage_details": _xai_tools,  # xAI
    "num_sources_used": _sources,  # xAI
    "num_search_queries": _unit("web_searches"),  # Perplexity
    "citation_tokens": _unit("citation_tokens"),  # Perplexity
    "search_context_size": _condition("search_context_size"),  # Perplexity
    "prompt_audio_seconds": _unit("audio_seconds"),  # Mistral
    "search_units": _unit("rerank_searches"),  # Cohere
}


def requested_billing(provider: str | None, *sources: Mapping[str, Any]) -> Billing | None:
    """Returns what a request asks for that changes the price; later sources win."""
    if _REQUESTING.isdisjoint(chain.from_iterable(sources)):  # so do nearly all
        return None
    bill = _Bill(provider, "", None)
    for source in sources:
        for asked in (
            (mapping_or_fields(source["extra_body"]), source) if "extra_body" in source else (source,)
        ):
            for key in _REQUESTED.keys() & asked.keys():
                _REQUESTED[key](bill, asked[key])
    return bill.done()


DEARER_SOUND = {"gcp.gemini", "gcp.vertex_ai"}
"""The providers for whom sound in a prompt is dearer than text, and whose counts by modality LangChain drops."""


def with_uncounted_sound(billing: Billing | None) -> Billing:
    """Adds to a billing that the prompt has sound whose length no report will give."""
    known = billing or Billing()
    return replace(known, unknown=(*known.unknown, "audio_tokens"))


def read_billing(
    provider: str | None,
    model: str | None,
    requested: Billing | None,
    sources: Sequence[Mapping[str, Any]],
    blocks: Sequence[Any] = (),
    unknown: Iterable[str] = (),
) -> Billing | None:
    """Returns what a response says of its price.

    Args:
        provider: the conventions' name.
        model: the model that answered.
        requested: what the request asked for, and what is known already of this response.
        sources: the layers of the payloads, and the usage reports in them.
        blocks: the blocks of the answer, among which the calls of the provider's own tools are.
        unknown: what else is billed and not counted.
    """
    bill = _Bill(provider, (model or "").removeprefix("models/"), requested)
    for source in sources:
        for key in REPORTED.keys() & source.keys():
            REPORTED[key](bill, source[key])
    bill.unknown.update(dict.fromkeys(unknown))
    if blocks:
        _read_blocks(bill, blocks)
    if (rule := WITH_RULES.get(provider or "")) is not None:
        rule(bill)
    return bill.done()


# --- the provider's own tools, among the blocks of an answer --------------------------------------------------------


def _read_blocks(bill: _Bill, blocks: Sequence[Any]) -> None:
    """Counts the calls of the provider's own tools, unless it counts them itself."""
    counted: dict[str, int] = {}
    for block in first(blocks, MESSAGE_BLOCKS_READ, "blocks of a message"):
        known = mapping_or_fields(block)
        kind = word(known.get("type"))
        if kind == "web_search_call" and _is_search(known):
            counted["web_searches"] = counted.get("web_searches", 0) + 1
        elif kind == "file_search_call":
            counted["file_searches"] = counted.get("file_searches", 0) + 1
        elif kind in ("server_tool_use", "server_tool_call"):
            name = word(known.get("name")) or ""
            if name == "web_search":
                counted["web_searches"] = counted.get("web_searches", 0) + 1
            elif "code_execution" in name or name == "code_interpreter":
                bill.unknown["code_interpreter"] = None
        elif kind in _UNCOUNTED:
            bill.unknown[_UNCOUNTED[kind]] = None
        elif kind in _LEFT_BY_OTHER_RUNS and known.get("content") is not None:
            bill.unknown[_LEFT_BY_OTHER_RUNS[kind]] = None
    for unit, count in counted.items():
        bill.units.setdefault(unit, count)


_UNCOUNTED = {
    "code_interpreter_call": "code_interpreter",
    "image_generation_call": "image_generation",
}
_LEFT_BY_OTHER_RUNS = {"compaction": "compaction", "advisor_tool_result": "other_models"}
"""The blocks that show Anthropic's other runs in a stream, of whose counts LangChain drops these."""


def _is_search(call: Mapping[str, Any]) -> bool:
    """Tells whether a call of OpenAI's tool searched; opening a page and looking for a word in it are free."""
    return word(mapping_or_fields(call.get("action")).get("type")) in (None, "search")


# --- rules of one provider -----------------------------------------------------------------------------------------


def _openai(bill: _Bill) -> None:
    """Some models search the web in every call."""
    if "-search-preview" in bill.model or "-search-api" in bill.model:
        bill.units.setdefault("web_searches", 1)


def _perplexity(bill: _Bill) -> None:
    """Each request has a fee, but that of a deep research, which bills each search."""
    if bill.model.startswith("sonar") and "deep-research" not in bill.model:
        bill.units["requests"] = 1
        bill.units.pop("web_searches", None)


WITH_RULES: dict[str, Callable[[_Bill], None]] = {
    "openai": _openai,
    "azure.ai.openai": _openai,
    "perplexity": _perplexity,
}
