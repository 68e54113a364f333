-- Keeps what one day cost: run it for every day that has ended, before its spans are dropped. `since` is the beginning of
-- the day, `until` that of the next. Twice does no harm: read otel_cost_by_day with FINAL, and the later rows count.
INSERT INTO otel_cost_by_day (day, tenant, feature, model, calls, input_tokens, output_tokens, cost_usd, unpriced_calls)
SELECT
    day, coalesce(tenant, ''), coalesce(feature, ''), coalesce(model, ''),
    countIf(sent), sumIf(input_tokens, sent), sumIf(output_tokens, sent),
    coalesce(sum(usd), toDecimal256(0, 45)), countIf(reason IS NOT NULL)
FROM otel_calls(since = {since:DateTime64(9, 'UTC')}, until = {until:DateTime64(9, 'UTC')})
GROUP BY 1, 2, 3, 4
