"""`configure()`: sets up the OpenTelemetry SDK for an application. No other module builds the SDK."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider

from otel_callbacks.explore.collection import traces
from otel_callbacks.explore.files.writing import LOCAL_FOLDER
from otel_callbacks.explore.index.ring import keep_traces
from otel_callbacks.explore.pictures.links import set_links
from otel_callbacks.explore.ui import check_installed
from otel_callbacks.export import environment
from otel_callbacks.export.attribution_processor import AttributionSpanProcessor
from otel_callbacks.export.back_ends import To, back_ends, back_ends_in_environment
from otel_callbacks.export.contradictions import contradictions
from otel_callbacks.export.deliveries import Sender, file_sender, senders
from otel_callbacks.export.delivery_metrics import observe_deliveries
from otel_callbacks.export.keep import Keep
from otel_callbacks.export.otlp import OtlpEndpoint, Protocol, Signal
from otel_callbacks.export.outbox import Outbox, QueueLimits
from otel_callbacks.export.own_providers import make_provider
from otel_callbacks.export.resources import without_secrets
from otel_callbacks.export.routes import (
    Route,
    add_to,
    allow_again,
    application_provider,
    distinct,
    set_global,
    takes_more,
)
from otel_callbacks.export.telemetry import Telemetry
from otel_callbacks.privacy.patterns import remove_secrets
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.addresses import endpoint_of, shown_address
from otel_callbacks.runtime.arguments import names_arguments
from otel_callbacks.runtime.faults import logger

_lock = fork.safe_lock()
_configured: Telemetry | None = None
_first_arguments: Mapping[str, Any] = {}


@names_arguments("configure()")
def configure(
    service_name: str | None = None,
    *,
    to: To = (),
    endpoints: str | Sequence[str] = (),
    protocol: Protocol | None = None,
    headers: Mapping[str, str] | None = None,
    file: str | os.PathLike[str] | None = None,
    local: bool = False,
    ui: bool = False,
    links: Mapping[str, str] | None = None,
    keep: Keep | None = None,
    replace: bool = False,
) -> Telemetry:
    """Sets up the export of traces, metrics and events for the whole process.

    Spans go to every back end and endpoint given, to the one in the standard OTEL_EXPORTER_OTLP_* variables, and to
    `file`. Without any of these they go to a trace file in `.otel_callbacks/`. Metrics and events go to the endpoints.
    The standard environment variables apply: OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER and its like (`none`,
    `console`, `otlp` or an exporter of an installed package), OTEL_EXPORTER_OTLP_* for all signals or one of them,
    OTEL_BSP_* and OTEL_BLRP_*, the sampler, the limits, the resource.

    Back ends that are down, slow or hostile never hold the application up; `Telemetry.stats` counts what was lost.

    What the application has set up is kept. If its provider of a signal takes further destinations, as those of the
    SDK do, those given here are added, except where it sends already; those in the environment are left to it. What
    has no effect is logged once, and `print(configure(...))` shows where each signal goes. A second call returns what
    the first one set up, and warns about arguments that the first call did not have.

    Nothing is sent to one place twice. What is wrong in the environment is logged and ignored.

    Args:
        service_name: names the service, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES do.
        to: back ends by name ("phoenix", "langfuse", "langsmith", "mlflow", "jaeger", "tempo", "datadog",
            "honeycomb", "grafana-cloud", "collector"), or a `BackEnd`, or several. Each gets only what it takes, under
            the names that it reads; `docs/backends.md` has the variables that it needs. By default those in
            OTEL_CALLBACKS_TO.
        endpoints: OTLP addresses, such as "http://localhost:4318" (HTTP) or "http://localhost:4317" (gRPC).
        protocol: the endpoints' protocol; by default OTEL_EXPORTER_OTLP_PROTOCOL, else gRPC on port 4317 and
            HTTP on every other port.
        headers: sent with every export, such as an API key.
        file: a `.jsonl` file, or a folder in which each process writes a file of its own.
        local: also keeps the last traces in memory, for `otel_callbacks.traces`; a second call may add this.
        ui: also serves a page over `otel_callbacks.traces`, in a thread, to this machine alone; the extra `ui`.
            `print(configure(...))` shows its link; a second call may add this. See `traces.ui()`.
        links: where the picture of a trace in a notebook links to, such as
            {"jaeger": "http://localhost:16686/trace/{trace_id}"}.
        keep: which traces are exported, such as `Keep(errors=True, slow_seconds=5, ratio=0.1)`; by default all. Metrics
            and budgets count every call, and traces in memory are not affected.
        replace: also replaces what an earlier call or the application set up, for handlers made afterwards. What
            waits in the old queues is still sent.

    Raises:
        TypeError: the service name is not a string, or `keep` is not a `Keep`.
        ModuleNotFoundError: `ui`, and the extra `ui` is not installed.
        ValueError: an endpoint is not an http(s) address, the protocol or a back end is not known, or the environment
            lacks a variable that a back end needs.
    """
    global _configured, _first_arguments
    addresses = list(map(_checked_address, [endpoints] if isinstance(endpoints, str) else endpoints))
    _check(service_name, protocol, keep, ui)
    named = back_ends(to)
    otlp_endpoints = [OtlpEndpoint(address, protocol, headers) for address in addresses]
    otlp_endpoints += [each.endpoint() for each in named]
    arguments = {
        "service_name": service_name,
        "to": named,
        "endpoints": addresses,
        "protocol": protocol,
        "headers": headers,
        "file": file,
        "keep": keep,
    }
    with _lock:
        if _configured is None or replace:
            in_environment = OtlpEndpoint(None, protocol, headers)
            _configured = _set_up(
                service_name, otlp_endpoints, in_environment, file, to_given=bool(named), replace=replace
            )
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
        _show(_configured, local, ui, links)
        return _configured


def _show(telemetry: Telemetry, local: bool, ui: bool, links: Mapping[str, str] | None) -> None:
    """Sets up how this process itself shows traces; where no page can be served, the application goes on without."""
    if local:
        keep_traces(telemetry.tracer_provider)
        telemetry.keeps_locally()
    if ui:
        try:
            telemetry.shows(traces.ui())
        except OSError as error:
            logger.warning("configure(): %s", error)
    if links is not None:
        set_links(links)


def _set_up(
    service_name: str | None,
    endpoints: Sequence[OtlpEndpoint],
    in_environment: OtlpEndpoint,
    file: str | os.PathLike[str] | None,
    *,
    to_given: bool,
    replace: bool,
) -> Telemetry:
    """Sets all three signals up, beside what the application has set up already."""
    notes: list[str] = []
    given_in_code = bool(endpoints)
    if not to_given:
        endpoints = [*endpoints, *(each.endpoint() for each in back_ends_in_environment(notes.append))]
    theirs = None if replace else application_provider("traces")
    joins = theirs is not None and takes_more("traces", theirs)
    notes += contradictions(
        endpoints_given=given_in_code, file_given=file is not None, has_provider=theirs is not None
    )
    variables = None if joins else in_environment  # else they are left to the application
    resource = getattr(theirs, "resource", None) if joins else None
    if not isinstance(resource, Resource):
        resource = _resource(service_name)
    wanted = without_secrets(Resource({SERVICE_NAME: service_name or ""})).attributes[SERVICE_NAME]
    if wanted and resource.attributes.get(SERVICE_NAME) != wanted:
        by = "the application's resource" if joins else "the environment"
        notes.append(f"service_name={wanted!r}: {by} names the service")
    if replace:
        allow_again()
    spans, trace_file = _span_senders(
        endpoints, variables, file, notes.append, has_provider=theirs is not None
    )
    routes = [
        _route("traces", spans, resource, replace=replace),
        _route("metrics", senders("metrics", endpoints, variables, notes.append), resource, replace=replace),
        _route("logs", senders("logs", endpoints, variables, notes.append), resource, replace=replace),
    ]
    notes += [note for route in routes if (note := _note(route)) is not None]
    for note in notes:
        logger.warning("configure(): %s", note)
    return _telemetry(routes, trace_file, resource, notes)


def _span_senders(
    endpoints: Sequence[OtlpEndpoint],
    variables: OtlpEndpoint | None,
    file: str | os.PathLike[str] | None,
    tell: Callable[[str], None],
    *,
    has_provider: bool,
) -> tuple[Sequence[Sender], Path | None]:
    """Returns what sends spans, and the file that they are written to; without any other destination, a local one."""
    found = senders("traces", endpoints, variables, tell)
    if file is None and not found and not has_provider and not environment.is_disabled("traces"):
        file = LOCAL_FOLDER
    if file is None:
        return found, None
    sender, path = file_sender(file)
    return [*found, sender], path


def _route(signal: Signal, found: Sequence[Sender], resource: Resource, *, replace: bool) -> Route:
    """Sends a signal to its destinations, by the application's provider if that takes them, else by one of ours."""
    theirs = None if replace else application_provider(signal)
    if theirs is not None and takes_more(signal, theirs):
        if signal == "traces":
            theirs.add_span_processor(AttributionSpanProcessor())
        return add_to(signal, theirs, found)
    found = distinct(found)
    if signal != "traces" and not found:
        return Route(signal, None, kept=theirs)
    ours = make_provider(signal, [sender.component for sender in found], resource)
    if theirs is None:
        set_global(signal, ours)
    return Route(signal, ours, found, kept=theirs)


