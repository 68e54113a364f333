-- What model calls cost, and who pays: what `otel-callbacks cost --by tenant,feature,model,day` prints, digit for digit.
-- Put `day` or any other column of otel_calls out of both lists for fewer rows. Needs calls.sql.
SELECT
    tenant, feature, model, day,
    countIf(sent) AS calls,
    sumIf(input_tokens, sent) AS input_tokens,
    sumIf(output_tokens, sent) AS output_tokens,
    sumIf(cached_tokens, sent) AS cached_tokens,
    sumIf(reasoning_tokens, sent) AS reasoning_tokens,
    sum(usd) AS cost_usd, -- a lower bound where there are unpriced calls
    countIf(reason IS NOT NULL) AS unpriced_calls,
    countIf(status = 'cached') AS cached_calls,
    sum(saved_usd) AS saved_usd,
    -- percentiles by nearest rank, so they are measured times; in nanoseconds
    arraySort(groupArrayIf(duration_ns, sent))[intDiv(countIf(sent) * 50 + 99, 100)] AS p50_ns,
    arraySort(groupArrayIf(duration_ns, sent))[intDiv(countIf(sent) * 95 + 99, 100)] AS p95_ns
FROM otel_calls(since = {since:DateTime64(9, 'UTC')}, until = {until:DateTime64(9, 'UTC')})
GROUP BY tenant, feature, model, day
ORDER BY cost_usd DESC NULLS LAST, calls DESC, tenant, feature, model, day
