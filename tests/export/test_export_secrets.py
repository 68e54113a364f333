"""No credential of the environment, the resource or an address leaves, except to the host that it is for."""

import logging
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from otlp_servers import otlp_grpc, otlp_http
from secret_formats import LONG

from otel_callbacks import BackEnd
from otel_callbacks.explore import read_jsonl
from otel_callbacks.export.configure import configure
from otel_callbacks.export.otlp import OtlpEndpoint
from otel_callbacks.export.outbox import Outbox, QueueLimits
from otel_callbacks.export.resources import without_secrets

VARIABLE = (
    f"db=postgres://ann:hunter22@db,deployment=a,api_key=correcthorse,sk-{LONG}=x,other=sk-{LONG},"
    "process.command_line=tool --token hunter22,team=search"
)
SECRETS = ("hunter22", "correcthorse", LONG)


def spans_of(telemetry: Any, file: Path) -> bytes:
    telemetry.tracer_provider.get_tracer("t").start_span("one").end()
    assert telemetry.shutdown()
    return file.read_bytes()


def test_a_resource_has_no_credentials_in_any_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_providers: None
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", VARIABLE)
    telemetry = configure(f"shop sk-{LONG}", file=tmp_path / "t.jsonl")
    assert str(telemetry).splitlines()[-2:] == ["service: shop sk-[redacted:key]", "without effect: none"]
    resource = telemetry.tracer_provider.resource
    reader, records = InMemoryMetricReader(), InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    meters = MeterProvider([reader], resource, shutdown_on_exit=False)
    meters.get_meter("m").create_counter("c").add(1)
    loggers = LoggerProvider(resource, shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(records))
    loggers.get_logger("l").emit(body="x")
    data = reader.get_metrics_data()
    assert data is not None
    left = spans_of(telemetry, tmp_path / "t.jsonl")
    left += (
        encode_metrics(data).SerializeToString()
        + encode_logs(records.get_finished_logs()).SerializeToString()
    )
    assert [secret for secret in SECRETS if secret.encode() in left] == []
    [span] = read_jsonl(tmp_path / "t.jsonl")
    assert span.resource["team"] == "search"
    assert span.resource["db"] == "postgres://[redacted:url]@db"
    assert span.resource["api_key"] == "[redacted]"
    assert span.resource["service.name"] == "shop sk-[redacted:key]"
    meters.shutdown()
    loggers.shutdown()


def test_every_signal_of_configure_has_the_cleaned_resource(
    monkeypatch: pytest.MonkeyPatch, no_providers: None
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", VARIABLE)
    with otlp_http() as server:
        telemetry = configure(endpoints=server.url)
        assert telemetry.meter_provider is not None and telemetry.logger_provider is not None
        resources = (
            telemetry.tracer_provider.resource,
            telemetry.meter_provider._sdk_config.resource,
            telemetry.logger_provider.resource,
        )
        telemetry.shutdown()
    for resource in resources:
        assert not any(secret in str(dict(resource.attributes)) for secret in SECRETS)


def test_what_we_send_of_an_applications_own_provider_is_cleaned(tmp_path: Path, no_providers: None) -> None:
    resource = Resource({"db": "postgres://ann:hunter22@db", "password": "correcthorse", "ports": [1, 2]})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    trace.set_tracer_provider(provider)
    telemetry = configure(file=tmp_path / "t.jsonl")
    left = spans_of(telemetry, tmp_path / "t.jsonl")
    assert [secret for secret in SECRETS if secret.encode() in left] == []
    assert provider.resource is resource and resource.attributes["password"] == "correcthorse"
    provider.shutdown()


def test_a_resource_without_credentials_stays_the_same() -> None:
    resource = Resource(
        {"service.name": "shop", "ports": [1, 2], "n": 1, "x": 0.5, "flag": True}, "https://schema"
    )
    assert without_secrets(resource) is resource
    changed = without_secrets(resource.merge(Resource({"token": "hunter22", "token_limit": 3})))
    assert changed.schema_url == "https://schema"
    assert changed.attributes == {**resource.attributes, "token": "[redacted]", "token_limit": 3}


@pytest.mark.parametrize("receiving", [otlp_http, otlp_grpc])
@pytest.mark.parametrize("in_environment", [False, True])
def test_user_and_password_of_an_address_reach_its_host_as_a_header(
    receiving: Any, in_environment: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving() as server:
        address = server.url.replace("://", "://ann:hunter22@")
        protocol = "grpc" if receiving is otlp_grpc else "http/protobuf"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_EXPORTER", "otlp")
        endpoint = OtlpEndpoint(None if in_environment else address, protocol)  # type: ignore[arg-type]
        provider = TracerProvider(shutdown_on_exit=False)
        exporter = endpoint.span_exporter()
        span = provider.get_tracer("t").start_span("one")
        span.end()
        assert exporter.export([span]) is SpanExportResult.SUCCESS  # type: ignore[list-item]
        exporter.shutdown()
    assert server.headers[0]["authorization"] == "Basic YW5uOmh1bnRlcjIy"
    assert "hunter22" not in repr(endpoint) + str(endpoint) + caplog.text + repr(vars(exporter))


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_back_end_that_is_down_puts_no_password_into_the_log(
    protocol: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    endpoint = OtlpEndpoint("http://ann:hunter22@127.0.0.1:9", protocol, {"x-key": "correcthorse"})
    exporter = endpoint.span_exporter()
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("one")
    span.end()
    with caplog.at_level(logging.DEBUG):
        assert exporter.export([span]) is SpanExportResult.FAILURE  # type: ignore[list-item]
    exporter.shutdown()
    assert caplog.text and not [secret for secret in SECRETS if secret in caplog.text]


def test_a_password_in_netrc_goes_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_providers: None
) -> None:
    (tmp_path / ".netrc").write_text("default login ann password hunter22\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with otlp_http() as server:
        with_key = BackEnd(server.url, headers={"Authorization": "Basic mine"}, signals=["traces"])
        without = BackEnd(server.url, headers={"x-account": "2"}, signals=["traces"])
        telemetry = configure("app", endpoints=server.url.replace("//", "//me:pw@"), to=[with_key, without])
        telemetry.tracer_provider.get_tracer("t").start_span("one").end()
        assert telemetry.flush(10)
        telemetry.shutdown()
        sent = {headers.get("authorization") for headers in server.headers}
    assert sent == {"Basic mine", "Basic bWU6cHc=", None}


@pytest.mark.parametrize(
    "address", ["ann:hunter22@host:4318", "ftp://ann:hunter22@host", "http://ann:hunter22@host:x"]
)
def test_an_error_about_an_address_has_no_password(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="is not an address") as raised:
        configure(endpoints=address)
    assert "hunter22" not in str(raised.value)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    with pytest.raises(ValueError, match="is not an address") as raised:
        OtlpEndpoint(None, "http/protobuf").exporter_factory("traces")
    assert "hunter22" not in str(raised.value)


def test_an_exporters_error_is_logged_without_credentials(caplog: pytest.LogCaptureFixture) -> None:
    def send(batch: Any) -> int:
        raise OSError("cannot reach https://ann:hunter22@host")

    outbox: Outbox[int] = Outbox("x", send, QueueLimits())
    outbox.put(1)  # waits, so that it is sent while `close` waits for it
    assert not outbox.close(2)
    assert "cannot reach" in caplog.text and "hunter22" not in caplog.text
