"""Sends OTLP requests over HTTP (protobuf or JSON) or gRPC, with retries."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from google.protobuf.json_format import Parse, ParseError  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_callbacks import limits
from otel_callbacks.explore.files.protobuf import to_document

Protocol = Literal["http/protobuf", "http/json", "grpc"]
Send: TypeAlias = Callable[[ExportTraceServiceRequest], ExportTracePartialSuccess]

_TIMEOUT = 30.0  # seconds for one attempt
_RETRYABLE = (429, 502, 503, 504)  # the status codes that OTLP/HTTP lists as retryable
_GRPC_PORT = 4317
_RETRY_POLICY = {
    "methodConfig": [
        {
            "name": [{"service": "opentelemetry.proto.collector.trace.v1.TraceService"}],
            "retryPolicy": {
                "maxAttempts": limits.REPLAY_ATTEMPTS,
                "initialBackoff": "0.5s",
                "maxBackoff": "8s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED"],
            },
        }
    ]
}


class SendError(Exception):
    """The endpoint cannot be reached or rejects a request; the message says why."""


def sender(
    endpoint: str, protocol: Protocol | None, headers: Mapping[str, str]
) -> AbstractContextManager[Send]:
    """Opens a function that sends requests to an endpoint such as `http://localhost:4318`; it raises `SendError`.

    Without `protocol`, port 4317 means gRPC, and any other port HTTP with protobuf.

    Raises:
        ValueError: The endpoint is not an http(s) address.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{endpoint!r} is not an http(s) address; use one such as 'http://localhost:4318'")
    if protocol == "grpc" or (protocol is None and parts.port == _GRPC_PORT):
        return _grpc(parts.netloc, headers, secure=parts.scheme == "https")
    url = f"{endpoint.rstrip('/').removesuffix('/v1/traces')}/v1/traces"
    return _http(url, headers, as_json=protocol == "http/json")


@contextmanager
def _http(url: str, headers: Mapping[str, str], *, as_json: bool) -> Iterator[Send]:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retry = Retry(
        limits.REPLAY_ATTEMPTS - 1,
        status_forcelist=_RETRYABLE,
        allowed_methods=None,
        backoff_factor=0.5,
        raise_on_status=False,
    )
    with requests.Session() as session:
        session.mount(url, HTTPAdapter(max_retries=retry))
        session.headers.update(headers)
        session.headers["Content-Type"] = "application/json" if as_json else "application/x-protobuf"

        def send(request: ExportTraceServiceRequest) -> ExportTracePartialSuccess:
            body = json.dumps(to_document(request)).encode() if as_json else request.SerializeToString()
            try:
                response = session.post(url, body, timeout=_TIMEOUT, allow_redirects=False)
            except requests.RequestException as error:
                raise SendError(f"{url} cannot be reached: {error}") from error
            if response.status_code // 100 != 2:
                answer = f"{response.status_code} {response.reason}: {response.text:.200}"
                raise SendError(f"{url} answered {answer.rstrip(': ')}")
            return _partial_success(response.headers.get("Content-Type", ""), response.content)

        yield send


@contextmanager
def _grpc(target: str, headers: Mapping[str, str], *, secure: bool) -> Iterator[Send]:
    import grpc  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

    connect = (
        partial(grpc.secure_channel, credentials=grpc.ssl_channel_credentials())
        if secure
        else grpc.insecure_channel
    )
    with connect(target, options=[("grpc.service_config", json.dumps(_RETRY_POLICY))]) as channel:
        export = TraceServiceStub(channel).Export  # type: ignore[no-untyped-call]
        metadata = list(headers.items())

        def send(request: ExportTraceServiceRequest) -> ExportTracePartialSuccess:
            try:
                response: ExportTraceServiceResponse = export(request, timeout=_TIMEOUT, metadata=metadata)
            except grpc.RpcError as error:
                raise SendError(f"{target} answered {error.code().name}: {error.details()}") from error
            return response.partial_success

        yield send


def _partial_success(content_type: str, body: bytes) -> ExportTracePartialSuccess:
    """Returns what the endpoint rejected; empty if its answer is not an OTLP response."""
    response = ExportTraceServiceResponse()
    try:
        if "json" in content_type:
            Parse(body, response, ignore_unknown_fields=True)
        elif "protobuf" in content_type:
            response.ParseFromString(body)
    except (DecodeError, ParseError):  # some back ends answer "ok" or the like
        return ExportTracePartialSuccess()
    return response.partial_success
