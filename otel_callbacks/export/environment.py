"""What the standard OTEL_* variables ask for: which exporters, and how much may wait for them."""

import os
from importlib.metadata import entry_points
from typing import Any

from otel_callbacks.export.otlp import Signal, endpoint
from otel_callbacks.export.outbox import Limits
from otel_callbacks.runtime.faults import logger


def exporters(signal: Signal) -> list[str]:
    """The exporters named in OTEL_TRACES_EXPORTER and its like; without it "otlp", if it has an endpoint."""
    stated = os.environ.get(_name(signal), "").strip()
    if not stated:
        return ["otlp"] if endpoint(signal) else []
    return [name for part in stated.split(",") if (name := part.strip()) not in ("", "none")]


def wants_none(signal: Signal) -> bool:
    """Whether the environment asks for a signal not to be exported."""
    return os.environ.get(_name(signal), "").strip() == "none"


def load(signal: Signal, name: str) -> Any:
    """The class of an exporter that a package offers under a name, such as "console".

    Raises:
        ValueError: no installed package offers it.
    """
    for found in entry_points(group=f"opentelemetry_{signal}_exporter", name=name):
        return found.load()
    raise ValueError(f"{_name(signal)}={name!r} is not known: no installed package offers such an exporter")


def limits(prefix: str) -> Limits:
    """The limits in the variables of the SDK's batch processors: `prefix` is OTEL_BSP or OTEL_BLRP."""
    usual = Limits()
    queue = _positive(f"{prefix}_MAX_QUEUE_SIZE", usual.queue)
    batch = _positive(f"{prefix}_MAX_EXPORT_BATCH_SIZE", usual.batch)
    milliseconds = _positive(f"{prefix}_SCHEDULE_DELAY", int(usual.delay * 1000))
    return Limits(queue, min(batch, queue), milliseconds / 1000)


def _positive(name: str, usual: int) -> int:
    stated = os.environ.get(name, "").strip()
    if not stated:
        return usual
    if stated.isascii() and stated.isdigit() and int(stated) > 0:
        return int(stated)
    logger.warning("%s=%r is no positive whole number; %d is used", name, stated, usual)
    return usual


def _name(signal: Signal) -> str:
    return f"OTEL_{signal.upper()}_EXPORTER"
