"""Cost reports: the usage and cost of finished spans, added up by tenant, feature, model or any other attribute."""

import difflib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import compress
from math import ceil
from typing import Any, TypeAlias

from otel_callbacks import semconv
from otel_callbacks.cost.model_calls import FinishedSpan, HasSpans, ModelCalls, spans_of
from otel_callbacks.cost.rates import ZERO
from otel_callbacks.cost.reporting.span_cost import (
    EXACT,
    CostReader,
    SpanCost,
    Status,
    day_of,
    model_of,
    recorded_cost,
)
from otel_callbacks.cost.reporting.table import ESTIMATE, Table, csv_text, dollars, percent
from otel_callbacks.operations.providers import token_count
from otel_callbacks.runtime.json_text import json_text
from otel_callbacks.runtime.words import plural

DEFAULT_BY = ("tenant", "feature", "model")

Key = tuple[str | None, ...]
"""The values that a row groups, one for each name in `by`; None if the spans have no value."""

_ATTRIBUTES = {
    "tenant": (semconv.APP_TENANT_ID,),
    "feature": (semconv.APP_FEATURE,),
    "user": (semconv.USER_ID,),
    "user_tier": (semconv.APP_USER_TIER,),
    "session": (semconv.SESSION_ID, semconv.CONVERSATION_ID),
    "provider": (semconv.PROVIDER_NAME,),
    "operation": (semconv.OPERATION_NAME,),
}
_COMPUTED: Mapping[str, Callable[[FinishedSpan, SpanCost], str | None]] = {
    "model": lambda span, _: model_of(span.attributes),
    "day": lambda span, _: day_of(span).isoformat(),
    "status": lambda _, cost: cost.status,
}
_CALL_NAMES = ("model", "provider")  # a missing value of these is "unknown", not "unattributed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The usage and cost of the calls with the same key.

    Attributes:
        key: the values of the report's `by`.
        calls: calls sent to a provider, including failed ones, without answers from the framework's own cache.
        input_tokens: including those read from and written to the provider's cache.
        output_tokens: including reasoning.
        cached_tokens: the part of the input that came from the provider's cache.
        reasoning_tokens: the part of the output that was reasoning.
        cost_usd: the exact cost of the calls that have one, and of what `record_cost` recorded, which is no call; a
            lower bound if there are unpriced calls.
        share: the share of the report's cost, from 0 to 1; None if the report's cost is 0.
        unpriced: the number of calls whose cost is not known, or only in part, by reason.
        cached_calls: answers from the framework's own cache.
        saved_usd: what those would have cost, as far as known.
        p50: the median time of a call in seconds; None without calls.
        p95: the 95th percentile of the times.
    """

    key: Key
    calls: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal
    share: float | None
    unpriced: Mapping[str, int]
    cached_calls: int
    saved_usd: Decimal
    p50: float | None
    p95: float | None

    @property
    def unpriced_calls(self) -> int:
        """The number of calls whose cost `cost_usd` leaves out, wholly or in part."""
        return sum(self.unpriced.values())


_NUMBERS = (
    "calls",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_usd",
    "share",
    "unpriced_calls",
    "cached_calls",
    "saved_usd",
    "p50",
    "p95",
)


@dataclass(frozen=True, slots=True)
class Report:
    """A cost report, the most expensive row first; `str()` and notebooks show it as a table.

    Attributes:
        by: the names that the rows are grouped by.
        rows: one row for each combination of values.
        total: the sums over all rows; its key is empty.
    """

    by: tuple[str, ...]
    rows: tuple[Row, ...]
    total: Row

    def __str__(self) -> str:
        return self._table().text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self._table().mimebundle()

    def to_dicts(self) -> list[dict[str, Any]]:
        """Returns the rows as flat dictionaries: the values of `by`, the numbers, and `unpriced` with the reasons."""
        return [self._dict(row) for row in self.rows]

    def to_csv(self) -> str:
        """Returns the rows as CSV, without the total, which a spreadsheet would add; amounts have all their digits."""
        rows = [[*display_names(self.by, row.key), *_numbers(row).values()] for row in self.rows]
        return csv_text([*self.by, *_NUMBERS], rows)

    def to_json(self) -> str:
        """Returns JSON with `by`, `rows`, `total` and `note`; amounts are strings, so that no digit is lost."""
        return json_text(self.document())

    def document(self) -> dict[str, Any]:
        """Returns what `to_json` writes; amounts are `Decimal`."""
        total = {**_numbers(self.total), "unpriced": dict(self.total.unpriced)}
        return {"note": ESTIMATE, "by": self.by, "rows": self.to_dicts(), "total": total}

    def to_pandas(self) -> Any:
        """Returns `to_dicts()` as a `pandas.DataFrame`; amounts are floats.

        Raises:
            ImportError: pandas is not installed (the extra `notebook`).
        """
        import pandas  # type: ignore[import-untyped]

        frame = pandas.DataFrame(self.to_dicts(), columns=[*self.by, *_NUMBERS, "unpriced"])
        return frame.astype({"cost_usd": float, "saved_usd": float})

    def _dict(self, row: Row) -> dict[str, Any]:
        return {**dict(zip(self.by, row.key, strict=True)), **_numbers(row), "unpriced": dict(row.unpriced)}

    def _table(self) -> Table:
        headings = ("calls", "input", "output", "cached", "reasoning", "cost USD", "share", "p50 s", "p95 s")
        cells = {row.key: _cells(row) for row in self.rows}
        total = _cells(self.total)
        # empty columns are left out
        filled = [any(column) for column in zip(total, *cells.values(), strict=True)]
        columns = (*self.by, *compress((*headings, "unpriced", "cache hits"), filled))
        return Table(
            columns,
            range(len(self.by), len(columns)),
            [[*display_names(self.by, key), *compress(row, filled)] for key, row in cells.items()],
            ["total", *[""] * (len(self.by) - 1), *compress(total, filled)],
            list(_notes(self.total)),
        )


def report(
    spans: Iterable[Any] | HasSpans, by: Sequence[str] = DEFAULT_BY, cost_of_span: CostReader = recorded_cost
) -> Report:
    """Reports the usage and cost of the model calls among finished spans, and the costs recorded beside; each once.

    Args:
        spans: a `Trace`, `Traces`, or a list of `SpanRecord`s or of the OpenTelemetry SDK's `ReadableSpan`s in any
            order, of whole traces.
        by: the names to group by: tenant, feature, user, user_tier, session, model, provider, operation, day (UTC),
            status, or the name of any attribute of the spans or of the process's resource.
        cost_of_span: returns the cost of a span's call; by default the cost recorded on the span.

    Raises:
        ValueError: `by` is empty, names something twice, or has a name that is neither in the list nor an attribute.
    """
    accumulator = Accumulator(by, cost_of_span)
    for span in spans_of(spans):
        accumulator.add(span)
    return accumulator.report()


class Accumulator:
    """Builds a report from spans that arrive one by one; takes the same arguments as `report`.

    Keeps about half a kilobyte per call, because the span of a wrapper arrives after the call that it repeats.
    """

    def __init__(self, by: Sequence[str] = DEFAULT_BY, cost_of_span: CostReader = recorded_cost) -> None:
        self._by = check_grouping(by)
        self._calls = ModelCalls(call_reader(self._by, cost_of_span), with_recorded_costs=True)

    def add(self, span: Any) -> None:
        """Adds a finished span."""
        self._calls.add(span)

    def report(self) -> Report:
        """Returns the report on the spans added so far."""
        return report_of(self._by, self._calls)


def check_grouping(by: Sequence[str]) -> tuple[str, ...]:
    """Checks that a report can be grouped by every name in `by`, and returns them.

    Raises:
        ValueError: it cannot; the message suggests a similar name.
    """
    if isinstance(by, str) or not by:
        raise ValueError(f"by must be a list of at least one name, such as {list(DEFAULT_BY)}, not {by!r}")
    known = [*_ATTRIBUTES, *_COMPUTED]
    for position, name in enumerate(by):
        if name in by[:position]:
            raise ValueError(f"by: {name!r} is given twice")
        if name not in known and "." not in name.strip("."):
            similar = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {similar[0]!r}?" if similar else f"known are {', '.join(known)}."
            raise ValueError(f"by: {name!r} is not known; {hint} An attribute's name has a dot: app.team")
    return tuple(by)


def display_names(by: Sequence[str], key: Key) -> list[str]:
    """Returns the values of a key as they are shown."""
    return [
        value if value is not None else "(unknown)" if name in _CALL_NAMES else "(unattributed)"
        for name, value in zip(by, key, strict=True)
    ]


_Tokens: TypeAlias = tuple[int, int, int, int]
"""Input, output, cached and reasoning tokens, each as in `Row`."""

CallValues: TypeAlias = tuple[Key, Status, Decimal | None, Decimal | None, str | None, float, _Tokens]
"""The key of a call, its cost (status, USD, saved USD, reason), its seconds and tokens.

