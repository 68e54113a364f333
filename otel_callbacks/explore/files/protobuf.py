"""Converts OTLP between protobuf messages and JSON documents.

OTLP JSON has ids in hex, and protobuf's own JSON has them in base64; otherwise the two agree.
"""

import base64
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def to_document(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """Returns the JSON document of `request`, with enums as numbers."""
    document: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    _convert_ids(document, lambda text: base64.b64decode(text).hex())
    return document


def to_request(document: dict[str, Any]) -> ExportTraceServiceRequest:
    """Returns the protobuf message of a JSON document. It changes the document, and ignores unknown fields.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: The document is not an OTLP document.
    """
    _convert_ids(document, lambda text: base64.b64encode(bytes.fromhex(text)).decode())
    request = ExportTraceServiceRequest()
    try:
        ParseDict(document, request, ignore_unknown_fields=True)
    except ParseError as error:  # unlike json's errors, not a ValueError
        raise ValueError(str(error)) from error
    return request


def _convert_ids(document: dict[str, Any], convert: Callable[[str], str]) -> None:
    for holder in _id_holders(document):
        for key in ("traceId", "spanId", "parentSpanId"):
            if holder.get(key):
                holder[key] = convert(holder[key])


def _id_holders(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in document.get("resourceSpans") or ():
        for scope in resource.get("scopeSpans") or ():
            for span in scope.get("spans") or ():
                yield span
                yield from span.get("links") or ()
