"""Adds the attributes of profiles to the spans of an OTLP request."""

from collections.abc import Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue

from otel_callbacks.profiles import extra_attributes


def add_profiles(request: ExportTraceServiceRequest, profiles: Sequence[str]) -> ExportTraceServiceRequest:
    """Adds to every span what the profiles make of its attributes; returns the same request."""
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                known = {each.key: _plain(each.value) for each in span.attributes}
                extra = extra_attributes(profiles, known, span.start_time_unix_nano)
                span.attributes.extend(KeyValue(key=name, value=_any(value)) for name, value in extra.items())
    return request


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_plain(each) for each in value.array_value.values)
    return None if kind is None else getattr(value, kind)


def _any(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list() | tuple():
            return AnyValue(array_value=ArrayValue(values=[_any(each) for each in value]))
    return AnyValue(string_value=str(value))
