"""OTLP receivers over HTTP and gRPC that give scripted answers and keep the requests they accepted."""

import gzip
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_callbacks.explore import SpanRecord
from otel_callbacks.explore.files.protobuf import to_document
from otel_callbacks.explore.files.reading import spans_of_line


@dataclass
class OtlpServer:
    """A receiver: its address, its scripted answers (status and body), and the requests for traces it accepted.

    `paths` has the path of every request by HTTP, `refused` the status for those paths that always fail. By gRPC it
    knows traces only.

    A gRPC status is a name. Without a scripted answer it returns `OK` or 200, with an empty body. `answer_headers` are
    sent with every answer, by gRPC as trailing metadata. `breaks_off` is how many answers by HTTP end in their middle.
    """

    url: str = ""
    answers: list[tuple[int | str, bytes]] = field(default_factory=list)
    requests: list[bytes | ExportTraceServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer_headers: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    breaks_off: int = 0

    def spans(self) -> list[SpanRecord]:
        """Returns the spans of the accepted requests, which are protobuf or JSON."""
        lines = [
            request if isinstance(request, bytes) else json.dumps(to_document(request)).encode()
            for request in self.requests
        ]
        return [span for line in lines for span in spans_of_line(line)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # connections at once


@contextmanager
def otlp_http(port: int = 0) -> Iterator[OtlpServer]:
    received = OtlpServer()
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if stopped.is_set():  # a connection that was kept alive
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            kind = self.headers["Content-Type"]
            received.paths.append(self.path)
            status, answer = received.answers.pop(0) if received.answers else (200, b"")
            status = received.refused.get(self.path, status)
            if status == 200 and self.path == "/v1/traces":
                received.requests.append(
                    body if "json" in kind else ExportTraceServiceRequest.FromString(body)
                )
                received.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(int(status))
            if "Content-Type" not in received.answer_headers:
                self.send_header("Content-Type", kind)
            if received.breaks_off:
                received.breaks_off -= 1
                self.close_connection = True
                self.send_header("Content-Length", str(len(answer) + 1))
            else:
                self.send_header("Content-Length", str(len(answer)))
            for name, value in received.answer_headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the client does not read a long answer to its end
                self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with _Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        received.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield received
        finally:
            stopped.set()
            server.shutdown()
            thread.join()


@contextmanager
def otlp_grpc(port: int = 0) -> Iterator[OtlpServer]:
    received = OtlpServer()

    class Servicer(service.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> ExportTraceServiceResponse:
            status, answer = received.answers.pop(0) if received.answers else ("OK", b"")
            if status != "OK":
                context.set_trailing_metadata(tuple(received.answer_headers.items()))
                context.abort(grpc.StatusCode[str(status)], answer.decode())
            received.requests.append(request)
            sent = list(context.invocation_metadata())
            assert len(sent) == len(dict(sent)), f"a header twice: {sent}"
            received.headers.append(dict(sent))
            return ExportTraceServiceResponse.FromString(answer)

    server = grpc.server(ThreadPoolExecutor(2))
    service.add_TraceServiceServicer_to_server(Servicer(), server)
    received.url = f"http://127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    server.start()
    try:
        yield received
    finally:
        server.stop(None).wait()
