"""The `ui` command, which serves a page over trace files until it is interrupted."""

import webbrowser
from pathlib import Path

import click

from otel_callbacks.explore.collection import Traces
from otel_callbacks.explore.commands.errors import file_errors
from otel_callbacks.explore.files.writing import LOCAL_FOLDER
from otel_callbacks.explore.index.file_index import FileIndex


@click.command("ui", short_help="Serve a page that shows traces as they come.")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to serve at. With any other than this machine's own (127.0.0.1, ::1), others can read the page "
    "if they have its link; it is not encrypted.",
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, help="The port to serve at; a free one by default."
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def ui(files: tuple[Path, ...], host: str, port: int, opens: bool) -> None:
    """Serve a page over the traces in FILE, which are trace files or folders (default: .otel_callbacks).

    The page follows the files as they grow. Its link, which is printed, has a token, without which nobody can read it.
    It needs the extra `ui`: pip install "otel-callbacks[ui]".
    """
    with file_errors():
        # the default folder may come later: the application has not started yet
        traces = Traces.open(*files) if files else Traces(FileIndex(LOCAL_FOLDER).index)
        try:
            page = traces.ui(host=host, port=port)
        except ModuleNotFoundError as error:
            raise click.ClickException(str(error)) from error
    click.echo(page.url)
    if not page.is_local:
        click.echo("Everybody who can reach this machine and has the link can read the page.", err=True)
    click.echo("Press Ctrl-C to stop.", err=True)
    if opens:
        webbrowser.open(page.url)
    try:
        page.wait()
    except KeyboardInterrupt:  # this is how the user ends it
        page.stop()
