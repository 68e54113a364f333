"""The options of commands that can answer in JSON."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from functools import wraps
from typing import Any

import click
from click.core import ParameterSource

from otel_callbacks.runtime.json_text import bounded

format_option = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one JSON document on standard output, and nothing else there.",
)


def limit_option(rows: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Returns the option `--limit`, which is `rows` if it is not given."""
    return click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=rows,
        show_default=True,
        help="With --format json: the most rows of a list. The document says how many are left out.",
    )


def check_limit(output_format: str) -> None:
    """Refuses a `--limit` that would be ignored.

    Raises:
        click.UsageError: `--limit` is given without `--format json`.
    """
    source = click.get_current_context().get_parameter_source("limit")
    if output_format != "json" and source is not ParameterSource.DEFAULT:
        raise click.UsageError("--limit is for --format json")


def json_options(rows: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds `--format` and `--limit`; the command gets `limit`: the most rows of JSON, or None for text."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(*args: Any, output_format: str, limit: int, **options: Any) -> Any:
            check_limit(output_format)
            return function(*args, limit=limit if output_format == "json" else None, **options)

        return format_option(limit_option(rows)(command))

    return decorate


@contextmanager
def only_json(output_format: str) -> Iterator[None]:
    """Sends what is printed meanwhile to standard error if standard output is for one JSON document."""
    with redirect_stdout(sys.stderr) if output_format == "json" else nullcontext():
        yield


def limited(name: str, rows: Sequence[Any], limit: int, total: int | None = None) -> dict[str, Any]:
    """Returns what `bounded` returns, and under `more` the option that shows the rows left out."""
    count = len(rows) if total is None else total
    return {**bounded(name, rows, limit, count), "more": more(count, limit)}


def more(total: int, limit: int) -> str | None:
    """Returns the option that shows all of `total` rows; None if `limit` already does."""
    return f"--limit {total}" if total > limit else None
