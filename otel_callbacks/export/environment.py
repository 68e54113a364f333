"""The variables of the environment: which exporters and back ends they name, and how much may wait for an exporter."""

import os
from importlib.metadata import entry_points
from typing import Any

from otel_callbacks.export.otlp import Signal, endpoint
from otel_callbacks.export.outbox import QueueLimits
from otel_callbacks.runtime.faults import logger

TO = "OTEL_CALLBACKS_TO"
"""The variable for `configure(to=...)`: names of back ends, separated by commas."""


def back_end_names() -> list[str]:
    """Returns the back ends named in `OTEL_CALLBACKS_TO`."""
    return _names(os.environ.get(TO, ""))


def exporter_names(signal: Signal) -> list[str]:
    """Returns the exporters named in OTEL_TRACES_EXPORTER and its like; if unset, "otlp" if it has an endpoint."""
    value = os.environ.get(_variable(signal), "").strip()
    if not value:
        return ["otlp"] if endpoint(signal) else []
    return _names(value)


def _names(listed: str) -> list[str]:
    return [name for part in listed.split(",") if (name := part.strip()) not in ("", "none")]


def is_disabled(signal: Signal) -> bool:
    """Tells whether the environment forbids exporting a signal (`OTEL_TRACES_EXPORTER=none` and its like)."""
    return os.environ.get(_variable(signal), "").strip() == "none"


def is_sdk_disabled() -> bool:
    """Tells whether the environment switches the SDK off."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def load_exporter(signal: Signal, name: str) -> Any:
    """Returns the exporter class that an installed package registers under a name, such as "console".

    Raises:
        ValueError: no installed package offers this exporter.
    """
    for found in entry_points(group=f"opentelemetry_{signal}_exporter", name=name):
        return found.load()
    raise ValueError(f"{_variable(signal)}={name!r} is not known: no installed package offers this exporter")


def queue_limits(prefix: str) -> QueueLimits:
    """Returns the limits in the variables of the SDK's batch processors; `prefix` is OTEL_BSP or OTEL_BLRP."""
    default = QueueLimits()
    queue = _positive(f"{prefix}_MAX_QUEUE_SIZE", default.queue)
    batch = _positive(f"{prefix}_MAX_EXPORT_BATCH_SIZE", default.batch)
    milliseconds = _positive(f"{prefix}_SCHEDULE_DELAY", int(default.delay * 1000))
    return QueueLimits(queue, min(batch, queue), milliseconds / 1000)


def _positive(name: str, default: int) -> int:
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    if value.isascii() and value.isdigit() and int(value) > 0:
        return int(value)
    logger.warning("%s=%r is not a positive whole number; using %d instead", name, value, default)
    return default


def _variable(signal: Signal) -> str:
    return f"OTEL_{signal.upper()}_EXPORTER"
