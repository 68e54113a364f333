"""The collector's configuration in a real collector, and Jaeger behind it.

    OTELCOL=/path/to/otelcol-contrib JAEGER=/path/to/jaeger pytest -m backend tests/dashboards/test_collector.py

NOT YET RUN by anybody: neither program comes as a package that we could install. Whoever runs this first, say so in
dashboards/README.md.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from otlp_servers import otlp_http
from ports import free_port, listens
from waiting import patiently

from otel_callbacks import BackEnd, configure, inference, workflow
from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import set_process_recorder

OTELCOL, JAEGER = os.environ.get("OTELCOL"), os.environ.get("JAEGER")
DASHBOARDS = Path(__file__).parents[2] / "dashboards"
pytestmark = [pytest.mark.backend, pytest.mark.usefixtures("no_providers")]
needs_collector = pytest.mark.skipif(not OTELCOL, reason="not yet run: set OTELCOL to a collector (contrib)")
needs_jaeger = pytest.mark.skipif(not JAEGER, reason="not yet run: set JAEGER to a Jaeger 2")


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command)

    def is_up() -> bool:
        assert process.poll() is None
        return listens(port)

    try:
        patiently(is_up)
        yield
    finally:
        process.terminate()
        process.wait(60)


def send(address: str, *, prompt: str) -> str:
    """Sends one trace with a prompt; returns its id."""
    telemetry = configure("shop", to=BackEnd(address, "http/protobuf", signals=["traces", "metrics"]))
    by_hand = recorder(content="spans", prices={"prices": {"gpt-x": {"input": 2, "output": 10}}})
    set_process_recorder(send, lambda: by_hand)
    with telemetry.tracer_provider.get_tracer("app").start_as_current_span("around") as around:
        around.set_attribute("db.password", "hunter2")  # another library's, which we do not redact
        around.set_attribute("note", prompt)
        with workflow("answer"), inference("gpt-x", provider="openai") as call:
            call.usage(input_tokens=10, output_tokens=2)
    set_process_recorder(send, None)
    assert telemetry.flush(30)
    telemetry.shutdown(30)
    return f"{around.get_span_context().trace_id:032x}"


@needs_collector
@pytest.mark.parametrize("more", [[], ["collector.clickhouse.yaml"]])
def test_the_configuration_is_valid(more: list[str]) -> None:
    files = [f"--config={DASHBOARDS / name}" for name in ("collector.yaml", *more)]
    subprocess.run([str(OTELCOL), "validate", *files], check=True)


@needs_collector
def test_what_comes_through_the_collector(tmp_path: Path) -> None:
    port = free_port()
    with otlp_http() as jaeger:
        config = local_configuration(port, jaeger.url)
        file = tmp_path / "collector.yaml"
        file.write_text(yaml.safe_dump(config))
        with running([str(OTELCOL), f"--config={file}"], port):
            send(f"http://127.0.0.1:{port}", prompt="Write to jane.doe@example.com.")
            spans = patiently(lambda: jaeger.spans() if len(jaeger.spans()) == 3 else None)
    by_name = {span.name: span for span in spans}
    assert set(by_name) == {"around", "invoke_workflow answer", "chat gpt-x"}
    assert by_name["around"].attributes["db.password"] != "hunter2"
    assert "jane.doe" not in str(by_name["around"].attributes["note"])
    assert by_name["chat gpt-x"].attributes["gen_ai.usage.cost_usd"] == 0.00004
    assert "/v1/metrics" in jaeger.paths


def local_configuration(port: int, url: str) -> dict[str, Any]:
    """Returns the collector's configuration with this port, and with a receiver in place of Jaeger and Prometheus."""
    config: dict[str, Any] = yaml.safe_load((DASHBOARDS / "collector.yaml").read_text())
    config["receivers"]["otlp"]["protocols"] = {"http": {"endpoint": f"127.0.0.1:{port}"}}
    config["processors"]["tail_sampling"]["decision_wait"] = "2s"
    config["connectors"]["spanmetrics"]["metrics_flush_interval"] = "1s"
    config["exporters"] = {"otlp_http/here": {"endpoint": url, "compression": "none"}, "debug": {}}
    for pipeline in config["service"]["pipelines"].values():
        names = ["otlp_http/here" if name.startswith("otlp_") else name for name in pipeline["exporters"]]
        pipeline["exporters"] = names
    return config


@needs_jaeger
def test_jaeger_shows_the_trace() -> None:
    with running([str(JAEGER)], 4318):  # Jaeger's own defaults: OTLP on 4318, its API on 16686
        trace_id = send("http://127.0.0.1:4318", prompt="Hello")

        def shown() -> Any:
            answer = requests.get(f"http://127.0.0.1:16686/api/traces/{trace_id}", timeout=10)
            return answer.json()["data"][0] if answer.ok and answer.json()["data"] else None

        trace = patiently(shown)
    spans = {span["operationName"]: span for span in trace["spans"]}
    assert set(spans) == {"around", "invoke_workflow answer", "chat gpt-x"}
    tags = {tag["key"]: tag["value"] for tag in spans["chat gpt-x"]["tags"]}
    assert tags["gen_ai.usage.input_tokens"] == 10 and tags["gen_ai.usage.cost_usd"] == 0.00004
    assert spans["chat gpt-x"]["references"][0]["spanID"] == spans["invoke_workflow answer"]["spanID"]
