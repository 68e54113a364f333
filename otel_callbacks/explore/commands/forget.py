"""The `forget` command, which erases the traces of a person, or of any label, from trace files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from otel_callbacks import semconv
from otel_callbacks.cost.attribution import attribute_of
from otel_callbacks.explore.commands.errors import file_errors
from otel_callbacks.explore.commands.filters import file_argument
from otel_callbacks.explore.files.erasing import Erased, erase, is_interrupted
from otel_callbacks.explore.pictures.formatting import plural
from otel_callbacks.limits import ANSWER_ROWS
from otel_callbacks.runtime.json_options import json_options, limited
from otel_callbacks.runtime.json_text import json_text
from otel_callbacks.runtime.untrusted_text import printable


def _pairs(_: click.Context, __: click.Parameter, pairs: Sequence[str]) -> list[tuple[str, str]]:
    found = [tuple(pair.split("=", 1)) for pair in pairs]
    if any(len(pair) != 2 or not all(pair) for pair in found):
        raise click.BadParameter("a label is NAME=VALUE")
    return found  # type: ignore[return-value]


@click.command("forget", short_help="Erase the traces of a person or label.")
@file_argument
@click.option("--user", help="The traces of this user.")
@click.option("--tenant", help="The traces of this tenant.")
@click.option("--session", help="The traces of this session or conversation.")
@click.option(
    "--label",
    "labels",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_pairs,
    help="The traces with this label, such as feature=search, or with this attribute (a name with a dot); repeatable.",
)
@json_options(ANSWER_ROWS)
def forget(
    path: Path,
    user: str | None,
    tenant: str | None,
    session: str | None,
    labels: list[tuple[str, str]],
    limit: int | None,
) -> None:
    """Erase the traces of a person, or of any label, from FILE: a trace file or a folder (default: .otel_callbacks).

    A trace is erased whole if one of its spans has all labels given. Compressed and rotated files are rewritten, too,
    and the index is deleted. An interrupted erasure is completed by the next one. Stop a collector that writes to the
    files first: it would go on writing to a file that was replaced. Applications that use this package may go on.

    The exit status is 0 if everything was erased, 1 if lines that cannot be read were kept, and 2 if a file cannot be
    read or replaced.
    """
    named = [
        (name, value) for name, value in (("user", user), ("tenant", tenant), ("session", session)) if value
    ]
    wanted = [*named, *labels]
    if not wanted:
        raise click.UsageError("say whose traces: --user, --tenant, --session or --label")
    files: list[dict[str, Any]] = []
    trace_ids: set[str] = set()
    with file_errors():
        if is_interrupted(path):
            click.echo("An earlier erasure was interrupted; it is completed, too.", err=True)
        for file, erased in erase(path, {_attributes(name): value for name, value in wanted}):
            if limit is None:
                _say(file, erased)
            files.append(_facts(file, erased))
            trace_ids |= erased.trace_ids
    if limit is None:
        said = printable(" and ".join(f"{name} {value}" for name, value in wanted))
        count = plural(len(trace_ids), "trace")
        click.echo(f"erased {count} with {said}" if trace_ids else f"no trace has {said}")
    else:
        click.echo(json_text({"traces": len(trace_ids), **limited("files", files, limit)}))
    if any(file["unreadable_lines"] for file in files):
        raise SystemExit(1)


def _say(file: Path, erased: Erased) -> None:
    name = printable(str(file))
    if erased:
        click.echo(f"{name}: removed {_counts(erased)}")
    if erased.unreadable:
        click.echo(f"{name}: kept {plural(erased.unreadable, 'line')} that cannot be read", err=True)


def _facts(file: Path, erased: Erased) -> dict[str, Any]:
    return {
        "file": str(file),
        "traces": len(erased.trace_ids - {""}),
        "spans": erased.spans,
        "events": erased.events,
        "metric_points": erased.points,
        "unreadable_lines": erased.unreadable,
    }


def _attributes(name: str) -> tuple[str, ...]:
    """Returns the names of the attributes that hold a label."""
    attribute = name if "." in name else attribute_of(name)
    return (attribute, semconv.CONVERSATION_ID) if attribute == semconv.SESSION_ID else (attribute,)


def _counts(erased: Erased) -> str:
    counts = (("span", erased.spans), ("event", erased.events), ("metric point", erased.points))
    parts = [plural(count, noun) for noun, count in counts if count]
    return f"{' and '.join(parts)} of {plural(len(erased.trace_ids - {''}), 'trace')}"
