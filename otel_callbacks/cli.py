"""The `otel-callbacks` command."""

import gc
import logging
from typing import Any

import click

from otel_callbacks.conformance.command import check
from otel_callbacks.demo.command import demo
from otel_callbacks.doctor.command import doctor
from otel_callbacks.explore.commands.cost import cost
from otel_callbacks.explore.commands.diff import diff
from otel_callbacks.explore.commands.forget import forget
from otel_callbacks.explore.commands.replay import replay
from otel_callbacks.explore.commands.top import top
from otel_callbacks.explore.commands.ui import ui
from otel_callbacks.explore.commands.view import view
from otel_callbacks.explore.commands.why import why
from otel_callbacks.mcp_server.command import mcp
from otel_callbacks.runtime.untrusted_text import escaped_lines

_OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Spans are many objects without circles: with Python's 700, collecting takes half as long as all the rest."""


class _Commands(click.Group):
    """Commands whose errors print no control characters, whatever argument or file name they quote."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command."""
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = escaped_lines(error.message)  # type: ignore[misc]  # click prints it, with the usage
            raise


class _Escaped(logging.Formatter):
    """Formats what is logged without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the text of a record."""
        return escaped_lines(super().format(record))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="otel-callbacks")
def main() -> None:
    """Show, compare, check and price OpenTelemetry traces of LangChain, LangGraph and LlamaIndex."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    if logging.lastResort:  # prints what is logged, because a command configures no logging
        logging.lastResort.setFormatter(_Escaped())


main.add_command(check)
main.add_command(cost)
main.add_command(demo)
main.add_command(doctor)
main.add_command(diff)
main.add_command(forget)
main.add_command(mcp)
main.add_command(replay)
main.add_command(top)
main.add_command(ui)
main.add_command(view)
main.add_command(why)
