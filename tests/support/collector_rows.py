"""OTLP JSON lines as rows of `otel_traces`, the way the collector's ClickHouse exporter fills it.

Attributes of every type become texts (`pcommon.Value.AsString`): whole numbers in digits, floats as in JSON with the
fewest digits that give the same float, lists as JSON, booleans `true` and `false`.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

COLUMNS = """
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)), TraceId String CODEC(ZSTD(1)), SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)), TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)), SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)), ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(T64, ZSTD(1)), StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested (Timestamp DateTime64(9), Name LowCardinality(String), Attributes Map(LowCardinality(String), String))
        CODEC(ZSTD(1)),
    Links Nested (TraceId String, SpanId String, TraceState String, Attributes Map(LowCardinality(String), String))
        CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
"""
TABLE = (
    f"CREATE TABLE otel_traces ({COLUMNS}) ENGINE = MergeTree PARTITION BY toDate(Timestamp)"
    " ORDER BY (ServiceName, SpanName, toDateTime(Timestamp), Timestamp)"
    " SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1"
)
"""The exporter's table; see its `internal/sqltemplates/traces_table.sql` in opentelemetry-collector-contrib."""

_STATUS = ("Unset", "Ok", "Error")
_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")


def rows(file: Path) -> Iterator[dict[str, Any]]:
    """Yields a row for each span of a file of OTLP JSON lines."""
    for line in file.read_text().splitlines():
        for process in json.loads(line)["resourceSpans"]:
            resource = texts(process.get("resource", {}))
            for scope in process["scopeSpans"]:
                about = scope.get("scope", {})
                for span in scope["spans"]:
                    yield _row(span, resource, about.get("name", ""), about.get("version", ""))


def _row(span: Mapping[str, Any], resource: dict[str, str], scope: str, version: str) -> dict[str, Any]:
    start, events, links = int(span["startTimeUnixNano"]), span.get("events", ()), span.get("links", ())
    return {
        "Timestamp": _time(start),
        "TraceId": span["traceId"],
        "SpanId": span["spanId"],
        "ParentSpanId": span.get("parentSpanId", ""),
        "SpanName": span["name"],
        "SpanKind": _KINDS[span.get("kind", 0)],
        "ServiceName": resource.get("service.name", ""),
        "ResourceAttributes": resource,
        "ScopeName": scope,
        "ScopeVersion": version,
        "SpanAttributes": texts(span),
        "Duration": (int(span["endTimeUnixNano"]) - start) % 2**64,  # Go converts a negative one so
        "StatusCode": _STATUS[span.get("status", {}).get("code", 0)],
        "StatusMessage": span.get("status", {}).get("message", ""),
        "Events.Timestamp": [_time(int(event["timeUnixNano"])) for event in events],
        "Events.Name": [event["name"] for event in events],
        "Events.Attributes": [texts(event) for event in events],
        "Links.TraceId": [link["traceId"] for link in links],
        "Links.SpanId": [link["spanId"] for link in links],
        "Links.TraceState": ["" for _ in links],
        "Links.Attributes": [texts(link) for link in links],
    }


def _time(nanoseconds: int) -> str:
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09}"


def texts(holder: Mapping[str, Any]) -> dict[str, str]:
    """Returns the attributes of a span, event, link or resource as texts."""
    return {pair["key"]: _text(pair["value"]) for pair in holder.get("attributes", ())}


def _text(value: Mapping[str, Any]) -> str:
    [(kind, content)] = value.items()
    match kind:
        case "doubleValue":
            return _float(float(content))
        case "arrayValue":
            return json.dumps([_raw(each) for each in content.get("values", ())], separators=(",", ":"))
        case "boolValue":
            return "true" if content else "false"
    return str(content)


def _raw(value: Mapping[str, Any]) -> Any:
    [(kind, content)] = value.items()
    return int(content) if kind == "intValue" else content


def _float(number: float) -> str:
    """Formats a float as Go's JSON does: no exponent from a millionth up, and one without zeros in front below."""
    shortest = Decimal(repr(number))
    if number == 0 or 1e-6 <= abs(number) < 1e21:
        text = format(shortest, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    sign, digits, _ = shortest.normalize().as_tuple()
    figures = "".join(map(str, digits))
    point = f".{figures[1:]}" if len(figures) > 1 else ""
    return f"{'-' * sign}{figures[0]}{point}e{shortest.adjusted():+}"
