"""Text for the terminal: coloured where there is one and rich is installed, plain everywhere else."""

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Protocol

import click

_STYLES = {
    r"(?s)\A[^\n]*": "bold",
    r"[├└│─]+": "dim",
    r"✗[^\n]*": "red",
    r"unpriced": "yellow",
    r"<?\$[\d.,]+": "green",
}
# Said to the text and to whoever prints it: a console joins texts, and forgets what they were told.
_CUT_OFF: Any = {"no_wrap": True, "overflow": "ellipsis"}


class Screen(Protocol):
    """Where traces are shown as they come in."""

    def add(self, text: str) -> None:
        """Show something for good."""

    def replace(self, texts: Iterable[str]) -> None:
        """Show something below, for as long as nothing else replaces it."""


def width() -> int:
    """Columns to fill."""
    return min(shutil.get_terminal_size((110, 24)).columns, 140)


def show(text: str) -> None:
    """Print text that a person is to read."""
    if _is_rich():
        from rich.console import Console

        Console().print(_styled(text), **_CUT_OFF)
    else:
        click.echo(text)


@contextmanager
def screen() -> Iterator[Screen]:
    """A screen that is live where it can be; in a pipe, what is only shown for a while is left out."""
    if not _is_rich():
        yield _Pipe()
        return
    from rich.live import Live

    with Live(auto_refresh=False) as live:
        yield _LiveScreen(live)


class _Pipe:
    def add(self, text: str) -> None:
        click.echo(f"{text}\n")

    def replace(self, texts: Iterable[str]) -> None:
        """Nothing: what is written to a pipe stays."""


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
