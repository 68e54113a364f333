-- RAG misses by data source, tenant and feature: retrievals that found nothing, and those whose documents reached no prompt.
-- Retrievals that do not say how many documents they returned are counted apart: nobody knows whether they missed.
WITH
spans AS (
    SELECT TraceId, SpanId, SpanAttributes
    FROM otel_traces
    WHERE Timestamp >= {since:DateTime64(9, 'UTC')} AND Timestamp < {until:DateTime64(9, 'UTC')}
    LIMIT 1 BY TraceId, SpanId
),
-- the model calls say how many documents were in their prompts; without such a call nobody looked
prompts AS (
    SELECT TraceId, max(toUInt64OrZero(SpanAttributes['rag.documents_in_prompt'])) AS in_prompt
    FROM spans
    WHERE mapContains(SpanAttributes, 'rag.documents_in_prompt')
    GROUP BY TraceId
),
retrievals AS (
    SELECT
        TraceId,
        nullIf(SpanAttributes['gen_ai.data_source.id'], '') AS data_source,
        nullIf(SpanAttributes['app.tenant_id'], '') AS tenant,
        nullIf(SpanAttributes['app.feature'], '') AS feature,
        toInt64OrNull(SpanAttributes['rag.results_count']) AS documents,
        toFloat64OrNull(SpanAttributes['rag.top_score']) AS top_score
    FROM spans
    WHERE SpanAttributes['gen_ai.operation.name'] = 'retrieval'
)
SELECT
    data_source, tenant, feature,
    count() AS retrievals,
    countIf(documents = 0) AS empty,
    countIf(documents > 0 AND in_prompt = 0 AND prompts.TraceId != '') AS not_in_prompt,
    countIf(documents IS NULL) AS unknown,
    min(top_score) AS lowest_top_score, -- compare it only within one kind of score
    groupArrayIf(3)(retrievals.TraceId, documents = 0) AS examples
FROM retrievals LEFT JOIN prompts ON prompts.TraceId = retrievals.TraceId
GROUP BY data_source, tenant, feature
ORDER BY empty DESC, not_in_prompt DESC, retrievals DESC, data_source, tenant, feature
