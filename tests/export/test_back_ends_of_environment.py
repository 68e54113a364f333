"""`OTEL_CALLBACKS_TO` names back ends for `configure()` and for `opentelemetry-instrument`."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from otlp_servers import OtlpServer, otlp_http

from otel_callbacks import configure
from otel_callbacks.export import environment

pytestmark = pytest.mark.usefixtures("no_providers")
COMMAND = str(Path(sys.executable).with_name("opentelemetry-instrument"))


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[OtlpServer, OtlpServer]]:
    """Phoenix and Langfuse by their variables."""
    with otlp_http() as phoenix, otlp_http() as langfuse:
        monkeypatch.setenv("PHOENIX_COLLECTOR_ENDPOINT", phoenix.url)
        monkeypatch.setenv("LANGFUSE_BASE_URL", langfuse.url)
        monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk")
        monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk")
        yield phoenix, langfuse


def send_one() -> bool:
    telemetry = configure("app")
    telemetry.tracer_provider.get_tracer("t").start_span("one").end()
    sent = telemetry.flush(10)
    telemetry.shutdown(5)
    return sent


@pytest.mark.parametrize("text", ["phoenix,langfuse", " phoenix , langfuse,", "none,phoenix,langfuse"])
def test_the_environment_names_back_ends(
    text: str, servers: tuple[OtlpServer, OtlpServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.TO, text)
    assert send_one()
    phoenix, langfuse = servers
    assert (phoenix.paths, langfuse.paths) == (["/v1/traces"], ["/api/public/otel/v1/traces"])
    (span,) = phoenix.spans()
    assert span.attributes["openinference.span.kind"] == "CHAIN"


def test_the_protocol_in_the_environment_is_for_others(
    servers: tuple[OtlpServer, OtlpServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")  # as `opentelemetry-instrument` sets it
    monkeypatch.setenv(environment.TO, "phoenix")
    assert send_one()
    assert len(servers[0].spans()) == 1


def test_an_argument_comes_before_the_variable(
    servers: tuple[OtlpServer, OtlpServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.TO, "langfuse")
    telemetry = configure("app", to="phoenix")
    telemetry.tracer_provider.get_tracer("t").start_span("one").end()
    assert telemetry.flush(10)
    telemetry.shutdown(5)
    assert [len(server.paths) for server in servers] == [1, 0]


def test_what_is_wrong_is_told_and_left_out(
    servers: tuple[OtlpServer, OtlpServer],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("LANGFUSE_SECRET_KEY")
    monkeypatch.setenv(environment.TO, "phoenix,langfuse,pheonix")
    with caplog.at_level(logging.WARNING):
        assert send_one()
    assert len(servers[0].spans()) == 1
    known = "'phoenix', 'langfuse', 'langsmith', 'mlflow', 'jaeger', 'tempo', 'datadog', 'honeycomb'"
    assert [message.partition(f"use {known}")[0] for message in caplog.messages] == [
        "configure(): OTEL_CALLBACKS_TO: a back end is left out: to='langfuse' needs the environment variables"
        " LANGFUSE_SECRET_KEY",
        "configure(): OTEL_CALLBACKS_TO: a back end is left out: to='pheonix' is not known; ",
    ]


@pytest.mark.parametrize("text", ["", "none"])
def test_without_names_nothing_changes(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(environment.TO, text)
    assert send_one()
    assert list((tmp_path / ".otel_callbacks").glob("*.jsonl"))


APPLICATION = """
from langchain_core.runnables import RunnableLambda
RunnableLambda(str).with_config(run_name="asked").invoke("q")
"""


def test_without_a_line_of_code(servers: tuple[OtlpServer, OtlpServer], tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)
    off = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    ran = subprocess.run(
        [COMMAND, sys.executable, "app.py"],
        cwd=tmp_path,
        env={**os.environ, **off, environment.TO: "phoenix,langfuse"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    phoenix, langfuse = servers
    assert [span.name for span in phoenix.spans()] == ["invoke_workflow asked"]
    assert phoenix.spans()[0].attributes["openinference.span.kind"] == "CHAIN"
    assert langfuse.paths == ["/api/public/otel/v1/traces"]
