"""Decodes OTLP JSON and finished SDK spans into the plain values that the rules check.

A trace file is in the collector's file format: one `{"resourceSpans": [...]}`, `{"resourceMetrics": [...]}` or
`{"resourceLogs": [...]}` per line; ids in hex, times in nanoseconds since 1970, enums as numbers or names.

`otel_callbacks.explore` also reads such files, but only spans, and leniently. An auditor needs a decoder of its own:
a shared one would hide its own faults, and forgive what a rule must see.
"""

import base64
import functools
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otel_callbacks.limits import COMPRESSED_TEXT_BYTES, TRACE_LINE_BYTES

Attributes = Mapping[str, Any]
Json = Mapping[str, Any]

_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES = ("unset", "ok", "error")


class TraceFileError(ValueError):
    """A file that cannot be read as OTLP JSON Lines; the message names the file, the line and the reason."""


@dataclass(frozen=True, slots=True)
class Event:
    """A span event."""

    name: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Span:
    """A finished span; `kind` such as "client", `status` such as "error", times in nanoseconds, ids in hex."""

    name: str
    kind: str
    status: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start: int | None
    end: int | None
    attributes: Attributes
    events: tuple[Event, ...]
    scope: str | None

    def __str__(self) -> str:
        return f"{self.name} [{self.span_id}]" if self.span_id else self.name


@dataclass(frozen=True, slots=True)
class Point:
    """One data point: its attributes, and its buckets (histogram) or value type "int" or "double" (counter)."""

    attributes: Attributes
    bounds: tuple[float, ...] | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric stream; `instrument` is "counter", "updowncounter", "gauge", "summary" or a histogram.

    The histograms are "histogram" and "exponential_histogram".
    """

    name: str
    unit: str
    instrument: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Log:
    """A log record; one with a name is an event."""

    event_name: str
    severity: int
    has_body: bool
    attributes: Attributes


@dataclass(slots=True)
class Signals:
    """Everything in one or several files; `cut_off` lists the files whose last line is incomplete."""

    spans: list[Span] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)


def read(paths: Iterable[str | Path]) -> Signals:
    """Decodes trace files into one set of signals, because a trace may span several processes' files.

    A path is a `.jsonl` file, a `.jsonl.gz` file, or a folder of both.

    Raises:
        TraceFileError: A line is not JSON, or JSON but not OTLP. Only the last line may be cut off, as a killed
            process leaves it.
        OSError: A file cannot be opened, or a folder holds no trace file.
    """
    signals = Signals()
    for path in map(Path, paths):
        for file in _files_in(path) if path.is_dir() else (path,):
            _read_file(file, signals)
    return signals


def _files_in(folder: Path) -> list[Path]:
    found = sorted(each for each in (*folder.glob("*.jsonl"), *folder.glob("*.jsonl.gz")) if each.is_file())
    if not found:
        raise FileNotFoundError(f"{folder}: no .jsonl file in this folder")
    return found


def _read_file(path: Path, signals: Signals) -> None:
    torn: TraceFileError | None = None  # a line that is not JSON; the last one may be cut off
    ends, good = True, False
    for number, line in _lines(path):
        if torn:
            raise torn
        try:
            _decode_line(json.loads(line), signals)
        except json.JSONDecodeError as exc:
            torn = TraceFileError(f"{path} line {number}: not JSON: {exc}")
            torn.__cause__, ends = exc, line.endswith("\n")
        except _DAMAGE as exc:
            reason = f"{exc} is missing" if isinstance(exc, KeyError) else exc
            raise TraceFileError(f"{path} line {number}: not OTLP JSON: {reason}") from exc
        else:
            good = True
    if torn and (ends or not good):
        raise torn
    if torn:
        signals.cut_off.append(str(path))


_DAMAGE = (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError, OverflowError)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields each line that is not blank, and its number; a file may be larger than the memory.

    Raises:
        TraceFileError: A line is too long or not UTF-8 text, or a compressed file is damaged.
    """
    position = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            lines = iter(functools.partial(file.readline, TRACE_LINE_BYTES + 1), b"")
            for number, line in enumerate(lines, 1):
                if len(line) > TRACE_LINE_BYTES:
                    raise TraceFileError(f"{path} line {number}: longer than {TRACE_LINE_BYTES:,} bytes")
                text = line.decode("utf-8")
                position += len(line)
                if path.suffix == ".gz" and position > COMPRESSED_TEXT_BYTES:
                    raise TraceFileError(f"{path}: more than {COMPRESSED_TEXT_BYTES:,} bytes of text")
                if text.strip():
                    yield number, text
    except (EOFError, zlib.error, gzip.BadGzipFile) as exc:
        raise TraceFileError(f"{path}: not a gzip file: {exc}") from exc
    except UnicodeDecodeError as exc:
        raise TraceFileError(f"{path}: not UTF-8 text: {exc.reason} at byte {position + exc.start}") from exc


