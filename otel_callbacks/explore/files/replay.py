"""Trace files sent to an OTLP endpoint, with the ids and times they were recorded with."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
)

from otel_callbacks.explore.files.protobuf import to_request
from otel_callbacks.explore.files.reading import document_of_line, fingerprint, parsed_lines

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sent:
    """What the endpoint has taken: so many spans, without the rejected ones, and `why` those were rejected.

    `position` is where to go on in the file, in bytes of text.
    """

    position: int
    spans: int
    rejected: int
    why: str


def replay(
    file: Path,
    send: Callable[[ExportTraceServiceRequest], ExportTracePartialSuccess],
    *,
    max_bytes: int,
    start: int = 0,
) -> Iterator[Sent]:
    """Send a file from byte `start` on, in requests of up to `max_bytes`; a bigger span goes alone.

    Raises:
        ValueError: The file holds something else than traces.
    """
    reached = start
    for position, batch in _batches(file, max_bytes, start):
        requests = list(_split(batch, max_bytes))
        for request in requests:
            partial = send(request)
            if request is requests[-1]:
                reached = position
            rejected = partial.rejected_spans
            yield Sent(reached, _count(request) - rejected, rejected, partial.error_message)


class Bookmark:
    """Where the replay of a file to an endpoint got to: a small file beside it, while there is more to send."""

    def __init__(self, file: Path, endpoint: str) -> None:
        self._path = file.with_name(f"{file.name}.replay")
        self._subject = hashlib.sha256(f"{fingerprint(file)} {endpoint}".encode()).hexdigest()
        self._complained = False

    def position(self) -> int:
        """Where to go on, in bytes of text; 0 when this file was not being sent there."""
        try:
            noted = json.loads(self._path.read_bytes())
            return int(noted["position"]) if noted["subject"] == self._subject else 0
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is not ours
            return 0

    def move(self, position: int) -> None:
        """Note that everything before `position` was taken."""
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            new.write_text(json.dumps({"subject": self._subject, "position": position}))
            new.replace(self._path)
        except OSError as error:  # sending goes on; it is only that it could not be resumed
            if not self._complained:
                self._complained = True
                _logger.warning("an interrupted replay will start over, as it cannot be noted: %s", error)

    def remove(self) -> None:
        """Everything was taken."""
        self._path.unlink(missing_ok=True)


def _batches(file: Path, max_bytes: int, start: int) -> Iterator[tuple[int, ExportTraceServiceRequest]]:
    """The lines of a file, as many together as fit, with the position behind them."""
    reached, batch = start, ExportTraceServiceRequest()
    for position, request in parsed_lines(file, _request_of_line, start):
        if batch.resource_spans and batch.ByteSize() + request.ByteSize() > max_bytes:
            yield reached, batch
            batch = ExportTraceServiceRequest()
        batch.MergeFrom(request)
        reached = position
    if batch.resource_spans:
        yield reached, batch


def _request_of_line(line: bytes) -> ExportTraceServiceRequest:
    return to_request(document_of_line(line))


def _split(request: ExportTraceServiceRequest, max_bytes: int) -> Iterator[ExportTraceServiceRequest]:
    count = _count(request)
    if request.ByteSize() <= max_bytes or count < 2:
        yield request
        return
    for first, last in ((0, count // 2), (count // 2, count)):
        yield from _split(_part(request, first, last), max_bytes)


def _part(request: ExportTraceServiceRequest, first: int, last: int) -> ExportTraceServiceRequest:
    """The request with its spans from number `first` up to, not including, `last`."""
    part = ExportTraceServiceRequest()
    part.CopyFrom(request)
    passed = 0
    for resource in part.resource_spans:
        for scope in resource.scope_spans:
            count = len(scope.spans)
            del scope.spans[max(0, last - passed) :]
            del scope.spans[: max(0, first - passed)]
            passed += count
    return part


def _count(request: ExportTraceServiceRequest) -> int:
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
