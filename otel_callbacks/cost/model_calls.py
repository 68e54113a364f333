"""Which spans are calls of a model, each call once, however many instrumentations reported it.

An agent repeats the usage of its calls, a wrapper reports what the model below it reports too, a provider's own
instrumentation opens its span within a framework's. Whoever adds up all of them bills the same tokens twice.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from otel_callbacks import semconv

# Spans with these operations used tokens themselves. Everything else that carries usage, `invoke_agent` for
# one, repeats what its model calls already said. A call of Gemini is a `chat` to one and a `generate_content` to
# another, so those that generate are one kind.
_KINDS = {
    semconv.CHAT: "inference",
    semconv.TEXT_COMPLETION: "inference",
    semconv.GENERATE_CONTENT: "inference",
    semconv.EMBEDDINGS: "embeddings",
    semconv.RERANK: "rerank",
}
COSTS = (semconv.USAGE_COST_USD, semconv.USAGE_COST)
"""Where a cost in USD stands; the first that is there counts."""

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Span(Protocol):
    """A finished span, to read; `otel_callbacks.explore.SpanRecord` is one. Times are nanoseconds since 1970."""

    @property
    def trace_id(self) -> str:
        """32 hex digits."""

    @property
    def span_id(self) -> str:
        """16 hex digits."""

    @property
    def parent_id(self) -> str | None:
        """The parent's span id; None at a root."""

    @property
    def start_ns(self) -> int:
        """When it started."""

    @property
    def end_ns(self) -> int:
        """When it ended; 0 if nobody knows."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Its own attributes."""

    @property
    def resource(self) -> Mapping[str, Any]:
        """Those of the process."""


@dataclass(frozen=True, slots=True)
class _Readable:
    """A span of the OpenTelemetry SDK in those terms."""

    trace_id: str
    span_id: str
    parent_id: str | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]

    @classmethod
    def of(cls, span: Any) -> Self:
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


def kind_of(attributes: Mapping[str, Any]) -> str | None:
    """The kind of call whose usage and cost a span carries as its own; None for a span that carries none.

    A span of the application's on which a call was recorded by hand has no operation, but says how it was charged.
    """
    operation = attributes.get(semconv.OPERATION_NAME)
    if operation is None:
        return "inference" if semconv.COST_STATUS in attributes else None
    return _KINDS.get(operation) if isinstance(operation, str) else None


class Claim(NamedTuple):
    """A span's claim to be a call: of which kind, and how much it tells (2 the cost, 1 the tokens, 0 neither)."""

    kind: str
    weight: int


def claim(attributes: Mapping[str, Any]) -> Claim | None:
    """The claim of the span with these attributes; None for what is no call or says that it repeats another."""
    kind = kind_of(attributes)
    if kind is None or attributes.get(semconv.DUPLICATE) is True:
        return None
    if any(attributes.get(name) is not None for name in COSTS):
        return Claim(kind, 2)
    return Claim(kind, 0 if attributes.get(semconv.USAGE_INPUT_TOKENS) is None else 1)


def count_once(claims: Mapping[Key, Claim], parents: Mapping[Key, Key | None]) -> set[Key]:
    """The spans to count: of those that report one call within each other, the outermost that tells the most.

    Args:
        claims: the claims of the spans that make one.
        parents: the parent of every span, also of those without a claim; unknown parents may be missing.
    """
    within = _enclosing(claims, parents)
    most_below: dict[Key, int] = {}
    for span, (_, weight) in claims.items():
        for outer in _outwards(span, within):
            most_below[outer] = max(weight, most_below.get(outer, 0))

    def tells_the_most(span: Key) -> bool:
        return claims[span].weight >= most_below.get(span, 0)

    return {
        span
        for span in claims
        if tells_the_most(span) and not any(map(tells_the_most, _outwards(span, within)))
    }


def _enclosing(claims: Mapping[Key, Claim], parents: Mapping[Key, Key | None]) -> dict[Key, Key]:
    """The nearest span of the same kind that each is within; circles, which a file may hold, are cut open."""
    within: dict[Key, Key] = {}
    for span, (kind, _) in claims.items():
        seen = {span}
        above = parents.get(span)
        while above is not None and above not in seen:
            outer = claims.get(above)
            if outer is not None and outer.kind == kind:
                if span not in _outwards(above, within):
                    within[span] = above
                break
            seen.add(above)
            above = parents.get(above)
    return within


def _outwards(span: Key, within: Mapping[Key, Key]) -> Iterator[Key]:
    outer = within.get(span)
    while outer is not None:
        yield outer
        outer = within.get(outer)


class OfSpans(Protocol):
    """What consists of spans; `otel_callbacks.explore.Trace` does."""

    @property
    def spans(self) -> Iterable[Any]:
        """Its spans."""


def spans_of(given: Any) -> Iterator[Any]:
    """The spans of a trace, or of spans and traces in any order.

    Raises:
        TypeError: there is something else in it.
    """
    several = getattr(given, "spans", given)
    if not isinstance(several, Iterable):
        raise TypeError(
            f"spans must be traces or a list of spans, not {type(given).__name__}: {given!r:.100}"
        )
    for each in several:
        for span in getattr(each, "spans", (each,)):
            if not (hasattr(span, "trace_id") or hasattr(span, "get_span_context")):
                raise TypeError(f"a span must be one of a trace or the SDK's, not {span!r:.100}")
            yield span


class Calls(Generic[Value]):
    """Takes spans in any order, one by one; iterating over it gives what `read` made of each call, once.

    Of a span it keeps that value and two ids, so a file with prompts in it may be larger than the memory. Of a span
    that comes twice the later counts.
    """

    def __init__(self, read: Callable[[Span], Value]) -> None:
        self._read = read
        self._parents: dict[tuple[str, str], tuple[str, str] | None] = {}
        self._claims: dict[tuple[str, str], Claim] = {}
        self._values: dict[tuple[str, str], Value] = {}

    def add(self, span: Any) -> None:
        """Takes a `Span` or a `ReadableSpan` of the OpenTelemetry SDK."""
        known: Span = _Readable.of(span) if hasattr(span, "get_span_context") else span
        key = known.trace_id, known.span_id
        self._parents[key] = (known.trace_id, known.parent_id) if known.parent_id else None
        claimed = claim(known.attributes)
        if claimed is None:
            self._claims.pop(key, None)
            return
        self._claims[key] = claimed
        self._values[key] = self._read(known)

    def __iter__(self) -> Iterator[Value]:
        counted = count_once(self._claims, self._parents)
        return (value for key, value in self._values.items() if key in counted)
