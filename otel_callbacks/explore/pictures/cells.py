"""The words of a trace and of each of its rows, which text, SVG and HTML share."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from otel_callbacks import limits, semconv
from otel_callbacks.cost.model_calls import call_kind
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration, plural
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree, exact_sum
from otel_callbacks.runtime.untrusted_text import printable

_ORDINARY_ENDS = {"stop", "end_turn", "tool_calls", "tool_use"}
_LABELS = {
    semconv.APP_TENANT_ID: "tenant",
    semconv.APP_FEATURE: "feature",
    semconv.APP_USER_TIER: "tier",
    semconv.USER_ID: "user",
    semconv.SESSION_ID: "session",
}


@dataclass(frozen=True, slots=True)
class Cells:
    """The words of one row, which shows one span or several folded spans."""

    name: str
    duration: str
    tokens_in: str
    tokens_out: str
    cost: str
    note: str


def span_cells(trace: SpanTree, span: SpanRecord) -> Cells:
    """Returns the words for one span, without the spans below it."""
    calls = [span] if span.has_own_cost else []
    return _cells(printable(span.name), span.duration, calls, note(trace, span))


def folded_cells(trace: SpanTree, spans: Sequence[SpanRecord]) -> Cells:
    """Returns the words for `spans` and everything below them together."""
    counted = {span.span_id for span in trace.counted}
    everything = list(trace.walk(*spans))
    calls = [span for span in everything if span.span_id in counted]
    seconds = SpanTree.of(spans).duration
    if len(spans) == 1:
        text = _join(note(trace, spans[0]), *_counts(trace, everything[1:], counted))
        return _cells(printable(spans[0].name), seconds, calls, text)
    return _cells(_folded_name(spans), seconds, calls, _join(*_counts(trace, everything, counted)))


def _counts(trace: SpanTree, spans: Sequence[SpanRecord], counted: Collection[str]) -> Iterator[str]:
    """Yields how many failures began in `spans`, and how many of the `counted` calls have no price."""
    if errors := sum(map(trace.began_failing_at, spans)):
        yield f"✗ {plural(errors, 'error')}"
    if missing := sum(span.is_unpriced and span.span_id in counted for span in spans):
        yield f"{missing:,} unpriced"


def _join(*notes: str) -> str:
    return " · ".join(filter(None, notes))


def _cells(name: str, seconds: float, calls: Sequence[SpanRecord], note: str) -> Cells:
    """Returns the words of a row with the tokens and costs of `calls`; blank where no call reports any."""
    inputs = [span.input_tokens for span in calls if span.input_tokens is not None]
    outputs = [span.output_tokens for span in calls if span.output_tokens is not None]
    return Cells(
        name,
        format_duration(seconds),
        tokens_in=f"{sum(inputs):,}" if inputs or outputs else "",
        tokens_out=f"{sum(outputs):,}" if outputs else "",
        cost=_cost(calls),
        note=note,
    )


def _cost(calls: Sequence[SpanRecord]) -> str:
    costs = [span.cost for span in calls if span.cost is not None]
    if costs:
        return format_cost(exact_sum(costs))
    return "unpriced" if any(span.is_unpriced for span in calls) else ""


def is_unpriced_inference(span: SpanRecord) -> bool:
    """Tells whether a span is an inference that is unpriced, wholly or in part.

    Embeddings and reranks cost little; a missing price of theirs is said, and does not stand out.
    """
    return span.is_unpriced and call_kind(span.attributes) == "inference"


def note(trace: SpanTree, span: SpanRecord) -> str:
    """Returns what is unusual about a span, such as `✗ ValueError: no such order · 1,024 cached`."""
    parts = []
    if span.failed:
        parts.append(failure_text(span, at_origin=trace.began_failing_at(span)))
    parts += [printable(str(evaluation)) for evaluation in trace.evaluations_of(span)]
    if span.documents_count is not None:
        parts.append(_documents(span, span.documents_count))
    if span.outcome:
        parts.append(printable(span.outcome))
    if span.cost_status == "cached":
        parts.append("from cache")
    if span.cost_status == "partial":
        parts.append(f"cost without {printable(span.unpriced_reason or 'a part')}")
    if reasons := [reason for reason in span.finish_reasons if reason.lower() not in _ORDINARY_ENDS]:
        parts.append(printable(", ".join(reasons)))
    if span.cache_read_tokens:
        parts.append(f"{span.cache_read_tokens:,} cached")
    if span.time_to_first_chunk is not None:
        parts.append(f"TTFT {format_duration(span.time_to_first_chunk)}")
    if span.cost_status == "unpriced" and span.unpriced_reason and call_kind(span.attributes):
        parts.append(f"({printable(span.unpriced_reason)})")
    return " · ".join(parts)


def _folded_name(spans: Sequence[SpanRecord]) -> str:
    """Returns `… 38 more chat gpt-4o`, or `… 38 more: 19 model, 18 tools, 1 other` if names differ."""
    names = Counter(printable(span.name) for span in spans)
    head = f"… {len(spans):,} more"
    if len(names) == 1:
        return f"{head} {next(iter(names))}"
    kinds = [f"{count:,} {name}" for name, count in names.most_common(limits.FOLDED_NAMES)]
    if others := len(spans) - sum(count for _, count in names.most_common(limits.FOLDED_NAMES)):
        kinds.append(f"{others:,} other")
    return f"{head}: {', '.join(kinds)}"


def summary(trace: SpanTree, *, reasons: bool = True) -> list[str]:
    """Returns the duration, tokens, cost, unpriced calls (with `reasons`) and errors of a trace; zeros are left out."""
    parts = [format_duration(trace.duration)]
    if trace.total_tokens:
        parts.append(f"{trace.total_tokens:,} tokens")
    if trace.cost is not None:
        parts.append(format_cost(trace.cost))
    if trace.unpriced:
        count, why = unpriced_text(trace)
        parts.append(f"{count} {why}" if why and reasons else count)
    if trace.errors:
        parts.append(plural(len(trace.errors), "error"))
    return parts


def unpriced_text(trace: SpanTree) -> tuple[str, str]:
    """Returns how many calls are unpriced, and why: `("3 unpriced", "(2 no_rate, 1 no_usage)")`."""
    reasons = Counter(printable(span.unpriced_reason) for span in trace.unpriced if span.unpriced_reason)
    whole = len(reasons) == 1 and reasons.total() == len(trace.unpriced)
    parts = [name if whole else f"{count:,} {name}" for name, count in reasons.most_common()]
    return f"{len(trace.unpriced):,} unpriced", f"({', '.join(parts)})" if parts else ""


def title(trace: SpanTree) -> str:
    """Returns the name of the first root, and how many more roots there are."""
    more = f" + {plural(len(trace.roots) - 1, 'more root')}" if len(trace.roots) > 1 else ""
    return printable(trace.name) + more


def attribution_labels(trace: SpanTree) -> list[tuple[str, str]]:
    """Returns the attribution of the first root: `[("tenant", "acme"), ("feature", "search")]`."""
    attributes = trace.roots[0].attributes
    labels = [(name, attributes[key]) for key, name in _LABELS.items() if key in attributes]
    return [(name, printable(str(value))) for name, value in labels]


def _documents(span: SpanRecord, count: int) -> str:
    """Returns `4 docs`, `20 → 4 docs` or `4 docs, best 0.91`."""
    candidates = "" if span.candidates_count is None else f"{span.candidates_count:,} → "
    score = "" if span.top_score is None else f", best {span.top_score:.3g}"
    return f"{candidates}{plural(count, 'doc')}{score}"


def failure_text(span: SpanRecord, *, at_origin: bool) -> str:
    """Returns `✗ ValueError: message`; only the span where the failure began shows the message."""
    error_type = (span.error_type or "").rpartition(".")[2]
    message = span.error_message if at_origin else ""
    parts = dict.fromkeys(filter(None, (error_type, message)))  # some writers repeat the type as the message
    return "✗ " + printable(": ".join(parts) or "failed")
