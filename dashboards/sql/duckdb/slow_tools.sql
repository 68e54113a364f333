-- The slow tail by tool: what `otel-callbacks top --by tool` prints, with the 95th and the 99th percentile.
-- Times are inclusive and in nanoseconds. Needs calls.sql.
SELECT
    attributes['gen_ai.tool.name'] ->> '$.stringValue' AS tool,
    count(*) AS spans,
    sum(otel_spans.duration_ns)::BIGINT AS time_ns,
    max(otel_spans.duration_ns) AS most_ns,
    (list_sort(list(otel_spans.duration_ns)))[(count(*) * 95 + 99) // 100] AS p95_ns,
    (list_sort(list(otel_spans.duration_ns)))[(count(*) * 99 + 99) // 100] AS p99_ns,
    sum(usd) AS cost_usd, -- of tools whose own cost the application recorded
    count(*) FILTER (failed) AS errors
FROM otel_spans LEFT JOIN otel_calls USING (trace_id, span_id)
WHERE map_contains(attributes, 'gen_ai.tool.name') AND NOT is_judgement
GROUP BY ALL
ORDER BY time_ns DESC, tool
