"""What a model's answer reports, added to its operation: one way for both frameworks.

A framework's translator says where the payloads are. Here they are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from otel_callbacks.operations.operation import Inference
from otel_callbacks.operations.payload import mapping_or_fields, undo_repetition
from otel_callbacks.operations.providers.billing import read_billing
from otel_callbacks.operations.providers.finish_reasons import read_finish_reasons
from otel_callbacks.operations.providers.payload_places import (
    Layers,
    finish_reasons_in,
    first_word,
    layers,
    usage_reports_in,
)
from otel_callbacks.operations.providers.reported_cost import ReportedCost, reported_cost
from otel_callbacks.operations.providers.usage_reports import first_usage
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
    """
    provider = operation.provider
    found = [layers(answer, provider) for answer in answers]
    if reasons is None:
        reasons = [reason for each in found for reason in finish_reasons_in(each) or (None,)]
    operation.finish_reasons = read_finish_reasons(reasons, cut=cut)
    found += [layers(payload, provider) for payload in more]
    _add_identity(operation, [fields for each in found for fields in each])
    reports = [report for each in found for report in usage_reports_in(each)]
    usage = first_usage(reports, provider, operation.server_address, normal=normal)
    if usage is None:
        usage = operation.usage  # what `record_usage` set in the body
    elif streamed and not any(reasons) and (cut or counted_again or provider in _COUNT_SO_FAR):
        usage = replace(usage, is_final=False)
    operation.usage = usage
    sources = [*(fields for each in found for fields in each), *_reported(reports, normal)]
    cost = reported_cost(sources)
    if cost is not None:
        operation.reported_usd = cost.usd
    operation.billing = read_billing(
        provider,
        operation.response_model or operation.name,
        operation.billing,
        sources,
        blocks,
        _not_counted(provider, usage, cost, normal),
    )


def _add_identity(operation: Inference, found: Layers) -> None:
    operation.response_model = operation.response_model or undo_repetition(first_word(found, _MODEL_KEYS))
    operation.response_id = operation.response_id or first_word(found, _ID_KEYS)
    if operation.provider == "openai":
        tier, fingerprint = first_word(found, ("service_tier",)), first_word(found, ("system_fingerprint",))
        operation.response_service_tier = undo_repetition(tier) or operation.response_service_tier
        operation.system_fingerprint = undo_repetition(fingerprint) or operation.system_fingerprint


def _reported(reports: Sequence[Any], normal: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the fields of usage reports, among which there is more than counts."""
    yield from map(mapping_or_fields, reports)
    if normal is not None:  # Perplexity's citations
        yield mapping_or_fields(mapping_or_fields(normal).get("output_token_details"))


def _not_counted(
    provider: str | None, usage: Usage | None, cost: ReportedCost | None, normal: Any
) -> Iterator[str]:
    """Yields what is billed and nobody counted, see `billing.py`."""
    if cost is not None and not cost.complete:
        yield "upstream_cost"
    if usage is None:
        return
    written, for_an_hour = usage.cache_write_input_tokens, usage.cache_write_1h_input_tokens
    if provider == "anthropic" and written and for_an_hour is None:
        yield "cache_write_lifetime"  # a stream's first event has it, which no integration keeps
    if provider == "cohere" and normal is not None:
        yield "billed_tokens"  # langchain-cohere passes them on only when it streams, and without a normal form then
