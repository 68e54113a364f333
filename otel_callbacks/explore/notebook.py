"""Traces in a notebook: shown when one is the last line of a cell, or after a cell that begins with `%%trace`.

Nothing appears unasked.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from otel_callbacks.explore.pictures.html import render_html
from otel_callbacks.explore.pictures.svg import render_svg
from otel_callbacks.explore.pictures.text import documents_text, render_text
from otel_callbacks.explore.pictures.wording import plural
from otel_callbacks.explore.spans.tree import SpanTree

_MAGIC = "%%trace"
_MOST_TRACES = 3


class TraceCollection(Protocol):
    """Where traces are as they come in."""

    def mark(self) -> int:
        """A mark after everything that is here by now."""
        ...

    def since(self, mark: int) -> Sequence[SpanTree]:
        """The traces that came after `mark`, in start order."""
        ...


def display(trace: SpanTree) -> None:
    """Shows `trace` in the output of the running cell.

    As two outputs, the picture and the rest, because a front end shows only what it likes best of each: all of
    them prefer HTML, and GitHub and nbconvert's sanitiser take the picture out of HTML.
    """
    from IPython.display import display as publish

    picture = {"image/svg+xml": render_svg(trace), "text/plain": render_text(trace)}
    rest = {"text/html": render_html(trace), "text/plain": documents_text(trace.documents())}
    publish(picture, raw=True)  # type: ignore[no-untyped-call]
    publish(rest, raw=True)  # type: ignore[no-untyped-call]


class TraceMagic:
    """`%%trace`: after the cell, shows the traces that the cell made, also when it failed.

    The cell runs like any other, so that `await`, the last expression and tracebacks stay as they are.
    """

    def __init__(self, shell: Any, collection: TraceCollection) -> None:
        self._shell = shell
        self._collection = collection
        self._mark = 0

    def begin(self, line: str) -> None:
        """What the cell does first: `%trace`."""
        if line.strip():
            raise ValueError(f"%%trace takes no arguments, not {line.strip()!r}")
        self._mark = self._collection.mark()
        if self._end not in self._shell.events.callbacks["post_run_cell"]:
            self._shell.events.register("post_run_cell", self._end)

    def _end(self, result: object) -> None:
        self._shell.events.unregister("post_run_cell", self._end)
        found = self._collection.since(self._mark)
        for trace in found[-_MOST_TRACES:]:
            display(trace)
        if not found:
            print("%%trace: this cell made no trace")  # noqa: T201 - the output of a cell
        elif len(found) > _MOST_TRACES:
            print(f"%%trace: {plural(len(found) - _MOST_TRACES, 'earlier trace')} not shown")  # noqa: T201


def install(shell: Any, collection: TraceCollection) -> None:
    """Adds `%%trace` over `collection` to an IPython shell; what was added before is replaced."""
    uninstall(shell)
    shell.register_magic_function(TraceMagic(shell, collection).begin, "line", "trace")
    shell.input_transformers_cleanup.append(as_line_magic)


def uninstall(shell: Any) -> None:
    """Takes `%%trace` away again."""
    shell.magics_manager.magics["line"].pop("trace", None)
    if as_line_magic in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(as_line_magic)


def as_line_magic(lines: list[str]) -> list[str]:
    """Makes `%%trace` on the first line of a cell the line magic `%trace`, so that the cell stays a cell."""
    if lines and lines[0].split()[:1] == [_MAGIC]:
        return [lines[0].replace(_MAGIC, _MAGIC[1:], 1), *lines[1:]]
    return lines
