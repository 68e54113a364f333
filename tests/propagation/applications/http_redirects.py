"""Asks a service that redirects to another host, with httpx instrumented; prints what arrives of each request.

python http_redirects.py SAMPLER, such as always_off.
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from otel_callbacks import attribution
from otel_callbacks.propagation import share_labels


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        print(self.headers["Host"].partition(":")[0], self.path, self.headers["baggage"])
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", f"http://localhost:{self.server.server_port}/here")
        self.end_headers()

    def log_message(self, *_) -> None: ...


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
trace.set_tracer_provider(TracerProvider(ALWAYS_OFF if sys.argv[1] == "always_off" else ALWAYS_ON))
HTTPXClientInstrumentor().instrument()
share_labels(["tenant"], hosts=["127.0.0.1"])
with attribution(tenant="acme"):
    httpx.get(f"http://127.0.0.1:{server.server_port}/moved", follow_redirects=True)