def _decode_line(line: Json, signals: Signals) -> None:
    # An export of nothing is an empty object.
    if line and not {"resourceSpans", "resourceMetrics", "resourceLogs"} & line.keys():
        raise ValueError("it has none of resourceSpans, resourceMetrics, resourceLogs")
    for scope, items in _scopes(line, "resourceSpans", "scopeSpans", "spans"):
        signals.spans += (span(item, scope) for item in items)
    for _, items in _scopes(line, "resourceMetrics", "scopeMetrics", "metrics"):
        signals.metrics += map(_metric, items)
    for _, items in _scopes(line, "resourceLogs", "scopeLogs", "logRecords"):
        signals.logs += map(log, items)


def _scopes(line: Json, resources: str, scopes: str, items: str) -> Iterator[tuple[str | None, list[Json]]]:
    for resource in line.get(resources, ()):
        for scope in resource.get(scopes, ()):
            yield scope.get("scope", {}).get("name"), scope.get(items, [])


def span(source: Any, scope: str | None = None) -> Span:
    """Decodes an OTLP JSON span object, or anything with the attributes of a finished SDK span.

    The attributes of a mapping may be OTLP (`[{"key": ..., "value": ...}]`) or plain (`{"key": value}`).

    Raises:
        KeyError, TypeError, ValueError, AttributeError: `source` is neither.
    """
    return _otlp_span(source, scope) if isinstance(source, Mapping) else _sdk_span(source)


def _otlp_span(source: Json, scope: str | None) -> Span:
    return Span(
        name=_text(source, "name"),
        kind=_enum(source.get("kind", 0), "SPAN_KIND_", _KINDS),
        status=_enum(source.get("status", {}).get("code", 0), "STATUS_CODE_", _STATUSES),
        trace_id=source.get("traceId", "").lower(),
        span_id=source.get("spanId", "").lower(),
        parent_id=source.get("parentSpanId", "").lower() or None,
        start=_time(source.get("startTimeUnixNano")),
        end=_time(source.get("endTimeUnixNano")),
        attributes=_attributes(source.get("attributes", ())),
        events=tuple(map(_event, source.get("events", ()))),
        scope=scope or source.get("scope"),
    )


def _event(source: Json) -> Event:
    return Event(_text(source, "name"), _attributes(source.get("attributes", ())))


def _sdk_span(source: Any) -> Span:
    return Span(
        name=source.name,
        kind=source.kind.name.lower(),
        status=source.status.status_code.name.lower(),
        trace_id=f"{source.context.trace_id:032x}",
        span_id=f"{source.context.span_id:016x}",
        parent_id=f"{source.parent.span_id:016x}" if source.parent else None,
        start=source.start_time,
        end=source.end_time,
        attributes=dict(source.attributes or {}),
        events=tuple(Event(event.name, dict(event.attributes or {})) for event in source.events),
        scope=source.instrumentation_scope.name if source.instrumentation_scope else None,
    )


