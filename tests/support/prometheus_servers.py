"""Prometheus and VictoriaMetrics with our metrics in them: vmagent takes OTLP, names the series and writes to both.

Debian's Prometheus has no OTLP receiver. The names are made by vmagent (`-opentelemetry.usePrometheusNaming`), which
follows the same rules as Prometheus and the collector.
"""

import gzip
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from ports import free_port
from waiting import patiently

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv" / "backends" / "prometheus" / "usr" / "bin"
APPLICATION = Path(__file__).parent / "demo_and_troubles.py"
RELABEL = ROOT / "dashboards" / "prometheus" / "victoria_metrics.relabel.yaml"
WEEK = 7 * 24 * 3600


@dataclass(frozen=True)
class Servers:
    """The addresses of Prometheus and VictoriaMetrics, each with the series in it and the rules evaluated."""

    prometheus: str
    victoria_metrics: str


@contextmanager
def running(command: Sequence[Any], ready: str, folder: Path) -> Iterator[None]:
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
    try:
        patiently(lambda: _answers(ready, process, log))
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str, process: subprocess.Popen[Any], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def exported() -> list[bytes]:
    """Returns the OTLP requests with the metrics of the demo and of what goes wrong, one after each round."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("/v1/metrics"):
                bodies.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        command = [sys.executable, str(APPLICATION), f"http://127.0.0.1:{server.server_port}"]
        variables = {**os.environ, "OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=300)
        server.shutdown()
    assert done.returncode == 0, done.stderr
    return bodies[:2]


def at(body: bytes, seconds: float) -> bytes:
    """Returns a request with all of its points at this time."""
    request = ExportMetricsServiceRequest.FromString(body)
    for process in request.resource_metrics:
        for scope in process.scope_metrics:
            for metric in scope.metrics:
                for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
                    took = point.time_unix_nano - point.start_time_unix_nano
                    point.time_unix_nano = int(seconds * 1e9)
                    point.start_time_unix_nano = point.time_unix_nano - took
    return request.SerializeToString()


@contextmanager
def servers(folder: Path, rules: Path) -> Iterator[Servers]:
    """Runs both with the metrics of now and of a week ago."""
    fast = folder / "rules.yaml"
    fast.write_text(rules.read_text().replace("interval: 1m", "interval: 1s"))
    late = {"tsdb": {"out_of_order_time_window": "15d"}}  # the rules write before last week's samples come
    (folder / "prometheus.yml").write_text(json.dumps({"rule_files": [str(fast)], "storage": late}))
    prometheus, victoria, agent, alerts = (free_port() for _ in range(4))
    urls = Servers(f"http://127.0.0.1:{prometheus}", f"http://127.0.0.1:{victoria}")
    commands = [
        _prometheus(prometheus),
        [
            *(BIN / "victoria-metrics", f"-httpListenAddr=127.0.0.1:{victoria}", "-storageDataPath=victoria"),
            *("-search.latencyOffset=0s", "-retentionPeriod=1y"),
            *("-opentelemetry.usePrometheusNaming", f"-relabelConfig={RELABEL}"),
        ],
        _vmagent(agent, urls),
    ]
    ready = (
        f"{urls.prometheus}/-/ready",
        f"{urls.victoria_metrics}/health",
        f"http://127.0.0.1:{agent}/health",
    )
    bodies = exported()
    vmalert = [
        *(BIN / "vmalert", f"-rule={fast}", f"-httpListenAddr=127.0.0.1:{alerts}", "-notifier.blackhole"),
        *(f"-datasource.url={urls.victoria_metrics}", f"-remoteWrite.url={urls.victoria_metrics}"),
    ]
    with ExitStack() as stack:
        for command, path in zip(commands, ready, strict=True):
            stack.enter_context(running(command, path, folder))
        now = time.time()
        for moment in (now - WEEK, now):
            for body, before in zip(bodies, (60, 1), strict=True):
                _post(f"http://127.0.0.1:{agent}/opentelemetry/v1/metrics", at(body, moment - before))
        stack.enter_context(running(vmalert, f"http://127.0.0.1:{alerts}/health", folder))
        yield urls


def _post(url: str, body: bytes) -> None:
    sent = requests.post(url, data=body, headers={"Content-Type": "application/x-protobuf"}, timeout=30)
    assert sent.ok, sent.text


def _vmagent(port: int, urls: Servers) -> list[Any]:
    return [
        *(BIN / "vmagent", f"-httpListenAddr=127.0.0.1:{port}", "-remoteWrite.tmpDataPath=vmagent"),
        *("-opentelemetry.usePrometheusNaming", f"-remoteWrite.relabelConfig={RELABEL}"),
        *("-remoteWrite.queues=1", "-remoteWrite.forcePromProto=true,true"),
        *(f"-remoteWrite.url={each}/api/v1/write" for each in (urls.prometheus, urls.victoria_metrics)),
    ]


def _prometheus(port: int) -> list[Any]:
    return [
        *(BIN / "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=prometheus"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver"),
        *("--storage.tsdb.retention.time=30d", "--log.level=warn"),
    ]


def ask(url: str, query: str) -> list[dict[str, Any]]:
    """Returns the series that a query gives now, without those whose value is no number."""
    answer = requests.get(f"{url}/api/v1/query", params={"query": query}, timeout=30).json()
    assert answer["status"] == "success", answer
    return [each for each in answer["data"]["result"] if each["value"][1] != "NaN"]
