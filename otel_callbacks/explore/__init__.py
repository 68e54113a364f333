"""Explore finished spans without a back end: read them, find them, compare them and draw them.

This room sees spans only after they have ended. It may import `limits`, `semconv`, `runtime` and `cost`, but never a
framework or the recorder. Its folders stand on each other: `spans` (plain data and the tree it forms), `files`
(OTLP JSON Lines), `index` (SQLite), `pictures` (text, SVG, HTML), `evidence` (what `why` keeps of each trace), `causes`
(its figures), `answers` (its words) and `commands`. Open `trace.py` first for one trace, and `collection.py` for many.
"""

from otel_callbacks.explore.answers.why import Why, why
from otel_callbacks.explore.collection import Traces, traces
from otel_callbacks.explore.diff import Diff
from otel_callbacks.explore.files.reading import read_jsonl
from otel_callbacks.explore.files.writing import JsonLinesSpanExporter
from otel_callbacks.explore.pictures.html import page, render_html
from otel_callbacks.explore.pictures.links import set_links
from otel_callbacks.explore.pictures.svg import render_svg
from otel_callbacks.explore.pictures.text import render_text
from otel_callbacks.explore.spans.documents import RetrievedDocument
from otel_callbacks.explore.spans.records import EventRecord, LinkRecord, SpanRecord
from otel_callbacks.explore.trace import Trace, group

__all__ = [
    "Diff",
    "EventRecord",
    "JsonLinesSpanExporter",
    "LinkRecord",
    "RetrievedDocument",
    "SpanRecord",
    "Trace",
    "Traces",
    "Why",
    "group",
    "page",
    "read_jsonl",
    "render_html",
    "render_svg",
    "render_text",
    "set_links",
    "traces",
    "why",
]
