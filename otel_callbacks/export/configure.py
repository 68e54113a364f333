"""Builds the OpenTelemetry SDK for applications that have none: the only place that does."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util._once import Once

from otel_callbacks.explore.files.writing import LOCAL_FOLDER, JsonLinesSpanExporter
from otel_callbacks.explore.index.ring import keep_traces
from otel_callbacks.explore.pictures.links import set_links
from otel_callbacks.export import environment
from otel_callbacks.export.attribution_processor import AttributionSpanProcessor
from otel_callbacks.export.otlp import Otlp, Protocol, Signal
from otel_callbacks.export.outbox import Limits, Outbox
from otel_callbacks.export.signals import EventDelivery, MetricDelivery, SpanDelivery
from otel_callbacks.export.telemetry import Telemetry
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import logger

Makers = list[tuple[str, Callable[[], Any]]]
"""Destinations, and what makes an exporter to each."""

_FILE_DELAY = 0.5
"""Seconds: a file costs nobody a request, and whoever follows it wants to see what is happening."""

_lock = fork.safe_lock()
_configured: Telemetry | None = None
_asked: Mapping[str, Any] = {}


def configure(
    service_name: str | None = None,
    *,
    endpoints: str | Sequence[str] = (),
    protocol: Protocol | None = None,
    headers: Mapping[str, str] | None = None,
    file: str | os.PathLike[str] | None = None,
    local: bool = False,
    links: Mapping[str, str] | None = None,
    replace: bool = False,
) -> Telemetry:
    """Sets up export of traces, metrics and events, and makes it the process's.

    Spans go to every endpoint given, to the one in the standard OTEL_EXPORTER_OTLP_* variables, and to `file`;
    with none of these, to a trace file in `.otel_callbacks/`. Metrics and events go to the endpoints. What the
    SDK's users set in the environment holds: OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER and its like (`none`,
    `console`, `otlp` or what an installed package offers), OTEL_EXPORTER_OTLP_* for all signals or one of them,
    OTEL_BSP_* and OTEL_BLRP_*, the sampler, the limits, the resource.

    Back ends that are down, slow or hostile never hold the application up; `Telemetry.stats` counts what was lost.

    A tracer provider that the application has set is kept: what is asked for here is added to it, and what the
    environment asks for is left to the application. Called again, it returns what the first call set up, and warns
    of arguments that the first call did not have.

    Args:
        service_name: names the service, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES do.
        endpoints: OTLP addresses, such as "http://localhost:4318" (HTTP) or "http://localhost:4317" (gRPC).
        protocol: of the endpoints; by default OTEL_EXPORTER_OTLP_PROTOCOL, else gRPC on port 4317 and HTTP
            everywhere else.
        headers: sent with every export, such as an API key.
        file: a `.jsonl` file, or a folder in which each process writes a file of its own.
        local: also keep the last traces in memory, for `otel_callbacks.traces`; also when called again.
        links: where a trace that is shown in a notebook links to, such as
            {"jaeger": "http://localhost:16686/trace/{trace_id}"}.
        replace: also replace what an earlier call or the application set up, for handlers made afterwards. What
            waits there is still sent.

    Raises:
        TypeError: the service's name is no text.
        ValueError: an endpoint is no http(s) address, or a protocol or exporter, also one that the environment
            names, is not known.
    """
    global _configured, _asked
    addresses = [_checked(address) for address in ([endpoints] if isinstance(endpoints, str) else endpoints)]
    if service_name is not None and not isinstance(service_name, str):
        raise TypeError(f"service_name must be a text, not {service_name!r}")
    if protocol not in (None, *get_args(Protocol)):
        raise ValueError(f"protocol={protocol!r} is not known; use 'http/protobuf' or 'grpc'")
    places = [Otlp(address, protocol, headers) for address in addresses]
    asked = {
        "service_name": service_name,
        "endpoints": addresses,
        "protocol": protocol,
        "headers": headers,
        "file": file,
    }
    with _lock:
        if _configured is None or replace:
            existing = trace.get_tracer_provider()
            if isinstance(existing, TracerProvider) and not replace:
                _configured = _extend(existing, places, file)
            else:
                _configured = _build(service_name, places, Otlp(None, protocol, headers), file)
                _install(_configured, again=replace)
            _asked = asked
        elif late := [name for name, value in asked.items() if value and value != _asked[name]]:
            logger.warning(
                "configure() was called before; without effect: %s; replace=True replaces what was set up",
                ", ".join(late),
            )
        if local:
            keep_traces(_configured.tracer_provider)
        if links is not None:
            set_links(links)
        return _configured


def _extend(
    provider: TracerProvider, places: Sequence[Otlp], file: str | os.PathLike[str] | None
) -> Telemetry:
    deliveries, written = _deliver([(str(place), place.spans) for place in places], file)
    provider.add_span_processor(AttributionSpanProcessor())
    for delivery in deliveries:
        provider.add_span_processor(delivery)
    application = Outbox[TracerProvider](
        "the application's own exporters",
        lambda providers: sum(each.force_flush() for each in providers),
        Limits(queue=2, batch=1, delay=0),  # one flush under way, and one for what came since
    )
    outboxes = [delivery.outbox for delivery in deliveries]
    return Telemetry(provider, None, None, written, outboxes, _application=application)


def _build(
    service_name: str | None,
    places: Sequence[Otlp],
    standard: Otlp,
    file: str | os.PathLike[str] | None,
) -> Telemetry:
    resource = Resource.create()
    if service_name and str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service_name}))
    makers = _makers("traces", places, standard)
    if file is None and not makers and not environment.wants_none("traces"):
        file = LOCAL_FOLDER
    deliveries, written = _deliver(makers, file)
    tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracer_provider.add_span_processor(AttributionSpanProcessor())
    for delivery in deliveries:
        tracer_provider.add_span_processor(delivery)
    collections, readers = _readers(_makers("metrics", places, standard))
    meter_provider = MeterProvider(readers, resource, shutdown_on_exit=False) if readers else None
    events, logger_provider = _events(_makers("logs", places, standard), resource)
    return Telemetry(
        tracer_provider,
        meter_provider,
        logger_provider,
        written,
        [delivery.outbox for delivery in deliveries],
        [*(each.outbox for each in collections), *(each.outbox for each in events)],
        [reader for reader in readers if isinstance(reader, PeriodicExportingMetricReader)],
    )


def _makers(signal: Signal, places: Sequence[Otlp], standard: Otlp) -> Makers:
    """Where a signal goes: to the places given, and to where the environment says."""
    found: Makers = [(str(place), place.maker(signal)) for place in places]
    for name in environment.exporters(signal):
        known = name == "otlp"
        found.append(
            (str(standard), standard.maker(signal)) if known else (name, environment.load(signal, name))
        )
    return found


def _deliver(
    makers: Makers, file: str | os.PathLike[str] | None
) -> tuple[Sequence[SpanDelivery], Path | None]:
    """What takes spans to each destination, and to a file; and which file that is."""
    limits = environment.limits("OTEL_BSP")
    deliveries = [SpanDelivery(destination, make, limits) for destination, make in makers]
    if file is None:
        return deliveries, None
    soon = dataclasses.replace(limits, delay=min(limits.delay, _FILE_DELAY))
    deliveries.append(SpanDelivery(str(file), partial(JsonLinesSpanExporter, file), soon))
    return deliveries, JsonLinesSpanExporter(file).path


def _readers(makers: Makers) -> tuple[Sequence[MetricDelivery], Sequence[MetricReader]]:
    """What takes metrics to each destination, and what collects them; a reader such as Prometheus' is asked itself."""
    deliveries: list[MetricDelivery] = []
    readers: list[MetricReader] = []
    for destination, make in makers:
        collects = isinstance(make, type) and issubclass(make, MetricReader)
        if collects:
            readers.append(make())
        else:
            deliveries.append(MetricDelivery(destination, make))
            readers.append(PeriodicExportingMetricReader(deliveries[-1]))
    return deliveries, readers


