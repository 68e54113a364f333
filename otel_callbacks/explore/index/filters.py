"""The filters of `Traces.find`, and the SQL condition of each."""

import difflib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any, TypedDict, get_type_hints

from otel_callbacks import semconv
from otel_callbacks.runtime.encodable import INT64

TOOL = f'''(attributes ->> '$."{semconv.TOOL_NAME}"')'''
"""The SQL expression for the tool of a span."""


class Filters(TypedDict, total=False):
    """The filters that `Traces.find` takes.

    `tenant` to `error_type` match if any span of the trace has that value; `name` also matches without the operation
    in front. `text` matches if it stands anywhere in what was recorded of a span: name, labels, messages and all other
    attributes, failure; upper and lower case of ASCII letters are the same. `evaluation` is the name of a judgement,
    and `score`, `min_score` and `max_score` are about the same judgement; see `record_feedback`. The other filters are
    about the whole trace: costs in US dollars, durations in seconds. `since` and `until` compare its start with a time
    (local if it has no zone), a time span before now, or nanoseconds since the epoch; `since` includes that time,
    `until` does not.
    """

    tenant: str
    feature: str
    user: str
    session: str
    tool: str
    name: str
    operation: str
    model: str
    provider: str
    error_type: str
    text: str
    evaluation: str
    score: float
    min_score: float
    max_score: float
    error: bool
    min_cost: float
    max_cost: float
    min_duration: float
    max_duration: float
    min_tokens: int
    max_tokens: int
    since: datetime | timedelta | int
    until: datetime | timedelta | int


_OF_TRACE = {
    "error": "(errors > 0) = ?",
    "min_cost": "cost >= ?",
    "max_cost": "cost <= ?",
    "min_duration": "duration >= ?",
    "max_duration": "duration <= ?",
    "min_tokens": "tokens >= ?",
    "max_tokens": "tokens <= ?",
    "since": "start_ns >= ?",
    "until": "start_ns < ?",
}
_OF_EVALUATION = {
    "evaluation": "evaluation = ?",
    "score": "score = ?",
    "min_score": "score >= ?",
    "max_score": "score <= ?",
}
# Matches the name of a span with and without its operation: `invoke_workflow rag` and `rag`.
_NAMED = "? IN (name, iif(name GLOB operation || ' *', substr(name, length(operation) + 2), name))"
_OF_SPAN = {"name": _NAMED, "tool": f"{TOOL} = ?"}
# The parameter is a JSON list of texts, each as it would stand in the columns.
_SAYS = """trace_id IN (
    SELECT trace_id FROM spans, json_each(?) AS said
    WHERE instr(lower(name || char(10) || status_message || char(10) || attributes || events), lower(said.value))
)"""
_TYPES = get_type_hints(Filters)


def condition(filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Returns the SQL condition on rows of the table `traces`, and its parameters.

    Raises:
        TypeError: A filter is unknown, or its value has the wrong type.
        ValueError: A number is NaN.
    """
    terms = ["1"]
    parameters: list[Any] = []
    judged = {name: value for name, value in filters.items() if name in _OF_EVALUATION}
    if judged:
        matches = " AND ".join(_OF_EVALUATION[name] for name in judged)
        terms.append(f"trace_id IN (SELECT evaluates FROM spans WHERE evaluates IS NOT NULL AND {matches})")
        parameters += map(_bounded, judged.values())
    for name, value in filters.items():
        _check(name, value)
        if name in judged:
            continue
        if name in _OF_TRACE:
            terms.append(_OF_TRACE[name])
        elif name == "text":
            terms.append(_SAYS)
            parameters.append(json.dumps(_spellings(value)))
            continue
        else:
            matches = _OF_SPAN.get(name, f"{name} = ?")
            terms.append(f"trace_id IN (SELECT trace_id FROM spans WHERE {matches})")
        parameters.append(_bounded(_nanoseconds(value) if name in ("since", "until") else value))
    return " AND ".join(terms), parameters


def _spellings(text: str) -> list[str]:
    """Returns a text as it is, as it is within JSON, and as it is within JSON that a JSON text holds."""
    spelled = [text]
    for _ in range(2):
        spelled += [json.dumps(each, ensure_ascii=only)[1:-1] for each in spelled for only in (True, False)]
    return list(dict.fromkeys(spelled))


def _check(name: str, value: Any) -> None:
    if name not in _TYPES:
        close = difflib.get_close_matches(name, _TYPES, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"use {', '.join(_TYPES)}, or sql()"
        raise TypeError(f"find() has no filter {name!r}; {hint}")
    wanted = (float, int) if _TYPES[name] is float else _TYPES[name]
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        readable = getattr(_TYPES[name], "__name__", str(_TYPES[name]))
        raise TypeError(f"{name} must be {readable}, not {type(value).__name__}: {value!r:.100}")
    if isinstance(value, float) and isnan(value):
        raise ValueError(f"{name} must be a number, not {value!r}")


def _bounded(value: Any) -> Any:
    """Returns the nearest whole number that SQLite can compare with, which no row is beyond; all else as it is."""
    return min(max(value, INT64[0]), INT64[-1]) if isinstance(value, int) else value


def _nanoseconds(moment: datetime | timedelta | int) -> int:
    if isinstance(moment, int):
        return moment
    try:
        when = datetime.now(UTC) - moment if isinstance(moment, timedelta) else moment
        return int(when.timestamp() * 1_000_000) * 1000
    except (
        OverflowError,
        ValueError,
        OSError,
    ):  # beyond what Python counts, and so before or after all traces
        is_early = moment > timedelta() if isinstance(moment, timedelta) else moment.year < 1970
        return INT64[0] if is_early else INT64[-1]
