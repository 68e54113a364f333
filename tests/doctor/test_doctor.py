"""`otel-callbacks doctor` says what is wrong in plain words, and its exit status tells that something is."""

import json
import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from otlp_servers import OtlpServer, otlp_grpc, otlp_http
from receivers import receiver

from otel_callbacks import uninstrument
from otel_callbacks.cli import main
from otel_callbacks.doctor import checks, probe
from otel_callbacks.export.destinations import Destination

pytestmark = pytest.mark.usefixtures("no_providers")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probe, "_TIMEOUT", 0.5)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def server() -> Iterator[OtlpServer]:
    with otlp_http() as running:
        yield running


def doctor(*arguments: str) -> tuple[int, list[str]]:
    """Returns the exit status, and what it says but the lines about packages and the service."""
    ran = CliRunner().invoke(main, ["doctor", "--timeout", "0.5", *arguments], catch_exceptions=False)
    shown = [
        line for line in ran.output.splitlines() if "frameworks: " not in line and "service: " not in line
    ]
    return ran.exit_code, [line for line in shown if "prices: " not in line]


def wrong(*arguments: str) -> list[str]:
    """Returns what is wrong, which the exit status tells."""
    code, lines = doctor(*arguments)
    found = [line.removeprefix("wrong ") for line in lines if line.startswith("wrong ")]
    assert code == (1 if found else 0)
    return found


def test_all_is_well(server: OtlpServer) -> None:
    code, lines = doctor("--endpoint", server.url, "--header", "api-key=k")
    assert code == 0
    spans = server.spans()
    assert [span.name for span in spans] == [
        "test",
        "invoke_workflow otel-callbacks doctor",
        "otel-callbacks doctor",
    ]
    assert lines == [
        f"ok    traces: {server.url}",
        f"ok    metrics: {server.url}",
        f"ok    events: {server.url}",
        f"ok    traces: {server.url}/v1/traces accepts them",
        f"ok    metrics: {server.url}/v1/metrics accepts them",
        f"ok    events: {server.url}/v1/logs accepts them",
        f"ok    test trace: {spans[0].trace_id} was accepted everywhere",
    ]
    assert {headers["api-key"] for headers in server.headers} == {"k"}


