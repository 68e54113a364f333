"""What the lists of traces and sessions show: questions to the index, which answer the same for files and memory."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.index.filters import TOOL, condition
from otel_callbacks.explore.index.sessions import SESSIONS, Session
from otel_callbacks.explore.spans.attributes import json_list
from otel_callbacks.explore.spans.content import asked_text
from otel_callbacks.explore.trace import Trace
from otel_callbacks.explore.ui.state import State, paged
from otel_callbacks.limits import LINE_CHARACTERS, UI_ROWS, UI_TRACES
from otel_callbacks.profiles.message_text import message_text
from otel_callbacks.runtime.untrusted_text import printable

SORTS = {
    "start": "start_ns",
    "name": "name",
    "time": "duration",
    "tokens": "tokens",
    "cost": "cost",
    "errors": "errors",
}
"""The column by which each order sorts; the names are those of `top --sort`."""

_TIME_BARS = 60  # parts of the time that a list covers; more would be too thin to see
_LABELS = ("tenant", "feature", "user", "session", "model")


@dataclass(frozen=True, slots=True)
class Source:
    """The traces that a page shows: those of an index, which grows, or of them only those with `trace_ids`."""

    open_index: Callable[[], Index]
    trace_ids: Sequence[str] | None = None

    def chosen(self, index: Index, state: State) -> str | None:
        """Returns the ids of the traces that match, as a JSON list; None if that is all that there are."""
        if not state.filters and self.trace_ids is None:
            return None
        where, parameters = condition(state.filters)
        if self.trace_ids is not None:
            where = f"({where}) AND trace_id IN (SELECT value FROM json_each(?))"
            parameters.append(json.dumps(list(self.trace_ids)))
        return json.dumps(
            [row["trace_id"] for row in index.query(f"SELECT trace_id FROM traces WHERE {where}", parameters)]
        )

    def ids(self, index: Index, state: State) -> tuple[str, ...]:
        """Returns the ids of the traces that match, in start order."""
        chosen = self.chosen(index, state)
        query = f"SELECT trace_id FROM traces WHERE {_IN} ORDER BY start_ns"
        return tuple(row["trace_id"] for row in index.query(query, [chosen, chosen]))

    def trace(self, index: Index, trace_id: str) -> Trace:
        """Returns the trace whose id begins with `trace_id`.

        Raises:
            LookupError: There is none, or there are several.
        """
        begin = trace_id.lower()
        query = f"SELECT trace_id, spans FROM traces WHERE trace_id >= ? AND trace_id < ? AND {_IN} LIMIT 2"
        only = None if self.trace_ids is None else json.dumps(list(self.trace_ids))
        found = index.query(query, [begin, f"{begin}g", only, only])
        if len(found) != 1 or not begin:
            raise LookupError(
                f"{'several traces have' if found else 'no trace has'} an id that begins with {begin!r}"
            )
        [row] = found
        judged = index.query("SELECT count(*) AS count FROM spans WHERE evaluates = ?", [row["trace_id"]])
        return _read(index, row["trace_id"], row["spans"], judged[0]["count"])


# As a condition on `trace_id`, with the JSON list of the chosen ids as both parameters; null stands for all.
_IN = "(? IS NULL OR trace_id IN (SELECT value FROM json_each(?)))"


@lru_cache(maxsize=1)  # a trace is read again with every span that is looked at, and may be large
def _read(index: Index, trace_id: str, spans: int, judgements: int) -> Trace:
    """Reads a trace; the numbers of its spans and judgements tell whether it has grown since."""
    return Trace.of(index.spans(trace_id))


@dataclass(frozen=True, slots=True)
class Bar:
    """The traces that started in one part of the time that a list covers, from `start` on (ISO 8601, UTC)."""

    start: str
    count: int
    failed: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list of traces, and the sums of all `count` traces that match.

    `rows` are those of the table `traces`, each with its `labels`, `failures`, `feedback` and what was `asked`, if that
    was recorded. Times are seconds, costs US dollars; `cost` is None if no call has one. `failed` counts traces,
    `unpriced` calls.
    """

    rows: Sequence[Mapping[str, Any]]
    page: int
    pages: int
    count: int
    failed: int
    tokens: int
    cost: float | None
    unpriced: int
    median: float | None
    p95: float | None
    bars: Sequence[Bar]