def _events(makers: Makers, resource: Resource) -> tuple[Sequence[EventDelivery], LoggerProvider | None]:
    """What takes events to each destination, and their provider if there is any."""
    if not makers:
        return (), None
    provider = LoggerProvider(resource, shutdown_on_exit=False)
    limits = environment.limits("OTEL_BLRP")
    deliveries = [EventDelivery(destination, make, limits) for destination, make in makers]
    for delivery in deliveries:
        provider.add_log_record_processor(delivery)
    return deliveries, provider


def _install(telemetry: Telemetry, *, again: bool) -> None:
    """Makes the providers the process's; OpenTelemetry allows that once, unless it is to be done `again`."""
    if again:
        trace._TRACER_PROVIDER_SET_ONCE = Once()
        metrics._internal._METER_PROVIDER_SET_ONCE = Once()
        _logs._internal._LOGGER_PROVIDER_SET_ONCE = Once()
    trace.set_tracer_provider(telemetry.tracer_provider)
    if telemetry.meter_provider is not None:
        metrics.set_meter_provider(telemetry.meter_provider)
    if telemetry.logger_provider is not None:
        _logs.set_logger_provider(telemetry.logger_provider)


def _checked(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"endpoints: {address!r} is no address; use one such as 'http://localhost:4318'")
    return address
