"""`configure(to=...)`: each back end gets what it takes, under the names that it reads, with its own headers."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from every_operation import PRICES, answer
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otlp_servers import OtlpServer, otlp_http

from otel_callbacks import BackEnd, Telemetry, configure
from otel_callbacks.export.back_ends import BACK_ENDS, back_ends
from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import set_process_recorder

pytestmark = pytest.mark.usefixtures("no_providers")
TRACES = ("traces",)
ALL = ("traces", "metrics", "logs")
VARIABLES = (
    *("PHOENIX_COLLECTOR_ENDPOINT", "PHOENIX_API_KEY", "PHOENIX_CLIENT_HEADERS", "PHOENIX_PROJECT_NAME"),
    *("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGFUSE_BASE_URL", "LANGFUSE_HOST"),
    *("LANGSMITH_API_KEY", "LANGSMITH_ENDPOINT", "LANGSMITH_PROJECT", "DD_API_KEY", "DD_SITE"),
    *("MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"),
    *("HONEYCOMB_API_KEY", "HONEYCOMB_API_ENDPOINT"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"),
)


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


EXPECTED: list[tuple[str, Mapping[str, str], str, Mapping[str, str], Sequence[str], Sequence[str]]] = [
    ("phoenix", {}, "http://localhost:6006/v1/traces", {}, TRACES, ["openinference"]),
    (
        "phoenix",
        {
            "PHOENIX_COLLECTOR_ENDPOINT": "https://app.phoenix.arize.com/s/me/v1/traces",
            "PHOENIX_API_KEY": "k",
            "PHOENIX_PROJECT_NAME": "mine",
        },
        "https://app.phoenix.arize.com/s/me/v1/traces",
        {"authorization": "Bearer k", "x-project-name": "mine"},
        TRACES,
        ["openinference"],
    ),
    (
        "langfuse",
        {"LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk"},
        "https://cloud.langfuse.com/api/public/otel/v1/traces",
        {"Authorization": basic("pk:sk"), "x-langfuse-ingestion-version": "4"},
        TRACES,
        ["langfuse"],
    ),
    (
        "langsmith",
        {"LANGSMITH_API_KEY": "k", "LANGSMITH_PROJECT": "p"},
        "https://api.smith.langchain.com/otel/v1/traces",
        {"x-api-key": "k", "Langsmith-Project": "p"},
        TRACES,
        ["langsmith"],
    ),
    (
        "mlflow",
        {"MLFLOW_EXPERIMENT_ID": "7", "MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p"},
        "http://localhost:5000/v1/traces",
        {"x-mlflow-experiment-id": "7", "Authorization": basic("u:p")},
        TRACES,
        ["mlflow"],
    ),
    ("jaeger", {}, "http://localhost:4318/v1/traces", {}, TRACES, []),
    ("tempo", {}, "http://localhost:4318/v1/traces", {}, TRACES, []),
    (
        "datadog",
        {"DD_API_KEY": "k", "DD_SITE": "datadoghq.eu"},
        "https://otlp.datadoghq.eu/v1/traces",
        {"dd-api-key": "k", "dd-otlp-source": "llmobs"},
        TRACES,
        [],
    ),
    (
        "honeycomb",
        {"HONEYCOMB_API_KEY": "k"},
        "https://api.honeycomb.io/v1/traces",
        {"x-honeycomb-team": "k"},
        ALL,
        [],
    ),
    (
        "grafana-cloud",
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp",
            "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20abc",
        },
        "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/traces",
        {"authorization": "Basic abc"},
        ALL,
        [],
    ),
    ("collector", {}, "http://localhost:4318/v1/traces", {}, ALL, []),
]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def servers() -> Iterator[tuple[OtlpServer, OtlpServer]]:
    with otlp_http() as one, otlp_http() as other:
        yield one, other


def run(telemetry: Telemetry) -> None:
    by_hand = recorder(
        tracer_provider=telemetry.tracer_provider,
        meter_provider=telemetry.meter_provider,
        content="spans",
        prices=PRICES,
    )
    set_process_recorder(run, lambda: by_hand)
    try:
        answer()
    finally:
        set_process_recorder(run, None)


@pytest.mark.parametrize(
    ("name", "variables", "url", "headers", "signals", "profiles"),
    EXPECTED,
    ids=[f"{each[0]} {len(each[1])}" for each in EXPECTED],
)
def test_a_back_end_by_its_name(
    name: str,
    variables: Mapping[str, str],
    url: str,
    headers: Mapping[str, str],
    signals: Sequence[str],
    profiles: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    (found,) = back_ends(name)
    exporter: Any = found.endpoint().span_exporter()
    assert (exporter._endpoint, dict(found.headers)) == (url, headers)
    assert (list(found.signals), list(found.profiles)) == (list(signals), list(profiles))
    assert "Bearer k" not in repr(found) and "sk" not in repr(found)


def test_every_back_end_is_tested() -> None:
    assert {each[0] for each in EXPECTED} == set(BACK_ENDS)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("langfuse", "LANGFUSE_PUBLIC_KEY, LANGFUSE_SECRET_KEY"),
        ("langsmith", "LANGSMITH_API_KEY"),
        ("mlflow", "MLFLOW_EXPERIMENT_ID"),
        ("datadog", "DD_API_KEY"),
        ("honeycomb", "HONEYCOMB_API_KEY"),
        ("grafana-cloud", "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS"),
    ],
)
def test_missing_variables_are_named(name: str, missing: str) -> None:
    with pytest.raises(ValueError, match=f"to='{name}' needs the environment variables {missing}"):
        configure(to=name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: configure(to="pheonix"), "to='pheonix' is not known; use 'phoenix', 'langfuse'"),
        (lambda: configure(to=["jaeger", 7]), "to=7 is not known; use 'phoenix'"),  # type: ignore[list-item]
        (lambda: BackEnd("localhost:4318"), "address='localhost:4318' is not an http"),
        (lambda: BackEnd("http://h", "udp"), "protocol='udp' is not known"),  # type: ignore[arg-type]
        (lambda: BackEnd("http://h", signals="traces"), "signals='traces' must be some of"),
        (lambda: BackEnd("http://h", profiles=["arize"]), "profiles: 'arize' is not known"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: configure(to=None),
            "to must be the name of a back end, a BackEnd, or a list of them, not None",
        ),
        (lambda: BackEnd("http://h", headers=["x"]), "headers must be a mapping, not list"),
        (lambda: BackEnd("http://h", profiles="mlflow"), "profiles='mlflow' must be a list or tuple"),
    ],
)
def test_wrong_types_are_refused(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def test_a_wrong_address_in_a_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "databricks")
    with pytest.raises(ValueError, match=r"MLFLOW_TRACKING_URI='databricks' is not an http\(s\) address"):
        configure(to="mlflow")


def test_no_password_is_shown() -> None:
    found = BackEnd("http://me:secret@h:4318", headers={"x-key": "secret"})
    assert "secret" not in f"{found!r} {found.endpoint()!r} {found}"


def test_each_destination_gets_its_own_names_and_only_what_it_takes(
    servers: tuple[OtlpServer, OtlpServer], caplog: pytest.LogCaptureFixture
) -> None:
    one, other = servers
    telemetry = configure(
        to=[
            BackEnd(one.url, signals=TRACES, profiles=["openinference"]),
            BackEnd(other.url, profiles=["langfuse"]),
        ]
    )
    kept = InMemorySpanExporter()
    telemetry.tracer_provider.add_span_processor(SimpleSpanProcessor(kept))
    run(telemetry)
    assert telemetry.flush(10)
    assert telemetry.shutdown(10)
    assert set(one.paths) == {"/v1/traces"}
    assert set(other.paths) == {"/v1/traces", "/v1/metrics"}
    plain = {span.name: dict(span.attributes or {}) for span in kept.get_finished_spans()}
    assert not [name for each in plain.values() for name in each if name.startswith(("open", "langfuse"))]
    assert "Failed" not in caplog.text
    sent = {span.name: span.attributes for span in one.spans()}
    assert sent.keys() == plain.keys()
    assert sent["prepare"]["openinference.span.kind"] == "CHAIN"
    assert "langfuse.observation.type" not in sent["prepare"]
    assert {name: sent["prepare"][name] for name in plain["prepare"]} == plain["prepare"]


def test_the_same_span_has_another_type_elsewhere(servers: tuple[OtlpServer, OtlpServer]) -> None:
    one, other = servers
    back = [
        BackEnd(each.url, signals=TRACES, profiles=[name])
        for each, name in zip(servers, ("mlflow", "langfuse"), strict=True)
    ]
    telemetry = configure(to=back)
    with trace.get_tracer("application").start_as_current_span("mine"):
        pass
    assert telemetry.flush(10)
    telemetry.shutdown(10)
    assert [dict(span.attributes) for span in one.spans()] == [{"mlflow.spanType": "CHAIN"}]
    assert [dict(span.attributes) for span in other.spans()] == [{"langfuse.observation.type": "span"}]


def test_a_key_in_the_environment_goes_to_its_own_host_only(
    servers: tuple[OtlpServer, OtlpServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = servers
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", one.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
    telemetry = configure(to=["collector", BackEnd(other.url, signals=TRACES)])
    run(telemetry)
    assert telemetry.flush(10)
    telemetry.shutdown(10)
    assert {headers["x-key"] for headers in one.headers} == {"secret"}
    assert len([path for path in one.paths if path == "/v1/traces"]) == 1  # named twice, sent once
    assert "secret" not in repr(other.headers)
    assert other.paths == ["/v1/traces"]
