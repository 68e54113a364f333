"""Finds the recorder for manual operations."""

import functools

from opentelemetry import context as context_api

from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import process_recorder
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runs.surroundings import enclosing_run


def current_recorder() -> Recorder:
    """Returns the recorder of the innermost open run, else the process-wide one of `instrument()`.

    Without either it is a default recorder, with OpenTelemetry's global providers and the environment's settings.
    """
    run = enclosing_run(context_api.get_current())
    if run is not None:
        around: Recorder = run.recorder
        return around
    return process_recorder() or _default_recorder()


@functools.cache
def _default_recorder() -> Recorder:
    return recorder()