_INSTRUMENTS = {
    "gauge": "gauge",
    "histogram": "histogram",
    "exponentialHistogram": "exponential_histogram",
    "summary": "summary",
}


def _metric(source: Json) -> Metric:
    if "sum" in source:
        data = source["sum"]
        instrument = "counter" if data.get("isMonotonic") else "updowncounter"
    else:
        key = next((key for key in _INSTRUMENTS if key in source), "data")
        data, instrument = source[key], _INSTRUMENTS[key]
    points = tuple(map(_point, data.get("dataPoints", ())))
    return Metric(_text(source, "name"), source.get("unit", ""), instrument, points)


def _point(source: Json) -> Point:
    bounds = source.get("explicitBounds")
    return Point(
        attributes=_attributes(source.get("attributes", ())),
        bounds=None if bounds is None else tuple(map(float, bounds)),
        value="int" if "asInt" in source else "double" if "asDouble" in source else None,
    )


def log(source: Any) -> Log:
    """Decodes an OTLP JSON log record, or anything with the attributes of an SDK log record.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: `source` is neither.
    """
    return _otlp_log(source) if isinstance(source, Mapping) else _sdk_log(source)


def _sdk_log(source: Any) -> Log:
    return Log(
        event_name=str(source.event_name or ""),
        severity=source.severity_number.value if source.severity_number else 0,
        has_body=bool(source.body),
        attributes=dict(source.attributes or {}),
    )


def _otlp_log(source: Json) -> Log:
    attributes = _attributes(source.get("attributes", ()))
    severity = source.get("severityNumber", 0)
    return Log(
        # Before OTLP 1.5 the name of an event was an attribute.
        event_name=str(source.get("eventName") or attributes.get("event.name", "")),
        severity=_severity(severity) if isinstance(severity, str) else int(severity),
        has_body=bool(source.get("body")),
        attributes={key: value for key, value in attributes.items() if key != "event.name"},
    )


def _severity(name: str) -> int:
    """Returns the number of a severity name: four numbers for each of six names; `SEVERITY_NUMBER_DEBUG2` is 6."""
    short = name.removeprefix("SEVERITY_NUMBER_")
    if short.isdigit() or short == "UNSPECIFIED":
        return int(short) if short.isdigit() else 0
    step = int(short[-1]) if short[-1].isdigit() else 1
    return ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL").index(short.rstrip("234")) * 4 + step


def _enum(value: int | str, prefix: str, names: tuple[str, ...]) -> str:
    """Returns an enum's name in lower case; protobuf's JSON allows the name and the number, also as a string."""
    if isinstance(value, str) and not value.isdigit():
        return names[names.index(value.removeprefix(prefix).lower())]
    return names[int(value)]


def _time(value: int | str | None) -> int | None:
    return int(value) or None if value is not None else None


def _attributes(source: Any) -> dict[str, Any]:
    if isinstance(source, Mapping):
        return dict(source)
    return {_text(pair, "key"): _value(pair.get("value", {})) for pair in source}


def _text(source: Json, key: str) -> str:
    value = source[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is {value!r:.80}, not a string")
    return value


def _value(source: Json) -> Any:
    """Returns the plain value of an OTLP AnyValue; None for an empty one."""
    if not source:
        return None
    ((kind, value),) = source.items()
    return _VALUES[kind](value)


_VALUES: Mapping[str, Callable[[Any], Any]] = {
    "stringValue": str,
    "boolValue": bool,
    "intValue": int,  # protobuf's JSON writes 64-bit integers as strings
    "doubleValue": float,  # and NaN and Infinity; it writes whole numbers without a decimal point
    "bytesValue": base64.b64decode,
    "arrayValue": lambda value: [_value(item) for item in value.get("values", ())],
    "kvlistValue": lambda value: _attributes(value.get("values", ())),
}
