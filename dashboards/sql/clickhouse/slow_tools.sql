-- The slow tail by tool: what `otel-callbacks top --by tool` prints, with the 95th and the 99th percentile.
-- Times are inclusive and in nanoseconds. Needs calls.sql.
WITH
tools AS (
    SELECT
        TraceId, SpanId,
        SpanAttributes['gen_ai.tool.name'] AS tool,
        greatest(toInt64(Duration), 0) AS ns,
        StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR mapContains(SpanAttributes, 'error.type') AS failed
    FROM otel_traces
    WHERE Timestamp >= {since:DateTime64(9, 'UTC')} AND Timestamp < {until:DateTime64(9, 'UTC')}
        AND mapContains(SpanAttributes, 'gen_ai.tool.name')
        -- a judgement of `record_feedback` stands in no trace: it is a root with a link
        AND NOT (mapContains(SpanAttributes, 'gen_ai.evaluation.name') AND ParentSpanId = '' AND notEmpty(Links.TraceId))
    LIMIT 1 BY TraceId, SpanId
)
SELECT
    tool,
    count() AS spans,
    sum(ns) AS time_ns,
    max(ns) AS most_ns,
    arraySort(groupArray(ns))[intDiv(count() * 95 + 99, 100)] AS p95_ns,
    arraySort(groupArray(ns))[intDiv(count() * 99 + 99, 100)] AS p99_ns,
    sum(usd) AS cost_usd, -- of tools whose own cost the application recorded
    countIf(failed) AS errors
FROM tools
LEFT JOIN otel_calls(since = {since:DateTime64(9, 'UTC')}, until = {until:DateTime64(9, 'UTC')}) AS calls
    ON calls.TraceId = tools.TraceId AND calls.SpanId = tools.SpanId
GROUP BY tool
ORDER BY time_ns DESC, tool
