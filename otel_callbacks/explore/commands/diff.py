"""The `diff` command, which shows what changed from one trace to another."""

from pathlib import Path

import click

from otel_callbacks.explore.as_json.differences import difference_facts, step_facts
from otel_callbacks.explore.collection import Traces
from otel_callbacks.explore.commands.errors import file_errors
from otel_callbacks.explore.commands.terminal import show
from otel_callbacks.explore.files.writing import LOCAL_FOLDER
from otel_callbacks.explore.trace import Trace
from otel_callbacks.limits import ANSWER_ROWS
from otel_callbacks.runtime.json_options import json_options, limited
from otel_callbacks.runtime.json_text import json_text


@click.command("diff")
@click.argument("a")
@click.argument("b")
@click.option(
    "--file",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    default=LOCAL_FOLDER,
    show_default=True,
    help="The trace file or folder that holds the ids.",
)
@json_options(ANSWER_ROWS)
def diff(a: str, b: str, path: Path, limit: int | None) -> None:
    """Show what changed from trace A to trace B.

    A and B are each the beginning of a trace id, or a trace file, which stands for its last trace.
    """
    from otel_callbacks.explore.diff import diff as compare

    with file_errors():
        found = compare(_trace(a, path), _trace(b, path))
    if limit is None:
        show(str(found))
        return
    steps = limited("steps", list(map(step_facts, found.steps[:limit])), limit, len(found.steps))
    click.echo(json_text({**difference_facts(found), **steps}))


def _trace(text: str, path: Path) -> Trace:
    if Path(text).exists():
        return Traces.open(text).last()
    return Traces.open(path).get(text)
