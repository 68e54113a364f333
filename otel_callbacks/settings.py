"""The arguments that every handler takes, checked at construction; and who records what no handler sees."""

import functools
import threading
from typing import Any

from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from otel_callbacks.content import ContentPolicy
from otel_callbacks.current import innermost_run
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


_lock = threading.Lock()
_in_charge: tuple[tuple[Any, Recorder], ...] = ()


def put_in_charge(owner: Any, recorder: Recorder | None) -> None:
    """Has `recorder` record, process-wide, what no run encloses: the latest of those put in charge does.

    `owner` says whose recorder it is, of which there is one at a time; None takes the owner's out of charge.
    """
    global _in_charge
    with _lock:
        others = tuple(each for each in _in_charge if each[0] is not owner)
        _in_charge = others if recorder is None else (*others, (owner, recorder))


def current_recorder() -> Recorder:
    """Who records here: the recorder of the innermost run, else the process-wide one.

    That is the one put in charge last; without any, one with the global providers and the environment's settings.
    """
    run = innermost_run()
    if run is not None:
        around: Recorder = run.recorder
        return around
    in_charge = _in_charge
    return in_charge[-1][1] if in_charge else _default()


@functools.cache
def _default() -> Recorder:
    return recorder(None, None, None, detail="standard", content=None)
