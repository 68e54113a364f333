"""Beside the real set-ups of others: Logfire, `opentelemetry-instrument`, and FastAPI's own."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from environments import python
from otlp_servers import otlp_http

pytestmark = pytest.mark.services
HERE = Path(__file__).parent


def ran(*command: str | Path, **variables: str) -> str:
    environ = {**os.environ, **variables}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_a_chain_beside_logfire_is_one_tree_in_logfire() -> None:
    found: Any = json.loads(ran(python("wrapt2"), HERE / "logfire_calls.py"))
    assert found["faults"] == 0
    assert found["traces"] == "traces: the application's provider (logfire's ProxyTracerProvider)"
    assert found["spans"] == [
        ["chat", "invoke_workflow answer"],
        ["invoke_workflow answer", "the application's"],
        ["the application's", None],
    ]


@pytest.mark.parametrize("how", ["opentelemetry-instrument", "fastapi"])
def test_what_the_environment_exports_already_is_exported_once(how: str) -> None:
    with otlp_http() as server:
        interpreter = python("wrapt2")
        before = [interpreter.parent / "opentelemetry-instrument"] if how != "fastapi" else []
        said = ran(
            *before,
            *(interpreter, HERE / "application.py", "fastapi" if how == "fastapi" else "plain", server.url),
            OTEL_EXPORTER_OTLP_ENDPOINT=server.url,
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            OTEL_LOGS_EXPORTER="otlp",
        )
        if how != "fastapi":
            kept = "the application's provider (opentelemetry's TracerProvider)"
            assert said == f"traces: {kept}, which sends to {server.url} already"
        assert [span.name for span in server.spans() if span.name == "one"] == ["one"]
        assert Counter(server.paths)["/v1/logs"] == 1