def _resource(service_name: str | None) -> Resource:
    """Returns our resource, without credentials; the environment names the service first."""
    resource = Resource.create()
    if service_name and str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: service_name}))
    return without_secrets(resource)


def _note(route: Route) -> str | None:
    """Returns what to tell of a signal that does not reach its destinations."""
    if not route.senders or route.kept is None or not route.is_ours:
        return None
    where = ", ".join(sender.name for sender in route.senders)
    argument = {"traces": "tracer_provider", "metrics": "meter_provider", "logs": "logger_provider"}
    name = argument[route.signal]
    return (
        f"{route.signal} do not go to {where}: the global provider is a {type(route.kept).__name__}, which takes no"
        f" further exporter; pass replace=True, or give handlers {name}=telemetry.{name}"
    )


def _telemetry(
    routes: Sequence[Route], trace_file: Path | None, resource: Resource, notes: Sequence[str]
) -> Telemetry:
    traces, metrics, logs = routes
    application = None
    if not traces.is_ours:
        application = Outbox[TracerProvider](
            "the application's own exporters",
            lambda providers: sum(each.force_flush() for each in providers),
            QueueLimits(queue=2, batch=1, delay=0),  # one flush under way, and one for what came since
        )
    components = [sender.component for sender in metrics.senders]
    if metrics.provider is not None:
        observe_deliveries(metrics.provider, routes)
    return Telemetry(
        traces.provider,
        metrics.provider if metrics.senders else None,
        logs.provider if logs.senders else None,
        trace_file,
        [sender.outbox for sender in traces.senders if sender.outbox is not None],
        [each.outbox for each in (*metrics.senders, *logs.senders) if each.outbox is not None],
        [reader for reader in components if isinstance(reader, PeriodicExportingMetricReader)],
        application,
        routes,
        remove_secrets(str(resource.attributes.get(SERVICE_NAME, "unknown"))),
        notes,
    )


def _check(service_name: object, protocol: object, keep: object, ui: object) -> None:
    if service_name is not None and not isinstance(service_name, str):
        raise TypeError(f"service_name must be a string, not {remove_secrets(repr(service_name)):.100}")
    if protocol not in (None, *get_args(Protocol)):
        raise ValueError(f"protocol={protocol!r} is not known; use 'http/protobuf' or 'grpc'")
    if keep is not None and not isinstance(keep, Keep):
        raise TypeError(f"keep must be a Keep, such as Keep(ratio=0.1), not {keep!r:.100}")
    if ui:
        check_installed()


def _checked_address(address: str) -> str:
    try:
        endpoint_of(address)
    except ValueError:
        shown = shown_address(address)
        raise ValueError(
            f"endpoints: {shown!r} is not an address; use one such as 'http://localhost:4318'"
        ) from None
    return address
