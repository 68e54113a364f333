"""Costs by any label, added up by the index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.cost.reporting.reports import DEFAULT_BY, check_grouping, display_names
from otel_callbacks.explore.index.database import Index
from otel_callbacks.explore.ui.listing import Source
from otel_callbacks.explore.ui.state import FILTERS, State
from otel_callbacks.limits import UI_ROWS


def _text_of(*names: str) -> str:
    """Returns the SQL expression for the first attribute of a call, or else of its process, as the reports write it."""
    texts = []
    for place in ("spans.attributes", "resources.attributes"):
        for name in names:
            path = f"""'$."{name.replace("'", "''")}"'"""
            texts.append(
                f"CASE json_type({place}, {path}) WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'"
                f" ELSE nullif({place} ->> {path}, '') END"
            )
    return f"coalesce({', '.join((*texts, 'NULL'))})"


# The columns have what is usual, and `coalesce` looks into the attributes only where they have nothing.
_WHAT = f"(SELECT group_concat(value, ', ') FROM json_each(spans.attributes, '$.\"{semconv.COST_RECORDED_WHAT}\"'))"
# As the reports say it; a call with a cost and no status, which others record, is priced.
_STATUS = f"""CASE WHEN cost_status = 'cached' THEN 'cached'
    WHEN cost_status IS NULL AND spans.attributes ->> '$."{semconv.COST_RECORDED_USD}"' IS NOT NULL THEN 'recorded'
    WHEN cost IS NOT NULL THEN iif(cost_status IN ('partial', 'reported'), cost_status, 'priced')
    WHEN cost_status IS NULL AND input_tokens IS NULL
        AND json_type(spans.attributes, '$."{semconv.ERROR_TYPE}"') IS NOT NULL THEN 'failed'
    ELSE 'unpriced' END"""
_KEYS = {
    "tenant": f"coalesce(nullif(tenant, ''), {_text_of(semconv.APP_TENANT_ID)})",
    "feature": f"coalesce(nullif(feature, ''), {_text_of(semconv.APP_FEATURE)})",
    "user": f"coalesce(nullif(user, ''), {_text_of(semconv.USER_ID)})",
    "user_tier": _text_of(semconv.APP_USER_TIER),
    "session": f"coalesce(nullif(session, ''), {_text_of(semconv.SESSION_ID, semconv.CONVERSATION_ID)})",
    "model": f"coalesce(nullif(model, ''), {_WHAT})",
    "provider": f"coalesce(nullif(provider, ''), {_text_of(semconv.PROVIDER_NAME)})",
    "operation": f"coalesce(nullif(operation, ''), {_text_of(semconv.OPERATION_NAME)})",
    "day": "substr(start, 1, 10)",
    "status": _STATUS,
}
COMMON = tuple(_KEYS)
"""What costs can be added up by, beside any attribute."""

_QUERY = """
WITH calls AS MATERIALIZED (
    SELECT {keys}, trace_id, input_tokens, output_tokens, cost, {status} AS status
    FROM spans JOIN resources ON resources.id = resource
    WHERE counted AND evaluates IS NULL AND (:ids IS NULL OR trace_id IN (SELECT value FROM json_each(:ids)))
)
SELECT {columns}, sum(status NOT IN ('cached', 'recorded')) AS calls, count(DISTINCT trace_id) AS traces,
    coalesce(sum(input_tokens) FILTER (WHERE status NOT IN ('cached', 'recorded')), 0) AS input_tokens,
    coalesce(sum(output_tokens) FILTER (WHERE status NOT IN ('cached', 'recorded')), 0) AS output_tokens,
    sum(iif(status = 'cached', 0.0, cost)) AS cost,
    sum(status IN ('unpriced', 'partial')) AS unpriced, sum(status = 'cached') AS cached
FROM calls GROUP BY {columns} ORDER BY cost DESC NULLS LAST, calls DESC
"""


@dataclass(frozen=True, slots=True)
class CostRow:
    """The calls with the same key: `values` are the names shown, `link` filters by them, as far as filters can.

    `cost` is in US dollars, None if no call has one; `share` is that of the whole, from 0 to 1.
    """

    values: Sequence[str]
    link: Mapping[str, str]
    calls: int
    traces: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    share: float
    unpriced: int
    cached: int


@dataclass(frozen=True, slots=True)
class Costs:
    """The rows of a report, the most expensive first, `left_out` of them not shown, and the sum over all."""

    by: Sequence[str]
    rows: Sequence[CostRow]
    left_out: int
    total: CostRow


def costs(source: Source, index: Index, state: State) -> Costs:
    """Adds up the costs of the traces that match, by what the address says.

    Raises:
        ValueError: It names what costs cannot be added up by.
    """
    names = [name.strip() for name in state.words.get("by", "").split(",") if name.strip()]
    by = check_grouping(names or DEFAULT_BY[:1])
    if '"' in "".join(by):
        raise ValueError("by: the name of an attribute has no quotation mark")  # SQLite could not look for it
    keys = ", ".join(f"{_KEYS.get(name) or _text_of(name)} AS key_{place}" for place, name in enumerate(by))
    columns = ", ".join(f"key_{place}" for place in range(len(by)))
    query = _QUERY.format(status=_STATUS, keys=keys, columns=columns)
    found = index.query(query, {"ids": source.chosen(index, state)})
    whole = sum(row["cost"] or 0.0 for row in found)
    rows = [_row(by, row, whole) for row in found[:UI_ROWS]]
    return Costs(by, rows, len(found) - len(rows), _total(found, whole))


def _row(by: Sequence[str], row: Mapping[str, Any], whole: float) -> CostRow:
    key = tuple(None if (value := row[f"key_{place}"]) is None else str(value) for place in range(len(by)))
    link = {name: value for name, value in zip(by, key, strict=True) if value is not None and name in FILTERS}
    numbers = {name: value for name, value in row.items() if not name.startswith("key_")}
    return CostRow(
        display_names(by, key), link, **numbers, share=(row["cost"] or 0.0) / whole if whole else 0.0
    )


def _total(rows: Sequence[Mapping[str, Any]], whole: float) -> CostRow:
    def added(name: str) -> int:
        return sum(row[name] for row in rows)

    has_cost = any(row["cost"] is not None for row in rows)
    return CostRow(
        (),
        {},
        calls=added("calls"),
        traces=0,  # a trace may be in several rows
        input_tokens=added("input_tokens"),
        output_tokens=added("output_tokens"),
        cost=whole if has_cost else None,
        share=1.0 if whole else 0.0,
        unpriced=added("unpriced"),
        cached=added("cached"),
    )
