"""The `mcp` command."""

from collections.abc import Sequence
from pathlib import Path

import click

from otel_callbacks.explore.commands.filters import files_argument


@click.command("mcp", short_help="Let an assistant in an editor look at traces.")
@files_argument
@click.option(
    "--content",
    is_flag=True,
    help="Also answer with what was recorded: messages, arguments, results, documents, users, sessions.",
)
def mcp(files: Sequence[Path], content: bool) -> None:
    """Serve the traces in FILE, which are trace files or folders (default: .otel_callbacks), to an assistant.

    It speaks MCP over stdio, and only reads. The assistant can list, find, read, rank and compare traces, and ask what
    they cost and why runs are slow. It sees nothing but these files, which need not be there yet. It needs the extra
    `mcp`.
    """
    from otel_callbacks.mcp_server.server import serve
    from otel_callbacks.mcp_server.tools import TraceTools

    try:
        serve(TraceTools(files, content=content))
    except ModuleNotFoundError as missing:
        raise click.ClickException(str(missing)) from missing
