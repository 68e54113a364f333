"""What a model's answer reports, added to its operation: one way for both frameworks.

A framework's translator says where the payloads are. Here they are read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

from otel_callbacks.operations.operation import Inference
from otel_callbacks.operations.payload import mapping_or_fields, without_repetition
from otel_callbacks.operations.providers.api_types import openai_api_type
from otel_callbacks.operations.providers.billing import REPORTED, WITH_RULES, read_billing
from otel_callbacks.operations.providers.compaction import COMPACTION, MARKS, read_compaction
from otel_callbacks.operations.providers.endpoints import who_answers
from otel_callbacks.operations.providers.finish_reasons import read_finish_reasons
from otel_callbacks.operations.providers.missing_usage import log_missing_usage
from otel_callbacks.operations.providers.payload_places import (
    REPORTING,
    Layers,
    finish_reasons_in,
    first_word,
    layers,
    usage_reports_in,
)
from otel_callbacks.operations.providers.reported_cost import COST_KEYS, ReportedCost, reported_cost
from otel_callbacks.operations.providers.usage_reports import first_usage, read_usage
from otel_callbacks.operations.usage import Usage

_MODEL_KEYS = ("model_name", "model", "model_id", "model_version", "modelVersion")
_ID_KEYS = ("id", "response_id", "responseId")
_COUNT_SO_FAR = {
    "anthropic",  # the first event counts one token of the answer
    "gcp.gemini",  # every chunk
    "gcp.vertex_ai",
    "perplexity",
}
"""The providers whose streams report counts before their end."""
_CACHE_OUTSIDE_NORMAL_FORM = {
    "mistral_ai",
    "api.moonshot.ai",
    "api.moonshot.cn",
    "api.deepseek.com",
    "api.together.ai",
    "api.together.xyz",
}
"""The providers, and hosts of OpenAI's imitators, whose streams tell of cached tokens where LangChain does not look."""
_DEEP_RESEARCH = "sonar-deep-research"
"""Perplexity's, which bills what it read, thought and searched; other clients than Perplexity's drop all three."""
_OPENROUTER = "openrouter.ai"
"""Says what a call costs at the end of a stream, which LangChain's client for OpenAI does not pass on."""

_RARE = frozenset((*REPORTED, *COST_KEYS, *MARKS))
"""The keys that most answers do not have: what is billed beside the tokens, costs, compactions."""
_TELLING = _RARE | REPORTING
_COUNTS_LESS = {"anthropic", "cohere"}
"""The providers of whose bill something may be missing in the counts."""


def read_answer(
    operation: Inference,
    answers: Sequence[Any],
    more: Sequence[Any] = (),
    *,
    reasons: Sequence[str | None] | None = None,
    normal: Any = None,
    blocks: Sequence[Any] = (),
    streamed: bool = False,
    counted_again: bool = False,
    cut: bool = False,
    how_to_get_usage: str | None = None,
) -> None:
    """Adds what an answer reports to its operation: usage, billing, cost, finish reasons, model and id.

    Args:
        operation: the model call.
        answers: the payloads of the answers, one for each choice, or one with all choices in it.
        more: payloads that are about all of them.
        reasons: the finish reasons, if they were found in other chunks.
        normal: the usage in LangChain's normal form.
        blocks: the blocks of the answer, among which the calls of the provider's own tools are.
        streamed: the answer came in chunks.
        counted_again: several chunks had counts.
        cut: the call failed, or was left, before the answer ended.
        how_to_get_usage: what to write so that the framework's streams report usage; None if nothing helps.
    """
    provider = operation.provider
    answering = who_answers(provider, operation.server_address)
    found = [*map(layers, answers, repeat(provider))]
    if reasons is None:
        reasons = [reason for each in found for reason in finish_reasons_in(each) or (None,)]
    operation.finish_reasons = read_finish_reasons(reasons, cut=cut)
    found += map(layers, more, repeat(provider))
    every = found[0] if len(found) == 1 else [*chain.from_iterable(found)]
    _add_identity(operation, every)
    said = _TELLING.intersection(chain.from_iterable(every))
    reports = [*chain.from_iterable(map(usage_reports_in, found))] if said & REPORTING else []
    usage, known = first_usage(reports, provider, operation.server_address, normal=normal), operation.usage
    if usage is None:  # what the last chunk that counted anew had, or `record_usage` set in the body
        usage = known
    elif streamed and known is not None and _was_added_up(usage, known):
        usage, counted_again = known, True
    if usage is None:
        if streamed and not cut:
            log_missing_usage(provider, operation.name, how_to_get_usage)
    elif streamed and not any(reasons) and (cut or counted_again or answering in _COUNT_SO_FAR):
        usage = replace(usage, is_final=False)
    operation.usage = usage
    beside = [*reports, *_more_details(normal)]
    rare = _RARE.intersection(chain(said, *beside))
    if rare & MARKS or blocks or COMPACTION in (operation.finish_reasons or ()):
        read_compaction(operation, every, reports, blocks)
    cost = reported_cost((*every, *beside)) if rare & COST_KEYS else None
    if cost is not None:
        operation.reported_usd = cost.usd
    unknown: list[str] = []
    if cost is not None or provider in _COUNTS_LESS:
        unknown += _not_counted(operation, cost, normal)
    if streamed and not reports:
        unknown += _dropped(operation, normal)
    if rare or blocks or unknown or operation.billing is not None or answering in WITH_RULES:
        model, sources = operation.response_model or operation.name, [*every, *beside]
        operation.billing = read_billing(answering, model, operation.billing, sources, blocks, unknown)


