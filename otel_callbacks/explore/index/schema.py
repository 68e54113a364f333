"""The tables of the SQLite index.

`spans` has one row per span, `traces` the totals of each trace, and `resources` the attributes that the spans of a
process share. Times are nanoseconds since the epoch (`start_ns`) and ISO 8601 in UTC (`start`), durations are
seconds, costs US dollars. Attributes are JSON; read one with `attributes ->> '$."gen_ai.tool.name"'`.
"""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.explore.spans.attributes import (
    Attributes,
    attributes_from_json,
    attributes_to_json,
    number,
)
from otel_callbacks.explore.spans.records import EventRecord, LinkRecord, SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree
from otel_callbacks.limits import RESOURCES_CACHED

VERSION = 3  # raise it with every change of what is stored, so that older indexes are rebuilt
SCHEMA = f"""
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS spans;
DROP TABLE IF EXISTS traces;
DROP TABLE IF EXISTS resources;
DROP TABLE IF EXISTS files;
CREATE TABLE spans (
    trace_id TEXT, span_id TEXT, parent_id TEXT,
    name TEXT, operation TEXT, kind TEXT,
    start_ns INTEGER, end_ns INTEGER,
    start TEXT AS (strftime('%Y-%m-%dT%H:%M:%fZ', start_ns / 1e9, 'unixepoch')),
    duration REAL AS (max(0, end_ns - start_ns) / 1e9),
    status TEXT, status_message TEXT, failed INTEGER, error_type TEXT,
    model TEXT, provider TEXT, input_tokens INTEGER, output_tokens INTEGER,
    tokens INTEGER AS (coalesce(input_tokens + output_tokens, input_tokens, output_tokens)),
    cost REAL, cost_status TEXT,
    counted INTEGER, -- 1 where tokens and cost are the span's own, and add up to those of the trace
    tenant TEXT, feature TEXT, user TEXT, session TEXT,
    scope TEXT, file INTEGER, resource INTEGER REFERENCES resources (id),
    attributes TEXT, events TEXT, links TEXT,
    evaluates TEXT, -- the trace that the span judges; such a span is part of that trace, and has none of its own
    evaluation TEXT, score REAL,
    PRIMARY KEY (trace_id, span_id)
);
CREATE TABLE traces (
    trace_id TEXT PRIMARY KEY, name TEXT,
    start_ns INTEGER,
    start TEXT AS (strftime('%Y-%m-%dT%H:%M:%fZ', start_ns / 1e9, 'unixepoch')),
    duration REAL, spans INTEGER, errors INTEGER,
    input_tokens INTEGER, output_tokens INTEGER, tokens INTEGER AS (input_tokens + output_tokens),
    cost REAL, unpriced INTEGER
);
CREATE INDEX evaluations ON spans (evaluates) WHERE evaluates IS NOT NULL;
CREATE INDEX traces_by_start ON traces (start_ns);
CREATE TABLE resources (id INTEGER PRIMARY KEY, attributes TEXT UNIQUE);
CREATE TABLE files (
    id INTEGER PRIMARY KEY, fingerprint TEXT UNIQUE, size INTEGER, position INTEGER, inode INTEGER, skipped TEXT
);
PRAGMA user_version = {VERSION};
COMMIT;
"""

_LARGEST = 2**63 - 1  # SQLite's whole numbers have 64 bits

_COLUMNS = (
    "trace_id", "span_id", "parent_id", "name", "operation", "kind", "start_ns", "end_ns", "status",
    "status_message", "failed", "error_type", "model", "provider", "input_tokens", "output_tokens", "cost",
    "cost_status", "counted", "tenant", "feature", "user", "session", "scope", "file", "resource",
    "attributes", "events", "links", "evaluates", "evaluation", "score",
)  # fmt: skip
INSERT_SPAN = (
    f"INSERT OR REPLACE INTO main.spans ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
)
_SPAN_VIEW = ", ".join(name for name in (*_COLUMNS, "start", "duration", "tokens") if name != "resource")
_RESOURCES_APART = 10**9  # between the numbers of the resources of two databases


