"""One trace and its spans as plain dictionaries."""

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from otel_callbacks import limits, semconv
from otel_callbacks.explore.pictures.recorded import Piece, recorded
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree
from otel_callbacks.runtime.json_text import amount, bounded

Content: TypeAlias = Literal["none", "beginnings", "whole"]
"""How much is shown of what was recorded of spans: nothing, the beginning of each text, or all."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OF_A_CALL: Mapping[str, Callable[[SpanRecord], Any]] = {
    "input_tokens": lambda span: span.input_tokens,
    "output_tokens": lambda span: span.output_tokens,
    "cache_read_tokens": lambda span: span.cache_read_tokens,
    "cache_missed_tokens_estimated": lambda span: span.attributes.get(semconv.CACHE_MISSED_TOKENS),
    "cache_miss_reason": lambda span: span.attributes.get(semconv.CACHE_MISS_REASON),
    "cost_usd": lambda span: amount(span.cost),
    "cost_status": lambda span: span.cost_status,
    "unpriced_reason": lambda span: span.unpriced_reason,
}
_OF_A_SPAN: Mapping[str, Callable[[SpanRecord], Any]] = {
    "operation": lambda span: span.operation,
    "error_type": lambda span: span.error_type,
    "outcome": lambda span: span.outcome,
    "model": lambda span: span.model,
    "provider": lambda span: span.provider,
    "tool": lambda span: span.tool_name,
    "agent": lambda span: span.agent_name,
    "finish_reasons": lambda span: list(map(line, span.finish_reasons[: limits.ANSWER_PIECES])) or None,
    "time_to_first_chunk_seconds": lambda span: span.time_to_first_chunk,
    "candidates": lambda span: span.candidates_count,
    "documents": lambda span: span.documents_count,
    "top_score": lambda span: span.top_score,
}
_UNITS = {
    "time": "time_seconds",
    "mean": "mean_seconds",
    "most": "longest_seconds",
    "cost": "cost_usd",
    "unpriced": "unpriced_calls",
    "trace": "trace_id",
}
_LABELS = ("tenant", "feature", "user", "session")


def trace_facts(trace: SpanTree) -> dict[str, Any]:
    """Returns what a trace is, took, used and cost; `start` is in UTC, costs are in US dollars as strings."""
    first = trace.roots[0]
    labels = {name: line(value) for name in _LABELS if (value := getattr(first, name)) is not None}
    judged = [
        {"name": line(each.name), "score": each.score, "label": line(each.label)}
        for each in trace.evaluations[: limits.ANSWER_PIECES]
    ]
    return {
        "trace_id": trace.trace_id,
        "name": line(trace.name),
        "start": utc(trace.start_ns),
        "duration_seconds": trace.duration,
        "span_count": len(trace.spans),
        "errors": len(trace.errors),
        "model_calls": len(trace.model_calls),
        "input_tokens": trace.input_tokens,
        "output_tokens": trace.output_tokens,
        "cost_usd": amount(trace.cost),
        "unpriced_calls": len(trace.unpriced),
        **labels,
        **({"evaluations": judged} if judged else {}),
    }


def spans_facts(trace: SpanTree, content: Content = "none") -> Iterator[dict[str, Any]]:
    """Yields the spans of a trace, parents first; what is not known of one is left out.

    `depth` counts the spans above, and `start_seconds` is the time since the trace started. Tokens and cost stand on
    the spans that they belong to, so that they add up to those of the trace.
    """
    depths: dict[str, int] = {}
    pieces = {span.span_id: said for span, said in recorded(trace)} if content != "none" else {}
    for span in trace.walk():
        depths[span.span_id] = depth = depths.get(span.parent_id or "", -1) + 1
        facts = {"span_id": span.span_id, "parent_id": span.parent_id, "depth": depth, **span_facts(span)}
        facts["start_seconds"] = (span.start_ns - trace.start_ns) / 1e9
        if trace.began_failing_at(span):
            facts["failed_here"] = True
        if content != "none":
            facts |= _content(span, pieces.get(span.span_id, []), whole=content == "whole")
        yield {name: value for name, value in facts.items() if value is not None}


def span_facts(span: SpanRecord) -> dict[str, Any]:
    """Returns what a span is, took, used and cost."""
    own = _OF_A_CALL if span.has_own_cost else {}
    found = {name: read(span) for name, read in (*_OF_A_SPAN.items(), *own.items())}
    facts = {"name": line(span.name), "duration_seconds": span.duration if span.end_ns else None, **found}
    return {
        name: line(value) if isinstance(value, str) else value
        for name, value in facts.items()
        if value is not None
    }


def ranked_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row of `explore.index.ranking` with the units in the names."""
    facts = {_UNITS.get(name, name): value for name, value in row.items()}
    facts["cost_usd"] = amount(facts["cost_usd"])
    return {name: line(value) if isinstance(value, str) else value for name, value in facts.items()}


def line(text: str | None) -> str | None:
    """Returns a name or label, cut if it is long: an application may use a prompt as a name."""
    if text is None or len(text) <= limits.LINE_CHARACTERS:
        return text
    return f"{text[: limits.LINE_CHARACTERS - 1]}…"


def utc(nanoseconds: int) -> str:
    """Returns a time in ISO 8601."""
    moment = _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _content(span: SpanRecord, pieces: list[Piece], *, whole: bool) -> dict[str, Any]:
    """Returns what was recorded of a span beside facts; a text that is cut has `characters`, how long it is."""
    found: dict[str, Any] = {}
    most, characters = (
        (sys.maxsize, sys.maxsize) if whole else (limits.ANSWER_PIECES, limits.TERMINAL_EXCERPT_CHARACTERS)
    )
    if span.error_message:
        found["error_message"] = span.error_message[:characters]
    if pieces:
        found |= bounded(
            "content", [_piece(what, text, characters) for what, text in pieces[:most]], most, len(pieces)
        )
    return found


def _piece(what: str, text: str, characters: int) -> dict[str, Any]:
    piece = {"what": line(what), "text": text[:characters]}
    return {**piece, "characters": len(text)} if len(text) > characters else piece
