"""`configure` beside what is set up already: it adds what can be added, says what it did, and sends nothing twice."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from otlp_servers import OtlpServer, otlp_grpc, otlp_http

from otel_callbacks import Telemetry, configure, traces
from otel_callbacks.export.destinations import Destination, destination_of
from otel_callbacks.export.otlp import OtlpEndpoint
from otel_callbacks.runtime.addresses import normal_form

pytestmark = pytest.mark.usefixtures("no_providers")
PATHS = ["/v1/logs", "/v1/metrics", "/v1/traces"]


@pytest.fixture
def server() -> Iterator[OtlpServer]:
    with otlp_http() as running:
        yield running


def use(telemetry: Telemetry, server: OtlpServer) -> tuple[bool, list[str]]:
    """Records one of each signal with the global providers, as handlers do.

    Returns whether all was accepted, and the paths that it was sent to.
    """
    trace.get_tracer("app").start_span("one").end()
    metrics.get_meter("app").create_counter("calls").add(1)
    _logs.get_logger("app").emit(_logs.LogRecord(event_name="happened"))
    flushed = telemetry.flush(20)
    paths = sorted(server.paths)
    assert telemetry.shutdown(20)  # metrics once more
    return flushed, paths


def said(telemetry: Telemetry, url: str) -> list[str]:
    return str(telemetry).replace(url, "URL").splitlines()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# --- every signal --------------------------------------------------------------------------------------------------


def test_our_own_set_up_says_where_each_signal_goes(server: OtlpServer, tmp_path: Any) -> None:
    telemetry = configure("shop", endpoints=server.url, file=tmp_path / "a.jsonl", local=True)
    assert said(telemetry, server.url) == [
        f"traces: URL, {tmp_path / 'a.jsonl'}; also kept in memory",
        "metrics: URL",
        "events: URL",
        "service: shop",
        "without effect: none",
    ]
    assert use(telemetry, server) == (True, PATHS)


@dataclass
class Application:
    """The providers of an application, set up with its own exporters."""

    resource: Resource

    def set_all(self) -> None:
        self.traces = TracerProvider(resource=self.resource, shutdown_on_exit=False)
        self.metrics = MeterProvider(resource=self.resource, shutdown_on_exit=False)
        self.logs = LoggerProvider(self.resource, shutdown_on_exit=False)
        trace.set_tracer_provider(self.traces)
        metrics.set_meter_provider(self.metrics)
        _logs.set_logger_provider(self.logs)


def test_all_three_signals_are_added_to_the_applications_providers(
    server: OtlpServer, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = Application(Resource({"service.name": "theirs", "api_key": "correcthorse"}))
    theirs.set_all()
    telemetry = configure("shop", endpoints=server.url)
    assert said(telemetry, server.url) == [
        "traces: URL, and wherever the application's provider (opentelemetry's TracerProvider) sends",
        "metrics: URL, and wherever the application's provider (opentelemetry's MeterProvider) sends",
        "events: URL, and wherever the application's provider (opentelemetry's LoggerProvider) sends",
        "service: theirs",
        "without effect: service_name='shop': the application's resource names the service",
    ]
    assert warnings(caplog) == [
        "configure(): service_name='shop': the application's resource names the service"
    ]
    assert (telemetry.tracer_provider, telemetry.meter_provider) == (theirs.traces, theirs.metrics)
    assert use(telemetry, server) == (True, PATHS)
    theirs.traces.get_tracer("t").start_span("later").end()  # they are only flushed
    assert theirs.metrics._shutdown is False
    assert [thread for thread in threading.enumerate() if "MetricReader" in thread.name] == []
    [span] = server.spans()
    assert (span.resource["service.name"], span.resource["api_key"]) == ("theirs", "[redacted]")


def test_metrics_and_events_are_sent_beside_a_tracer_provider_of_the_application(server: OtlpServer) -> None:
    """With the application's resource, so that all three signals are of one service."""
    trace.set_tracer_provider(
        TracerProvider(resource=Resource({"service.name": "theirs"}), shutdown_on_exit=False)
    )
    telemetry = configure(endpoints=server.url)
    assert telemetry.meter_provider is metrics.get_meter_provider()
    assert telemetry.logger_provider is _logs.get_logger_provider()
    assert telemetry.meter_provider._sdk_config.resource.attributes["service.name"] == "theirs"  # type: ignore[attr-defined]
    assert use(telemetry, server) == (True, PATHS)


