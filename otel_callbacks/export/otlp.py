"""OTLP exporters, to an address or (None) to where the standard environment variables point them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

from opentelemetry.sdk._logs.export import LogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace.export import SpanExporter

Protocol = Literal["http/protobuf", "grpc"]
Signal = Literal["traces", "metrics", "logs"]

_GRPC_PORT = 4317


@dataclass(frozen=True, slots=True)
class Otlp:
    """A place that speaks OTLP.

    Attributes:
        address: its base address; None for that in the environment.
        protocol: None for that in the environment, else gRPC on port 4317 and HTTP everywhere else.
        headers: sent with every request, over those in the environment.
    """

    address: str | None
    protocol: Protocol | None = None
    headers: Mapping[str, str] | None = None

    def maker(self, signal: Signal) -> Callable[[], SpanExporter | MetricExporter | LogRecordExporter]:
        """What makes an exporter of a signal.

        Raises:
            ValueError: the environment's address is none, or its protocol is not known.
        """
        stated = None if self.address else endpoint(signal)
        if stated and self._speaks(signal) != "grpc" and urlsplit(stated).scheme not in ("http", "https"):
            raise ValueError(
                f"OTEL_EXPORTER_OTLP_ENDPOINT={stated!r} is no address; use one such as 'http://localhost:4318'"
            )
        match signal:
            case "traces":
                return self.spans
            case "metrics":
                return self.metrics
            case "logs":
                return self.events

    def spans(self) -> SpanExporter:
        """An exporter of spans."""
        if self._speaks("traces") == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc

            return grpc.OTLPSpanExporter(self.address, headers=self._metadata("traces"))
        from opentelemetry.exporter.otlp.proto.http import trace_exporter as http

        return http.OTLPSpanExporter(self._path("traces"), headers=self._headers)

    def metrics(self) -> MetricExporter:
        """An exporter of metrics."""
        if self._speaks("metrics") == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc

            return grpc.OTLPMetricExporter(self.address, headers=self._metadata("metrics"))
        from opentelemetry.exporter.otlp.proto.http import metric_exporter as http

        return http.OTLPMetricExporter(self._path("metrics"), headers=self._headers)

    def events(self) -> LogRecordExporter:
        """An exporter of events."""
        if self._speaks("logs") == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as grpc

            return grpc.OTLPLogExporter(self.address, headers=self._metadata("logs"))
        from opentelemetry.exporter.otlp.proto.http import _log_exporter as http

        return http.OTLPLogExporter(self._path("logs"), headers=self._headers)

    def __str__(self) -> str:
        address = self.address or endpoint("traces") or "the default OTLP endpoint"
        parts = urlsplit(address)
        if not parts.hostname:
            return address
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"  # credentials and tokens are nobody's to see

    def _speaks(self, signal: Signal) -> str:
        return self.protocol or _protocol(signal) or _usual_protocol(self.address or endpoint(signal))

    def _path(self, signal: Signal) -> str | None:
        if self.address is None:
            return None
        return f"{self.address.rstrip('/').removesuffix('/v1/traces')}/v1/{signal}"

    @property
    def _headers(self) -> dict[str, str] | None:
        return dict(self.headers) if self.headers else None

    def _metadata(self, signal: Signal) -> dict[str, str] | None:
        """The headers as gRPC wants them: in lower case, and those of the environment not replaced by ours."""
        if not self.headers:
            return None
        from opentelemetry.util.re import parse_env_headers

        stated: dict[str, str] = dict(parse_env_headers(_variable(signal, "HEADERS") or "", liberal=True))
        return stated | {name.lower(): value for name, value in self.headers.items()}


def endpoint(signal: Signal) -> str | None:
    """The address that the environment has for a signal, if any."""
    return _variable(signal, "ENDPOINT")


def _protocol(signal: Signal) -> str | None:
    """The protocol that the environment has for a signal, if any.

    Raises:
        ValueError: it is none that there is an exporter for.
    """
    stated = (_variable(signal, "PROTOCOL") or "").strip()
    if stated and stated not in get_args(Protocol):
        raise ValueError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={stated!r} is not known; use 'http/protobuf' or 'grpc'"
        )
    return stated or None


def _variable(signal: Signal, name: str) -> str | None:
    """An OTLP variable: the signal's own, or that for all signals. Empty is as good as not set."""
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}")
    return own or os.environ.get(f"OTEL_EXPORTER_OTLP_{name}") or None


def _usual_protocol(address: str | None) -> str:
    return "grpc" if address and urlsplit(address).port == _GRPC_PORT else "http/protobuf"