def views(databases: Sequence[str]) -> Iterator[str]:
    """Yields the statements that show `main` and attached databases as one, by views in place of the tables.

    A trace that several have is that of `main`, unless another has more of its spans. Judgements are shown from all.
    """
    more = " OR ".join(
        f"EXISTS (SELECT 1 FROM {name}.traces AS other WHERE other.trace_id = own.trace_id AND other.spans > own.spans)"
        for name in databases
    )
    of_main = f"(SELECT trace_id FROM main.traces AS own WHERE NOT ({more}))"
    spans, traces, resources = [], [], []
    for place, name in enumerate(("main", *databases)):
        others = [of_main, *(f"(SELECT trace_id FROM {other}.traces)" for other in databases[: place - 1])]
        here = (
            " AND ".join(f"trace_id NOT IN {each}" for each in others) if place else f"trace_id IN {of_main}"
        )
        judged = "".join(
            f" AND trace_id NOT IN (SELECT trace_id FROM {other}.spans WHERE evaluates IS NOT NULL)"
            for other in ("main", *databases)[:place]
        )
        own = f"({here}{judged})" if place else f"({here} OR evaluates IS NOT NULL)"
        apart = place * _RESOURCES_APART
        spans.append(f"SELECT {_SPAN_VIEW}, resource + {apart} AS resource FROM {name}.spans WHERE {own}")
        traces.append(f"SELECT * FROM {name}.traces WHERE {here}")
        resources.append(f"SELECT id + {apart} AS id, attributes FROM {name}.resources")
    for table, parts in (("spans", spans), ("traces", traces), ("resources", resources)):
        yield f"CREATE TEMP VIEW {table} AS {' UNION ALL '.join(parts)}"


_RECORD = """
trace_id, span_id, parent_id, name, kind, start_ns, end_ns, status, status_message, scope, spans.attributes"""
SELECT_SPANS = f"""
SELECT {_RECORD}, events, links, resources.attributes
FROM {{0}}spans AS spans JOIN {{0}}resources AS resources ON resources.id = resource
WHERE trace_id = :trace OR evaluates = :trace
"""
SELECT_COUNTED = f"""
SELECT {_RECORD}, '[]', '[]', resources.attributes FROM spans JOIN resources ON resources.id = resource
WHERE (trace_id IN (SELECT value FROM json_each(:some)) AND counted)
    OR evaluates IN (SELECT value FROM json_each(:some)) -- a judge may be a model
"""
INSERT_TRACE = """
INSERT OR REPLACE INTO main.traces
    (trace_id, name, start_ns, duration, spans, errors, input_tokens, output_tokens, cost, unpriced)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def trace_row(trace: SpanTree) -> tuple[Any, ...]:
    """Returns the values for `INSERT_TRACE`."""
    return (
        trace.trace_id,
        trace.name,
        trace.start_ns,
        trace.duration,
        len(trace.spans),
        len(trace.errors),
        min(trace.input_tokens, _LARGEST),
        min(trace.output_tokens, _LARGEST),
        trace.cost,
        len(trace.unpriced),
    )


def span_row(span: SpanRecord, counted: bool, file: int | None, resource: int) -> tuple[Any, ...]:
    """Returns the values for `INSERT_SPAN`."""
    events = [(event.name, event.time_ns, attributes_to_json(event.attributes)) for event in span.events]
    links = [(link.trace_id, link.span_id, attributes_to_json(link.attributes)) for link in span.links]
    return (
        span.trace_id,
        span.span_id,
        span.parent_id,
        span.name,
        span.operation,
        span.kind,
        span.start_ns,
        span.end_ns,
        span.status,
        span.status_message,
        span.failed,
        span.error_type,
        span.model,
        span.provider,
        span.input_tokens,
        span.output_tokens,
        span.cost,
        span.cost_status,
        counted,
        span.tenant,
        span.feature,
        span.user,
        span.session,
        span.scope,
        file,
        resource,
        attributes_to_json(span.attributes),
        json.dumps(events) if events else "[]",
        json.dumps(links) if links else "[]",
        span.evaluates,
        span.attributes.get(semconv.EVALUATION_NAME) if span.evaluates else None,
        number(span.attributes.get(semconv.EVALUATION_SCORE_VALUE)) if span.evaluates else None,
    )


def span_record(row: Sequence[Any]) -> SpanRecord:
    """Makes a record from a row of `SELECT_SPANS`."""
    *plain, attributes, events, links, resource = row
    trace_id, span_id, parent_id, name, kind, start_ns, end_ns, status, status_message, scope = plain
    return SpanRecord(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        name=name,
        kind=kind,
        start_ns=start_ns,
        end_ns=end_ns,
        attributes=attributes_from_json(attributes),
        events=tuple(
            EventRecord(name, time, attributes_from_json(text)) for name, time, text in json.loads(events)
        ),
        links=tuple(
            LinkRecord(trace, span, attributes_from_json(text)) for trace, span, text in json.loads(links)
        ),
        status=status,
        status_message=status_message,
        scope=scope,
        resource=_resource(resource),
    )


@lru_cache(maxsize=RESOURCES_CACHED)
def _resource(text: str) -> Attributes:
    """Returns the attributes of a resource, which many spans share."""
    return attributes_from_json(text)
