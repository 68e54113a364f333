"""The arguments that every handler takes, checked at construction."""

from typing import Any

from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from otel_callbacks.privacy.policy import ContentPolicy
from otel_callbacks.recorder import DETAILS, Detail, Recorder


def recorder(
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
    logger_provider: LoggerProvider | None,
    *,
    detail: Detail,
    content: ContentPolicy | str | None,
) -> Recorder:
    """Makes the recorder of a handler.

    Raises:
        TypeError, ValueError: an argument is not what it should be; the message names it, the value, and what
            would be right.
    """
    _check("tracer_provider", tracer_provider, TracerProvider)
    _check("meter_provider", meter_provider, MeterProvider)
    _check("logger_provider", logger_provider, LoggerProvider)
    if detail not in DETAILS:
        raise ValueError(f"detail={detail!r} is not known; use one of {', '.join(map(repr, DETAILS))}")
    return Recorder(
        tracer_provider, meter_provider, logger_provider, detail=detail, content=ContentPolicy.parse(content)
    )


def _check(name: str, value: Any, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(
            f"{name} must be an OpenTelemetry {kind.__name__} or None for the global one,"
            f" not {type(value).__name__}: {value!r:.100}"
        )
