"""Who used what, and what it cost: finished spans added up by tenant, feature, model or anything else they carry."""

import difflib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from itertools import compress
from math import ceil
from typing import Any, NamedTuple

from otel_callbacks import semconv
from otel_callbacks.cost.model_calls import Calls, OfSpans, Span, spans_of
from otel_callbacks.cost.rates import ZERO
from otel_callbacks.cost.reporting.finished import (
    EXACT,
    Charge,
    Charging,
    day_of,
    model_of,
    recorded,
    usage_of,
)
from otel_callbacks.cost.reporting.table import ESTIMATE, Table, csv_text, dollars, jsonable, percent
from otel_callbacks.operations import Usage

DEFAULT_BY = ("tenant", "feature", "model")

Key = tuple[str | None, ...]
"""The values a row stands for, one for each name in `by`; None is "nobody said"."""

_ATTRIBUTES = {
    "tenant": (semconv.APP_TENANT_ID,),
    "feature": (semconv.APP_FEATURE,),
    "user": (semconv.USER_ID,),
    "user_tier": (semconv.APP_USER_TIER,),
    "session": (semconv.SESSION_ID, semconv.CONVERSATION_ID),
    "provider": (semconv.PROVIDER_NAME,),
    "operation": (semconv.OPERATION_NAME,),
}
_COMPUTED: Mapping[str, Callable[[Span, Charge], str | None]] = {
    "model": lambda span, _: model_of(span.attributes),
    "day": lambda span, _: day_of(span).isoformat(),
    "status": lambda _, charge: charge.status,
}
_OF_THE_CALL = ("model", "provider")  # who is missing here is unknown, not unattributed


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the calls with the same key used and cost.

    Attributes:
        key: the values of the report's `by`.
        calls: sent to a provider, failed ones included; answers from the framework's own cache are none.
        input_tokens: those read from and written to the provider's cache included.
        output_tokens: reasoning included.
        cached_tokens: the part of the input that the provider had cached.
        reasoning_tokens: the part of the output that was reasoning.
        cost_usd: exact; of the calls that have a cost.
        share: the part of the report's cost, 0 to 1; None if nothing cost anything.
        unpriced: how many calls have no cost, by the reason.
        cached_calls: answered from the framework's own cache.
        saved_usd: what those would have cost, as far as that is known.
        p50: the time that half of the calls needed at most, in seconds; None without calls.
        p95: the same for 95 of 100.
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
        """How many calls have no cost, so that `cost_usd` is too low by them."""
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
    """Rows by falling cost; `str()` is a table. Notebooks show one too.

    Attributes:
        by: what the rows are grouped by.
        rows: one for each combination of values; together they are the total.
        total: over all rows; its key is empty.
    """

    by: tuple[str, ...]
    rows: tuple[Row, ...]
    total: Row

    def __str__(self) -> str:
        return self._table().text()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return self._table().mimebundle()

    def to_dicts(self) -> list[dict[str, Any]]:
        """The rows as flat dictionaries: the keys of `by`, then the numbers; `unpriced` holds the reasons."""
        return [self._dict(row) for row in self.rows]

    def to_csv(self) -> str:
        """The rows, without the total, which a spreadsheet would add in; amounts with all their digits."""
        rows = [[*names_of(self.by, row.key), *_numbers(row).values()] for row in self.rows]
        return csv_text([*self.by, *_NUMBERS], rows)

    def to_json(self) -> str:
        """An object with `by`, `rows`, `total` and `note`; amounts are strings, so that no digit is lost."""
        total = {**_numbers(self.total), "unpriced": dict(self.total.unpriced)}
        document = {"note": ESTIMATE, "by": self.by, "rows": self.to_dicts(), "total": total}
        return json.dumps(document, indent=2, ensure_ascii=False, default=jsonable)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` of `to_dicts()`; amounts are floats.

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
        # a column in which nobody has anything to say only takes room
        told = [any(column) for column in zip(total, *cells.values(), strict=True)]
        columns = (*self.by, *compress((*headings, "unpriced", "cache hits"), told))
        return Table(
            columns,
            range(len(self.by), len(columns)),
            [[*names_of(self.by, key), *compress(row, told)] for key, row in cells.items()],
            ["total", *[""] * (len(self.by) - 1), *compress(total, told)],
            list(_notes(self.total)),
        )


def report(
    spans: Iterable[Any] | OfSpans, by: Sequence[str] = DEFAULT_BY, charging: Charging = recorded
) -> Report:
    """What the model calls among finished spans used and cost, each call counted once.

    Args:
        spans: `SpanRecord`s, or `ReadableSpan`s of the OpenTelemetry SDK, whole traces in any order; or a `Trace`,
            or `Traces`.
        by: what to group by: tenant, feature, user, user_tier, session, model, provider, operation, day (UTC),
            status, or the name of any attribute of the spans or of the process's resource.
        charging: where a call's cost comes from.

    Raises:
        ValueError: `by` is empty, holds a name twice, or one that is neither in the list nor an attribute's.
    """
    accumulator = Accumulator(by, charging)
    for span in spans_of(spans):
        accumulator.add(span)
    return accumulator.report()


class Accumulator:
    """The same report for spans that arrive one by one; see `report`.

    It keeps about a kilobyte of every call, because a wrapper's span comes after the call that it repeats.
    """

    def __init__(self, by: Sequence[str] = DEFAULT_BY, charging: Charging = recorded) -> None:
        self._by = checked(by)
        self._calls = Calls(_reader(self._by, charging))

    def add(self, span: Any) -> None:
        """Takes a finished span."""
        self._calls.add(span)

    def report(self) -> Report:
        """What has arrived until now."""
        groups: defaultdict[Key, list[_Call]] = defaultdict(list)
        for call in self._calls:
            groups[call.key].append(call)
        with localcontext(EXACT):
            everything = [call for group in groups.values() for call in group]
            owed = sum((call.charge.usd or ZERO for call in everything), ZERO)
            rows = [_row(key, group, owed) for key, group in groups.items()]
            total = _row((), everything, owed)
        rows.sort(key=lambda row: (-row.cost_usd, -row.calls, names_of(self._by, row.key)))
        return Report(self._by, tuple(rows), total)


def checked(by: Sequence[str]) -> tuple[str, ...]:
    """`by`, if every name in it can be grouped by.

    Raises:
        ValueError: one cannot; the message says which is near.
    """
    if isinstance(by, str) or not by:
        raise ValueError(f"by must be a list of at least one name, such as {list(DEFAULT_BY)}, not {by!r}")
    known = [*_ATTRIBUTES, *_COMPUTED]
    for place, name in enumerate(by):
        if name in by[:place]:
            raise ValueError(f"by: {name!r} is given twice")
        if name not in known and "." not in name.strip("."):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}."
            raise ValueError(f"by: {name!r} is not known; {meant} An attribute's name has a dot: app.team")
    return tuple(by)


def names_of(by: Sequence[str], key: Key) -> list[str]:
    """A key's values as words for people."""
    return [
        value if value is not None else "(unknown)" if name in _OF_THE_CALL else "(unattributed)"
        for name, value in zip(by, key, strict=True)
    ]


class _Call(NamedTuple):
    key: Key
    charge: Charge
    usage: Usage
    seconds: float


def _reader(by: Sequence[str], charging: Charging) -> Callable[[Span], _Call]:
    parts = [_COMPUTED.get(name) or _attribute(_ATTRIBUTES.get(name, (name,))) for name in by]

    def read(span: Span) -> _Call:
        charge = charging(span)
        seconds = max(0, span.end_ns - span.start_ns) / 1e9
        return _Call(tuple(part(span, charge) for part in parts), charge, usage_of(span.attributes), seconds)

    return read


def _attribute(names: Sequence[str]) -> Callable[[Span, Charge], str | None]:
    """Reads the first of some attributes, of the span or else of its process; a value of any type, as a text."""

    def read(span: Span, _: Charge) -> str | None:
        for holder in (span.attributes, span.resource):
            for name in names:
                value = holder.get(name)
                if value is not None and value != "":
                    return value if isinstance(value, str) else json.dumps(value, default=str)
        return None

    return read


def _row(key: Key, calls: Sequence[_Call], owed: Decimal) -> Row:
    sent = [call for call in calls if call.charge.status != "cached"]
    cost = sum((call.charge.usd or ZERO for call in sent), ZERO)
    seconds = sorted(call.seconds for call in sent)
    return Row(
        key=key,
        calls=len(sent),
        input_tokens=sum(call.usage.input_tokens or 0 for call in sent),
        output_tokens=sum(call.usage.output_tokens or 0 for call in sent),
        cached_tokens=sum(call.usage.cache_read_input_tokens or 0 for call in sent),
        reasoning_tokens=sum(call.usage.reasoning_output_tokens or 0 for call in sent),
        cost_usd=cost,
        share=float(cost / owed) if owed else None,
        unpriced=Counter(call.charge.reason for call in sent if call.charge.reason is not None),
        cached_calls=len(calls) - len(sent),
        saved_usd=sum((call.charge.saved_usd or ZERO for call in calls), ZERO),
        p50=_percentile(seconds, 50),
        p95=_percentile(seconds, 95),
    )


def _percentile(ascending: Sequence[float], percentage: int) -> float | None:
    """The nearest rank: always a time that was measured."""
    return ascending[ceil(len(ascending) * percentage / 100) - 1] if ascending else None


def _numbers(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _NUMBERS}


def _cells(row: Row) -> list[str]:
    """The numbers of a row as they are shown: nothing for what is none, and no cost where none is known."""
    tokens = (row.input_tokens, row.output_tokens, row.cached_tokens, row.reasoning_tokens)
    times = ("" if seconds is None else f"{seconds:.2f}" for seconds in (row.p50, row.p95))
    others = (row.unpriced_calls, row.cached_calls)
    is_known = row.unpriced_calls < row.calls or not row.calls
    cost = (dollars(row.cost_usd), percent(row.share)) if is_known else ("", "")
    return [f"{row.calls:,}", *map(_count, tokens), *cost, *times, *map(_count, others)]


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _notes(total: Row) -> Iterable[str]:
    yield ESTIMATE
    if total.unpriced:
        reasons = ", ".join(
            f"{number:,} {reason}" for reason, number in Counter(total.unpriced).most_common()
        )
        yield f"Without a price, and so not in the costs: {total.unpriced_calls:,} calls ({reasons})."
    if total.cached_calls:
        saved = dollars(total.saved_usd)
        yield f"From the application's own cache: {total.cached_calls:,} answers, which saved {saved} USD."
