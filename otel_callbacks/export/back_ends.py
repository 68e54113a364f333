"""Where people send telemetry: a back end's address, protocol, headers, signals and profile by its name.

Each function reads the variables that the back end's own documentation names; its address is in the docstring.
"""

import base64
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from opentelemetry.util.re import parse_env_headers

from otel_callbacks import profiles as profile_names
from otel_callbacks.export import environment
from otel_callbacks.export.otlp import ALL_SIGNALS, OtlpEndpoint, Protocol, Signal, protocol_in_environment
from otel_callbacks.privacy.patterns import remove_secrets
from otel_callbacks.runtime.addresses import endpoint_of, shown_address

_TRACES: tuple[Signal, ...] = ("traces",)


@dataclass(frozen=True, slots=True, repr=False)
class BackEnd:
    """One destination of `configure(to=...)`.

    Attributes:
        address: its OTLP address, such as "http://localhost:4318".
        protocol: "http/protobuf" or "grpc"; by default gRPC on port 4317 and HTTP on every other port.
        headers: sent with every export, such as an API key.
        signals: what it takes; the others are not sent there.
        profiles: the extra names that its spans carry, see `docs/backends.md`.

    Raises:
        TypeError, ValueError: an argument is wrong. The message names it, its value, and what would be right.
    """

    address: str
    protocol: Protocol | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    signals: Sequence[Signal] = ALL_SIGNALS
    profiles: Sequence[str] = ()

    def __post_init__(self) -> None:
        _check_address("BackEnd: address", self.address)
        if not isinstance(self.headers, Mapping):
            raise TypeError(f"BackEnd: headers must be a mapping, not {type(self.headers).__name__}")
        if self.protocol not in (None, *get_args(Protocol)):
            raise ValueError(
                f"BackEnd: protocol={self.protocol!r} is not known; use 'http/protobuf' or 'grpc'"
            )
        if isinstance(self.signals, str) or not set(self.signals) <= set(ALL_SIGNALS):
            raise ValueError(
                f"BackEnd: signals={self.signals!r} must be some of {', '.join(map(repr, ALL_SIGNALS))}"
            )
        profile_names.checked(self.profiles)

    def __repr__(self) -> str:  # without the headers, which hold keys, and without a password in the address
        return f"<BackEnd {shown_address(self.address)}>"

    def endpoint(self) -> OtlpEndpoint:
        """Returns what makes its exporters."""
        return OtlpEndpoint(
            self.address, self.protocol, self.headers, self.signals, self.profiles, is_alone=True
        )


To = str | BackEnd | Sequence[str | BackEnd]
"""A back end, by its name or as a `BackEnd`, or several."""


def back_ends(to: To) -> list[BackEnd]:
    """Returns the back ends that are named or given.

    Raises:
        TypeError, ValueError: a name is not known, or variables that it needs are not set; the message names them.
    """
    found = [to] if isinstance(to, str | BackEnd) else to
    if not isinstance(found, list | tuple):
        raise TypeError(f"to must be the name of a back end, a BackEnd, or a list of them, not {to!r:.100}")
    return [each if isinstance(each, BackEnd) else _by_name(each) for each in found]


def back_ends_in_environment(tell: Callable[[str], None]) -> Iterator[BackEnd]:
    """Returns the back ends that the environment names; one of which something is wrong is told and left out."""
    for name in environment.back_end_names():
        try:
            yield _by_name(name)
        except ValueError as error:
            tell(f"{environment.TO}: a back end is left out: {remove_secrets(str(error)):.300}")


def _by_name(name: object) -> BackEnd:
    if not isinstance(name, str) or name not in BACK_ENDS:
        known = ", ".join(map(repr, BACK_ENDS))
        raise ValueError(f"to={name!r:.100} is not known; use {known}, or a BackEnd with its address")
    return BACK_ENDS[name]()


def _phoenix() -> BackEnd:
    """https://arize.com/docs/phoenix/self-hosting/configuration and phoenix-otel's settings.py."""
    headers = dict(parse_env_headers(_get("PHOENIX_CLIENT_HEADERS"), liberal=True))
    if key := _get("PHOENIX_API_KEY"):
        headers["authorization"] = f"Bearer {key}"
    if project := _get("PHOENIX_PROJECT_NAME"):
        headers["x-project-name"] = project
    address = _address("PHOENIX_COLLECTOR_ENDPOINT", default="http://localhost:6006")
    return BackEnd(address.removesuffix("/v1/traces"), None, headers, _TRACES, ("openinference",))


