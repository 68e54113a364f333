"""What a trace, and each row of it, says about itself: the words that text and pictures share."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import fsum

from otel_callbacks import semconv
from otel_callbacks.cost.model_calls import call_kind
from otel_callbacks.explore.pictures.wording import format_cost, format_duration, plural, printable
from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree

_ORDINARY_ENDS = {"stop", "end_turn", "tool_calls", "tool_use"}
_LABELS = {
    semconv.APP_TENANT_ID: "tenant",
    semconv.APP_FEATURE: "feature",
    semconv.APP_USER_TIER: "tier",
    semconv.USER_ID: "user",
    semconv.SESSION_ID: "session",
}
_NAMED = 2  # Of spans folded together, the names that are said.


@dataclass(frozen=True, slots=True)
class Cells:
    """The words of one row: what a span, or several folded together, says about itself."""

    name: str
    duration: str
    tokens_in: str
    tokens_out: str
    cost: str
    note: str


def span_cells(trace: SpanTree, span: SpanRecord) -> Cells:
    """The row of one span, without what is below it."""
    calls = [span] if span.is_model_call else []
    return _cells(printable(span.name), span.duration, calls, note(trace, span))


def folded_cells(trace: SpanTree, spans: Sequence[SpanRecord]) -> Cells:
    """One row for siblings, or for one span, and all that is below: what they add up to."""
    counted = {call.span_id for call in trace.model_calls}
    everything = list(trace.walk(*spans))
    calls = [span for span in everything if span.span_id in counted]
    seconds = SpanTree.of(spans).duration
    if len(spans) == 1:
        remark = _join(note(trace, spans[0]), *_counts(trace, everything[1:], counted))
        return _cells(printable(spans[0].name), seconds, calls, remark)
    return _cells(_folded_name(spans), seconds, calls, _join(*_counts(trace, everything, counted)))


def _counts(trace: SpanTree, spans: Sequence[SpanRecord], counted: Collection[str]) -> Iterator[str]:
    """How many of `spans` began to fail, and how many calls that are `counted` have no price."""
    if errors := sum(map(trace.began_failing_at, spans)):
        yield f"✗ {plural(errors, 'error')}"
    if missing := sum(lacks_a_price(span) and span.span_id in counted for span in spans):
        yield f"{missing:,} unpriced"


def _join(*remarks: str) -> str:
    return " · ".join(filter(None, remarks))


def _cells(name: str, seconds: float, calls: Sequence[SpanRecord], remark: str) -> Cells:
    """A row with the tokens and the cost of `calls` together; what none of them reports stays blank."""
    inputs = [span.input_tokens for span in calls if span.input_tokens is not None]
    outputs = [span.output_tokens for span in calls if span.output_tokens is not None]
    return Cells(
        name,
        format_duration(seconds),
        tokens_in=f"{sum(inputs):,}" if inputs or outputs else "",
        tokens_out=f"{sum(outputs):,}" if outputs else "",
        cost=_cost(calls),
        note=remark,
    )


def _cost(calls: Sequence[SpanRecord]) -> str:
    costs = [span.cost for span in calls if span.cost is not None]
    if costs:
        return format_cost(fsum(costs))
    return "unpriced" if any(map(lacks_a_price, calls)) else ""


def lacks_a_price(span: SpanRecord) -> bool:
    """Whether that is to be noticed: embeddings and reranks cost little, and are only in the count of the header."""
    return span.cost_status == "unpriced" and call_kind(span.attributes) == "inference"


def note(trace: SpanTree, span: SpanRecord) -> str:
    """What is out of the ordinary about a span."""
    parts = []
    if span.failed:
        parts.append(failure(span, at_origin=trace.began_failing_at(span)))
    if span.documents_count is not None:
        parts.append(_documents(span, span.documents_count))
    if span.outcome:
        parts.append(printable(span.outcome))
    if span.cost_status == "cached":
        parts.append("from cache")
    if reasons := [reason for reason in span.finish_reasons if reason.lower() not in _ORDINARY_ENDS]:
        parts.append(printable(", ".join(reasons)))
    if span.cache_read_tokens:
        parts.append(f"{span.cache_read_tokens:,} cached")
    if span.time_to_first_chunk is not None:
        parts.append(f"TTFT {format_duration(span.time_to_first_chunk)}")
    return " · ".join(parts)


def _folded_name(spans: Sequence[SpanRecord]) -> str:
    """`… 38 more chat gpt-4o`, or `… 38 more: 19 model, 18 tools, 1 other` when they differ."""
    names = Counter(printable(span.name) for span in spans)
    head = f"… {len(spans):,} more"
    if len(names) == 1:
        return f"{head} {next(iter(names))}"
    kinds = [f"{count:,} {name}" for name, count in names.most_common(_NAMED)]
    if others := len(spans) - sum(count for _, count in names.most_common(_NAMED)):
        kinds.append(f"{others:,} other")
    return f"{head}: {', '.join(kinds)}"


def summary(trace: SpanTree, *, reasons: bool = True) -> list[str]:
    """Duration, tokens, cost, unpriced calls (with the reasons why) and errors of a trace, those that there are."""
    parts = [format_duration(trace.duration)]
    if trace.total_tokens:
        parts.append(f"{trace.total_tokens:,} tokens")
    if trace.cost is not None:
        parts.append(format_cost(trace.cost))
    if trace.unpriced:
        count, why = unpriced(trace)
        parts.append(f"{count} {why}" if why and reasons else count)
    if trace.errors:
        parts.append(plural(len(trace.errors), "error"))
    return parts


def unpriced(trace: SpanTree) -> tuple[str, str]:
    """How many calls have no price and why, the commonest reason first: `("3 unpriced", "(2 no_rate, 1 no_usage)")`."""
    reasons = Counter(printable(span.unpriced_reason) for span in trace.unpriced if span.unpriced_reason)
    whole = len(reasons) == 1 and reasons.total() == len(trace.unpriced)
    said = [name if whole else f"{count:,} {name}" for name, count in reasons.most_common()]
    return f"{len(trace.unpriced):,} unpriced", f"({', '.join(said)})" if said else ""


def title(trace: SpanTree) -> str:
    """The name of the root, and how many more roots there are."""
    more = f" + {plural(len(trace.roots) - 1, 'more root')}" if len(trace.roots) > 1 else ""
    return printable(trace.name) + more


def attribution(trace: SpanTree) -> list[tuple[str, str]]:
    """Who the trace was for, as its first root says: `[("tenant", "acme"), ("feature", "search")]`."""
    attributes = trace.roots[0].attributes
    labels = [(name, attributes[key]) for key, name in _LABELS.items() if key in attributes]
    return [(name, printable(str(value))) for name, value in labels]


def _documents(span: SpanRecord, count: int) -> str:
    """`4 docs`, `20 → 4 docs`, `4 docs, best 0.91`."""
    candidates = "" if span.candidates_count is None else f"{span.candidates_count:,} → "
    score = "" if span.top_score is None else f", best {span.top_score:.3g}"
    return f"{candidates}{plural(count, 'doc')}{score}"


def failure(span: SpanRecord, *, at_origin: bool) -> str:
    """`✗ ValueError: message`; the message is said once, where it comes from."""
    error_type = (span.error_type or "").rpartition(".")[2]
    message = span.error_message if at_origin else ""
    said = dict.fromkeys(filter(None, (error_type, message)))  # some writers repeat the type as the message
    return "✗ " + printable(": ".join(said) or "failed")
