"""MCP's official SDK, 1 and 2, through both frameworks: the server's tool span is in the client's trace."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from applications import SCRIPTS, outline, program, run, started
from ports import free_port

pytestmark = pytest.mark.services

SERVER = SCRIPTS / "mcp_server.py"


def called(folder: Path, environment: str, framework: str, transport: str, way: str) -> str:
    """The spans of a call of the tool, as an outline."""
    address = str(SERVER)
    with ExitStack() as stack:
        if transport == "http":
            port = free_port()
            python = program(environment, "python")
            stack.enter_context(started(folder, "Uvicorn running", python, SERVER, "http", port))
            address = f"http://127.0.0.1:{port}/mcp"
        assert "Paris" in run(environment, folder, "mcp_client.py", framework, way, address)
    return outline(folder)


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize("framework", ["langchain", "llama-index"])
def test_with_version_1_the_trace_goes_along_in_the_message(
    tmp_path: Path, framework: str, transport: str
) -> None:
    assert called(tmp_path, "mcp1", framework, transport, "meta") == (
        "client: invoke_workflow ask acme\n  client: execute_tool capital acme\n    server: look up acme"
    )


def test_with_version_1_an_interceptor_sends_headers(tmp_path: Path) -> None:
    assert called(tmp_path, "mcp1", "langchain", "http", "headers") == (
        "client: invoke_workflow ask acme\n  client: execute_tool capital acme\n    server: look up acme"
    )


@pytest.mark.parametrize(("way", "tenant"), [("none", ""), ("meta", " acme")])
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_with_version_2_the_trace_goes_along_by_itself(
    tmp_path: Path, transport: str, way: str, tenant: str
) -> None:
    """The SDK has spans of its own. The messages before the first call are sent outside every span."""
    outline = called(tmp_path, "mcp2", "llama-index", transport, way)
    assert (
        f"""
client: invoke_workflow ask acme
  client: execute_tool capital acme
    client: MCP send initialize acme
      server: initialize
    client: MCP send tools/call capital acme
      server: tools/call capital{tenant}
        server: look up{tenant}
    client: MCP send tools/list acme
      server: tools/list
"""
        in outline
    )