def test_json_is_all_that_is_on_standard_output(
    server: OtlpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the application prints while it is imported is on standard error."""
    monkeypatch.setattr(checks, "count_recorders", lambda: 0)  # another test's may not be collected yet
    (tmp_path / "shop_printing.py").write_text("print('welcome')\n")
    arguments = [
        "--timeout",
        "0.5",
        "--endpoint",
        server.url,
        "--import",
        "shop_printing",
        "--format",
        "json",
    ]
    ran = CliRunner().invoke(main, ["doctor", *arguments])
    found = json.loads(ran.stdout)
    assert (ran.exit_code, found["ok"], found.keys()) == (1, False, {"ok", "findings"})
    assert {"kind": "ok", "text": f"traces: {server.url}/v1/traces accepts them"} in found["findings"]
    assert [each["text"][:13] for each in found["findings"] if each["kind"] == "wrong"] == ["handler: none"]
    assert "welcome" in ran.stderr


def test_a_local_file_is_well_too(tmp_path: Path) -> None:
    assert wrong() == []
    assert list(tmp_path.glob(".otel_callbacks/*"))


# --- the way to the destination ------------------------------------------------------------------------------------


def test_nothing_listens(tmp_path: Path) -> None:
    with receiver("refused", tmp_path) as nobody:
        where = nobody.url.removeprefix("http://")
        assert wrong("--endpoint", nobody.url) == [
            f"traces: {nobody.url}/v1/traces takes none: nothing listens on {where}; start the collector, or check"
            " host and port"
        ]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (401, "the server refuses the credentials (401); check headers= or OTEL_EXPORTER_OTLP_HEADERS"
              " (name=value, and a space as %20)"),
        (404, "there is no OTLP at /v1/traces (404); check the path in the address, and which signals are taken"),
        (415, "the server takes no protobuf (415); it is no OTLP receiver, or one for JSON alone"),
        (302, "the server redirects elsewhere (302); write the address that it redirects to"),
        (500, "the server answers 500; its log says why"),
    ],
)  # fmt: skip
def test_what_a_server_answers(status: int, why: str, server: OtlpServer) -> None:
    server.answers = [(status, b"")] * 20
    assert wrong("--endpoint", server.url) == [f"traces: {server.url}/v1/traces takes none: {why}"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/v1/traces/v1/traces", "the path /v1/traces/v1/traces has /v1/… twice (404); leave it out of the address"),
        ("", "the path / has no /v1/traces (404); the address of one signal is used as it is"),
    ],
)  # fmt: skip
def test_a_wrong_path(path: str, why: str, server: OtlpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers = [(404, b"")] * 20
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", server.url + path)
    assert wrong() == [f"traces: {server.url}{path} takes none: {why}"]


def test_a_path_twice_in_the_general_address_is_told(
    server: OtlpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"{server.url}/v1/traces")
    assert wrong() == [
        "without effect: OTEL_EXPORTER_OTLP_ENDPOINT is the address without /v1/traces:"
        f" {server.url} is used with the path of each signal once"
    ]


def test_http_is_spoken_where_grpc_is_expected(server: OtlpServer) -> None:
    where = server.url.removeprefix("http://")
    assert wrong("--endpoint", server.url, "--protocol", "grpc") == [
        f"traces: grpc://{where} takes none: {where} speaks HTTP, not gRPC; write protocol='http/protobuf', or the"
        " gRPC port (usually 4317)"
    ]


def test_grpc_is_spoken_where_http_is_expected() -> None:
    with otlp_grpc() as server:
        where = server.url.removeprefix("http://")
        assert wrong("--endpoint", server.url) == [
            f"traces: {server.url}/v1/traces takes none: {where} speaks gRPC, not HTTP; write protocol='grpc', or the"
            " HTTP port (usually 4318)"
        ]


def test_grpc_is_well_too() -> None:
    with otlp_grpc() as server:
        assert wrong("--endpoint", server.url, "--protocol", "grpc") == []


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("UNAUTHENTICATED", "the server refuses the credentials (UNAUTHENTICATED); check headers= or"
                            " OTEL_EXPORTER_OTLP_HEADERS"),
        ("INTERNAL", "the server answers INTERNAL; its log says why"),
    ],
)  # fmt: skip
def test_what_a_grpc_server_answers(code: str, why: str) -> None:
    with otlp_grpc() as server:
        server.answers = [(code, b"")] * 20
        where = server.url.removeprefix("http://")
        assert wrong("--endpoint", server.url, "--protocol", "grpc") == [
            f"traces: grpc://{where} takes none: {why}"
        ]


def test_tls_where_there_is_none(server: OtlpServer) -> None:
    url = server.url.replace("http:", "https:")
    assert wrong("--endpoint", url) == [
        f"traces: {url}/v1/traces takes none: {server.url.removeprefix('http://')} speaks no TLS; write http:// instead"
        " of https://"
    ]


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("half_open", "accepts connections but does not answer; another kind of server may listen there"),
        ("garbage", "does not speak HTTP; another kind of server listens there"),
    ],
)
def test_another_kind_of_server(behaviour: str, why: str, tmp_path: Path) -> None:
    with receiver(behaviour, tmp_path) as server:
        where = server.url.removeprefix("http://")
        assert probe.why_not(Destination(f"{server.url}/v1/traces", frozenset())) == f"{where} {why}"


def test_an_unknown_name() -> None:
    nowhere = Destination("http://nowhere.invalid:4318/v1/traces", frozenset())
    assert probe.why_not(nowhere) == "the name nowhere.invalid is not known here; check the address"


def test_a_password_in_netrc_replaces_no_header(
    tmp_path: Path, server: OtlpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("default login ann password hunter22\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic mine")
    doctor()
    assert {headers.get("authorization") for headers in server.headers} == {"Basic mine"}


def test_a_back_end_for_traces_alone_is_no_error(server: OtlpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with otlp_http() as without_metrics:
        without_metrics.answers = [(404, b"")] * 20
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{without_metrics.url}/v1/metrics")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{server.url}/v1/traces")
        _, lines = doctor()
    assert [line for line in lines if "takes none" in line] == [
        f"note  metrics: {without_metrics.url}/v1/metrics takes none: there is no OTLP at /v1/metrics (404); check the"
        " path in the address, and which signals are taken"
    ]


# --- the application -----------------------------------------------------------------------------------------------


def application(tmp_path: Path, source: str) -> str:
    """Writes the module of an application, and returns its name."""
    name = f"application_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
    return name


def test_a_provider_of_somebody_else(tmp_path: Path, server: OtlpServer) -> None:
    module = application(
        tmp_path,
        """
        from opentelemetry import trace
        from otel_callbacks import instrument
        handler = instrument()
        trace.set_tracer_provider(trace.NoOpTracerProvider())
        """,
    )
    found = wrong("--import", module, "--endpoint", server.url)
    assert found == [
        f"without effect: traces do not go to {server.url}: the global provider is a NoOpTracerProvider, which takes"
        " no further exporter; pass replace=True, or give handlers tracer_provider=telemetry.tracer_provider",
        "nothing is recorded: the global provider is NoOpTracerProvider",
    ]
    uninstrument()


def test_an_application_with_its_own_exporter(tmp_path: Path, server: OtlpServer) -> None:
    module = application(
        tmp_path,
        f"""
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter("{server.url}/v1/traces")))
        trace.set_tracer_provider(provider)
        """,
    )
    server.answers = [(403, b"")] * 20
    found = [line for line in wrong("--import", module) if line.startswith("traces: ")]
    assert found == [
        f"traces: {server.url}/v1/traces takes none: the server refuses the credentials (403); check headers= or"
        " OTEL_EXPORTER_OTLP_HEADERS (name=value, and a space as %20)"
    ]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "from otel_callbacks import instrument\ninstrument()",
            "ok    handler: attached to every call of the process",
        ),
        (
            "from otel_callbacks import OTelCallbackHandler\nhandler = OTelCallbackHandler()",
            "note  handler: there is one, but attached to nothing yet; pass it in config={'callbacks': [handler]} of"
            " every call, or call instrument(handler)",
        ),
    ],
)
def test_where_the_handler_is(source: str, text: str, tmp_path: Path) -> None:
    _, lines = doctor("--import", application(tmp_path, source))
    uninstrument()
    assert [line for line in lines if "handler: " in line] == [text]


def test_no_handler_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "count_recorders", lambda: 0)
    assert wrong("--import", application(tmp_path, "")) == [
        "handler: none is made when the application is imported; call instrument() at its start, or pass an"
        " OTelCallbackHandler in config={'callbacks': [...]}"
    ]


def test_an_application_that_cannot_be_imported(tmp_path: Path) -> None:
    module = application(tmp_path, "raise ValueError('no key')")
    assert wrong("--import", module) == [
        f"importing {module} raises ValueError: no key; so would the application's start"
    ]


# --- the process ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        (
            {"OTEL_TRACES_SAMPLER": "always_off"},
            "the sampler drops everything (AlwaysOffSampler); check OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG",
        ),
        (
            {"OTEL_SDK_DISABLED": "true"},
            "nothing is recorded: OTEL_SDK_DISABLED is true",
        ),
        ({"OTEL_TRACES_EXPORTER": "none"}, "traces: nowhere"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}, None),
    ],
)
def test_what_the_environment_switches_off(
    variables: dict[str, str], text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = wrong()
    assert text in found if text else found == []


def test_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(checks, "version", missing)
    monkeypatch.setitem(sys.modules, "genai_prices", None)  # type: ignore[arg-type]
    assert [finding.text for finding in checks.check_packages() if finding.kind == "wrong"] == [
        "neither LangChain nor LlamaIndex is installed; pip install 'otel-callbacks[langchain]' or"
        " 'otel-callbacks[llama-index]'",
        "no prices: the extra is missing; pip install 'otel-callbacks[cost]', or give handlers prices=",
    ]


@pytest.mark.parametrize("arguments", [["--header", "secret"], ["--endpoint", "localhost:4318"]])
def test_wrong_arguments_are_told(arguments: list[str]) -> None:
    ran = CliRunner().invoke(main, ["doctor", *arguments])
    assert ran.exit_code == 2
    assert arguments[0] in ran.output
    assert "secret" not in ran.output
