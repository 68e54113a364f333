"""Draws the pictures of the local page from the demo's traces.

Run `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY otel-callbacks demo` first, so that there are
messages to show. Chromium must be installed.
"""

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from pictures import FOLDER, OPTIONS, chromium

from otel_callbacks.explore import Traces

_SIZE = "--window-size=1360,840"


@click.command()
@click.argument("file", type=click.Path(exists=True), default=".otel_callbacks/demo.jsonl")
def main(file: str) -> None:
    """Draw the pictures from the demo's trace file FILE."""
    traces = Traces.open(file)
    page = traces.ui()
    shown = next(trace for trace in traces.errors() if trace.name == "invoke_agent librarian")
    for name, address in {"ui_list": "", "ui_trace": f"trace?id={shown.trace_id}"}.items():
        link = page.url if not address else page.url.replace("?", f"{address}&")
        with TemporaryDirectory() as profile:
            to = FOLDER / f"{name}.png"
            command = [chromium(), *OPTIONS, f"--user-data-dir={profile}", _SIZE, f"--screenshot={to}", link]
            subprocess.run(command, check=True, capture_output=True)
        click.echo(f"{Path(to).name}: {address or 'the list of traces'}")
    page.stop()


if __name__ == "__main__":
    main()
