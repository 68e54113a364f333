import logging
from collections.abc import Iterator

import pytest

from otel_callbacks.guard import faults
from otel_callbacks.testing import Captured, capture


@pytest.fixture(autouse=True)
def faults_raise() -> Iterator[None]:
    """A fault of ours fails the test instead of being logged."""
    faults.strict = True
    yield
    faults.strict = False


@pytest.fixture(autouse=True)
def no_detach_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """OpenTelemetry logs a failed detach; a callback handler must never cause one."""
    caplog.set_level(logging.ERROR, logger="opentelemetry")
    yield
    messages = [record.getMessage() for record in caplog.records]
    assert not [message for message in messages if "Failed to detach context" in message]


@pytest.fixture
def captured() -> Iterator[Captured]:
    with capture() as telemetry:
        yield telemetry
