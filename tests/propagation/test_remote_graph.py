"""LangGraph's RemoteGraph against `langgraph dev`: the remote graph is in the caller's trace, with its labels."""

import os
import shutil
from pathlib import Path

import pytest
from applications import SCRIPTS, outline, program, run, started, until_exported
from ports import free_port

pytestmark = pytest.mark.services


EXPECTED = {
    "by hand": """\
client: invoke_workflow ask acme
  server: invoke_workflow answer acme
    server: answer acme
      server: chat acme""",
    "instrumented": """\
client: invoke_workflow ours acme
  client: remote acme
    client: POST acme
      server: invoke_workflow answer acme
        server: answer acme
          server: chat acme""",
}


@pytest.mark.parametrize("client", EXPECTED)
def test_a_remote_graph_is_in_the_callers_trace(tmp_path: Path, client: str) -> None:
    shutil.copytree(SCRIPTS / "remote_graph", tmp_path, dirs_exist_ok=True)
    port = free_port()
    langgraph = program("graph", "langgraph")
    command = [langgraph, "dev", "--no-browser", "--no-reload", "--host", "127.0.0.1", "--port", port]
    path = f"{Path(langgraph).parent}:{os.environ['PATH']}"
    with started(tmp_path, "Application started up", *command, PATH=path, LANGSMITH_TRACING="false"):
        assert run("graph", tmp_path, "remote_client.py", client, f"http://127.0.0.1:{port}") == "Paris"
        until_exported(tmp_path, "chat")
    assert outline(tmp_path) == EXPECTED[client]
