"""OTLP exporters for an address, or for the one that the standard OTEL_EXPORTER_OTLP_* variables name."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar, cast, get_args

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.util.re import parse_env_headers

from otel_callbacks.export.answers import Watch
from otel_callbacks.runtime.addresses import Endpoint, endpoint_of, shown_address

E = TypeVar("E")
Protocol = Literal["http/protobuf", "grpc"]
Signal = Literal["traces", "metrics", "logs"]

ALL_SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
_GRPC_PORT = 4317
_SOME_HEADER = {"accept": "application/grpc"}
"""With a header given, an exporter by gRPC adds none of the environment's, which may hold another destination's key."""


@dataclass(frozen=True, slots=True, repr=False)
class OtlpEndpoint:
    """A back end that speaks OTLP; makes the exporters to it.

    Attributes:
        address: its base address; None for the one in the environment.
        protocol: None for the one in the environment, else gRPC on port 4317 and HTTP on every other port.
        headers: sent with every request; they override those in the environment.
        signals: what it takes.
        profiles: the extra names that its spans carry.
        is_alone: whether the headers and the protocol in the environment are for others.
    """

    address: str | None
    protocol: Protocol | None = None
    headers: Mapping[str, str] | None = None
    signals: Sequence[Signal] = ALL_SIGNALS
    profiles: Sequence[str] = ()
    is_alone: bool = False

    def exporter_factory(
        self, signal: Signal
    ) -> Callable[[], SpanExporter | MetricExporter | LogRecordExporter]:
        """Returns the function that makes an exporter of a signal.

        Raises:
            ValueError: the environment holds an invalid address.
        """
        value = None if self.address else endpoint(signal)
        if value and self._protocol(signal) != "grpc" and not _is_http(value):
            raise ValueError(
                f"OTEL_EXPORTER_OTLP_ENDPOINT={shown_address(value)!r} is not an address;"
                " use one such as 'http://localhost:4318'"
            )
        match signal:
            case "traces":
                return self.span_exporter
            case "metrics":
                return self.metric_exporter
            case "logs":
                return self.event_exporter

    def span_exporter(self) -> SpanExporter:
        """Makes an exporter of spans."""
        if self._protocol("traces") == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc

            return self._by_grpc("traces", grpc.OTLPSpanExporter)
        from opentelemetry.exporter.otlp.proto.http import trace_exporter as http

        return self._by_http("traces", http.OTLPSpanExporter)

    def metric_exporter(self) -> MetricExporter:
        """Makes an exporter of metrics."""
        if self._protocol("metrics") == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc

            return self._by_grpc("metrics", grpc.OTLPMetricExporter)
        from opentelemetry.exporter.otlp.proto.http import metric_exporter as http

        return self._by_http("metrics", http.OTLPMetricExporter)

    def event_exporter(self) -> LogRecordExporter:
        """Makes an exporter of events."""
        if self._protocol("logs") == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as grpc

            return self._by_grpc("logs", grpc.OTLPLogExporter)
        from opentelemetry.exporter.otlp.proto.http import _log_exporter as http

        return self._by_http("logs", http.OTLPLogExporter)

    def _by_grpc(self, signal: Signal, make: Callable[..., E]) -> E:
        return Watch().over(make(self._target(signal), headers=self._grpc_headers(signal)))

    def _by_http(self, signal: Signal, make: Callable[..., E]) -> E:
        watch = Watch()
        session = self._session(signal, watch)
        exporter = make(self._url(signal), headers=self._http_headers(signal), session=session)
        return watch.over(exporter) if session is not None else exporter

    def __str__(self) -> str:
        address = self.address or endpoint("traces")
        return shown_address(address) if address else "the default OTLP endpoint"

    def __repr__(self) -> str:  # without the headers, which hold keys
        return f"<OtlpEndpoint {self}>"

    def _protocol(self, signal: Signal) -> str:
        in_environment = None if self.is_alone else protocol_in_environment(signal)
        stated = self.protocol or in_environment
        return stated or _protocol_by_port(self.address or endpoint(signal))

    def _target(self, signal: Signal) -> str | None:
        """Returns the address for gRPC; None leaves it to the exporter, which would log a password in it."""
        found = self._with_credentials(signal)
        return found.address if found else self.address

    def _url(self, signal: Signal) -> str:
        own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
        if own and self.address is None:
            return endpoint_of(own).address  # is complete, unlike the general one
        return endpoint_of(self.address or endpoint(signal) or "http://localhost:4318").url(f"/v1/{signal}")

    def _with_credentials(self, signal: Signal) -> Endpoint | None:
        """Returns the address of a signal if it has a user and password, which then go into a header."""
        address = self.address or endpoint(signal)
        found = endpoint_of(address) if address and "@" in address and _is_http(address) else None
        return found if found and found.authorization else None

    def _http_headers(self, signal: Signal) -> dict[str, str] | None:
        headers = dict(self.headers or {})
        found = self._with_credentials(signal)
        if found and found.authorization and "authorization" not in {name.lower() for name in headers}:
            given = self._headers_in_environment(signal)
            if "authorization" not in given:
                headers["Authorization"] = found.authorization
        return headers or None

    def _session(self, signal: Signal, watch: Watch) -> Any:
        """Returns a session that `watch` sees the answers in, and that leaves out the headers of other destinations.

        Exporters by HTTP add those from the environment. None leaves it to the credential provider in the environment,
        whose session we cannot watch.
        """
        if not self.is_alone and _has_credential_provider(signal):
            return None
        from otel_callbacks.export.http_answers import watched_session

        session = watched_session(watch.note)
        if self.is_alone:
            own = {name.lower() for name in self._http_headers(signal) or {}}
            given = parse_env_headers(_variable(signal, "HEADERS") or "", liberal=True)
            others = [name for name in given if name.lower() not in own]
            session.auth = partial(_without_headers, others)
        return session

    def _headers_in_environment(self, signal: Signal) -> dict[str, str]:
        text = "" if self.is_alone else _variable(signal, "HEADERS") or ""
        return dict(parse_env_headers(text, liberal=True))

    def _grpc_headers(self, signal: Signal) -> dict[str, str] | None:
        """Returns the headers in lower case, as gRPC requires, merged into those of the environment.

        The exporter would otherwise drop the environment's as soon as it is given any.
        """
        headers = self._http_headers(signal) or (_SOME_HEADER if self.is_alone else None)
        if not headers:
            return None
        return self._headers_in_environment(signal) | {name.lower(): value for name, value in headers.items()}


def _has_credential_provider(signal: Signal) -> bool:
    prefix = "OTEL_PYTHON_EXPORTER_OTLP_HTTP"
    names = (f"{prefix}_CREDENTIAL_PROVIDER", f"{prefix}_{signal.upper()}_CREDENTIAL_PROVIDER")
    return any(map(os.environ.get, names))


def _without_headers(names: Sequence[str], request: Any) -> Any:
    """Removes headers from a request that is ready to be sent."""
    for name in names:
        request.headers.pop(name, None)
    return request


def endpoint(signal: Signal) -> str | None:
    """Returns the OTLP address that the environment names for a signal, or None."""
    return _variable(signal, "ENDPOINT")


def protocol_in_environment(signal: Signal) -> Protocol | None:
    """Returns the protocol that the environment names for a signal; None without one, or if there is none such."""
    value = (_variable(signal, "PROTOCOL") or "").strip()
    return cast(Protocol, value) if value in get_args(Protocol) else None


def _variable(signal: Signal, name: str) -> str | None:
    """Returns an OTLP variable: the signal's own, else the one for all signals. Empty counts as unset."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}")
    return own or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or None


def _protocol_by_port(address: str | None) -> str:
    return (
        "grpc"
        if address and _is_http(address) and endpoint_of(address).port == _GRPC_PORT
        else "http/protobuf"
    )


def _is_http(address: str) -> bool:
    try:
        return bool(endpoint_of(address))
    except ValueError:
        return False
