"""Which spans are model calls, and which of them to count when several instrumentations recorded the same call.

An agent repeats the usage of its calls, a wrapper repeats that of the model it wraps, and the provider's own
instrumentation opens a span inside the framework's. Adding up all of them would count the same tokens twice.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from otel_callbacks import semconv
from otel_callbacks.cost.recorded_costs import recorded_usd

# The operations that use tokens themselves. Others that carry usage, such as `invoke_agent`, repeat that of their
# model calls. Instrumentations call the same Gemini call `chat` or `generate_content`, so all of these are one kind.
_KINDS = {
    semconv.CHAT: "inference",
    semconv.TEXT_COMPLETION: "inference",
    semconv.GENERATE_CONTENT: "inference",
    semconv.EMBEDDINGS: "embeddings",
    semconv.RERANK: "rerank",
}
COST_ATTRIBUTES = (semconv.USAGE_COST_USD, semconv.USAGE_COST)
"""The attributes that may hold a cost in USD; the first one present counts."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class FinishedSpan(Protocol):
    """A finished span, such as an `otel_callbacks.explore.SpanRecord`. Times are nanoseconds since 1970."""

    @property
    def trace_id(self) -> str:
        """32 hex digits."""

    @property
    def span_id(self) -> str:
        """16 hex digits."""

    @property
    def parent_id(self) -> str | None:
        """The span id of the parent; None for a root."""

    @property
    def start_ns(self) -> int:
        """When the span started."""

    @property
    def end_ns(self) -> int:
        """When the span ended; 0 if unknown."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The span's own attributes."""

    @property
    def resource(self) -> Mapping[str, Any]:
        """The attributes of the process."""


@dataclass(frozen=True, slots=True)
class _SdkSpan:
    """A `FinishedSpan` made from a span of the OpenTelemetry SDK."""

    trace_id: str
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]

    @classmethod
    def from_span(cls, span: Any) -> Self:
        context = span.get_span_context()
        return cls(
            f"{context.trace_id:032x}",
            f"{context.span_id:016x}",
            f"{span.parent.span_id:016x}" if span.parent else None,
            span.start_time or 0,
            span.end_time or 0,
            span.attributes or {},
            span.resource.attributes,
        )


def finished_span(span: Any) -> FinishedSpan:
    """Returns a `FinishedSpan` as it is, and makes one from a span of the OpenTelemetry SDK."""
    return _SdkSpan.from_span(span) if hasattr(span, "get_span_context") else span


def call_kind(attributes: Mapping[str, Any]) -> str | None:
    """Returns the kind of call whose usage and cost a span carries as its own; None if it carries none.

    A span of the application with a model call recorded by hand has no operation name, but it has a cost status.
    """
    operation = attributes.get(semconv.OPERATION_NAME)
    if operation is None:
        return "inference" if semconv.COST_STATUS in attributes else None
    return _KINDS.get(operation) if isinstance(operation, str) else None


def has_recorded_cost(attributes: Mapping[str, Any]) -> bool:
    """Tells whether a span carries a cost that the application recorded, and no model call."""
    return call_kind(attributes) is None and recorded_usd(attributes) is not None


class CallReport(NamedTuple):
    """A span that reports a model call.

    Attributes:
        kind: inference, embeddings or rerank.
        detail: how much the span reports: 2 the cost, 1 the tokens, 0 neither.
        is_ours: whether we recorded it. Of those no two report the same call, unless one is marked as a duplicate.
    """

    kind: str
    detail: int
    is_ours: bool = False


_call_report = cache(CallReport)  # there are 18, and one is kept for each call of a file


def call_report(attributes: Mapping[str, Any]) -> CallReport | None:
    """Returns what kind of call a span with these attributes reports; None for other spans and marked duplicates."""
    kind = call_kind(attributes)
    is_ours = semconv.COST_STATUS in attributes
    if kind is None or attributes.get(semconv.DUPLICATE) is True:
        return None
    if any(attributes.get(name) is not None for name in COST_ATTRIBUTES):
        return _call_report(kind, 2, is_ours)
    return _call_report(kind, 0 if attributes.get(semconv.USAGE_INPUT_TOKENS) is None else 1, is_ours)


