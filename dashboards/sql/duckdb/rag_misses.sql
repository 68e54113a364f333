-- RAG misses by data source, tenant and feature: retrievals that found nothing, and those whose documents reached no prompt.
-- Retrievals that do not say how many documents they returned are counted apart: nobody knows whether they missed.
-- Needs calls.sql.
WITH
-- the model calls say how many documents were in their prompts; without such a call nobody looked
prompts AS (
    SELECT trace_id, max(whole_of(attributes, 'rag.documents_in_prompt')) AS in_prompt
    FROM otel_spans
    WHERE map_contains(attributes, 'rag.documents_in_prompt')
    GROUP BY ALL
),
retrievals AS (
    SELECT
        trace_id,
        text_of(attributes, 'gen_ai.data_source.id') AS data_source,
        text_of(attributes, 'app.tenant_id') AS tenant,
        text_of(attributes, 'app.feature') AS feature,
        whole_of(attributes, 'rag.results_count') AS documents,
        try_cast(attributes['rag.top_score'] ->> '$.doubleValue' AS DOUBLE) AS top_score
    FROM otel_spans
    WHERE text_of(attributes, 'gen_ai.operation.name') = 'retrieval'
)
SELECT
    data_source, tenant, feature,
    count(*) AS retrievals,
    count(*) FILTER (documents = 0) AS empty,
    count(*) FILTER (documents > 0 AND in_prompt = 0) AS not_in_prompt,
    count(*) FILTER (documents IS NULL) AS unknown,
    min(top_score) AS lowest_top_score, -- compare it only within one kind of score
    coalesce((list(trace_id) FILTER (documents = 0))[1:3], []) AS examples
FROM retrievals LEFT JOIN prompts USING (trace_id)
GROUP BY ALL
ORDER BY empty DESC, not_in_prompt DESC, retrievals DESC, data_source, tenant, feature
