"""OTLP back ends that run as processes of their own: working ones, and those that fail in various ways.

    python tests/support/receivers.py BEHAVIOUR RECEIVED

prints its port, and appends the name of every span that it accepts to the file RECEIVED.
"""

import gzip
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_protocol
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as protocol
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service
from ports import free_port

LARGEST = 4 * 1024 * 1024  # bytes that a collector accepts by gRPC by default
HTTP = ("refused", "hanging", "half_open", "slow", "429", "500", "413", "full", "garbage", "closing")
GRPC = (
    *("grpc_refused", "grpc_hanging", "grpc_half_open", "grpc_slow"),
    *("grpc_unavailable", "grpc_exhausted", "grpc_internal", "grpc_full"),
)

_FOREVER = 600.0


@dataclass(frozen=True)
class Receiver:
    """A running back end."""

    url: str
    process: subprocess.Popen[str] | None
    file: Path

    @property
    def spans(self) -> Counter[str]:
        """How many spans of each name it accepted."""
        return Counter(self.file.read_text().splitlines()) if self.file.exists() else Counter()

    def kill(self) -> None:
        """Kills the process, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@contextmanager
def receiver(behaviour: str, folder: Path) -> Iterator[Receiver]:
    """Runs a back end: `http` and `grpc` work, those in `HTTP` and `GRPC` fail."""
    file = folder / f"{behaviour}.received"
    if behaviour.endswith("refused"):
        yield Receiver(f"http://127.0.0.1:{free_port()}", None, file)
        return
    command = [sys.executable, __file__, behaviour, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Receiver(f"http://127.0.0.1:{int(process.stdout.readline())}", process, file)
        finally:
            process.kill()


def _keep(body: bytes, file: str) -> None:
    request = protocol.ExportTraceServiceRequest.FromString(body)
    names = [
        span.name
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    with open(file, "a") as received:
        received.write("".join(f"{name}\n" for name in names))


def _answer(handler: BaseHTTPRequestHandler, behaviour: str, file: str) -> None:
    body = handler.rfile.read(int(handler.headers["Content-Length"]))
    if handler.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    match behaviour:
        case "hanging":
            time.sleep(_FOREVER)
        case "slow":
            time.sleep(0.4)
        case "garbage":
            handler.wfile.write(b"\x00\xff not HTTP \r\n\r\n")
            return
        case "closing":
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        case "429" | "500":
            handler.send_response(int(behaviour))
            handler.send_header("Retry-After", "30")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
    accepted = len(body) <= {"413": LARGEST, "full": 0}.get(behaviour, sys.maxsize)
    if accepted and handler.path == "/v1/traces":
        _keep(body, file)
    handler.send_response(200 if accepted else 413)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _serve_http(behaviour: str, file: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            _answer(self, behaviour, file)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


def _serve_half_open() -> None:
    """Listens, so that the kernel accepts connections, but never reads from one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        time.sleep(_FOREVER)


class _Traces(service.TraceServiceServicer):
    def __init__(self, behaviour: str, file: str) -> None:
        self._behaviour = behaviour
        self._file = file

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        match self._behaviour:
            case "grpc_unavailable":
                context.abort(grpc.StatusCode.UNAVAILABLE, "closed today")
            case "grpc_exhausted":
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too much")
            case "grpc_internal":
                context.abort(grpc.StatusCode.INTERNAL, "broken")
            case "grpc_slow":
                time.sleep(0.4)
            case "grpc_hanging":
                time.sleep(_FOREVER)
        _keep(request.SerializeToString(), self._file)
        return protocol.ExportTraceServiceResponse()


class _Metrics(metrics_service.MetricsServiceServicer):
    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        return metrics_protocol.ExportMetricsServiceResponse()


def _serve_grpc(behaviour: str, file: str) -> None:
    largest = 0 if behaviour == "grpc_full" else LARGEST
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", largest)])
    service.add_TraceServiceServicer_to_server(_Traces(behaviour, file), server)
    metrics_service.add_MetricsServiceServicer_to_server(_Metrics(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def _serve(behaviour: str, file: str) -> None:
    if behaviour.endswith("half_open"):
        _serve_half_open()
    elif behaviour.startswith("grpc"):
        _serve_grpc(behaviour, file)
    else:
        _serve_http(behaviour, file)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
