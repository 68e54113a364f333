"""The `top` command: the slowest, the dearest, the most failing."""

from pathlib import Path
from typing import Any

import click

from otel_callbacks.explore.collection import Traces
from otel_callbacks.explore.commands.errors import reading
from otel_callbacks.explore.commands.terminal import show, width
from otel_callbacks.explore.files.writing import LOCAL_FOLDER
from otel_callbacks.explore.pictures.columns import fit, table
from otel_callbacks.explore.pictures.columns import width as width_of
from otel_callbacks.explore.pictures.wording import format_cost, format_duration, printable

_LEAST_NAME = 16  # columns
_ID_DIGITS = 8  # a beginning is enough for `view --trace`

# Columns have the names of what `--sort` takes; times of steps are inclusive, so that they do not add up.
_TRACES = """
SELECT replace(substr(start, 6, 14), 'T', ' ') AS start, name, duration AS time, tokens, cost, unpriced, errors,
    trace_id AS trace
FROM traces ORDER BY {sort} DESC NULLS LAST LIMIT {count}
"""
_SPANS = """
SELECT {by}, count(*) AS spans, sum(duration) AS time, avg(duration) AS mean, max(duration) AS most,
    sum(tokens) FILTER (WHERE counted) AS tokens, sum(cost) FILTER (WHERE counted) AS cost,
    sum(cost_status = 'unpriced') FILTER (WHERE counted) AS unpriced, sum(failed) AS errors
FROM spans WHERE {by} IS NOT NULL GROUP BY {by} ORDER BY {sort} DESC NULLS LAST LIMIT {count}
"""


@click.command("top")
@click.argument("path", metavar="[FILE]", type=click.Path(path_type=Path), default=LOCAL_FOLDER)
@click.option(
    "--by",
    type=click.Choice(["trace", "name", "operation", "model"]),
    default="trace",
    show_default=True,
    help="Single traces, or all spans that have the same.",
)
@click.option(
    "--sort",
    type=click.Choice(["time", "cost", "tokens", "errors"]),
    default="time",
    show_default=True,
    help="What to have most of at the top.",
)
@click.option("-n", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many rows.")
def top(path: Path, by: str, sort: str, count: int) -> None:
    """Show the traces, or the steps, in FILE that take or cost most.

    FILE is a trace file or a folder (.otel_callbacks if left out).
    """
    query = _TRACES if by == "trace" else _SPANS
    with reading():
        rows = Traces.open(path).sql(query.format(by=by, sort=sort, count=count))
        if not rows:
            raise LookupError(
                f"{path} holds no traces" if by == "trace" else f"{path} holds no span with a {by}"
            )
    cells = [[_cell(name, value) for name, value in row.items()] for row in rows]
    show("\n".join(_fitting([list(rows[0]), *cells], width())))


def _fitting(rows: list[list[str]], columns: int) -> list[str]:
    """The table in so many columns, if names can be made short enough for that."""
    named = 1 if rows[0][0] == "start" else 0
    widest = max(width_of(row[named]) for row in rows)
    excess = max(map(width_of, table(rows))) - columns
    if excess > 0:
        for row in rows:
            row[named] = fit(row[named], max(_LEAST_NAME, widest - excess))
    return table(rows)


def _cell(column: str, value: Any) -> str:
    match column:
        case "time" | "mean" | "most":
            return format_duration(value)
        case "cost":
            return "" if value is None else format_cost(value)
        case "spans" | "tokens" | "unpriced" | "errors":
            return f"{value:,}" if value else ""
        case "trace":
            return str(value)[:_ID_DIGITS]
        case _:
            return printable(value)
