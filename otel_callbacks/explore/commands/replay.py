"""The `replay` command, which sends a trace file to an OTLP endpoint."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
)
from opentelemetry.util.re import parse_env_headers

from otel_callbacks.explore.commands.errors import file_errors
from otel_callbacks.explore.commands.filters import file_argument
from otel_callbacks.explore.files.profiled import add_profiles
from otel_callbacks.explore.files.reading import Skipped, text_size, trace_files
from otel_callbacks.explore.files.replay import Bookmark, Progress
from otel_callbacks.explore.files.replay import replay as replay_file
from otel_callbacks.explore.files.senders import Protocol, Send, SendError, sender
from otel_callbacks.explore.pictures.formatting import plural
from otel_callbacks.limits import ANSWER_ROWS, REPLAY_REQUEST_BYTES
from otel_callbacks.profiles import PROFILES
from otel_callbacks.runtime.addresses import endpoint_of, shown_address
from otel_callbacks.runtime.json_options import json_options, limited
from otel_callbacks.runtime.json_text import json_text
from otel_callbacks.runtime.untrusted_text import printable

_HEADERS_VARIABLE = "OTEL_EXPORTER_OTLP_HEADERS"
_ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_VARIABLE = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def _headers(_: click.Context, __: click.Parameter, pairs: Sequence[str]) -> Mapping[str, str]:
    if wrong := [pair for pair in pairs if not pair.partition("=")[0].strip() or "=" not in pair]:
        shown = [repr(pair) if re.fullmatch(r"[A-Za-z-]{1,16}", pair) else "a header" for pair in wrong]
        raise click.BadParameter(f"{shown[0]} is not NAME=VALUE")  # what follows a colon is likely a key
    return {name.strip().lower(): value.strip() for name, _, value in (pair.partition("=") for pair in pairs)}


def _headers_of_environment(endpoint: str) -> Mapping[str, str]:
    """Returns the headers in the environment, unless they are meant for another host than `endpoint`."""
    headers: Mapping[str, str] = parse_env_headers(os.environ.get(_HEADERS_VARIABLE, ""), liberal=True)
    configured = [os.environ[name] for name in (_ENDPOINT_VARIABLE, _TRACES_VARIABLE) if os.environ.get(name)]
    if headers and configured and not any(_is_same_host(each, endpoint) for each in configured):
        click.echo(
            f"{_HEADERS_VARIABLE} is not sent: it is for {shown_address(configured[0])}, and --to names another host."
            " --header sends a header there.",
            err=True,
        )
        return {}
    return headers


def _is_same_host(configured: str, endpoint: str) -> bool:
    """Tells whether an endpoint is on the configured host, and as secure."""
    try:
        one, other = endpoint_of(configured), endpoint_of(endpoint)
    except ValueError:
        return False
    return urlsplit(one.address).hostname == urlsplit(other.address).hostname and (
        other.is_secure or not one.is_secure
    )


@click.command("replay", short_help="Send traces to an OTLP endpoint.")
@file_argument
@click.option(
    "--to",
    "endpoint",
    metavar="ENDPOINT",
    required=True,
    envvar=_ENDPOINT_VARIABLE,
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
    help=f"A header, such as an API key; repeatable. Those of {_HEADERS_VARIABLE} are sent to their own host only.",
)
@click.option(
    "--profile",
    "profiles",
    type=click.Choice(list(PROFILES)),
    multiple=True,
    help="Also send what a back end reads, made from each span; repeatable.",
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
@json_options(ANSWER_ROWS)
def replay(
    path: Path,
    endpoint: str,
    protocol: Protocol | None,
    headers: Mapping[str, str],
    profiles: Sequence[str],
    max_bytes: int,
    restart: bool,
    limit: int | None,
) -> None:
    """Send the traces in FILE, or a folder (default: .otel_callbacks), to an OTLP endpoint, with their ids and times.

    An interrupted replay continues where it stopped. The exit status is 0 if the endpoint accepted everything, 1 if
    it did not or a part of a file cannot be read, and 2 if a file cannot be read at all.
    """
    try:
        headers = {**_headers_of_environment(endpoint), **headers}
        with file_errors(), sender(endpoint, protocol, headers) as send:
            profiled = partial(_send_profiled, send, profiles)
            files: list[dict[str, Any]] = []
            for file in trace_files(path):
                files.append(_replay(file, endpoint, profiled, max_bytes, restart))
                if limit is None:
                    click.echo(_said(files[-1], endpoint))
    except SendError as error:
        message = printable(f"{error}; run the same command again to continue from there")
        raise click.ClickException(message) from error
    if limit is not None:
        click.echo(json_text({"endpoint": shown_address(endpoint), **limited("files", files, limit)}))
    if any(file["rejected"] or file["unreadable_lines"] or file["unreadable_spans"] for file in files):
        raise SystemExit(1)


def _send_profiled(
    send: Send, profiles: Sequence[str], request: ExportTraceServiceRequest
) -> ExportTracePartialSuccess:
    return send(add_profiles(request, profiles))


def _replay(file: Path, endpoint: str, send: Send, max_bytes: int, restart: bool) -> dict[str, Any]:
    """Sends one file; returns how many of its spans and lines were sent, were rejected or cannot be read."""
    bookmark, name = Bookmark(file, endpoint), printable(str(file))
    start = 0 if restart else bookmark.position()
    sent: list[Progress] = []
    skipped = Skipped()
    hidden = not sys.stderr.isatty()
    with click.progressbar(
        length=text_size(file), label=printable(file.name), hidden=hidden, file=sys.stderr
    ) as bar:
        bar.update(start)
        for progress in replay_file(file, send, max_bytes=max_bytes, start=start, skipped=skipped):
            bookmark.save(progress.position)
            bar.update(progress.position - bar.pos)
            sent.append(progress)
    bookmark.delete()
    rejected = sum(each.rejected for each in sent)
    if rejected:
        reasons = ", ".join(sorted({each.rejection_reason for each in sent if each.rejection_reason}))
        why = printable(reasons) or "no reason given"
        click.echo(f"{name}: {plural(rejected, 'span')} rejected: {why}", err=True)
    return {
        "file": str(file),
        "continued_at_byte": start,
        "spans_sent": sum(each.spans for each in sent),
        "rejected": rejected,
        "unreadable_lines": skipped.lines,
        "unreadable_spans": skipped.spans,
    }


def _said(file: Mapping[str, Any], endpoint: str) -> str:
    name, start = printable(file["file"]), file["continued_at_byte"]
    sent = f"{name}: {plural(file['spans_sent'], 'span')} sent to {shown_address(endpoint)}"
    return f"{name}: continuing at byte {start:,}\n{sent}" if start else sent
