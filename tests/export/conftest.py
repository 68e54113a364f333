"""A process in which nobody has set a provider yet, for tests of `configure`, which sets them once for good."""

from typing import Any

import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.metrics._internal import _ProxyMeterProvider
from opentelemetry.util._once import Once

from otel_callbacks.export import configure as module


@pytest.fixture
def no_providers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Nobody has called `configure` or set a provider; afterwards everything is as it was."""
    for home, name in ((trace, "TRACER"), (metrics._internal, "METER"), (_logs._internal, "LOGGER")):
        monkeypatch.setattr(home, f"_{name}_PROVIDER", None)
        monkeypatch.setattr(home, f"_{name}_PROVIDER_SET_ONCE", Once())
    monkeypatch.setattr(metrics._internal, "_PROXY_METER_PROVIDER", _ProxyMeterProvider())
    monkeypatch.setattr(module, "_configured", None)
