"""Look at finished spans without a backend: as data, on disk, as text."""

from otel_callbacks.explore.collection import Traces, traces
from otel_callbacks.explore.files import read_jsonl
from otel_callbacks.explore.model import EventRecord, LinkRecord, SpanRecord
from otel_callbacks.explore.render import render_text
from otel_callbacks.explore.store import JsonLinesSpanExporter
from otel_callbacks.explore.trace import Trace, group

__all__ = [
    "EventRecord",
    "JsonLinesSpanExporter",
    "LinkRecord",
    "SpanRecord",
    "Trace",
    "Traces",
    "group",
    "read_jsonl",
    "render_text",
    "traces",
]
