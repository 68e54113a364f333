"""The `replay` command, which sends a trace file to an OTLP endpoint."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from opentelemetry.util.re import parse_env_headers

from otel_callbacks.explore.commands.errors import file_errors
from otel_callbacks.explore.files.reading import text_size, trace_files
from otel_callbacks.explore.files.replay import Bookmark, Progress
from otel_callbacks.explore.files.replay import replay as replay_file
from otel_callbacks.explore.files.senders import Protocol, Send, SendError, sender
from otel_callbacks.limits import REPLAY_REQUEST_BYTES

_HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"


def _headers(_: click.Context, __: click.Parameter, pairs: Sequence[str]) -> Mapping[str, str]:
    if wrong := [pair for pair in pairs if not pair.partition("=")[0].strip() or "=" not in pair]:
        raise click.BadParameter(f"{wrong[0]!r} is not NAME=VALUE")
    from_options = {
        name.strip().lower(): value.strip() for name, _, value in (pair.partition("=") for pair in pairs)
    }
    return {**parse_env_headers(os.environ.get(_HEADERS_VARIABLE, ""), liberal=True), **from_options}


@click.command("replay")
@click.argument("path", metavar="FILE", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--to",
    "endpoint",
    metavar="ENDPOINT",
    required=True,
    envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
    show_envvar=True,
    help="The address, such as http://localhost:4318.",
)
@click.option(
    "--protocol",
    type=click.Choice(["http/protobuf", "http/json", "grpc"]),
    help="Default: grpc on port 4317, otherwise http/protobuf.",
)
@click.option(
    "--header",
    "headers",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_headers,
    help=f"A header, such as an API key, in addition to {_HEADERS_VARIABLE}; repeatable.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    default=REPLAY_REQUEST_BYTES,
    show_default=True,
    help="The largest request, in bytes.",
)
@click.option(
    "--restart", is_flag=True, help="Start from the beginning, even if an earlier replay was interrupted."
)
def replay(
    path: Path,
    endpoint: str,
    protocol: Protocol | None,
    headers: Mapping[str, str],
    max_bytes: int,
    restart: bool,
) -> None:
    """Send the traces in FILE (or a folder) to an OTLP endpoint, with their original ids and times.

    An interrupted replay continues where it stopped. The exit status is 0 if the endpoint accepted everything, 1 if
    it did not, and 2 if a file cannot be read.
    """
    try:
        with file_errors(), sender(endpoint, protocol, headers) as send:
            rejected = sum(_replay(file, endpoint, send, max_bytes, restart) for file in trace_files(path))
    except SendError as error:
        raise click.ClickException(f"{error}; run the same command again to continue from there") from error
    if rejected:
        raise SystemExit(1)


def _replay(file: Path, endpoint: str, send: Send, max_bytes: int, restart: bool) -> int:
    """Sends one file and returns how many of its spans the endpoint rejected."""
    bookmark = Bookmark(file, endpoint)
    start = 0 if restart else bookmark.position()
    if start:
        click.echo(f"{file}: continuing at byte {start:,}")
    sent: list[Progress] = []
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=text_size(file), label=file.name, hidden=hidden, file=sys.stderr) as bar:
        bar.update(start)
        for progress in replay_file(file, send, max_bytes=max_bytes, start=start):
            bookmark.save(progress.position)
            bar.update(progress.position - bar.pos)
            sent.append(progress)
    bookmark.delete()
    click.echo(f"{file}: {sum(each.spans for each in sent):,} spans sent to {endpoint}")
    rejected = sum(each.rejected for each in sent)
    if rejected:
        reasons = ", ".join(sorted({each.rejection_reason for each in sent if each.rejection_reason}))
        click.echo(f"{file}: {rejected:,} spans were rejected: {reasons or 'no reason given'}", err=True)
    return rejected
