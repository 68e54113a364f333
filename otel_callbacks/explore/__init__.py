"""Look at finished spans without a backend: as data, on disk, as text, as a picture."""

from otel_callbacks.explore.diff import Diff
from otel_callbacks.explore.documents import RetrievedDocument
from otel_callbacks.explore.html import page, render_html
from otel_callbacks.explore.links import set_links
from otel_callbacks.explore.model import EventRecord, LinkRecord, SpanRecord
from otel_callbacks.explore.render import render_text
from otel_callbacks.explore.store import JsonLinesSpanExporter, read_jsonl
from otel_callbacks.explore.svg import render_svg
from otel_callbacks.explore.trace import Trace, traces

__all__ = [
    "Diff",
    "EventRecord",
    "JsonLinesSpanExporter",
    "LinkRecord",
    "RetrievedDocument",
    "SpanRecord",
    "Trace",
    "page",
    "read_jsonl",
    "render_html",
    "render_svg",
    "render_text",
    "set_links",
    "traces",
]
