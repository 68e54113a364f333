"""The tree that the spans of one trace form, with its totals. Pictures, diffs, data frames and the index use it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Self, TypeAlias

from otel_callbacks.cost.model_calls import call_report, distinct_calls, has_recorded_cost
from otel_callbacks.explore.spans.documents import RetrievedDocument, documents
from otel_callbacks.explore.spans.evaluations import Evaluation, evaluations
from otel_callbacks.explore.spans.records import SpanRecord

_Children: TypeAlias = Mapping[str, Sequence[SpanRecord]]  # by the parent's span id


@dataclass(frozen=True, slots=True, repr=False)
class SpanTree:
    """The spans of one trace as a tree; build it with `SpanTree.of`.

    `spans`, `roots` and children are in start order. A span whose parent is missing is a root. `model_calls` are
    the spans whose usage and cost add up to the totals; each call counts once. `evaluations` are the judgements of
    the trace and of its spans, oldest first; the spans that hold them are not among `spans`.
    """

    trace_id: str
    spans: tuple[SpanRecord, ...]
    roots: tuple[SpanRecord, ...]
    model_calls: tuple[SpanRecord, ...]
    _children: _Children = field(repr=False, compare=False)
    evaluations: tuple[Evaluation, ...] = ()

    @classmethod
    def of(cls, spans: Iterable[SpanRecord]) -> Self:
        """Builds the tree of `spans`, which share a trace id, and of judgements of that trace.

        If a span was recorded twice, the later record counts.

        Raises:
            ValueError: There are no spans.
        """
        spans = list(spans)
        by_id = {span.span_id: span for span in spans if not span.evaluates}
        if not by_id:
            raise ValueError("a trace needs at least one span")
        ordered = tuple(sorted(by_id.values(), key=lambda span: (span.start_ns, -span.end_ns)))
        roots, children = _tree(ordered)
        model_calls = tuple(_model_calls(roots, children))
        judged = evaluations(spans)
        return cls(ordered[0].trace_id, ordered, tuple(roots), model_calls, children, judged)

    @property
    def name(self) -> str:
        """The name of the first root."""
        return self.roots[0].name

    @property
    def start_ns(self) -> int:
        """When the first span started, in nanoseconds since the epoch."""
        return self.spans[0].start_ns

    @property
    def duration(self) -> float:
        """Seconds from the first start to the last end."""
        end_ns = max(max(span.start_ns, span.end_ns) for span in self.spans)
        return (end_ns - self.start_ns) / 1e9

    @property
    def input_tokens(self) -> int:
        """Input tokens of all model calls."""
        return sum(span.input_tokens or 0 for span in self.model_calls)

    @property
    def output_tokens(self) -> int:
        """Output tokens of all model calls."""
        return sum(span.output_tokens or 0 for span in self.model_calls)

    @property
    def total_tokens(self) -> int:
        """Input and output tokens of all model calls."""
        return self.input_tokens + self.output_tokens

    @property
    def counted(self) -> tuple[SpanRecord, ...]:
        """The spans whose costs add up to that of the trace: model calls, and spans with a recorded cost."""
        calls = {span.span_id for span in self.model_calls}
        recorded = (
            span for span in self.spans if span.span_id not in calls and has_recorded_cost(span.attributes)
        )
        return (*self.model_calls, *recorded)

    @property
    def cost(self) -> float | None:
        """The sum of the costs of all model calls, and of those recorded by hand, in US dollars; None without any."""
        costs = [span.cost for span in self.counted if span.cost is not None]
        return exact_sum(costs) if costs else None

    @property
    def unpriced(self) -> tuple[SpanRecord, ...]:
        """Model calls recorded as unpriced, wholly or in part. Where there are any, `cost` is too low."""
        return tuple(span for span in self.model_calls if span.is_unpriced)

    @property
    def errors(self) -> tuple[SpanRecord, ...]:
        """The spans where a failure began. A span that failed because of a span below it is not one of them."""
        return tuple(filter(self.began_failing_at, self.spans))

    def began_failing_at(self, span: SpanRecord) -> bool:
        """Tells whether `span` failed, and not because of a span below it."""
        return span.failed and all(
            not child.failed or child.error_type != span.error_type for child in self.children_of(span)
        )

    def children_of(self, span: SpanRecord) -> Sequence[SpanRecord]:
        """Returns the spans directly below `span`."""
        return self._children.get(span.span_id, ())

    def walk(self, *spans: SpanRecord) -> Iterator[SpanRecord]:
        """Yields each of `spans` (by default all roots) and everything below it, parents first."""
        return _walk(spans or self.roots, self._children)

    def evaluations_of(self, span: SpanRecord) -> list[Evaluation]:
        """Returns the judgements of `span`; those of the whole trace belong to its first root."""
        if not self.evaluations:
            return []
        if span is not self.roots[0]:
            return [each for each in self.evaluations if each.span_id == span.span_id]
        others = {each.span_id for each in self.spans} - {span.span_id}
        return [each for each in self.evaluations if each.span_id not in others]

    def documents(self) -> list[RetrievedDocument]:
        """Returns the documents of every retrieval and rerank, in start order and then by rank."""
        return documents(self.spans)


def exact_sum(costs: Iterable[float]) -> float:
    """Returns the sum of costs as they are written, which is that of the reports; infinity if it is too large."""
    return float(sum(Decimal(repr(cost)) for cost in costs))


def spans_by_trace(spans: Iterable[SpanRecord]) -> dict[str, list[SpanRecord]]:
    """Groups spans by their trace id, judgements by the id of the trace that they judge."""
    by_trace: dict[str, list[SpanRecord]] = defaultdict(list)
    for span in spans:
        by_trace[span.evaluates or span.trace_id].append(span)
    return by_trace


def _tree(spans: Sequence[SpanRecord]) -> tuple[list[SpanRecord], _Children]:
    ids = {span.span_id for span in spans}
    roots: list[SpanRecord] = []
    children: dict[str, list[SpanRecord]] = defaultdict(list)
    for span in spans:
        siblings = children[span.parent_id] if span.parent_id in ids else roots
        siblings.append(span)
    reached = {span.span_id for span in _walk(roots, children)}
    for span in spans:  # A file may hold spans that are their own ancestors. Each such circle is cut once.
        if span.span_id not in reached and span.parent_id is not None:
            children[span.parent_id].remove(span)
            roots.append(span)
            reached.update(below.span_id for below in _walk([span], children))
    return roots, children


def _walk(spans: Iterable[SpanRecord], children: _Children) -> Iterator[SpanRecord]:
    waiting = list(spans)[::-1]  # a stack, because a trace may be deeper than Python's recursion limit
    while waiting:
        span = waiting.pop()
        yield span
        waiting.extend(reversed(children.get(span.span_id, ())))


def _model_calls(roots: Iterable[SpanRecord], children: _Children) -> Iterator[SpanRecord]:
    ordered = list(_walk(roots, children))
    parents = {child.span_id: parent for parent, below in children.items() for child in below}
    claims = {span.span_id: made for span in ordered if (made := call_report(span.attributes)) is not None}
    counted = distinct_calls(claims, parents)
    return (span for span in ordered if span.span_id in counted)