Plain tuples, because the garbage collector passes over those that hold only texts and numbers: with objects for each
call it takes as long as all the rest.
"""

_TOKENS = (
    semconv.USAGE_INPUT_TOKENS,
    semconv.USAGE_OUTPUT_TOKENS,
    semconv.USAGE_CACHE_READ_INPUT_TOKENS,
    semconv.USAGE_REASONING_OUTPUT_TOKENS,
)


def call_reader(by: Sequence[str], cost_of_span: CostReader) -> Callable[[FinishedSpan], CallValues]:
    """Returns a function that reads what a report on `by` needs of a span."""
    parts = [_COMPUTED.get(name) or _attribute(_ATTRIBUTES.get(name, (name,))) for name in by]

    def read(span: FinishedSpan) -> CallValues:
        cost, find = cost_of_span(span), span.attributes.get
        seconds = max(0, span.end_ns - span.start_ns) / 1e9
        key = tuple([part(span, cost) for part in parts])
        first, second, third, fourth = [token_count(find(name)) or 0 for name in _TOKENS]
        tokens = first, second, third, fourth
        return key, cost.status, cost.usd, cost.saved_usd, cost.reason, seconds, tokens

    return read


def report_of(by: tuple[str, ...], calls: Iterable[CallValues]) -> Report:
    """Returns the report on calls that the function of `call_reader` read."""
    groups: defaultdict[Key, _Sums] = defaultdict(_Sums)
    total = _Sums()
    with localcontext(EXACT):
        for call in calls:
            groups[call[0]].add(call)
            total.add(call)
        rows = [group.row(key, total.cost_usd) for key, group in groups.items()]
    rows.sort(key=lambda row: (-row.cost_usd, -row.calls, display_names(by, row.key)))
    return Report(by, tuple(rows), total.row((), total.cost_usd))


def _attribute(names: Sequence[str]) -> Callable[[FinishedSpan, SpanCost], str | None]:
    """Returns a reader for the first of some attributes, of the span or else of its process, as a string."""

    def read(span: FinishedSpan, _: SpanCost) -> str | None:
        for attributes in (span.attributes, span.resource):
            for name in names:
                value = attributes.get(name)
                if value is not None and value != "":
                    return value if isinstance(value, str) else json.dumps(value, default=str)
        return None

    return read


class _Sums:
    """The sums of the calls with one key, or of all."""

    def __init__(self) -> None:
        self.cost_usd = ZERO
        self._saved_usd = ZERO
        self._tokens: Sequence[int] = (0, 0, 0, 0)
        self._cached_calls = 0
        self._unpriced: Counter[str] = Counter()
        self._seconds: list[float] = []  # of the calls that were sent

    def add(self, call: CallValues) -> None:
        _, status, usd, saved_usd, reason, seconds, tokens = call
        if usd:  # a cached answer costs 0
            self.cost_usd += usd
        if status == "cached":
            self._cached_calls += 1
            self._saved_usd += saved_usd or ZERO
        elif status != "recorded":
            self._seconds.append(seconds)
            self._tokens = [before + more for before, more in zip(self._tokens, tokens, strict=True)]
            if reason is not None:
                self._unpriced[reason] += 1

    def row(self, key: Key, report_cost: Decimal) -> Row:
        seconds = sorted(self._seconds)
        return Row(
            key=key,
            calls=len(seconds),
            input_tokens=self._tokens[0],
            output_tokens=self._tokens[1],
            cached_tokens=self._tokens[2],
            reasoning_tokens=self._tokens[3],
            cost_usd=self.cost_usd,
            share=float(self.cost_usd / report_cost) if report_cost else None,
            unpriced=self._unpriced,
            cached_calls=self._cached_calls,
            saved_usd=self._saved_usd,
            p50=_percentile(seconds, 50),
            p95=_percentile(seconds, 95),
        )


def _percentile(ascending: Sequence[float], percentage: int) -> float | None:
    """Returns the percentile by nearest rank, so it is always a measured time."""
    return ascending[ceil(len(ascending) * percentage / 100) - 1] if ascending else None


def _numbers(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _NUMBERS}


def _cells(row: Row) -> list[str]:
    """Returns the numbers of a row as they are shown: "" for 0, and "" for the cost if no call has one."""
    tokens = (row.input_tokens, row.output_tokens, row.cached_tokens, row.reasoning_tokens)
    times = ("" if seconds is None else f"{seconds:.2f}" for seconds in (row.p50, row.p95))
    others = (row.unpriced_calls, row.cached_calls)
    has_cost = row.unpriced_calls < row.calls or bool(row.cost_usd) or not row.calls
    cost = (dollars(row.cost_usd), percent(row.share)) if has_cost else ("", "")
    return [f"{row.calls:,}", *map(_count, tokens), *cost, *times, *map(_count, others)]


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _notes(total: Row) -> Iterable[str]:
    yield ESTIMATE
    if total.unpriced:
        reasons = ", ".join(
            f"{number:,} {reason}" for reason, number in Counter(total.unpriced).most_common()
        )
        yield f"Not in the costs, or only in part: {plural(total.unpriced_calls, 'call')} ({reasons})."
    if total.cached_calls:
        saved = dollars(total.saved_usd)
        yield f"From the application's own cache: {plural(total.cached_calls, 'answer')}, which saved {saved} USD."