_TOTALS = f"""
SELECT count(*) AS count, coalesce(sum(errors > 0), 0) AS failed, coalesce(sum(tokens), 0) AS tokens,
    sum(cost) AS cost, coalesce(sum(unpriced), 0) AS unpriced, min(start_ns) AS first, max(start_ns) AS last
FROM traces WHERE {_IN}
"""
_ROWS = f"""
SELECT trace_id, name, start, start_ns, duration, spans, errors, tokens, cost, unpriced
FROM traces WHERE {_IN} ORDER BY {{order}} NULLS LAST, start_ns DESC, trace_id LIMIT ? OFFSET ?
"""
_PERCENTILE = f"SELECT duration FROM traces WHERE {_IN} ORDER BY duration LIMIT 1 OFFSET ?"
_BARS = f"""
SELECT (start_ns - :first) / :width AS bar, min(start) AS start, count(*) AS count, sum(errors > 0) AS failed
FROM traces WHERE {_IN.replace("?", ":ids")} GROUP BY 1
"""
_LABELS_OF = f"""
SELECT DISTINCT trace_id, {", ".join(_LABELS)} FROM spans
WHERE trace_id IN (SELECT value FROM json_each(?)) AND evaluates IS NULL
"""
_FAILURES_OF = """
SELECT trace_id, error_type, count(*) AS count FROM spans
WHERE failed AND evaluates IS NULL AND trace_id IN (SELECT value FROM json_each(?)) GROUP BY 1, 2
"""
_FEEDBACK_OF = """
SELECT evaluates AS trace_id, evaluation AS name, score FROM spans
WHERE evaluates IN (SELECT value FROM json_each(?)) ORDER BY start_ns
"""
# The first text of a trace that somebody may have asked; of the columns beside `min`, SQLite takes the row that has it.
_ASKED_OF = f"""
SELECT trace_id, min(start_ns), asked, query FROM (
    SELECT trace_id, start_ns, attributes ->> '$."{semconv.INPUT_MESSAGES}"' AS asked,
        attributes ->> '$."{semconv.RAG_QUERY}"' AS query
    FROM spans WHERE trace_id IN (SELECT value FROM json_each(?)) AND evaluates IS NULL
) WHERE coalesce(asked, query) IS NOT NULL GROUP BY trace_id
"""


def traces_page(source: Source, index: Index, state: State) -> Listed:
    """Returns the page of the list that an address asks for, the latest traces first unless it says otherwise."""
    ids = source.chosen(index, state)
    [totals] = index.query(_TOTALS, [ids, ids])
    page, pages = paged(state.number("page"), totals["count"], UI_TRACES)
    column = SORTS.get(state.words.get("sort", ""), "start_ns")
    order = f"{column} {'ASC' if state.words.get('order') == 'asc' else 'DESC'}"
    rows = index.query(_ROWS.format(order=order), [ids, ids, UI_TRACES, (page - 1) * UI_TRACES])
    first, last = totals.pop("first"), totals.pop("last")
    return Listed(
        rows=_with_labels(index, rows),
        page=page,
        pages=pages,
        **totals,
        median=_percentile(index, ids, totals["count"], 50),
        p95=_percentile(index, ids, totals["count"], 95),
        bars=_bars(index, ids, first, last) if totals["count"] > 1 else (),
    )


