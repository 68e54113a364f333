"""Checks the totals of finished traces against the costs and tokens of their calls.

A run's totals go to the nearest run above that is still open when it ends. Those of a run that ends after all runs
above it go nowhere; its span says `late`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

CALLS = ("chat", "embeddings", "rerank")
TOKENS = ("input_tokens", "output_tokens")
LATE = "otel_callbacks.rollup.late"


def exact(value: Any) -> Decimal:
    return Decimal(str(value))


def own(span: ReadableSpan) -> dict[str, Decimal]:
    """Returns the cost and the tokens of a call; nothing for a span that repeats those of others."""
    found: Mapping[str, Any] = span.attributes or {}
    if found.get("gen_ai.operation.name") not in CALLS:
        return dict.fromkeys(("cost_usd", *TOKENS), Decimal(0))
    return {name: exact(found.get(f"gen_ai.usage.{name}", 0)) for name in ("cost_usd", *TOKENS)}


def total(spans: Iterable[ReadableSpan]) -> dict[str, Decimal]:
    """Returns the sums over the calls among these spans."""
    sums = dict.fromkeys(("cost_usd", *TOKENS), Decimal(0))
    for span in spans:
        for name, value in own(span).items():
            sums[name] += value
    return sums


def check(spans: Iterable[ReadableSpan]) -> int:
    """Checks every trace of these spans, which are in the order of their ends; returns how many spans are late."""
    traces: dict[int, list[ReadableSpan]] = defaultdict(list)
    for span in spans:
        traces[span.context.trace_id].append(span)
    return sum(map(_check_trace, traces.values()))


def _check_trace(spans: list[ReadableSpan]) -> int:
    by_id = {span.context.span_id: span for span in spans}
    place = {span.context.span_id: at for at, span in enumerate(spans)}
    counted: dict[int, list[ReadableSpan]] = defaultdict(list)

    def holder(span: ReadableSpan) -> ReadableSpan:
        """Returns the span whose totals have this one in the end."""
        above = span
        while above.parent is not None:
            above = by_id[above.parent.span_id]
            if place[above.context.span_id] > place[span.context.span_id]:
                return holder(above)
        return span

    for span in spans:
        counted[holder(span).context.span_id].append(span)
    for span in spans:
        found: Mapping[str, Any] = span.attributes or {}
        within = counted.get(span.context.span_id)
        assert (LATE in found) == (within is not None and span.parent is not None and has_totals(within))
        if within is not None and (span.parent is None or found.get("gen_ai.operation.name") != "chat"):
            rollup = {
                name: exact(found.get(f"otel_callbacks.rollup.{name}", 0)) for name in ("cost_usd", *TOKENS)
            }
            assert rollup == total(within), span.name
    return sum(LATE in (span.attributes or {}) for span in spans)


def has_totals(spans: Iterable[ReadableSpan]) -> bool:
    """Tells whether one of these spans is of a kind that totals count, even if it used nothing."""
    kinds = (*CALLS, "retrieval", "execute_tool")
    return any((span.attributes or {}).get("gen_ai.operation.name") in kinds for span in spans)
