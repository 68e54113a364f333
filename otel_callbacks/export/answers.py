"""How a destination answered: the SDK's exporters only tell whether it accepted what they sent.

What may be sent again and what not is in the OTLP specification,
https://opentelemetry.io/docs/specs/otlp/#failures. An exporter tries again by itself for ten seconds and then gives up,
while a collector takes longer to restart. So it gets one attempt here, and the outbox decides about the next one. The
exporter's own log lines are left out, because the outbox tells of failures and losses.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

E = TypeVar("E")

_GRPC_TRY_AGAIN = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
_RETRY_INFO = "google.rpc.retryinfo-bin"


class Answer(NamedTuple):
    """Why a destination did not accept what was sent, or not all of it.

    Attributes:
        said: the status, or what kept us from reaching it; nothing that the destination has written.
        again: whether it may accept the same later.
        after: after how many seconds, if it told.
        not_taken: whether it knows no such signal.
        rejected: how many items (spans, events, data points) it left out of a request that it accepted.
    """

    said: str
    again: bool = False
    after: float | None = None
    not_taken: bool = False
    rejected: int = 0


def partly_accepted(response: Any) -> Answer | None:
    """Returns what a message `Export…ServiceResponse` says is missing, of which the three signals' look alike.

    See "partial success" in https://opentelemetry.io/docs/specs/otlp/. None if nothing is missing.
    """
    fields = {field.number: value for field, value in response.partial_success.ListFields()}
    return without(fields.get(1, 0))


def without(rejected: int) -> Answer | None:
    """Returns the answer of a destination that accepted a request without so many of its items; None without any."""
    if rejected <= 0:
        return None
    return Answer(f"it accepted a request without {rejected:,} of its items", rejected=rejected)


class Watch:
    """Notes the answers to one exporter, from the inside of its client."""

    def __init__(self) -> None:
        self.answer: Answer | None = None

    def note(self, answer: Answer) -> None:
        """Notes an answer."""
        self.answer = answer

    def over(self, exporter: E) -> E:
        """Watches an exporter and returns it; one by HTTP needs a `http_answers.watched_session` as well."""
        if hasattr(exporter, "_retryable_error_codes"):  # not in older exporters by gRPC
            exporter._retryable_error_codes = frozenset()
        _watches[exporter] = self
        return exporter


_watches: "WeakKeyDictionary[Any, Watch]" = WeakKeyDictionary()


def attempt(exporter: Any, batch: Any, success: Any) -> Answer | None:
    """Exports a batch once.

    Args:
        exporter: any exporter of the SDK's kind.
        batch: what it takes.
        success: what it returns if the destination has accepted the batch.

    Returns:
        None if the destination has accepted the whole batch, else how it answered; only of OTLP exporters that are
        watched is more known than the failure.

    Raises:
        Exception: whatever an exporter raises that is not watched.
    """
    watch = _watches.get(exporter)
    if watch is None:
        return None if exporter.export(batch) is success else Answer("the exporter reported a failure")
    watch.answer = None
    stub = getattr(exporter, "_client", None)
    if hasattr(stub, "Export") and not isinstance(stub, _WatchedStub):  # it makes a new one to connect again
        exporter._client = _WatchedStub(stub, watch)
    with _quiet():
        try:
            accepted = exporter.export(batch) is success
        except Exception:  # some exporters raise what the watch has noted already
            if watch.answer is None:
                raise
            accepted = False
    if accepted:  # what an exporter that tries again by itself was told before does not count
        return watch.answer if watch.answer is not None and watch.answer.rejected else None
    return watch.answer or Answer("the exporter failed")


# --- gRPC -----------------------------------------------------------------------------------------------------------


class _WatchedStub:
    def __init__(self, stub: Any, watch: Watch) -> None:
        self._stub = stub
        self._watch = watch

    def Export(self, *args: Any, **options: Any) -> Any:
        try:
            response = self._stub.Export(*args, **options)
        except Exception as error:  # grpc's own class is not imported for this; it is raised again
            code = getattr(error, "code", None)
            if callable(code):
                name = getattr(code(), "name", "UNKNOWN")
                after = _retry_delay(error)
                # for lack of a resource only if it told when, else the request may be too large
                again = name in _GRPC_TRY_AGAIN or (name == "RESOURCE_EXHAUSTED" and after is not None)
                self._watch.note(Answer(f"it answered {name}", again, after, name == "UNIMPLEMENTED"))
            raise
        if (answer := partly_accepted(response)) is not None:
            self._watch.note(answer)
        return response


def _retry_delay(error: Any) -> float | None:
    """Returns the seconds that a destination asks to wait, if it does."""
    from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]

    try:
        told = dict(error.trailing_metadata() or ()).get(_RETRY_INFO)
        delay = RetryInfo.FromString(told).retry_delay if told is not None else None
    except Exception:  # what a server sends in metadata may be anything
        return None
    return delay.seconds + delay.nanos / 1e9 if delay is not None else None


# --- log lines of exporters -----------------------------------------------------------------------------------------

_in_thread = threading.local()


@contextmanager
def _quiet() -> Iterator[None]:
    """Leaves out what exporters log in this thread."""
    _in_thread.is_quiet = True
    try:
        yield
    finally:
        _in_thread.is_quiet = False


def _is_heard(record: logging.LogRecord) -> bool:
    return not getattr(_in_thread, "is_quiet", False)


for _name in (
    *(f"opentelemetry.exporter.otlp.proto.http.{kind}" for kind in ("trace_exporter", "metric_exporter")),
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.common.http",
):
    logging.getLogger(_name).addFilter(_is_heard)