def _langfuse() -> BackEnd:
    """https://langfuse.com/integrations/native/opentelemetry: HTTP only, Basic authorization, no metrics."""
    public, secret = _required("langfuse", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY")
    host = _address("LANGFUSE_BASE_URL", "LANGFUSE_HOST", default="https://cloud.langfuse.com")
    headers = {"Authorization": _basic(public, secret), "x-langfuse-ingestion-version": "4"}
    return BackEnd(f"{host}/api/public/otel", "http/protobuf", headers, _TRACES, ("langfuse",))


def _langsmith() -> BackEnd:
    """https://docs.langchain.com/langsmith/trace-with-opentelemetry."""
    (key,) = _required("langsmith", "LANGSMITH_API_KEY")
    host = _address("LANGSMITH_ENDPOINT", default="https://api.smith.langchain.com")
    headers = {"x-api-key": key}
    if project := _get("LANGSMITH_PROJECT"):
        headers["Langsmith-Project"] = project
    return BackEnd(f"{host}/otel", "http/protobuf", headers, _TRACES, ("langsmith",))


def _mlflow() -> BackEnd:
    """https://mlflow.org/docs/latest/genai/tracing/opentelemetry/ingest: HTTP only; names an experiment by its id."""
    (experiment,) = _required("mlflow", "MLFLOW_EXPERIMENT_ID")
    headers = {"x-mlflow-experiment-id": experiment}
    if token := _get("MLFLOW_TRACKING_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    elif user := _get("MLFLOW_TRACKING_USERNAME"):
        headers["Authorization"] = _basic(user, _get("MLFLOW_TRACKING_PASSWORD"))
    address = _address("MLFLOW_TRACKING_URI", default="http://localhost:5000")
    return BackEnd(address, "http/protobuf", headers, _TRACES, ("mlflow",))


def _jaeger() -> BackEnd:
    """https://www.jaegertracing.io/docs/latest/architecture/apis/: traces only, OTLP over HTTP on port 4318."""
    return BackEnd("http://localhost:4318", "http/protobuf", signals=_TRACES)


def _tempo() -> BackEnd:
    """https://grafana.com/docs/tempo/latest/api_docs/pushing-spans-with-http/: traces only."""
    return BackEnd("http://localhost:4318", "http/protobuf", signals=_TRACES)


def _datadog() -> BackEnd:
    """https://docs.datadoghq.com/llm_observability/instrumentation/otel_instrumentation/: traces, without an Agent."""
    (key,) = _required("datadog", "DD_API_KEY")
    site = _get("DD_SITE") or "datadoghq.com"
    headers = {"dd-api-key": key, "dd-otlp-source": "llmobs"}
    return BackEnd(f"https://otlp.{site}", "http/protobuf", headers, _TRACES)


def _honeycomb() -> BackEnd:
    """https://docs.honeycomb.io/send-data/opentelemetry/: all signals; metrics go to the dataset unknown_metrics."""
    (key,) = _required("honeycomb", "HONEYCOMB_API_KEY")
    address = _address("HONEYCOMB_API_ENDPOINT", default="https://api.honeycomb.io")
    return BackEnd(address, "http/protobuf", {"x-honeycomb-team": key})


def _grafana_cloud() -> BackEnd:
    """https://grafana.com/docs/grafana-cloud/send-data/otlp/send-data-otlp/: what its OpenTelemetry card shows."""
    address, headers = _required("grafana-cloud", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS")
    return BackEnd(address, "http/protobuf", dict(parse_env_headers(headers, liberal=True)))


def _collector() -> BackEnd:
    """https://opentelemetry.io/docs/specs/otel/protocol/exporter/: the standard address, else the local default."""
    address = _get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not address:
        return BackEnd("http://localhost:4318")
    headers = dict(parse_env_headers(_get("OTEL_EXPORTER_OTLP_HEADERS"), liberal=True))
    return BackEnd(address, protocol_in_environment("traces"), headers)


BACK_ENDS: Mapping[str, Callable[[], BackEnd]] = {
    "phoenix": _phoenix,
    "langfuse": _langfuse,
    "langsmith": _langsmith,
    "mlflow": _mlflow,
    "jaeger": _jaeger,
    "tempo": _tempo,
    "datadog": _datadog,
    "honeycomb": _honeycomb,
    "grafana-cloud": _grafana_cloud,
    "collector": _collector,
}


def _get(variable: str) -> str:
    return os.environ.get(variable, "").strip()


def _address(*variables: str, default: str) -> str:
    """Returns the address in the first variable that is set.

    Raises:
        ValueError: it is not an http(s) address.
    """
    for variable in variables:
        if address := _get(variable):
            _check_address(variable, address)
            return address.rstrip("/")
    return default


def _check_address(name: str, address: str) -> None:
    try:
        endpoint_of(address)
    except (ValueError, TypeError, AttributeError):
        shown = shown_address(address) if isinstance(address, str) else type(address).__name__
        raise ValueError(
            f"{name}={shown!r} is not an http(s) address; use one such as 'http://localhost:4318'"
        ) from None


def _required(name: str, *variables: str) -> list[str]:
    missing = [variable for variable in variables if not _get(variable)]
    if missing:
        raise ValueError(f"to={name!r} needs the environment variables {', '.join(missing)}")
    return [_get(variable) for variable in variables]


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
