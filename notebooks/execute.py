"""Runs notebooks from a clean kernel, and keeps what they put out where it differs from what they have.

A notebook whose outputs are the same but for times and ids is left as it is, so that running it changes no file.
"""

import hashlib
import os
import sys
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


def corpus_digest() -> str:
    """Which documentation the notebooks read here: it differs from one release of Python to the next."""
    texts = "\0".join(doc.text for doc in corpus.load())
    return hashlib.sha256(texts.encode()).hexdigest()[:16]


def execute(path: Path) -> nbformat.NotebookNode:
    """The notebook as it is after a run in an empty folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    book = nbformat.read(path, as_version=4)
    commands = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with TemporaryDirectory() as folder:
        client = NotebookClient(
            book,
            timeout=SECONDS,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env={**os.environ, "PATH": commands})
    return book


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
def main(paths: tuple[Path, ...]) -> None:
    """Run the notebooks at PATHS, or all beside this file, and rewrite those whose outputs have changed."""
    digest = corpus_digest()
    for path in paths or sorted(HERE.glob("*.ipynb")):
        before = nbformat.read(path, as_version=4)
        book = execute(path)
        if before.metadata.get("corpus") == digest and comparable(book) == comparable(before):
            click.echo(f"{path.name}: as it was")
            continue
        book.metadata.corpus = digest
        nbformat.write(book, path)
        click.echo(f"{path.name}: rewritten")


if __name__ == "__main__":
    main()
