"""Finished spans for the reports: made by hand, so that every figure can be checked by eye."""

from typing import Any

from otel_callbacks.explore import SpanRecord

SECOND = 10**9
DAY_1 = 1_791_331_200 * SECOND  # 2026-10-07T00:00:00Z
DAY = 86_400 * SECOND
SHORT = {
    "tenant": "app.tenant_id",
    "feature": "app.feature",
    "user": "user.id",
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "answered": "gen_ai.response.model",
    "sent": "gen_ai.usage.input_tokens",
    "received": "gen_ai.usage.output_tokens",
    "cached": "gen_ai.usage.cache_read.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "usd": "gen_ai.usage.cost_usd",
    "theirs": "gen_ai.usage.cost",
    "status": "otel_callbacks.cost.status",
    "reason": "otel_callbacks.cost.unpriced_reason",
    "saved": "otel_callbacks.cost.saved_usd",
    "error": "error.type",
}


def span(
    span_id: str,
    parent: str | None = None,
    *,
    start: int = DAY_1,
    seconds: float = 1.0,
    trace: str = "t",
    resource: dict[str, Any] | None = None,
    **attributes: Any,
) -> SpanRecord:
    named = {SHORT.get(name, name): value for name, value in attributes.items()}
    end = start + round(seconds * SECOND)
    return SpanRecord(trace, span_id, parent, "s", "CLIENT", start, end, named, resource=resource or {})


def call(span_id: str, parent: str | None = None, **given: Any) -> SpanRecord:
    """A call of gpt-4o with 1,000 tokens in and 100 out, at its list price."""
    usual = {
        "operation": "chat",
        "provider": "openai",
        "model": "gpt-4o",
        "sent": 1_000,
        "received": 100,
        "usd": 0.0035,
    }
    return span(span_id, parent, **(usual | given))
