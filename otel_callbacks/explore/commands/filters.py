"""The options of commands that choose traces, and the argument that says where the traces are."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import click

from otel_callbacks.explore.files.writing import LOCAL_FOLDER
from otel_callbacks.explore.index.filters import Filters

_WORDS = ("tenant", "feature", "user", "session", "name", "model", "tool", "text")
_DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"])


def file_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the argument `path`: a trace file or folder."""
    kind = click.Path(path_type=Path)
    return click.argument("path", metavar="[FILE]", type=kind, default=LOCAL_FOLDER)(function)


def files_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the argument `files`: trace files or folders; a missing one is named when it is read."""
    kind = click.Path(path_type=Path)
    return click.argument("files", metavar="[FILE]...", nargs=-1, type=kind, default=(LOCAL_FOLDER,))(
        function
    )


def filter_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that choose traces; `chosen_filters` reads them."""
    for name in reversed(_WORDS):
        function = click.option(f"--{name}", metavar="NAME", help=f"Only traces with this {name}.")(function)
    for option in (
        click.option("--errors", "error", is_flag=True, help="Only traces in which something failed."),
        click.option("--evaluation", metavar="NAME", help="Only traces with feedback of this name."),
        click.option("--max-score", type=float, help="Only traces with feedback of at most this score."),
        click.option(
            "--since",
            type=_DAY,
            help="Only traces of this day (UTC) or time, such as 2026-01-31, and later.",
        ),
        click.option(
            "--until",
            type=_DAY,
            help="Only traces of this day (UTC) and earlier, or before this time.",
        ),
    ):
        function = option(function)
    return function


def chosen_filters(options: dict[str, Any]) -> Filters:
    """Returns the filters that the options of `filter_options` say."""
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    for name in given.keys() & {"since", "until"}:
        moment: datetime = given[name].replace(tzinfo=UTC)
        is_whole_day = name == "until" and moment.time() == time.min and moment.date() < date.max
        given[name] = moment + timedelta(days=1) if is_whole_day else moment
    found: Filters = Filters(**given)  # type: ignore[typeddict-item]  # the options are named as the filters are
    return found
