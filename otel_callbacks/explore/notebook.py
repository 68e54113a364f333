"""Shows traces in a notebook, when one is the last line of a cell or after a cell that begins with `%%trace`."""

from collections.abc import Sequence
from typing import Any, Protocol

from otel_callbacks import limits
from otel_callbacks.explore.pictures.formatting import plural
from otel_callbacks.explore.pictures.html import render_html
from otel_callbacks.explore.pictures.svg import render_svg
from otel_callbacks.explore.pictures.text import documents_text, render_text
from otel_callbacks.explore.spans.tree import SpanTree

_MAGIC = "%%trace"


class TraceCollection(Protocol):
    """A collection of traces that grows."""

    def mark(self) -> int:
        """Returns a mark that stands after all traces so far."""
        ...

    def since(self, mark: int) -> Sequence[SpanTree]:
        """Returns the traces that started after `mark`, in start order."""
        ...


def display(trace: SpanTree) -> None:
    """Shows `trace` in the output of the running cell.

    The picture and the rest are two outputs, because a front end shows only one format of each output. All front
    ends prefer HTML, and GitHub and nbconvert's sanitiser remove pictures from HTML.
    """
    from IPython.display import display as publish

    picture = {"image/svg+xml": render_svg(trace), "text/plain": render_text(trace)}
    rest = {
        "text/html": render_html(trace, below_picture=True),
        "text/plain": documents_text(trace.documents()),
    }
    publish(picture, raw=True)  # type: ignore[no-untyped-call]
    publish(rest, raw=True)  # type: ignore[no-untyped-call]


class TraceMagic:
    """The cell magic `%%trace`, which shows the traces of a cell after it has run, also if it failed.

    The cell itself runs unchanged, so `await`, the last expression and tracebacks work as usual.
    """

    def __init__(self, shell: Any, collection: TraceCollection) -> None:
        self._shell = shell
        self._collection = collection
        self._mark = 0

    def begin(self, line: str) -> None:
        """Notes which traces exist before the cell runs; this is the line magic `%trace`."""
        if line.strip():
            raise ValueError(f"%%trace takes no arguments, not {line.strip()!r}")
        self._mark = self._collection.mark()
        if self._end not in self._shell.events.callbacks["post_run_cell"]:
            self._shell.events.register("post_run_cell", self._end)

    def _end(self, result: object) -> None:
        self._shell.events.unregister("post_run_cell", self._end)
        found = self._collection.since(self._mark)
        for trace in found[-limits.CELL_TRACES :]:
            display(trace)
        if not found:
            print("%%trace: this cell made no trace")  # noqa: T201 - the output of a cell
        elif len(found) > limits.CELL_TRACES:
            print(f"%%trace: {plural(len(found) - limits.CELL_TRACES, 'earlier trace')} not shown")  # noqa: T201


def install(shell: Any, collection: TraceCollection) -> None:
    """Adds `%%trace` for the traces of `collection` to an IPython shell, and replaces an earlier one."""
    uninstall(shell)
    shell.register_magic_function(TraceMagic(shell, collection).begin, "line", "trace")
    shell.input_transformers_cleanup.append(as_line_magic)


def uninstall(shell: Any) -> None:
    """Removes `%%trace` from an IPython shell."""
    shell.magics_manager.magics["line"].pop("trace", None)
    if as_line_magic in shell.input_transformers_cleanup:
        shell.input_transformers_cleanup.remove(as_line_magic)


def as_line_magic(lines: list[str]) -> list[str]:
    """Turns `%%trace` in the first line of a cell into the line magic `%trace`, so that the cell runs normally."""
    if lines and lines[0].split()[:1] == [_MAGIC]:
        return [lines[0].replace(_MAGIC, _MAGIC[1:], 1), *lines[1:]]
    return lines