def add_chunk_usage(operation: Inference, reported: Any) -> None:
    """Notes the usage of a chunk, in LangChain's normal form.

    LangChain adds up the usage of all chunks. That is right for chunks that count what has come since the last one, and
    wrong for those that count from the beginning (vLLM with `continuous_usage_stats`). Then the last one counts.
    """
    usage = read_usage(reported, operation.provider, operation.server_address, normal=True)
    known = operation.usage
    if usage is not None and (known is None or (usage.input_tokens or 0) >= (known.input_tokens or 0)):
        operation.usage = usage


def _was_added_up(usage: Usage, last: Usage) -> bool:
    """Tells whether a usage has the prompt of its last chunk more than once."""
    return bool(last.input_tokens) and (usage.input_tokens or 0) >= 2 * (last.input_tokens or 0)


def _add_identity(operation: Inference, found: Layers) -> None:
    if not operation.response_model and (model := first_word(found, _MODEL_KEYS)):
        operation.response_model = without_repetition(model)
    if not operation.response_id and (identity := first_word(found, _ID_KEYS)):
        operation.response_id = identity
    if operation.provider == "openai":
        operation.api_type = operation.api_type or next(filter(None, map(openai_api_type, found)), None)
        if tier := first_word(found, ("service_tier",)):
            operation.response_service_tier = without_repetition(tier)
        if fingerprint := first_word(found, ("system_fingerprint",)):
            operation.system_fingerprint = without_repetition(fingerprint)


def _more_details(normal: Any) -> Layers:
    """Returns the details of the output in a usage in LangChain's normal form: Perplexity's citations are there."""
    details = None if normal is None else mapping_or_fields(normal).get("output_token_details")
    return [] if details is None else [mapping_or_fields(details)]


def _not_counted(operation: Inference, cost: ReportedCost | None, normal: Any) -> Iterator[str]:
    """Yields what is billed and nobody counted, see `billing.py`."""
    provider, usage = operation.provider, operation.usage
    if cost is not None and not cost.complete:
        yield "upstream_cost"
    if usage is None:
        return
    written, for_an_hour = usage.cache_write_input_tokens, usage.cache_write_1h_input_tokens
    if provider == "anthropic" and written and for_an_hour is None:
        yield "cache_write_lifetime"  # a stream's first event has it, which no integration keeps
    if normal is not None and provider == "cohere":
        # langchain-cohere passes on what is billed only when it streams, and without a normal form then
        yield "billed_tokens"


def _dropped(operation: Inference, normal: Any) -> Iterator[str]:
    """Yields what the provider counted and LangChain's normal form, all that is left of a stream, has no place for."""
    if normal is None:
        return
    provider, host, kept = operation.provider, operation.server_address, mapping_or_fields(normal)
    if operation.reported_usd is None and host == _OPENROUTER:
        yield "reported_cost"
    if _DEEP_RESEARCH in (operation.response_model or operation.name or "") and (
        "citation_tokens" not in mapping_or_fields(kept.get("output_token_details"))
    ):
        yield from ("citation_tokens", "reasoning_tokens", "web_searches")
    if not _CACHE_OUTSIDE_NORMAL_FORM.isdisjoint((provider, host)) and (
        mapping_or_fields(kept.get("input_token_details")).get("cache_read") is None
    ):
        yield "cached_tokens"
