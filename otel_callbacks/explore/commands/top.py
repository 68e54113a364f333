"""The `top` command, which shows the slowest, most expensive or most failing traces or spans."""

from pathlib import Path
from typing import Any

import click

from otel_callbacks.explore.collection import Traces
from otel_callbacks.explore.commands.errors import file_errors
from otel_callbacks.explore.commands.filters import chosen_filters, file_argument, filter_options
from otel_callbacks.explore.commands.terminal import reading_bar, show, width
from otel_callbacks.explore.index.filters import TOOL, condition
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration
from otel_callbacks.explore.pictures.monospace import fit, table
from otel_callbacks.explore.pictures.monospace import width as width_of
from otel_callbacks.runtime.untrusted_text import printable

_LEAST_NAME = 16  # columns
_ID_DIGITS = 8  # enough for `view --trace`

# Columns have the names that `--sort` takes. Times of spans are inclusive, so they do not add up; of spans with one
# label, the outermost count.
_TRACES = """
SELECT replace(substr(start, 6, 14), 'T', ' ') AS start, name, duration AS time, tokens, cost, unpriced, errors,
    trace_id AS trace
FROM traces WHERE {where} ORDER BY {sort} DESC NULLS LAST LIMIT {count}
"""
_SPANS = """
SELECT {of} AS {by}, count(*) AS spans, sum(duration) AS time, avg(duration) AS mean, max(duration) AS most,
    sum(tokens) FILTER (WHERE counted) AS tokens, sum(cost) FILTER (WHERE counted) AS cost,
    sum(cost_status IN ('unpriced', 'partial')) FILTER (WHERE counted) AS unpriced, sum(failed) AS errors
FROM spans WHERE {of} IS NOT NULL AND evaluates IS NULL AND trace_id IN (SELECT trace_id FROM traces WHERE {where})
GROUP BY 1 ORDER BY {sort} DESC NULLS LAST LIMIT {count}
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
WHERE {of} IS NOT NULL GROUP BY 1 ORDER BY {sort} DESC NULLS LAST LIMIT {count}
"""
_BY_LABEL = ("tenant", "feature", "user", "session")


@click.command("top", short_help="Show what takes longest, costs or fails most.")
@file_argument
@click.option(
    "--by",
    type=click.Choice(["trace", *_BY_LABEL, "name", "operation", "model", "tool"]),
    default="trace",
    show_default=True,
    help="One row per trace, per label of traces, or per name, operation, model or tool of spans.",
)
@click.option(
    "--sort",
    type=click.Choice(["time", "cost", "tokens", "errors"]),
    default="time",
    show_default=True,
    help="The column to sort by, largest first.",
)
@click.option("-n", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many rows.")
@filter_options
def top(path: Path, by: str, sort: str, count: int, **filters: Any) -> None:
    """Show the traces, labels or spans in FILE that take longest, cost most or fail most.

    FILE is a trace file or a folder (default: .otel_callbacks).
    """
    query = _TRACES if by == "trace" else _LABELS if by in _BY_LABEL else _SPANS
    where, parameters = condition(chosen_filters(filters))
    of = TOOL if by == "tool" else by
    with file_errors(), reading_bar(path):
        rows = Traces.open(path).sql(
            query.format(by=by, of=of, sort=sort, count=count, where=where), *parameters
        )
        if not rows:
            what = "traces" if by == "trace" else f"span with a {by}"
            raise LookupError(f"{path} holds no {what}{' that match' if parameters else ''}")
    cells = [[_cell(name, value) for name, value in row.items()] for row in rows]
    show("\n".join(_fitting([list(rows[0]), *cells], width())))


def _fitting(rows: list[list[str]], columns: int) -> list[str]:
    """Returns the lines of the table; names are shortened so that it fits in `columns`, if that is possible."""
    name_column = 1 if rows[0][0] == "start" else 0
    widest = max(width_of(row[name_column]) for row in rows)
    excess = max(map(width_of, table(rows))) - columns
    if excess > 0:
        for row in rows:
            row[name_column] = fit(row[name_column], max(_LEAST_NAME, widest - excess))
    return table(rows)


def _cell(column: str, value: Any) -> str:
    match column:
        case "time" | "mean" | "most":
            return format_duration(value)
        case "cost":
            return "" if value is None else format_cost(value)
        case "spans" | "traces" | "tokens" | "unpriced" | "errors":
            return f"{value:,}" if value else ""
        case "trace":
            return printable(str(value)[:_ID_DIGITS])
        case _:
            return printable(value)
