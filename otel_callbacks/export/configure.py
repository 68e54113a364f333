"""`configure()`: sets up the OpenTelemetry SDK for an application. No other module builds the SDK."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util._once import Once

from otel_callbacks.explore.files.own import writes_to
from otel_callbacks.explore.files.writing import LOCAL_FOLDER, JsonLinesSpanExporter
from otel_callbacks.explore.index.ring import keep_traces
from otel_callbacks.explore.pictures.links import set_links
from otel_callbacks.export import environment
from otel_callbacks.export.attribution_processor import AttributionSpanProcessor
from otel_callbacks.export.keep import Keep
from otel_callbacks.export.otlp import OtlpEndpoint, Protocol, Signal
from otel_callbacks.export.outbox import Outbox, QueueLimits
from otel_callbacks.export.resources import without_secrets
from otel_callbacks.export.signals import EventDelivery, MetricDelivery, SpanDelivery
from otel_callbacks.export.telemetry import Telemetry
from otel_callbacks.privacy.patterns import remove_secrets
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.addresses import endpoint_of, shown_address
from otel_callbacks.runtime.arguments import names_arguments
from otel_callbacks.runtime.faults import logger

Destinations = list[tuple[str, Callable[[], Any]]]
"""The name of each destination, and the function that makes its exporter."""

_FILE_DELAY = 0.5
"""Seconds: writing to a file is cheap, and somebody may follow the file to see what is happening."""

_lock = fork.safe_lock()
_configured: Telemetry | None = None
_first_arguments: Mapping[str, Any] = {}


@names_arguments("configure()")
def configure(
    service_name: str | None = None,
    *,
    endpoints: str | Sequence[str] = (),
    protocol: Protocol | None = None,
    headers: Mapping[str, str] | None = None,
    file: str | os.PathLike[str] | None = None,
    local: bool = False,
    links: Mapping[str, str] | None = None,
    keep: Keep | None = None,
    replace: bool = False,
) -> Telemetry:
    """Sets up the export of traces, metrics and events for the whole process.

    Spans go to every endpoint given, to the one in the standard OTEL_EXPORTER_OTLP_* variables, and to `file`.
    Without any of these they go to a trace file in `.otel_callbacks/`. Metrics and events go to the endpoints.
    The standard environment variables apply: OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER and its like (`none`,
    `console`, `otlp` or an exporter of an installed package), OTEL_EXPORTER_OTLP_* for all signals or one of them,
    OTEL_BSP_* and OTEL_BLRP_*, the sampler, the limits, the resource.

    Back ends that are down, slow or hostile never hold the application up; `Telemetry.stats` counts what was lost.

    If the application has set a tracer provider, `configure` keeps it and adds the destinations given here; those
    in the environment are left to the application. A second call returns what the first one set up, and warns
    about arguments that the first call did not have.

    Args:
        service_name: names the service, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES do.
        endpoints: OTLP addresses, such as "http://localhost:4318" (HTTP) or "http://localhost:4317" (gRPC).
        protocol: the endpoints' protocol; by default OTEL_EXPORTER_OTLP_PROTOCOL, else gRPC on port 4317 and
            HTTP on every other port.
        headers: sent with every export, such as an API key.
        file: a `.jsonl` file, or a folder in which each process writes a file of its own.
        local: also keeps the last traces in memory, for `otel_callbacks.traces`; a second call may add this.
        links: where the picture of a trace in a notebook links to, such as
            {"jaeger": "http://localhost:16686/trace/{trace_id}"}.
        keep: which traces are exported, such as `Keep(errors=True, slow_seconds=5, ratio=0.1)`; by default all. Metrics
            and budgets count every call, and traces in memory are not affected.
        replace: also replaces what an earlier call or the application set up, for handlers made afterwards. What
            waits in the old queues is still sent.

    Raises:
        TypeError: the service name is not a string, or `keep` is not a `Keep`.
        ValueError: an endpoint is not an http(s) address, or a protocol or exporter, given here or in the
            environment, is not known.
    """
    global _configured, _first_arguments
    addresses = [
        _checked_address(address) for address in ([endpoints] if isinstance(endpoints, str) else endpoints)
    ]
    if service_name is not None and not isinstance(service_name, str):
        raise TypeError(f"service_name must be a string, not {remove_secrets(repr(service_name)):.100}")
    if protocol not in (None, *get_args(Protocol)):
        raise ValueError(f"protocol={protocol!r} is not known; use 'http/protobuf' or 'grpc'")
    if keep is not None and not isinstance(keep, Keep):
        raise TypeError(f"keep must be a Keep, such as Keep(ratio=0.1), not {keep!r:.100}")
    otlp_endpoints = [OtlpEndpoint(address, protocol, headers) for address in addresses]
    arguments = {
        "service_name": service_name,
        "endpoints": addresses,
        "protocol": protocol,
        "headers": headers,
        "file": file,
        "keep": keep,
    }
    with _lock:
        if _configured is None or replace:
            existing = trace.get_tracer_provider()
            if isinstance(existing, TracerProvider) and not replace:
                _configured = _add_to(existing, otlp_endpoints, file)
            else:
                in_environment = OtlpEndpoint(None, protocol, headers)
                _configured = _build(service_name, otlp_endpoints, in_environment, file)
                _install(_configured, again=replace)
            _first_arguments = arguments
            if keep is not None:
                _configured.keep_only(keep)
        elif ignored := [
            name for name, value in arguments.items() if value and value != _first_arguments[name]
        ]:
            logger.warning(
                "configure() was called before and ignores %s; pass replace=True to replace the earlier setup",
                ", ".join(ignored),
            )
        if local:
            keep_traces(_configured.tracer_provider)
        if links is not None:
            set_links(links)
        return _configured


def _add_to(
    provider: TracerProvider, endpoints: Sequence[OtlpEndpoint], file: str | os.PathLike[str] | None
) -> Telemetry:
    """Adds our destinations to the application's tracer provider."""
    destinations: Destinations = [(str(each), each.span_exporter) for each in endpoints]
    deliveries, trace_file = _span_deliveries(destinations, file)
    provider.add_span_processor(AttributionSpanProcessor())
    for delivery in deliveries:
        provider.add_span_processor(delivery)
    application = Outbox[TracerProvider](
        "the application's own exporters",
        lambda providers: sum(each.force_flush() for each in providers),
        QueueLimits(queue=2, batch=1, delay=0),  # one flush under way, and one for what came since
    )
    outboxes = [delivery.outbox for delivery in deliveries]
    return Telemetry(provider, None, None, trace_file, outboxes, _application=application)


