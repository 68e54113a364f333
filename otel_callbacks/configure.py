"""Builds the OpenTelemetry SDK for applications that have none: the only place that does."""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from otel_callbacks.explore.ring import keep_traces
from otel_callbacks.explore.store import LOCAL_FOLDER, JsonLinesSpanExporter
from otel_callbacks.processors import AttributionSpanProcessor

Protocol = Literal["http/protobuf", "grpc"]

_ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_GRPC_PORT = 4317


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What `configure` set up.

    Attributes:
        tracer_provider: the global tracer provider, ours or the application's.
        meter_provider: ours, if metrics are exported.
        logger_provider: ours, if events are exported.
        trace_file: the OTLP JSON Lines file that spans are written to, if one is.
    """

    tracer_provider: TracerProvider
    meter_provider: MeterProvider | None = None
    logger_provider: LoggerProvider | None = None
    trace_file: Path | None = None

    def flush(self, timeout: float = 10.0) -> bool:
        """Sends what is waiting; False if that took longer than `timeout` seconds in all."""
        milliseconds = int(timeout * 1000)
        return _within(timeout, [partial(each.force_flush, milliseconds) for each in self._providers])

    def shutdown(self, timeout: float = 10.0) -> bool:
        """Sends what is waiting and stops; False if that took longer than `timeout` seconds in all."""
        return _within(timeout, [each.shutdown for each in self._providers])

    @property
    def _providers(self) -> Sequence[TracerProvider | MeterProvider | LoggerProvider]:
        every = (self.tracer_provider, self.meter_provider, self.logger_provider)
        return [provider for provider in every if provider is not None]


_lock = threading.Lock()
_configured: Telemetry | None = None


def configure(
    service_name: str | None = None,
    *,
    endpoints: str | Sequence[str] = (),
    protocol: Protocol | None = None,
    headers: Mapping[str, str] | None = None,
    file: str | os.PathLike[str] | None = None,
    local: bool = False,
    replace: bool = False,
) -> Telemetry:
    """Sets up export of traces, metrics and events, and makes it the process's.

    Spans go to every endpoint given, to the one in the standard OTEL_EXPORTER_OTLP_* variables, and to `file`;
    with none of these, to a trace file in `.otel_callbacks/`. Metrics and events go to the endpoints.

    A tracer provider that the application has set is kept: what is asked for here is added to it, and what the
    environment asks for is left to the application. Called again, it returns what the first call set up.

    Args:
        service_name: names the service, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES do.
        endpoints: OTLP addresses, such as "http://localhost:4318" (HTTP) or "http://localhost:4317" (gRPC).
        protocol: of the endpoints; by default OTEL_EXPORTER_OTLP_PROTOCOL, else gRPC on port 4317 and HTTP
            everywhere else.
        headers: sent with every export, such as an API key.
        file: a `.jsonl` file, or a folder in which each process writes a file of its own.
        local: also keep the last traces in memory, for `otel_callbacks.traces`; also when called again.
        replace: also replace what an earlier call or the application set up.

    Raises:
        ValueError: an endpoint is no http(s) address, or the protocol is not known.
    """
    global _configured
    addresses = [_checked(address) for address in ([endpoints] if isinstance(endpoints, str) else endpoints)]
    if protocol not in (None, "grpc", "http/protobuf"):
        raise ValueError(f"protocol={protocol!r} is not known; use 'http/protobuf' or 'grpc'")
    with _lock:
        if _configured is None or replace:
            existing = trace.get_tracer_provider()
            if isinstance(existing, TracerProvider) and not replace:
                _configured = _extend(existing, addresses, protocol, headers, file)
            else:
                _configured = _build(service_name, addresses, protocol, headers, file)
        if local:
            keep_traces(_configured.tracer_provider)
        return _configured


def _extend(
    provider: TracerProvider,
    addresses: Sequence[str],
    protocol: Protocol | None,
    headers: Mapping[str, str] | None,
    file: str | os.PathLike[str] | None,
) -> Telemetry:
    provider.add_span_processor(AttributionSpanProcessor())
    for address in addresses:
        provider.add_span_processor(BatchSpanProcessor(_exporters(address, protocol, headers)[0]))
    return Telemetry(provider, trace_file=_write_to(provider, file))


def _build(
    service_name: str | None,
    addresses: Sequence[str],
    protocol: Protocol | None,
    headers: Mapping[str, str] | None,
    file: str | os.PathLike[str] | None,
) -> Telemetry:
    resource = Resource.create()
    if service_name and str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service_name}))
    from_environment = any(os.environ.get(variable) for variable in _ENDPOINT_VARIABLES)
    targets: list[str | None] = [*addresses, *([None] if from_environment else [])]
    tracer_provider = TracerProvider(resource=resource)
    tracer_provider.add_span_processor(AttributionSpanProcessor())
    if file is None and not targets:
        file = LOCAL_FOLDER
    written = _write_to(tracer_provider, file)
    meter_provider, logger_provider = None, None
    if targets:
        exporters = [_exporters(target, protocol, headers) for target in targets]
        for spans, _, _ in exporters:
            tracer_provider.add_span_processor(BatchSpanProcessor(spans))
        readers = [PeriodicExportingMetricReader(measurements) for _, measurements, _ in exporters]
        meter_provider = MeterProvider(readers, resource)
        logger_provider = LoggerProvider(resource)
        for _, _, events in exporters:
            logger_provider.add_log_record_processor(BatchLogRecordProcessor(events))
        metrics.set_meter_provider(meter_provider)
        _logs.set_logger_provider(logger_provider)
    trace.set_tracer_provider(tracer_provider)
    return Telemetry(tracer_provider, meter_provider, logger_provider, written)


def _write_to(provider: TracerProvider, file: str | os.PathLike[str] | None) -> Path | None:
    if file is None:
        return None
    exporter = JsonLinesSpanExporter(file)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return exporter.path


def _exporters(
    address: str | None, protocol: Protocol | None, headers: Mapping[str, str] | None
) -> tuple[SpanExporter, MetricExporter, LogRecordExporter]:
    """Exporters to an address, or (None) to where the environment points them."""
    chosen = protocol or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or _usual_protocol(address)
    sent = dict(headers) if headers else None
    if chosen == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc import _log_exporter, metric_exporter, trace_exporter

        return (
            trace_exporter.OTLPSpanExporter(endpoint=address, headers=sent),
            metric_exporter.OTLPMetricExporter(endpoint=address, headers=sent),
            _log_exporter.OTLPLogExporter(endpoint=address, headers=sent),
        )
    from opentelemetry.exporter.otlp.proto.http import _log_exporter as http_logs
    from opentelemetry.exporter.otlp.proto.http import metric_exporter as http_metrics
    from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_traces

    return (
        http_traces.OTLPSpanExporter(endpoint=_signal(address, "traces"), headers=sent),
        http_metrics.OTLPMetricExporter(endpoint=_signal(address, "metrics"), headers=sent),
        http_logs.OTLPLogExporter(endpoint=_signal(address, "logs"), headers=sent),
    )


def _usual_protocol(address: str | None) -> str:
    address = address or next((found for name in _ENDPOINT_VARIABLES if (found := os.environ.get(name))), "")
    return "grpc" if urlsplit(address).port == _GRPC_PORT else "http/protobuf"


def _signal(address: str | None, signal: str) -> str | None:
    return None if address is None else f"{address.rstrip('/').removesuffix('/v1/traces')}/v1/{signal}"


def _checked(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"endpoints: {address!r} is no address; use one such as 'http://localhost:4318'")
    return address


def _within(timeout: float, actions: Sequence[Callable[[], object]]) -> bool:
    """Runs the actions side by side, in threads that do not keep the process alive; True if all came back."""
    threads = [threading.Thread(target=action, daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + timeout
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return not any(thread.is_alive() for thread in threads)
