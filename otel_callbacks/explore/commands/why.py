"""The `why` command, which says what makes runs slow, expensive or failing."""

from pathlib import Path
from typing import Any

import click

from otel_callbacks.explore.as_json.causes import why_facts
from otel_callbacks.explore.causes.groups import Tail
from otel_callbacks.explore.collection import Traces
from otel_callbacks.explore.commands.errors import file_errors
from otel_callbacks.explore.commands.filters import chosen_filters, files_argument, filter_options
from otel_callbacks.explore.commands.terminal import show
from otel_callbacks.runtime.json_options import format_option
from otel_callbacks.runtime.json_text import json_text


def _tail(_: click.Context, option: click.Parameter, text: str) -> str:
    try:
        Tail.of(option.opts[0], text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return text


@click.command("why", short_help="Say what makes runs slow, expensive or failing.")
@files_argument
@click.option(
    "--slow",
    metavar="TAIL",
    callback=_tail,
    default="p95",
    show_default=True,
    help="Where the slow runs begin: a percentile from p75 to p99.9, or a duration such as 20s.",
)
@click.option(
    "--expensive",
    metavar="TAIL",
    callback=_tail,
    default="p95",
    show_default=True,
    help="Where the expensive runs begin: a percentile, or a cost such as $0.10.",
)
@click.option(
    "--before",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Say instead what changed since the traces in this file or folder; repeatable.",
)
@click.option(
    "--content", is_flag=True, help="With --format json: also the queries that missed, if they were recorded."
)
@format_option
@filter_options
def why(
    files: tuple[Path, ...],
    slow: str,
    expensive: str,
    before: tuple[Path, ...],
    content: bool,
    output_format: str,
    **options: Any,
) -> None:
    """Say why runs in trace files or folders (default: .otel_callbacks) are slow, expensive or failing.

    A run is one trace. The slow runs of each workflow are compared with its usual ones, the middle half by duration.
    """
    if content and output_format != "json":
        raise click.UsageError("--content is for --format json; text always shows the queries")
    filters = chosen_filters(options)
    with file_errors():
        found = Traces.open(*files).find(**filters)
        groups = (Traces.open(*before).find(**filters), found) if before else (found,)
        if not all(groups):
            raise LookupError(f"no traces{' that match' if filters else ''} to ask")
        said = found.why(*groups, slow=slow, expensive=expensive)
    if output_format == "json":
        click.echo(json_text(why_facts(said, content=content)))
    else:
        show(str(said))
