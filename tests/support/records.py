"""Span records made by hand."""

from typing import Any

from otel_callbacks.explore import SpanRecord


def span(trace_id: str, span_id: str, parent_id: str | None = None, **fields: Any) -> SpanRecord:
    """A record with ids made of one digit; other fields of the record, and attributes with `__` for dots."""
    known = {name: fields.pop(name) for name in tuple(fields) if name in SpanRecord.__dataclass_fields__}
    attributes = {name.replace("__", "."): value for name, value in fields.items()}
    usual = {"name": span_id, "kind": "INTERNAL", "start_ns": 1_000, "end_ns": 2_000}
    parent = parent_id and parent_id * 16
    return SpanRecord(trace_id * 32, span_id * 16, parent, attributes=attributes, **{**usual, **known})


def call(trace_id: str, span_id: str, parent_id: str | None = None, **fields: Any) -> SpanRecord:
    """A model call of 100 tokens in and 10 out."""
    usage = {"gen_ai__usage__input_tokens": 100, "gen_ai__usage__output_tokens": 10}
    return span(trace_id, span_id, parent_id, gen_ai__operation__name="chat", **usage, **fields)