def _percentile(index: Index, ids: str | None, count: int, percentage: int) -> float | None:
    """Returns a percentile by nearest rank, so it is always a measured time; None without traces."""
    place = -(-count * percentage // 100) - 1
    found = index.query(_PERCENTILE, [ids, ids, max(0, place)])
    return float(found[0]["duration"]) if found else None


def _bars(index: Index, ids: str | None, first: int, last: int) -> list[Bar]:
    """Returns how many traces started in each part of the time; parts without any have a count of 0."""
    width = (last - first) // _TIME_BARS + 1
    named = {"first": first, "width": width, "ids": ids}
    found = {row.pop("bar"): Bar(**row) for row in index.query(_BARS, named)}
    return [found.get(place, Bar("", 0, 0)) for place in range(_TIME_BARS)]


def _with_labels(index: Index, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds to rows of traces who they are attributed to, the models, what failed, and what was said of them."""
    ids = json.dumps([row["trace_id"] for row in rows])
    labels: dict[str, dict[str, dict[str, None]]] = defaultdict(lambda: {name: {} for name in _LABELS})
    for row in index.query(_LABELS_OF, [ids]):
        for name in _LABELS:
            if row[name]:
                labels[row["trace_id"]][name][row[name]] = None
    asked = {row["trace_id"]: _question(row["asked"], row["query"]) for row in index.query(_ASKED_OF, [ids])}
    failures = _by_trace(index.query(_FAILURES_OF, [ids]))
    feedback = _by_trace(index.query(_FEEDBACK_OF, [ids]))
    return [
        row
        | {
            "labels": {name: list(values) for name, values in labels[row["trace_id"]].items()},
            "asked": asked.get(row["trace_id"], ""),
            "failures": list(filter(None, (each["error_type"] for each in failures[row["trace_id"]]))),
            "feedback": feedback[row["trace_id"]],
        }
        for row in rows
    ]


def _question(messages: str | None, query: str | None) -> str:
    """Returns the last message of a user, else the query of a retrieval, on one line, cut."""
    said = [
        each for each in json_list(messages) or () if isinstance(each, Mapping) and each.get("role") == "user"
    ]
    text = asked_text(message_text(said[-1])) if said else query or ""
    return printable(text[: 4 * LINE_CHARACTERS])[:LINE_CHARACTERS]


def _by_trace(rows: Iterable[dict[str, Any]]) -> Mapping[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["trace_id"]].append(row)
    return found


def sessions(source: Source, index: Index, state: State) -> list[Session]:
    """Returns the sessions and conversations of the traces that match, the latest first."""
    ids = source.ids(index, state)
    return [Session(**row) for row in index.query(SESSIONS, [json.dumps(ids)])]


def version(index: Index) -> str:
    """Returns a text that changes whenever a trace comes, grows or is judged, or is forgotten."""
    [traces] = index.query("SELECT count(*) AS count, sum(spans) AS spans, max(start_ns) AS last FROM traces")
    [judged] = index.query("SELECT count(*) AS count FROM spans WHERE evaluates IS NOT NULL")
    return f"{traces['count']}.{traces['spans']}.{traces['last']}.{judged['count']}"


@lru_cache(maxsize=1)
def suggestions(index: Index, at: str) -> Mapping[str, Sequence[str]]:
    """Returns values that filters can have; `at` is the version of the index, because finding them takes a while."""
    columns = {
        "tenant": "tenant",
        "feature": "feature",
        "model": "model",
        "tool": TOOL,
        "error_type": "error_type",
    }
    listed = ", ".join(f"{of} AS {name}" for name, of in columns.items())
    rows = index.query(f"SELECT DISTINCT {listed} FROM spans WHERE evaluates IS NULL")
    found = {
        name: sorted({row[name] for row in rows if isinstance(row[name], str)})[:UI_ROWS] for name in columns
    }
    names = index.query("SELECT DISTINCT name FROM traces ORDER BY 1 LIMIT ?", [UI_ROWS])
    return found | {"name": [row["name"] for row in names]}
