"""Asks an OTLP destination why it takes nothing: it sends an empty request, which a healthy one accepts."""

import socket
from typing import Any
from urllib.parse import urlsplit

from otel_callbacks.export.destinations import Destination
from otel_callbacks.limits import PROBE_ANSWER_BYTES

_TIMEOUT = 3.0  # seconds for each question
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_HTTP1_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_TLS_ALERT = b"\x15\x03"


def why_not(destination: Destination) -> str | None:
    """Returns why a destination takes nothing, in one sentence with what to do; None if it takes an empty request."""
    parts = urlsplit(destination.address)
    host, port = parts.hostname or "", parts.port or 0
    shown = f"{host}:{port}"
    try:
        socket.create_connection((host, port), _TIMEOUT).close()
    except socket.gaierror:
        return f"the name {host} is not known here; check the address"
    except ConnectionRefusedError:
        return f"nothing listens on {shown}; start the collector, or check host and port"
    except OSError as error:
        return f"{shown} cannot be reached ({error.strerror or type(error).__name__}); check host, port and firewall"
    if parts.scheme == "grpc":
        return _why_not_grpc(host, port, dict(destination.headers))
    return _why_not_http(destination.address, host, port, dict(destination.headers))


def _why_not_http(url: str, host: str, port: int, headers: dict[str, str]) -> str | None:
    import requests

    sent = {**headers, "Content-Type": "application/x-protobuf"}
    try:
        with requests.Session() as session:
            session.auth = lambda request: request  # as exporters do: a password in .netrc goes nowhere
            answer = session.post(
                url, b"", headers=sent, timeout=_TIMEOUT, allow_redirects=False, stream=True
            )
            answer.close()
    except requests.exceptions.SSLError as error:
        if "WRONG_VERSION_NUMBER" in str(error).upper():
            return f"{host}:{port} speaks no TLS; write http:// instead of https://"
        return f"the certificate of {host} is not trusted; set OTEL_EXPORTER_OTLP_CERTIFICATE"
    except requests.exceptions.Timeout:
        return (
            f"{host}:{port} accepts connections but does not answer; another kind of server may listen there"
        )
    except requests.exceptions.RequestException:
        return _why_no_http(host, port)
    return _why_this_status(answer.status_code, url)


def _why_no_http(host: str, port: int) -> str:
    greeting = _answer_to(_HTTP2_PREFACE, host, port)
    if _is_http2(greeting):
        return f"{host}:{port} speaks gRPC, not HTTP; write protocol='grpc', or the HTTP port (usually 4318)"
    if greeting.startswith(_TLS_ALERT):
        return f"{host}:{port} wants TLS; write https:// instead of http://"
    return f"{host}:{port} does not speak HTTP; another kind of server listens there"


def _why_this_status(status: int, url: str) -> str | None:
    path = urlsplit(url).path or "/"
    if status // 100 == 2:
        return None
    if status in (401, 403):
        return (
            f"the server refuses the credentials ({status}); check headers= or OTEL_EXPORTER_OTLP_HEADERS"
            " (name=value, and a space as %20)"
        )
    if status in (404, 405):
        if path.count("/v1/") > 1:
            return f"the path {path} has /v1/… twice ({status}); leave it out of the address"
        if "/v1/" not in path:
            return f"the path {path} has no /v1/traces ({status}); the address of one signal is used as it is"
        return f"there is no OTLP at {path} ({status}); check the path in the address, and which signals are taken"
    if 300 <= status < 400:
        return f"the server redirects elsewhere ({status}); write the address that it redirects to"
    if status == 415:
        return "the server takes no protobuf (415); it is no OTLP receiver, or one for JSON alone"
    return f"the server answers {status}; its log says why"


def _why_not_grpc(host: str, port: int, headers: dict[str, str]) -> str | None:
    greeting = _answer_to(_HTTP2_PREFACE, host, port)
    if greeting.startswith(_TLS_ALERT):
        return None  # gRPC over TLS; the exporter knows the certificates
    if _is_http2(greeting):
        return _why_this_code(_answer_to_export(f"{host}:{port}", headers))
    if _answer_to(_HTTP1_REQUEST, host, port).startswith(b"HTTP/1"):
        return f"{host}:{port} speaks HTTP, not gRPC; write protocol='http/protobuf', or the gRPC port (usually 4317)"
    return f"{host}:{port} does not speak gRPC; another kind of server listens there"


def _answer_to_export(target: str, headers: dict[str, str]) -> Any:
    """Returns the status code of an empty export by gRPC, and what the server says of it; None if it is accepted."""
    import grpc  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

    with grpc.insecure_channel(target) as channel:
        try:
            TraceServiceStub(channel).Export(  # type: ignore[no-untyped-call]
                ExportTraceServiceRequest(), timeout=_TIMEOUT, metadata=list(headers.items())
            )
        except grpc.RpcError as error:
            return error.code().name
    return None


def _why_this_code(code: str | None) -> str | None:
    match code:
        case None:
            return None
        case "UNAUTHENTICATED" | "PERMISSION_DENIED":
            return (
                f"the server refuses the credentials ({code}); check headers= or OTEL_EXPORTER_OTLP_HEADERS"
            )
        case "UNIMPLEMENTED":
            return "the server speaks gRPC but takes no traces (UNIMPLEMENTED); it is no OTLP receiver"
        case "DEADLINE_EXCEEDED":
            return "the server speaks gRPC but does not answer in time; its log says why"
        case _:
            return f"the server answers {code}; its log says why"


def _answer_to(question: bytes, host: str, port: int) -> bytes:
    """Returns how a server answers to the beginning of a conversation; empty if it does not."""
    try:
        with socket.create_connection((host, port), _TIMEOUT) as connection:
            connection.sendall(question)
            return connection.recv(PROBE_ANSWER_BYTES)
    except OSError:
        return b""


def _is_http2(answer: bytes) -> bool:
    """Tells whether an answer begins with a frame of settings, as HTTP/2's does."""
    return len(answer) >= 9 and answer[3] == 4