def test_the_environment_is_left_to_an_application_with_a_provider(
    server: OtlpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
    trace.set_tracer_provider(TracerProvider(shutdown_on_exit=False))
    telemetry = configure()
    assert said(telemetry, server.url)[:3] == [
        "traces: the application's provider (opentelemetry's TracerProvider)",
        "metrics: nowhere",
        "events: nowhere",
    ]
    assert use(telemetry, server) == (True, [])


class Foreign(trace.TracerProvider):
    """A tracer provider of another make, which takes no further exporter."""

    def get_tracer(self, *scope: Any, **_: Any) -> trace.Tracer:
        return trace.NoOpTracer()


@dataclass
class Wraps(trace.TracerProvider):
    """As Logfire's: a provider of another make that hands processors on, and has no hash."""

    inner: TracerProvider

    def get_tracer(self, *scope: Any, **_: Any) -> trace.Tracer:
        return self.inner.get_tracer(*scope)

    def add_span_processor(self, processor: Any) -> None:
        self.inner.add_span_processor(processor)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self.inner.force_flush(timeout_millis)


def test_a_provider_of_another_make_takes_what_it_hands_on(server: OtlpServer) -> None:
    trace.set_tracer_provider(Wraps(TracerProvider(shutdown_on_exit=False)))
    for _ in range(2):
        telemetry = configure(endpoints=server.url, local=True)
    package = Wraps.__module__.partition(".")[0]
    assert said(telemetry, server.url)[0] == (
        f"traces: URL, and wherever the application's provider ({package}'s Wraps) sends; also kept in memory"
    )
    assert use(telemetry, server) == (True, PATHS)
    assert [span.name for span in server.spans()] == ["one"]
    assert [span.name for span in traces.last().spans] == ["one"]


@pytest.mark.parametrize("provider", [trace.NoOpTracerProvider(), Foreign()])
def test_a_provider_that_takes_no_exporter_is_told_and_a_flush_is_not_true(
    provider: Any, server: OtlpServer, caplog: pytest.LogCaptureFixture
) -> None:
    trace.set_tracer_provider(provider)
    telemetry = configure(endpoints=server.url)
    kind = type(provider).__name__
    note = (
        f"traces do not go to {server.url}: the global provider is a {kind}, which takes no further exporter; pass"
        " replace=True, or give handlers tracer_provider=telemetry.tracer_provider"
    )
    assert warnings(caplog) == [f"configure(): {note}"]
    assert str(telemetry).splitlines()[-1] == f"without effect: {note}"
    assert use(telemetry, server) == (False, ["/v1/logs", "/v1/metrics"])


def test_a_handler_with_our_provider_is_delivered_beside_a_foreign_one(server: OtlpServer) -> None:
    trace.set_tracer_provider(Foreign())
    telemetry = configure(endpoints=server.url)
    telemetry.tracer_provider.get_tracer("t").start_span("one").end()
    assert telemetry.flush(20)
    assert [span.name for span in server.spans()] == ["one"]
    telemetry.shutdown(20)


def test_replace_replaces_what_the_application_has_set_up(server: OtlpServer) -> None:
    trace.set_tracer_provider(Foreign())
    metrics.set_meter_provider(metrics.NoOpMeterProvider())
    _logs.set_logger_provider(_logs.NoOpLoggerProvider())
    telemetry = configure(endpoints=server.url, replace=True)
    assert use(telemetry, server) == (True, PATHS)


def test_only_a_foreign_meter_provider_costs_the_metrics_alone_and_is_told(
    server: OtlpServer, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.set_meter_provider(metrics.NoOpMeterProvider())
    telemetry = configure(endpoints=server.url)
    assert said(telemetry, server.url)[1] == (
        "metrics: the application's provider (opentelemetry's NoOpMeterProvider), which takes no further exporter:"
        " nothing arrives at URL"
    )
    assert warnings(caplog) == [
        f"configure(): metrics do not go to {server.url}: the global provider is a NoOpMeterProvider, which takes"
        " no further exporter; pass replace=True, or give handlers meter_provider=telemetry.meter_provider"
    ]
    assert telemetry.tracer_provider is trace.get_tracer_provider()
    telemetry.shutdown(20)


# --- once ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}/v1/traces", "HTTP://LOCALHOST:{port}"])
def test_an_endpoint_that_the_environment_names_too_is_sent_to_once(
    spelling: str, server: OtlpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
    spelled = spelling.format(server.url, port=server.url.rpartition(":")[2])
    assert use(configure(endpoints=[spelled, server.url]), server) == (True, PATHS)
    assert warnings(caplog) == []


def test_where_the_application_exports_already_nothing_is_sent_again(
    server: OtlpServer, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = Application(Resource({}))
    theirs.set_all()
    spelled = server.url.replace("127.0.0.1", "LocalHost")
    theirs.traces.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{spelled}/v1/traces")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{server.url}/v1/metrics"), 600_000)
    theirs.metrics.add_metric_reader(reader)
    theirs.logs.add_log_record_processor(
        SimpleLogRecordProcessor(OTLPLogExporter(endpoint=f"{server.url}/v1/logs"))
    )
    telemetry = configure(endpoints=server.url)
    assert warnings(caplog) == []
    assert said(telemetry, server.url)[0] == (
        "traces: the application's provider (opentelemetry's TracerProvider), which sends to URL already"
    )
    assert use(telemetry, server) == (True, ["/v1/logs", "/v1/traces"])
    reader.shutdown()  # collects
    assert sorted(server.paths) == PATHS


def test_what_others_add_to_our_providers_later_is_sent_once(
    server: OtlpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As FastAPI does with FASTAPI_OTEL_AUTO_CONFIGURE, and many an application."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
    telemetry = configure()
    added: Any = BatchSpanProcessor(OTLPSpanExporter()), BatchLogRecordProcessor(OTLPLogExporter())
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), 600_000)
    telemetry.tracer_provider.add_span_processor(added[0])
    telemetry.logger_provider.add_log_record_processor(added[1])  # type: ignore[union-attr]
    telemetry.meter_provider.add_metric_reader(reader)  # type: ignore[union-attr]
    reader.collect()  # as it does every minute, without a complaint
    assert use(telemetry, server) == (True, PATHS)
    assert warnings(caplog) == [
        f"{name} would send to {server.url}/v1/{signal} a second time and is left out; configure() sends there"
        " already"
        for name, signal in (
            ("BatchSpanProcessor", "traces"),
            ("BatchLogRecordProcessor", "logs"),
            ("PeriodicExportingMetricReader", "metrics"),
        )
    ]
    for each in (*added, reader):
        each.shutdown()


def test_another_account_at_the_same_address_is_another_destination(server: OtlpServer) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    mine = OTLPSpanExporter(f"{server.url}/v1/traces", headers={"Authorization": "Bearer one"})
    provider.add_span_processor(SimpleSpanProcessor(mine))
    trace.set_tracer_provider(provider)
    telemetry = configure(endpoints=server.url, headers={"Authorization": "Bearer two"})
    assert use(telemetry, server)[0]
    sent = sorted(headers["authorization"] for headers in server.headers)
    assert sent == ["Bearer one", "Bearer two"]


def test_grpc_to_one_place_is_sent_once() -> None:
    with otlp_grpc() as server:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(GrpcSpanExporter(server.url, insecure=True)))
        trace.set_tracer_provider(provider)
        telemetry = configure(endpoints=server.url, protocol="grpc")
        provider.get_tracer("t").start_span("one").end()
        assert telemetry.shutdown(20)
        assert [span.name for span in server.spans()] == ["one"]
        provider.shutdown()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://a", "HTTP://A:80/", True),
        ("https://a.example./x/", "https://A.example:443/x", True),
        ("http://localhost:4318", "http://[::1]:4318", True),
        ("http://a:4318", "https://a:4318", False),
        ("http://a:4318/x", "http://a:4318/y", False),
        ("http://a:4318", "http://b:4318", False),
    ],
)
def test_the_normal_form_of_addresses(one: str, other: str, same: bool) -> None:
    assert (normal_form(one) == normal_form(other)) is same


