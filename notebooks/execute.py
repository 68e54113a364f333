"""Runs notebooks from a clean kernel, and saves those whose outputs have changed.

A notebook whose outputs differ only in what `comparable` leaves out is not saved.
"""

import hashlib
import os
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import nbformat
from comparable import comparable
from nbclient import NotebookClient

from otel_callbacks.demo import corpus

HERE = Path(__file__).parent
SECONDS = 120
"""The time limit of a cell."""

_SETTINGS = ("OTEL_", "OPENAI_", "PYTHONPATH")  # of whoever runs this; notebooks must not see them


@cache
def corpus_digest() -> str:
    """Returns a digest of the documentation that the notebooks read; it differs between releases of Python."""
    texts = "\0".join(doc.text for doc in corpus.load())
    return hashlib.sha256(texts.encode()).hexdigest()[:16]


def execute(path: Path) -> nbformat.NotebookNode:
    """Runs a notebook in an empty folder, with the package of this checkout, and returns it with its outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    book = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        client = NotebookClient(
            book,
            timeout=SECONDS,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=_environment())
    return book


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    commands = os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", "")))
    return {**kept, "PATH": commands, "PYTHONPATH": str(HERE.parent)}


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(paths: tuple[Path, ...]) -> None:
    """Run the notebooks at PATHS, or all beside this file, and rewrite those whose outputs have changed."""
    for path in paths or sorted(HERE.glob("*.ipynb")):
        before, book = nbformat.read(path, as_version=4), execute(path)
        if before.metadata.get("corpus") == corpus_digest() and comparable(book) == comparable(before):
            click.echo(f"{path.name}: unchanged")
            continue
        book.metadata.corpus = corpus_digest()
        nbformat.write(book, path)
        click.echo(f"{path.name}: rewritten")


if __name__ == "__main__":
    main()
