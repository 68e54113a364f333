"""What in the environment contradicts the arguments of `configure`, or is not what it was meant to be."""

import os
from collections.abc import Iterator, Sequence
from typing import get_args

from otel_callbacks.export import environment
from otel_callbacks.export.otlp import Protocol, Signal
from otel_callbacks.runtime.addresses import is_of_a_signal, shown_address

_SIGNALS: Sequence[Signal] = get_args(Signal)


def contradictions(*, endpoints_given: bool, file_given: bool, has_provider: bool) -> Iterator[str]:
    """Yields what to tell the user, in one sentence each.

    Args:
        endpoints_given: `configure` was given endpoints.
        file_given: it was given a file, which takes traces alone.
        has_provider: the application has set a tracer provider, and with it what the environment says.
    """
    if (endpoints_given or file_given) and environment.is_sdk_disabled():
        yield "OTEL_SDK_DISABLED=true: nothing is recorded, and the destinations given get nothing"
    if not has_provider and os.environ.get("OTEL_CONFIG_FILE"):
        yield (
            "OTEL_CONFIG_FILE is not read by configure(); let opentelemetry-instrument set up the SDK from it,"
            " or set the OTEL_* variables instead"
        )
    for signal in _SIGNALS:
        given = endpoints_given or (file_given and signal == "traces")
        if given and environment.is_disabled(signal):
            yield f"OTEL_{signal.upper()}_EXPORTER=none, but {signal} go to the destinations given in code"
    yield from _odd_variables()


def _odd_variables() -> Iterator[str]:
    for part in ("", *(f"{signal.upper()}_" for signal in _SIGNALS)):
        name = f"OTEL_EXPORTER_OTLP_{part}PROTOCOL"
        value = os.environ.get(name, "").strip()
        if value and value not in get_args(Protocol):
            yield f"{name}={value!r} is not known and ignored; use 'http/protobuf' or 'grpc'"
    general = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    if is_of_a_signal(general):
        yield (
            f"OTEL_EXPORTER_OTLP_ENDPOINT is the address without /v1/traces: {shown_address(general)} is used"
            " with the path of each signal once"
        )
