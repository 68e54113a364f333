"""The `replay` command: a trace file to an OTLP endpoint."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from opentelemetry.util.re import parse_env_headers

from otel_callbacks.explore.commands.errors import reading
from otel_callbacks.explore.files.reading import text_size, trace_files
from otel_callbacks.explore.files.replay import Bookmark, Sent
from otel_callbacks.explore.files.replay import replay as replay_file
from otel_callbacks.explore.files.senders import Protocol, Send, SendError, sender

_HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"


def _headers(_: click.Context, __: click.Parameter, pairs: Sequence[str]) -> Mapping[str, str]:
    if wrong := [pair for pair in pairs if not pair.partition("=")[0].strip() or "=" not in pair]:
        raise click.BadParameter(f"{wrong[0]!r} is not NAME=VALUE")
    given = {
        name.strip().lower(): value.strip() for name, _, value in (pair.partition("=") for pair in pairs)
    }
    return {**parse_env_headers(os.environ.get(_HEADERS_VARIABLE, ""), liberal=True), **given}


@click.command("replay")
@click.argument("path", metavar="FILE", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--to",
    "endpoint",
    metavar="ENDPOINT",
    required=True,
    envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
    show_envvar=True,
    help="Such as http://localhost:4318.",
)
@click.option(
    "--protocol",
    type=click.Choice(["http/protobuf", "http/json", "grpc"]),
    help="Default: grpc on port 4317, http/protobuf everywhere else.",
)
@click.option(
    "--header",
    "headers",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_headers,
    help=f"Such as an API key, beside those in {_HEADERS_VARIABLE}; repeatable.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    default=3_000_000,
    show_default=True,
    help="Most bytes of a request.",
)
@click.option("--restart", is_flag=True, help="Send all of it, also what an interrupted replay has sent.")
def replay(
    path: Path,
    endpoint: str,
    protocol: Protocol | None,
    headers: Mapping[str, str],
    max_bytes: int,
    restart: bool,
) -> None:
    """Send the traces in FILE (or a folder) to an OTLP endpoint, with their ids and times.

    A replay that was interrupted goes on where it stopped. The exit status is 0 when the endpoint took
    everything, 1 when it did not, 2 when a file cannot be read.
    """
    try:
        with reading(), sender(endpoint, protocol, headers) as send:
            rejected = sum(_replay(file, endpoint, send, max_bytes, restart) for file in trace_files(path))
    except SendError as error:
        raise click.ClickException(f"{error}; run the same again to go on from there") from error
    if rejected:
        raise SystemExit(1)


def _replay(file: Path, endpoint: str, send: Send, max_bytes: int, restart: bool) -> int:
    """Send one file; how many of its spans were rejected."""
    bookmark = Bookmark(file, endpoint)
    start = 0 if restart else bookmark.position()
    if start:
        click.echo(f"{file}: going on at byte {start:,}")
    sent: list[Sent] = []
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=text_size(file), label=file.name, hidden=hidden, file=sys.stderr) as bar:
        bar.update(start)
        for progress in replay_file(file, send, max_bytes=max_bytes, start=start):
            bookmark.move(progress.position)
            bar.update(progress.position - bar.pos)
            sent.append(progress)
    bookmark.remove()
    click.echo(f"{file}: {sum(each.spans for each in sent):,} spans sent to {endpoint}")
    rejected = sum(each.rejected for each in sent)
    if rejected:
        reasons = ", ".join(sorted({each.why for each in sent if each.why}))
        click.echo(f"{file}: {rejected:,} spans were rejected: {reasons or 'no reason given'}", err=True)
    return rejected
