"""Prints text: coloured in a terminal with rich installed, otherwise plain."""

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import click

from otel_callbacks.explore.files.reading import StrPath, tell_progress, trace_files

_LARGE_BYTES = 5_000_000  # reading less takes half a second
_STYLES = {
    r"(?s)\A[^\n]*": "bold",
    r"[├└│─]+": "dim",
    r"✗[^\n]*": "red",
    r"unpriced": "yellow",
    r"<?\$[\d.,]+": "green",
}
# Given to each text and to the console, because a console that joins texts drops their options.
_CUT_OFF: Any = {"no_wrap": True, "overflow": "ellipsis"}


class Screen(Protocol):
    """A place to show traces as they come in."""

    def add(self, text: str) -> None:
        """Shows text that stays."""

    def replace(self, texts: Iterable[str]) -> None:
        """Shows texts below, until the next call replaces them."""


def width() -> int:
    """Returns how many columns to fill."""
    return min(shutil.get_terminal_size((110, 24)).columns, 140)


def show(text: str) -> None:
    """Prints text for people."""
    if _is_rich():
        from rich.console import Console

        Console().print(_styled(text), **_CUT_OFF)
    else:
        click.echo(text)


@contextmanager
def screen() -> Iterator[Screen]:
    """Opens a screen: live in a terminal; in a pipe it leaves out what would be replaced."""
    if not _is_rich():
        yield _Pipe()
        return
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        yield _LiveScreen(live)


@contextmanager
def reading_bar(paths: StrPath | Iterable[StrPath]) -> Iterator[None]:
    """Shows in a terminal, as a bar on the error output, how much of large trace files has been read in this scope.

    There is no bar where nothing is read, because an index is there.
    """
    size = sum(file.stat().st_size for file in trace_files(paths))
    if size < _LARGE_BYTES or not sys.stderr.isatty():
        yield
        return
    bar, reached = click.progressbar(length=size, label="reading", file=sys.stderr), dict[Path, int]()
    with ExitStack() as shown:

        def tell(file: Path, position: int) -> None:
            if not reached:
                shown.enter_context(bar)
            bar.update(position - reached.get(file, 0))
            reached[file] = position

        with tell_progress(tell):
            yield


class _Pipe:
    def add(self, text: str) -> None:
        click.echo(f"{text}\n")

    def replace(self, texts: Iterable[str]) -> None:
        """Does nothing, because text in a pipe cannot be replaced."""


class _LiveScreen:
    def __init__(self, live: Any) -> None:
        self._live = live

    def add(self, text: str) -> None:
        self._live.console.print(_styled(text), end="\n\n", **_CUT_OFF)

    def replace(self, texts: Iterable[str]) -> None:
        from rich.console import Group

        self._live.update(Group(*map(_styled, texts)), refresh=True)


def _is_rich() -> bool:
    return sys.stdout.isatty() and find_spec("rich") is not None


def _styled(text: str) -> Any:
    from rich.text import Text

    styled = Text(text, **_CUT_OFF)
    for pattern, style in _STYLES.items():
        styled.highlight_regex(pattern, style)
    return styled
