"""Sends trace files to an OTLP endpoint, with their original ids and times."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
)

from otel_callbacks.explore.files.private import write_private
from otel_callbacks.explore.files.protobuf import to_request
from otel_callbacks.explore.files.reading import (
    DAMAGE,
    Skipped,
    document_of_line,
    file_fingerprint,
    parsed_lines,
)
from otel_callbacks.runtime.addresses import endpoint_of

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """The result of one request: the numbers of accepted (`spans`) and rejected spans, and why they were rejected.

    `position` is where to continue in the file, in bytes of text.
    """

    position: int
    spans: int
    rejected: int
    rejection_reason: str


def replay(
    file: Path,
    send: Callable[[ExportTraceServiceRequest], ExportTracePartialSuccess],
    *,
    max_bytes: int,
    start: int = 0,
    skipped: Skipped | None = None,
) -> Iterator[Progress]:
    """Sends a file from byte `start` on, in requests of up to `max_bytes`; a bigger span gets a request of its own.

    What cannot be read is counted in `skipped`, and logged.

    Raises:
        ValueError: The file is not a trace file.
    """
    reached = start
    for position, batch in _batches(file, max_bytes, start, Skipped() if skipped is None else skipped):
        requests = list(_split(batch, max_bytes))
        for request in requests:
            partial = send(request)
            if request is requests[-1]:
                reached = position
            rejected = partial.rejected_spans
            yield Progress(reached, _count(request) - rejected, rejected, partial.error_message)


class Bookmark:
    """The position that a replay has reached, in a small file beside the trace file, until the replay is complete."""

    def __init__(self, file: Path, endpoint: str) -> None:
        self._path = file.with_name(f"{file.name}.replay")
        address = endpoint_of(endpoint).address  # a weak password could be guessed from a hash
        self._subject = hashlib.sha256(f"{file_fingerprint(file)} {address}".encode()).hexdigest()
        self._warned = False

    def position(self) -> int:
        """Returns where to continue, in bytes of text; 0 if no replay of this file to this endpoint was interrupted."""
        try:
            noted = json.loads(self._path.read_bytes())
            return int(noted["position"]) if noted["subject"] == self._subject else 0
        except (OSError, ValueError, KeyError, TypeError):  # no bookmark, or a file of another program
            return 0

    def save(self, position: int) -> None:
        """Saves that the endpoint has everything before `position`."""
        try:
            write_private(self._path, json.dumps({"subject": self._subject, "position": position}).encode())
        except OSError as error:  # sending can continue without a bookmark
            if not self._warned:
                self._warned = True
                _logger.warning(
                    "cannot save the position of the replay; if interrupted, it will start over: %s", error
                )

    def delete(self) -> None:
        """Deletes the bookmark of a complete replay."""
        self._path.unlink(missing_ok=True)


def _batches(
    file: Path, max_bytes: int, start: int, skipped: Skipped
) -> Iterator[tuple[int, ExportTraceServiceRequest]]:
    """Joins lines of a file into requests of up to `max_bytes`, and yields the position after each with it."""
    reached, batch = start, ExportTraceServiceRequest()
    for position, request in parsed_lines(file, partial(_request_of_line, skipped), start, skipped):
        if batch.resource_spans and batch.ByteSize() + request.ByteSize() > max_bytes:
            yield reached, batch
            batch = ExportTraceServiceRequest()
        batch.MergeFrom(request)
        reached = position
    if batch.resource_spans:
        yield reached, batch


def _request_of_line(skipped: Skipped, line: bytes) -> ExportTraceServiceRequest:
    """Returns the request of a line, without spans that cannot be read if others can."""
    try:
        return to_request(document_of_line(line))
    except DAMAGE as error:
        request, damaged = ExportTraceServiceRequest(), 0
        for resource in document_of_line(line).get("resourceSpans") or ():
            for scope in resource.get("scopeSpans") or ():
                for span in scope.get("spans") or ():
                    alone = {**resource, "scopeSpans": [{**scope, "spans": [span]}]}
                    try:
                        request.MergeFrom(to_request({"resourceSpans": [alone]}))
                    except DAMAGE:
                        damaged += 1
        if not request.resource_spans:
            raise
        skipped.count_spans(damaged, error)
        return request


def _split(request: ExportTraceServiceRequest, max_bytes: int) -> Iterator[ExportTraceServiceRequest]:
    count = _count(request)
    if request.ByteSize() <= max_bytes or count < 2:
        yield request
        return
    for first, last in ((0, count // 2), (count // 2, count)):
        yield from _split(_part(request, first, last), max_bytes)


def _part(request: ExportTraceServiceRequest, first: int, last: int) -> ExportTraceServiceRequest:
    """Returns the request with only its spans from number `first` up to, but not including, `last`."""
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
