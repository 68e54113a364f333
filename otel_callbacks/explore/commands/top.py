"""The `top` command, which shows the slowest, most expensive or most failing traces or spans."""

from pathlib import Path
from typing import Any

import click

from otel_callbacks.explore.as_json.facts import ranked_facts
from otel_callbacks.explore.collection import Traces
from otel_callbacks.explore.commands.errors import file_errors
from otel_callbacks.explore.commands.filters import chosen_filters, file_argument, filter_options
from otel_callbacks.explore.commands.terminal import reading_bar, show, width
from otel_callbacks.explore.index.ranking import RANKED, SORTED_BY, ranking
from otel_callbacks.explore.pictures.formatting import format_cost, format_duration
from otel_callbacks.explore.pictures.monospace import fit, table
from otel_callbacks.explore.pictures.monospace import width as width_of
from otel_callbacks.runtime.json_options import format_option, limited
from otel_callbacks.runtime.json_text import json_text
from otel_callbacks.runtime.untrusted_text import printable

_LEAST_NAME = 16  # columns
_ID_DIGITS = 8  # enough for `view --trace`


@click.command("top", short_help="Show what takes longest, costs or fails most.")
@file_argument
@click.option(
    "--by",
    type=click.Choice(RANKED),
    default="trace",
    show_default=True,
    help="One row per trace, per label of traces, or per name, operation, model or tool of spans.",
)
@click.option(
    "--sort",
    type=click.Choice(SORTED_BY),
    default="time",
    show_default=True,
    help="The column to sort by, largest first.",
)
@click.option(
    "-n", "--limit", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many rows."
)
@format_option
@filter_options
def top(path: Path, by: str, sort: str, count: int, output_format: str, **filters: Any) -> None:
    """Show the traces, labels or spans in FILE that take longest, cost most or fail most.

    FILE is a trace file or a folder (default: .otel_callbacks).
    """
    chosen = chosen_filters(filters)
    query, parameters = ranking(by, sort, count, chosen)
    with file_errors(), reading_bar(path):
        rows = Traces.open(path).sql(query, *parameters)
        if not rows and output_format == "text":
            what = "traces" if by == "trace" else f"spans with a known {by}"
            raise LookupError(f"{path} holds no {what}{' that match' if chosen else ''}")
    total = rows[0]["total"] if rows else 0
    rows = [{name: value for name, value in row.items() if name != "total"} for row in rows]
    if output_format == "json":
        found = limited("rows", list(map(ranked_facts, rows)), count, total)
        click.echo(json_text({"by": by, "sort": sort, **found}))
        return
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
        case "start":
            return str(value)[5:19].replace("T", " ")
        case "trace":
            return printable(str(value)[:_ID_DIGITS])
        case _:
            return printable(value)
