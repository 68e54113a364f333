from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from opentelemetry import _logs, metrics, trace
from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.metrics._internal import _ProxyMeterProvider
from opentelemetry.util._once import Once

from otel_callbacks import prices
from otel_callbacks.conformance import report_spans
from otel_callbacks.runtime.faults import faults
from otel_callbacks.testing import Captured, capture

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")


@pytest.fixture(scope="session", autouse=True)
def list_prices() -> None:
    """The list prices are there from the first call on, so that no test depends on how long their import takes."""
    assert prices.ready(60)


@pytest.fixture(autouse=True)
def faults_raise() -> Iterator[None]:
    """A fault of ours fails the test instead of being logged."""
    faults.strict = True
    yield
    faults.strict = False


@pytest.fixture(autouse=True)
def empty_context() -> None:
    """No test starts in what an earlier one left, such as the stand-in of a run that ended in another context."""
    context_api.attach(Context())


@pytest.fixture(autouse=True)
def no_detach_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """OpenTelemetry logs a failed detach; a callback handler must never cause one."""
    yield
    messages = [record.getMessage() for record in caplog.records]
    assert not [message for message in messages if "Failed to detach context" in message]


@pytest.fixture
def captured() -> Iterator[Captured]:
    """Telemetry in memory; what a test leaves in it keeps to the conventions."""
    with capture() as telemetry:
        yield telemetry
        violations = report_spans(telemetry.spans, events=telemetry.events).violations
    assert not violations


@pytest.fixture
def no_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has called `configure` or set a provider; afterwards everything is as it was."""
    for home, name in ((trace, "TRACER"), (metrics._internal, "METER"), (_logs._internal, "LOGGER")):
        monkeypatch.setattr(home, f"_{name}_PROVIDER", None)
        monkeypatch.setattr(home, f"_{name}_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(metrics._internal, "_PROXY_METER_PROVIDER", _ProxyMeterProvider())
    monkeypatch.setattr("otel_callbacks.export.configure._configured", None)
