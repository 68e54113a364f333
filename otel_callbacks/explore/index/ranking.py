"""The queries for what takes longest, costs or fails most: traces, labels, or names, operations, models and tools."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

from otel_callbacks.explore.index.filters import TOOL, condition

RankedBy: TypeAlias = Literal[
    "trace", "tenant", "feature", "user", "session", "name", "operation", "model", "tool"
]
RANKED: tuple[RankedBy, ...] = get_args(RankedBy)
"""What can be ranked."""

SortedBy: TypeAlias = Literal["time", "cost", "tokens", "errors"]
SORTED_BY: tuple[SortedBy, ...] = get_args(SortedBy)
"""The columns to sort by, largest first."""

_BY_LABEL = ("tenant", "feature", "user", "session")

# Columns have the names that `--sort` takes. Times of spans are inclusive, so they do not add up; of spans with one
# label, the outermost count.
_TRACES = """
SELECT start, name, duration AS time, tokens, cost, unpriced, errors, trace_id AS trace
FROM traces WHERE {where}
"""
_SPANS = """
SELECT {of} AS {by}, count(*) AS spans, sum(duration) AS time, avg(duration) AS mean, max(duration) AS most,
    sum(tokens) FILTER (WHERE counted) AS tokens, sum(cost) FILTER (WHERE counted) AS cost,
    sum(cost_status IN ('unpriced', 'partial')) FILTER (WHERE counted) AS unpriced, sum(failed) AS errors
FROM spans WHERE {of} IS NOT NULL AND evaluates IS NULL AND trace_id IN (SELECT trace_id FROM traces WHERE {where})
GROUP BY 1
"""
_LABELS = """
WITH chosen AS (SELECT * FROM spans WHERE evaluates IS NULL AND trace_id IN (SELECT trace_id FROM traces WHERE {where}))
SELECT {of} AS {by}, count(DISTINCT trace_id) AS traces, sum(duration) FILTER (WHERE outermost) AS time,
    sum(tokens) FILTER (WHERE counted) AS tokens, sum(cost) FILTER (WHERE counted) AS cost,
    sum(cost_status IN ('unpriced', 'partial')) FILTER (WHERE counted) AS unpriced,
    count(DISTINCT iif(failed, trace_id, NULL)) AS errors
FROM (
    SELECT chosen.*, above.{of} IS NOT chosen.{of} AS outermost
    FROM chosen LEFT JOIN spans AS above ON above.trace_id = chosen.trace_id AND above.span_id = chosen.parent_id
)
WHERE {of} IS NOT NULL GROUP BY 1
"""
_FIRST = "SELECT *, count(*) OVER () AS total FROM ({rows}) ORDER BY {sort} DESC NULLS LAST LIMIT {count}"


def ranking(by: str, sort: str, count: int, filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Returns the query for the first `count` rows, and its parameters; the column `total` counts all rows.

    `by` is one of `RANKED`, `sort` one of `SORTED_BY`; `filters` are those of `Traces.find`.

    Raises:
        TypeError: A filter is unknown, or its value has the wrong type.
    """
    rows = _TRACES if by == "trace" else _LABELS if by in _BY_LABEL else _SPANS
    where, parameters = condition(filters)
    of = TOOL if by == "tool" else by
    return _FIRST.format(rows=rows.format(by=by, of=of, where=where), sort=sort, count=count), parameters