def test_grpc_has_no_scheme_and_no_path_and_is_not_http() -> None:
    assert normal_form("http://A:4317/v1/traces", grpc=True) == normal_form("a:4317", grpc=True)
    assert normal_form("http://a:4317", grpc=True) != normal_form("http://a:4317")


@pytest.mark.parametrize("component", [object(), None, SimpleSpanProcessor(None), 7])  # type: ignore[arg-type]
def test_nothing_is_known_of_other_exporters(component: Any) -> None:
    assert destination_of(component) is None


def test_the_destination_of_an_sdk_exporter() -> None:
    exporter = OTLPSpanExporter("http://A:4318/v1/traces", headers={"Api-Key": "k"})
    processor = SimpleSpanProcessor(exporter)
    assert destination_of(processor) == Destination("http://a:4318/v1/traces", frozenset({("api-key", "k")}))


# --- contradictions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "notes", "paths"),
    [
        (
            {"OTEL_TRACES_EXPORTER": "none"},
            ["OTEL_TRACES_EXPORTER=none, but traces go to the destinations given in code"],
            PATHS,
        ),
        (
            {"OTEL_CONFIG_FILE": "otel.yaml"},
            ["OTEL_CONFIG_FILE is not read by configure(); let opentelemetry-instrument set up the SDK from it,"
             " or set the OTEL_* variables instead"],
            PATHS,
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            ["OTEL_EXPORTER_OTLP_PROTOCOL='http/json' is not known and ignored; use 'http/protobuf' or 'grpc'"],
            PATHS,
        ),
        (
            {"OTEL_SDK_DISABLED": "true"},
            ["OTEL_SDK_DISABLED=true: nothing is recorded, and the destinations given get nothing"],
            [],
        ),
        (
            {"OTEL_METRICS_EXPORTER": "zip, console"},
            ["an exporter of metrics is left out: OTEL_METRICS_EXPORTER='zip' is not known: no installed package offers"
             " this exporter"],
            PATHS,
        ),
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "collector:4318"},
            ["an exporter of traces is left out: OTEL_EXPORTER_OTLP_ENDPOINT='collector:4318' is not an address; use"
             " one such as 'http://localhost:4318'"],
            PATHS,
        ),
    ],
)  # fmt: skip
def test_contradictions_are_told_and_break_nothing(
    variables: dict[str, str],
    notes: list[str],
    paths: list[str],
    server: OtlpServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    telemetry = configure(endpoints=server.url)
    assert warnings(caplog) == [f"configure(): {note}" for note in notes]
    assert str(telemetry).splitlines()[-1] == "without effect: " + "; ".join(notes)
    assert use(telemetry, server) == (bool(paths), paths)


def test_the_path_of_a_signal_in_the_environment_is_used_once(
    server: OtlpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{server.url}/v1/traces")
    assert use(configure(), server) == (True, PATHS)
    assert warnings(caplog) == [
        "configure(): OTEL_EXPORTER_OTLP_ENDPOINT is the address without /v1/traces:"
        f" {server.url} is used with the path of each signal once"
    ]


def test_an_address_of_one_signal_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a:4318/custom/")
    exporter: Any = OtlpEndpoint(None).span_exporter()
    assert exporter._endpoint == "http://a:4318/custom/"


def test_a_file_takes_traces_alone(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No signal but traces contradicts the environment."""
    for signal in ("TRACES", "METRICS", "LOGS"):
        monkeypatch.setenv(f"OTEL_{signal}_EXPORTER", "none")
    telemetry = configure(file=tmp_path / "a.jsonl")
    assert str(telemetry).splitlines()[-1] == (
        "without effect: OTEL_TRACES_EXPORTER=none, but traces go to the destinations given in code"
    )
    telemetry.shutdown(20)


def test_a_disabled_sdk_is_shown(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    telemetry = configure()
    assert str(telemetry).splitlines()[0] == "traces: nowhere: OTEL_SDK_DISABLED is true"
    assert not telemetry.flush()
    assert warnings(caplog) == []  # it is what somebody wants
    telemetry.shutdown(20)


def test_what_leads_nowhere_is_not_flushed(server: OtlpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    telemetry = configure()
    assert str(telemetry).splitlines()[0] == "traces: nowhere"
    assert use(telemetry, server) == (False, [])
