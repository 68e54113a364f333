"""FastAPI and httpx, with and without OpenTelemetry's instrumentations of them: one trace, and the labels."""

from pathlib import Path

import pytest
from applications import SCRIPTS, outline, program, run, started
from ports import free_port

pytestmark = pytest.mark.services

LABELLED, OTHER = "experiment=B,tenant=acme", "experiment=B"


def expected(client: str, server: str) -> str:
    lines = ["client: invoke_workflow ask acme"]
    for path, span, tenant in (
        ("/langchain", "chat", "acme"),
        ("/llama-index", "text_completion", "acme"),
        ("/langchain", "chat", ""),
    ):
        depth = 1
        inside = ["client: execute_tool get acme"]
        inside += ["client: GET acme"] if client == "instrumented" else []
        inside += [f"server: GET {path} {tenant}".rstrip()] if server != "plain" else []
        inside += [f"server: {span} {tenant}".rstrip()]
        for each in inside:
            lines.append("  " * depth + each)
            depth += 1
    return "\n".join(lines)


@pytest.mark.parametrize("server", ["native", "instrumented", "plain"])
@pytest.mark.parametrize("client", ["instrumented", "plain"])
def test_two_services_are_one_trace(tmp_path: Path, client: str, server: str) -> None:
    port = free_port()
    python = program("servers", "python")
    with started(tmp_path, "Uvicorn running", python, SCRIPTS / "http_server.py", server, port):
        received = run("servers", tmp_path, "http_client.py", client, port)
    assert received.split() == [LABELLED, LABELLED, OTHER]
    assert outline(tmp_path) == expected(client, server)


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_a_redirect_to_another_host_takes_no_label_along(tmp_path: Path, sampler: str) -> None:
    """httpx copies the headers of the first request, with what its instrumentation wrote into them."""
    seen = run("servers", tmp_path, "http_redirects.py", sampler)
    assert seen.split("\n") == ["127.0.0.1 /moved tenant=acme", "localhost /here None"]