def distinct_calls(reports: Mapping[Key, CallReport], parents: Mapping[Key, Key | None]) -> set[Key]:
    """Returns the spans to count: of nested spans that report the same call, the outermost with the most detail.

    Args:
        reports: the spans that report a call.
        parents: the parent of every span, including spans that report no call. Unknown parents may be missing.
    """
    outer_reports = _nearest_of_same_kind(reports, parents)
    most_detail_inside: dict[Key, int] = {}
    for span, report in reports.items():
        for outer in _outwards(span, outer_reports):
            most_detail_inside[outer] = max(report.detail, most_detail_inside.get(outer, 0))

    def has_most_detail(span: Key) -> bool:
        return reports[span].detail >= most_detail_inside.get(span, 0)

    return {
        span
        for span in reports
        if has_most_detail(span) and not any(map(has_most_detail, _outwards(span, outer_reports)))
    }


def _nearest_of_same_kind(
    reports: Mapping[Key, CallReport], parents: Mapping[Key, Key | None]
) -> dict[Key, Key]:
    """Returns the nearest enclosing report of the same kind for each report; cuts circles, which a file may hold."""
    nearest: dict[Key, Key] = {}
    for span, report in reports.items():
        seen = {span}
        above = parents.get(span)
        while above is not None and above not in seen:
            outer = reports.get(above)
            if outer is not None and outer.kind == report.kind:
                if not (outer.is_ours and report.is_ours) and span not in _outwards(above, nearest):
                    nearest[span] = above
                break
            seen.add(above)
            above = parents.get(above)
    return nearest


def _outwards(span: Key, outer_reports: Mapping[Key, Key]) -> Iterator[Key]:
    outer = outer_reports.get(span)
    while outer is not None:
        yield outer
        outer = outer_reports.get(outer)


class HasSpans(Protocol):
    """Anything with a `spans` property, such as an `otel_callbacks.explore.Trace`."""

    @property
    def spans(self) -> Iterable[Any]:
        """Its spans."""


def spans_of(source: Any) -> Iterator[Any]:
    """Yields the spans of a trace, or of a mixed list of spans and traces; those of judgements of a trace, too.

    Raises:
        TypeError: `source` contains something else.
    """
    items = [source] if hasattr(source, "spans") else source
    if not isinstance(items, Iterable):
        raise TypeError(
            f"spans must be traces or a list of spans, not {type(source).__name__}: {source!r:.100}"
        )
    for item in items:
        judgements = (each.span for each in getattr(item, "evaluations", ()))
        for span in (*getattr(item, "spans", (item,)), *judgements):
            if not (hasattr(span, "trace_id") or hasattr(span, "get_span_context")):
                raise TypeError(f"a span must be one of a trace or the SDK's, not {span!r:.100}")
            yield span


class ModelCalls(Generic[Value]):
    """Collects spans one by one, in any order; iterating yields the `read` value of each model call, once.

    `with_recorded_costs` also yields that of each span with a cost that the application recorded by hand.

    Of a span it keeps only that value and two ids, so a file with prompts in it may be larger than the memory. If the
    same span arrives twice, the later one counts.
    """

    def __init__(self, read: Callable[[FinishedSpan], Value], *, with_recorded_costs: bool = False) -> None:
        self._read = read
        self._with_recorded_costs = with_recorded_costs
        self._recorded_costs: set[tuple[str, str]] = set()
        self._parents: dict[tuple[str, str], tuple[str, str] | None] = {}
        self._reports: dict[tuple[str, str], CallReport] = {}
        self._values: dict[tuple[str, str], Value] = {}

    def add(self, span: Any) -> None:
        """Adds a `FinishedSpan`, or a `ReadableSpan` of the OpenTelemetry SDK."""
        finished = finished_span(span)
        key = finished.trace_id, finished.span_id
        self._parents[key] = (finished.trace_id, finished.parent_id) if finished.parent_id else None
        report = call_report(finished.attributes)
        self._recorded_costs.discard(key)
        if report is None:
            self._reports.pop(key, None)
            if self._with_recorded_costs and has_recorded_cost(finished.attributes):
                self._recorded_costs.add(key)
                self._values[key] = self._read(finished)
            return
        self._reports[key] = report
        self._values[key] = self._read(finished)

    def __iter__(self) -> Iterator[Value]:
        counted = distinct_calls(self._reports, self._parents)
        return (value for key, value in self._values.items() if key in counted or key in self._recorded_costs)
