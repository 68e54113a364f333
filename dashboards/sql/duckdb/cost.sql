-- What model calls cost, and who pays: what `otel-callbacks cost --by tenant,feature,model,day` prints, digit for digit.
-- Put `day` or any other column of otel_calls out of the list for fewer rows. Needs calls.sql.
SELECT
    tenant, feature, model, day,
    count(*) FILTER (sent) AS calls,
    coalesce(sum(input_tokens) FILTER (sent), 0) AS input_tokens,
    coalesce(sum(output_tokens) FILTER (sent), 0) AS output_tokens,
    coalesce(sum(cached_tokens) FILTER (sent), 0) AS cached_tokens,
    coalesce(sum(reasoning_tokens) FILTER (sent), 0) AS reasoning_tokens,
    sum(usd) AS cost_usd, -- a lower bound where there are unpriced calls
    count(*) FILTER (reason IS NOT NULL) AS unpriced_calls,
    count(*) FILTER (status = 'cached') AS cached_calls,
    sum(saved_usd) AS saved_usd,
    -- percentiles by nearest rank, so they are measured times; in nanoseconds
    (list_sort(list(duration_ns) FILTER (sent)))[(count(*) FILTER (sent) * 50 + 99) // 100] AS p50_ns,
    (list_sort(list(duration_ns) FILTER (sent)))[(count(*) FILTER (sent) * 95 + 99) // 100] AS p95_ns
FROM otel_calls
GROUP BY ALL
ORDER BY cost_usd DESC NULLS LAST, calls DESC, tenant, feature, model, day
