"""Draws the pictures of README and documentation from the demo's traces, as a notebook shows them.

Run `otel-callbacks demo` first. Chromium, without a window, turns the pictures into PNG files; it must be installed.
"""

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from otel_callbacks.explore import Trace, Traces
from otel_callbacks.explore.pictures.svg import render_svg

FOLDER = Path(__file__).parents[1] / "pictures"
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
PICTURES = {
    "supervisor": "invoke_agent supervisor",  # an agent that asks an agent
    "rag": "invoke_workflow rag",
    "failure": "invoke_agent librarian",  # one tool call of it fails and is tried again
}
"""The name of each picture, and the name of the root span of its trace."""


def draw(trace: Trace, to: Path, browser: str) -> None:
    """Writes the picture of a trace as a PNG file, two pixels for one, on a white page.

    Raises:
        subprocess.CalledProcessError: Chromium failed.
    """
    svg = render_svg(trace)
    width, height = (int(float(re.search(rf'\b{side}="([\d.]+)', svg)[1])) for side in ("width", "height"))
    with TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin:0">{svg}')
        size, file = f"--window-size={width},{height}", f"--screenshot={to}"
        subprocess.run(
            [browser, *OPTIONS, "--force-device-scale-factor=2", size, file, page.as_uri()],
            check=True,
            capture_output=True,
        )


def chromium() -> str:
    """Returns the path of Chromium.

    Raises:
        click.ClickException: It is not installed.
    """
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise click.ClickException("Chromium is not installed; on Debian: apt-get install chromium")
    return found


@click.command()
@click.argument("file", type=click.Path(exists=True), default=".otel_callbacks/demo.jsonl")
def main(file: str) -> None:
    """Draw the pictures from the demo's trace file FILE."""
    found = list(Traces.open(file))
    for name, root in PICTURES.items():
        trace = next(trace for trace in found if trace.roots[0].name == root)
        draw(trace, FOLDER / f"{name}.png", chromium())
        click.echo(f"{name}.png: {root}")


if __name__ == "__main__":
    main()
