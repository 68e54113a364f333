"""Sends OTLP requests over HTTP (protobuf or JSON) or gRPC, with retries."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Literal, TypeAlias

from google.protobuf.json_format import Parse, ParseError  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otel_callbacks import limits
from otel_callbacks.explore.files.protobuf import to_document
from otel_callbacks.runtime.addresses import Endpoint, endpoint_of, shown_address

Protocol = Literal["http/protobuf", "http/json", "grpc"]
Send: TypeAlias = Callable[[ExportTraceServiceRequest], ExportTracePartialSuccess]

_TIMEOUT = 30.0  # seconds for one attempt
_PIECE = 8_192  # bytes of an answer that are read at once
_RETRYABLE = (429, 502, 503, 504)  # the status codes that OTLP/HTTP lists as retryable
_SHORTEST_KEY = 6  # characters; a shorter header holds a word such as "Basic"
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

    Without `protocol`, port 4317 means gRPC, and any other port HTTP with protobuf. The headers, and user and password
    of the endpoint, are sent to its host alone: a redirection is an error.

    Raises:
        ValueError: The endpoint is not an http(s) address.
    """
    target = endpoint_of(endpoint)
    if target.authorization:
        headers = {"authorization": target.authorization, **{name.lower(): headers[name] for name in headers}}
    if protocol == "grpc" or (protocol is None and target.port == _GRPC_PORT):
        return _grpc(target, headers)
    return _http(target, headers, as_json=protocol == "http/json")


@contextmanager
def _http(target: Endpoint, headers: Mapping[str, str], *, as_json: bool) -> Iterator[Send]:
    import requests

    url, shown = target.url("/v1/traces"), f"{shown_address(target.address)}/v1/traces"
    with requests.Session() as session:
        session.auth = lambda request: request  # a password in .netrc would replace the header that was given
        session.headers.update(headers)
        session.headers["Content-Type"] = "application/json" if as_json else "application/x-protobuf"

        def attempt(body: bytes) -> tuple[requests.Response, bytes]:
            with session.post(url, body, timeout=_TIMEOUT, allow_redirects=False, stream=True) as response:
                return response, _beginning(response.iter_content(_PIECE))

        def send(request: ExportTraceServiceRequest) -> ExportTracePartialSuccess:
            body = json.dumps(to_document(request)).encode() if as_json else request.SerializeToString()
            for tried in range(1, limits.REPLAY_ATTEMPTS + 1):
                is_last, wait = tried == limits.REPLAY_ATTEMPTS, 2.0 ** (tried - 2) if tried > 1 else 0.0
                try:
                    response, answer = attempt(body)
                except requests.RequestException as error:
                    if is_last:
                        raise SendError(f"{shown} cannot be reached: {_reason(error)}") from None
                else:
                    if is_last or response.status_code not in _RETRYABLE:
                        break
                    wait = max(wait, _retry_after(response.headers.get("Retry-After", "")))
                time.sleep(min(wait, limits.REPLAY_WAIT_SECONDS))
            if response.status_code // 100 != 2:
                text = _without(headers, answer.decode(errors="replace"))
                said = f"{response.status_code} {response.reason}: {text:.200}"
                raise SendError(f"{shown} answered {said.rstrip(': ')}")
            return _partial_success(response.headers.get("Content-Type", ""), answer)

        yield send


def _beginning(pieces: Iterator[bytes]) -> bytes:
    """Returns the beginning of an answer, which is short unless the endpoint is broken or hostile."""
    end, read = time.monotonic() + _TIMEOUT, b""
    for piece in pieces:
        read += piece
        if len(read) >= limits.ANSWER_BYTES or time.monotonic() > end:
            break
    return read


def _without(headers: Mapping[str, str], answer: str) -> str:
    """Returns an answer without the values of our headers, which some endpoints repeat when they refuse a key."""
    words = {
        word for value in headers.values() for word in (value, *value.split()) if len(word) >= _SHORTEST_KEY
    }
    for word in sorted(words, key=len, reverse=True):
        answer = answer.replace(word, "[redacted]")
    return answer


def _reason(error: Exception) -> str:
    """Returns why an endpoint cannot be reached. The message of the error itself may quote the whole address."""
    inner = error.args[0] if error.args else error
    reason = getattr(inner, "reason", None)
    return f"{type(error).__name__}: {reason}" if reason is not None else type(error).__name__


def _retry_after(value: str) -> float:
    """Returns the seconds that an endpoint asks to wait, from a number or a date; 0 for anything else."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0


@contextmanager
def _grpc(target: Endpoint, headers: Mapping[str, str]) -> Iterator[Send]:
    import grpc  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

    connect = (
        partial(grpc.secure_channel, credentials=grpc.ssl_channel_credentials())
        if target.is_secure
        else grpc.insecure_channel
    )
    with connect(target.host, options=[("grpc.service_config", json.dumps(_RETRY_POLICY))]) as channel:
        export = TraceServiceStub(channel).Export  # type: ignore[no-untyped-call]
        metadata = list(headers.items())

        def send(request: ExportTraceServiceRequest) -> ExportTracePartialSuccess:
            try:
                response: ExportTraceServiceResponse = export(request, timeout=_TIMEOUT, metadata=metadata)
            except grpc.RpcError as error:
                details = _without(headers, error.details() or "")
                raise SendError(f"{target.host} answered {error.code().name}: {details}") from None
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
