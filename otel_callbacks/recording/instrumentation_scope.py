"""Our tracer, meter and logger of any provider that the API allows, also of one that was written for an older API."""

import functools
from collections.abc import Callable
from typing import TypeVar

from opentelemetry import _logs, metrics, trace

from otel_callbacks import semconv
from otel_callbacks.runtime.faults import faults, logger

T = TypeVar("T")


def is_set(provider: trace.TracerProvider | None) -> bool:
    """Tells whether spans go to a provider that somebody has set: this one, or for None the global one."""
    return not isinstance(
        trace.get_tracer_provider() if provider is None else provider, trace.ProxyTracerProvider
    )


@functools.cache
def warn_of_no_provider() -> None:
    """Logs once that spans go nowhere."""
    logger.warning(
        "calls are traced, but their spans go nowhere: no tracer provider is set. Call otel_callbacks.configure(), or"
        " set one with OpenTelemetry, before the first call"
    )


def tracer_of(provider: trace.TracerProvider | None) -> trace.Tracer:
    """Returns our tracer of a provider; None is the global one, even if it is set later."""
    provider = trace.get_tracer_provider() if provider is None else provider
    return _in_our_scope("tracer", lambda *scope: provider.get_tracer(*scope), trace.NoOpTracer)


def meter_of(provider: metrics.MeterProvider | None) -> metrics.Meter:
    """Returns our meter of a provider; None as above."""
    provider = metrics.get_meter_provider() if provider is None else provider
    return _in_our_scope(
        "meter", lambda *scope: provider.get_meter(*scope), lambda: metrics.NoOpMeter(semconv.SCOPE)
    )


def logger_of(provider: _logs.LoggerProvider | None) -> _logs.Logger:
    """Returns our logger of a provider; None as above."""
    provider = _logs.get_logger_provider() if provider is None else provider
    return _in_our_scope(
        "logger", lambda *scope: provider.get_logger(*scope), lambda: _logs.NoOpLogger(semconv.SCOPE)
    )


def _in_our_scope(kind: str, get: Callable[..., T], no_op: Callable[[], T]) -> T:
    """Calls a provider with as much of our scope as it takes: name, version, schema."""
    scope = (semconv.SCOPE, semconv.SCOPE_VERSION, semconv.SCHEMA_URL)
    for length in (3, 2, 1):
        try:
            return get(*scope[:length])
        except Exception as error:  # a TypeError of an older API; whatever else it is, we only do not record
            refused = error
    faults.report(f"get_{kind} of the provider", refused)
    return no_op()