def _build(
    service_name: str | None,
    endpoints: Sequence[OtlpEndpoint],
    in_environment: OtlpEndpoint,
    file: str | os.PathLike[str] | None,
) -> Telemetry:
    """Builds our own providers, without making them global."""
    resource = Resource.create()
    if service_name and str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service_name}))
    resource = without_secrets(resource)
    destinations = _destinations("traces", endpoints, in_environment)
    if file is None and not destinations and not environment.is_disabled("traces"):
        file = LOCAL_FOLDER
    deliveries, trace_file = _span_deliveries(destinations, file)
    tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracer_provider.add_span_processor(AttributionSpanProcessor())
    for delivery in deliveries:
        tracer_provider.add_span_processor(delivery)
    metric_deliveries, readers = _metric_readers(_destinations("metrics", endpoints, in_environment))
    meter_provider = MeterProvider(readers, resource, shutdown_on_exit=False) if readers else None
    event_deliveries, logger_provider = _event_deliveries(
        _destinations("logs", endpoints, in_environment), resource
    )
    return Telemetry(
        tracer_provider,
        meter_provider,
        logger_provider,
        trace_file,
        [delivery.outbox for delivery in deliveries],
        [*(each.outbox for each in metric_deliveries), *(each.outbox for each in event_deliveries)],
        [reader for reader in readers if isinstance(reader, PeriodicExportingMetricReader)],
    )


def _destinations(
    signal: Signal, endpoints: Sequence[OtlpEndpoint], in_environment: OtlpEndpoint
) -> Destinations:
    """Returns the destinations of a signal: the endpoints given, and the exporters that the environment names."""
    found: Destinations = [(str(each), each.exporter_factory(signal)) for each in endpoints]
    for name in environment.exporter_names(signal):
        if name == "otlp":
            found.append((str(in_environment), in_environment.exporter_factory(signal)))
        else:
            found.append((name, environment.load_exporter(signal, name)))
    return found


def _span_deliveries(
    destinations: Destinations, file: str | os.PathLike[str] | None
) -> tuple[Sequence[SpanDelivery], Path | None]:
    """Returns a delivery for each destination and one for the file, with the file's path."""
    limits = environment.queue_limits("OTEL_BSP")
    deliveries = [SpanDelivery(destination, make, limits) for destination, make in destinations]
    if file is None:
        return deliveries, None
    soon = dataclasses.replace(limits, delay=min(limits.delay, _FILE_DELAY))
    deliveries.append(SpanDelivery(str(file), partial(JsonLinesSpanExporter, file), soon))
    writes_to(Path(file), deliveries[-1].outbox.flush)
    return deliveries, JsonLinesSpanExporter(file).path


def _metric_readers(
    destinations: Destinations,
) -> tuple[Sequence[MetricDelivery], Sequence[MetricReader]]:
    """Returns a delivery for each destination and the readers that collect for them.

    Some packages offer a reader instead of an exporter, such as Prometheus, whose server collects by itself.
    """
    deliveries: list[MetricDelivery] = []
    readers: list[MetricReader] = []
    for destination, make in destinations:
        is_reader = isinstance(make, type) and issubclass(make, MetricReader)
        if is_reader:
            readers.append(make())
        else:
            deliveries.append(MetricDelivery(destination, make))
            readers.append(PeriodicExportingMetricReader(deliveries[-1]))
    return deliveries, readers


def _event_deliveries(
    destinations: Destinations, resource: Resource
) -> tuple[Sequence[EventDelivery], LoggerProvider | None]:
    """Returns a delivery for each destination and their logger provider; None without a destination."""
    if not destinations:
        return (), None
    provider = LoggerProvider(resource, shutdown_on_exit=False)
    limits = environment.queue_limits("OTEL_BLRP")
    deliveries = [EventDelivery(destination, make, limits) for destination, make in destinations]
    for delivery in deliveries:
        provider.add_log_record_processor(delivery)
    return deliveries, provider


def _install(telemetry: Telemetry, *, again: bool) -> None:
    """Makes the providers global. OpenTelemetry allows this once; `again` lifts that."""
    if again:
        trace._TRACER_PROVIDER_SET_ONCE = Once()
        metrics._internal._METER_PROVIDER_SET_ONCE = Once()
        _logs._internal._LOGGER_PROVIDER_SET_ONCE = Once()
    trace.set_tracer_provider(telemetry.tracer_provider)
    if telemetry.meter_provider is not None:
        metrics.set_meter_provider(telemetry.meter_provider)
    if telemetry.logger_provider is not None:
        _logs.set_logger_provider(telemetry.logger_provider)


def _checked_address(address: str) -> str:
    try:
        endpoint_of(address)
    except ValueError:
        shown = shown_address(address)
        raise ValueError(
            f"endpoints: {shown!r} is not an address; use one such as 'http://localhost:4318'"
        ) from None
    return address
