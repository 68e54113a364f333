"""The `view` command, which shows a trace as a tree, a picture or a page, also while the application runs."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click

from otel_callbacks import limits
from otel_callbacks.explore.as_json.facts import Content, spans_facts, trace_facts
from otel_callbacks.explore.collection import Traces
from otel_callbacks.explore.commands.errors import file_errors
from otel_callbacks.explore.commands.filters import chosen_filters, file_argument, filter_options
from otel_callbacks.explore.commands.follow import Follower
from otel_callbacks.explore.commands.terminal import reading_bar, screen, show, width
from otel_callbacks.explore.files.private import write_private
from otel_callbacks.explore.pictures.recorded_text import recorded_text
from otel_callbacks.explore.pictures.text import render_text
from otel_callbacks.explore.trace import Trace
from otel_callbacks.runtime.json_options import json_options, more
from otel_callbacks.runtime.json_text import bounded, json_text
from otel_callbacks.runtime.untrusted_text import printable

_POLL_SECONDS = 0.5  # between two polls of growing files

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("view", short_help="Show a trace as a tree, a picture or a page.")
@file_argument
@click.option("--trace", "trace_id", metavar="ID", help="The trace whose id begins with ID.")
@click.option(
    "--last",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many of the last traces to show.",
)
@click.option("--follow", is_flag=True, help="Show new traces as they come in, until interrupted.")
@click.option(
    "--content",
    is_flag=True,
    help="Also show what was recorded: messages, arguments, results, documents, feedback, events.",
)
@click.option("--whole", is_flag=True, help="Show all of each text instead of its beginning.")
@click.option("--svg", type=_FILE, help="Write a picture of the trace to this file instead.")
@click.option("--html", type=_FILE, help="Write a page about the trace to this file instead.")
@filter_options
@json_options(limits.ANSWER_ROWS)
def view(
    path: Path,
    trace_id: str | None,
    last: int,
    follow: bool,
    content: bool,
    whole: bool,
    svg: Path | None,
    html: Path | None,
    limit: int | None,
    **options: Any,
) -> None:
    """Show the last trace in FILE, which is a trace file or a folder (default: .otel_callbacks).

    With --tenant and the like, the last one that matches.
    """
    filters = chosen_filters(options)
    if follow and (trace_id or last > 1 or content or whole or svg or html or limit or filters):
        raise click.UsageError(
            "--follow shows every new trace as text; it cannot be combined with other options"
        )
    if last > 1 and (trace_id or svg or html):
        raise click.UsageError(
            "--last shows several traces as text; it cannot be combined with --trace, --svg or --html"
        )
    with file_errors():
        if follow:
            _follow(path)
            return
        with reading_bar(path):
            traces = Traces.open(path).find(**filters)
        chosen = [traces.get(trace_id)] if trace_id else list(traces[-last:])
        if limit and not (svg or html):
            click.echo(_json(chosen, limit, "whole" if whole else "beginnings" if content else "none"))
            return
        if not chosen:
            raise LookupError(f"{path} holds no traces{' that match' if filters else ''}")
        if svg or html:
            written = list(_write(chosen[-1], svg, html))
            said = (f"{path}: {printable(chosen[-1].name)}, trace {chosen[-1].trace_id}" for path in written)
            facts = {"trace_id": chosen[-1].trace_id, "written": written}
            click.echo(json_text(facts) if limit else "\n".join(map(printable, said)))
            return
        for trace in chosen:
            show(f"{render_text(trace, width())}\n")
            if content or whole:
                limit = sys.maxsize if whole else limits.TERMINAL_EXCERPT_CHARACTERS
                show(f"{recorded_text(trace, width(), limit)}\n")


def _json(traces: Sequence[Trace], limit: int, content: Content) -> str:
    """Returns traces as JSON, with `limit` spans in all."""
    shown, left, total = [], limit, 0
    for trace in traces:
        spans = list(islice(spans_facts(trace, content), left))
        shown.append({**trace_facts(trace), **bounded("spans", spans, left, len(trace.spans))})
        left, total = left - len(spans), total + len(trace.spans)
    return json_text({"traces": shown, "more": more(total, limit)})


def _write(trace: Trace, svg: Path | None, html: Path | None) -> Iterator[str]:
    """Writes the picture and the page that are wanted, and yields where."""
    from otel_callbacks.explore.pictures.html import page
    from otel_callbacks.explore.pictures.svg import render_svg

    wanted: list[tuple[Path | None, Callable[[Trace], str]]] = [(svg, render_svg), (html, page)]
    for path, render in wanted:
        if path:
            write_private(path, render(trace).encode())
            yield str(path)


def _follow(path: Path) -> None:
    try:
        follower = Follower(Traces.open(path)) if path.exists() else None
        # Printed only now, because from here on no trace can be missed.
        click.echo(f"Following {path}; press Ctrl-C to stop.", err=True)
        while not path.exists():  # the application has not started yet
            time.sleep(_POLL_SECONDS)
        follower = follower or Follower(Traces.open(path), from_start=True)
        with screen() as shown:
            while True:
                new = follower.poll(time.monotonic())
                for trace in new.complete:
                    shown.add(render_text(trace, width()))
                shown.replace([render_text(trace, width()) for trace in new.growing])
                time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:  # this is how the user ends it
        return
