"""Runs notebooks from a clean kernel, and keeps what they put out where it is not what they have.

A notebook whose outputs differ only by what `comparable` leaves out is left as it is: running it changes no file.
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
"""How long a cell may take."""

_SETTINGS = ("OTEL_", "OPENAI_", "PYTHONPATH")  # of whoever runs this, and none of the notebooks' business


@cache
def corpus_digest() -> str:
    """Which documentation the notebooks read here: it differs from one release of Python to the next."""
    texts = "\0".join(doc.text for doc in corpus.load())
    return hashlib.sha256(texts.encode()).hexdigest()[:16]


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook as it is after a run in an empty folder, with the package that is beside it.

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
            click.echo(f"{path.name}: as it was")
            continue
        book.metadata.corpus = corpus_digest()
        nbformat.write(book, path)
        click.echo(f"{path.name}: rewritten")


if __name__ == "__main__":
    main()
