"""An MCP server with one tool: python mcp_server.py stdio, or http PORT."""

import sys

try:
    from mcp.server.mcpserver import Context, MCPServer

    server = MCPServer("geography")
    options = {"port": int(sys.argv[2])} if sys.argv[1] == "http" else {}
except ImportError:  # version 1 of the SDK
    from mcp.server.fastmcp import Context, FastMCP

    server = FastMCP("geography", port=int(sys.argv[2]) if sys.argv[1] == "http" else 8000)
    options = {}

from otel_callbacks import configure, step
from otel_callbacks.propagation import extract, share_labels

configure(service_name="server")
share_labels(["tenant"], accept=True)


def carrier(country: str, ctx: Context) -> dict:
    """What the client sent: in the message, or (by langchain-mcp-adapters' interceptors) in the headers."""
    request = ctx.request_context.request
    return {**(request.headers if request is not None else {}), **dict(ctx.request_context.meta or {})}


@server.tool()
@extract(carrier)
def capital(country: str, ctx: Context) -> str:
    with step("look up"):
        return "Paris"


server.run("stdio" if sys.argv[1] == "stdio" else "streamable-http", **options)
