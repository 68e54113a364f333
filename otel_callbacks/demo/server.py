"""A local HTTP server that speaks the OpenAI protocol, so that the demo can use the real clients.

It serves chat completions (whole and streamed, with tools), embeddings and the list of models; `extractive` makes the
answers. It uses only the standard library and listens only on the loopback interface.
"""

import json
import logging
import socket
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from otel_callbacks.demo import protocol
from otel_callbacks.demo.protocol import APIError, Completion, PrefixCache
from otel_callbacks.limits import DEMO_REQUEST_BYTES

_logger = logging.getLogger(__name__)


class LocalModelServer:
    """Serves the local model from a daemon thread, until it is closed.

    Args:
        port: The TCP port, or 0 for any free one.
        delay: Seconds before each streamed chunk, so that streaming takes visible time.

    Raises:
        OSError: The port is in use.
    """

    def __init__(self, port: int = 0, delay: float = 0.002) -> None:
        self._server = _Server(port, delay)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="local-model-server", daemon=True
        )
        self._thread.start()

    @property
    def base_url(self) -> str:
        """The `base_url` for an OpenAI client, such as `http://127.0.0.1:8080/v1`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        """Stops serving and cuts the open connections; a second call does nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, port: int, delay: float) -> None:
        self.delay = delay
        self.cache = PrefixCache()
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._connections):  # clients keep them alive, and a thread waits on each
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                _logger.debug("the client closed its connection first")

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client may leave during a stream
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits 40 ms until its header is acknowledged

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= DEMO_REQUEST_BYTES:
            self.close_connection = True  # the unread body would be parsed as the next request
            self._refuse(APIError("Content-Length is missing or too large", status=413))
        else:
            self._serve(self.rfile.read(length))

    def _serve(self, body: bytes) -> None:
        try:
            answer = self._route(self.path.partition("?")[0], body)
        except APIError as error:
            self._refuse(error)
        except Exception:  # reports the server's own error to the client, as any server does
            _logger.exception("%s %s failed", self.command, self.path)
            self._refuse(APIError("The server had an error while processing your request", status=500))
        else:
            if isinstance(answer, Completion) and answer.streamed:
                self._stream(answer)
            else:
                self._send(200, answer.body() if isinstance(answer, Completion) else answer)

    def _route(self, path: str, body: bytes) -> protocol.JSON | Completion:
        match self.command, path.removeprefix("/v1/").split("/"):
            case "POST", ["chat", "completions"]:
                return protocol.complete(_parsed(body), self.server.cache)
            case "POST", ["embeddings"]:
                return protocol.embed(_parsed(body))
            case "GET", ["models"]:
                return protocol.models()
            case "GET", ["models", name]:
                return protocol.model(name)
        raise APIError(f"Unknown request URL: {self.command} {path}", None, "unknown_url", 404)

    def _refuse(self, error: APIError) -> None:
        self._send(error.status, error.body)

    def _send(self, status: int, answer: protocol.JSON) -> None:
        body = json.dumps(answer).encode()
        self._start(status, "application/json", "Content-Length", str(len(body)))
        self.wfile.write(body)

    def _stream(self, completion: Completion) -> None:
        """Sends server-sent events, each in its own HTTP chunk."""
        self._start(200, "text/event-stream; charset=utf-8", "Transfer-Encoding", "chunked")
        for chunk in completion.chunks():
            time.sleep(self.server.delay)
            self._send_event(json.dumps(chunk))
        self._send_event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _send_event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))

    def _start(self, status: int, content_type: str, framing: str, value: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header(framing, value)
        self.send_header("x-request-id", f"req_{uuid.uuid4().hex}")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Logs to the application's log instead of the terminal."""
        _logger.debug(format, *args)


def _parsed(body: bytes) -> protocol.JSON:
    try:
        request = json.loads(body)
    except ValueError as error:
        raise APIError(
            f"We could not parse the JSON body of your request: {error}", code="invalid_json"
        ) from None
    if not isinstance(request, dict):
        raise APIError("The body of a request must be a JSON object")
    return request
