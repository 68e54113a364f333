-- The model calls of a time span, each once, with what it cost; the other queries read this view.
--
-- Reads `otel_traces`, the table of the collector's ClickHouse exporter. It says what `otel-callbacks cost` says:
--   * own calls only: an agent repeats the usage of its calls, and its span is not one of them;
--   * if several instrumentations recorded one call, the outermost with the most detail counts;
--   * a span that a retry inserted twice counts once;
--   * costs are decimal fractions as they were written, never floats; an unknown cost is NULL, not 0.
-- Times are those at which spans began (UTC), from `since` up to but not including `until`.
CREATE OR REPLACE VIEW otel_calls AS
WITH RECURSIVE
-- a count that cannot be is none
(text -> if(toFloat64OrZero(text) >= 0 AND toFloat64OrZero(text) < 1e15, toUInt64(toFloat64OrZero(text)), 0)) AS tokens_of,
-- every span that may be a call or have a cost, with what decides
spans AS (
    SELECT
        Timestamp, TraceId, SpanId, ParentSpanId, SpanName, ServiceName, ResourceAttributes, SpanAttributes, Duration,
        multiIf(
            SpanAttributes['gen_ai.operation.name'] IN ('chat', 'text_completion', 'generate_content'), 'inference',
            SpanAttributes['gen_ai.operation.name'] IN ('embeddings', 'rerank'), SpanAttributes['gen_ai.operation.name'],
            NOT mapContains(SpanAttributes, 'gen_ai.operation.name')
                AND mapContains(SpanAttributes, 'otel_callbacks.cost.status'), 'inference',
            ''
        ) AS kind,
        toDecimal256OrNull(SpanAttributes['otel_callbacks.cost.recorded_usd'], 45) AS recorded,
        toDecimal256OrNull(SpanAttributes['gen_ai.usage.cost_usd'], 45) AS own_usd,
        toDecimal256OrNull(SpanAttributes['gen_ai.usage.cost'], 45) AS other_usd,
        mapContains(SpanAttributes, 'otel_callbacks.cost.status') AS is_ours
    FROM otel_traces
    WHERE Timestamp >= {since:DateTime64(9, 'UTC')} AND Timestamp < {until:DateTime64(9, 'UTC')}
        AND (kind != '' OR recorded IS NOT NULL)
    LIMIT 1 BY TraceId, SpanId
),
reports AS (
    SELECT
        TraceId, SpanId, ParentSpanId, kind, is_ours,
        multiIf(
            mapContains(SpanAttributes, 'gen_ai.usage.cost_usd') OR mapContains(SpanAttributes, 'gen_ai.usage.cost'), 2,
            mapContains(SpanAttributes, 'gen_ai.usage.input_tokens'), 1,
            0
        ) AS detail
    FROM spans
    WHERE kind != '' AND SpanAttributes['otel_callbacks.duplicate'] != 'true'
),
-- No two spans of ours report one call. Only traces with a report of somebody else are looked at further.
mixed AS (SELECT DISTINCT TraceId FROM reports WHERE NOT is_ours),
around AS (
    SELECT DISTINCT TraceId, SpanId, ParentSpanId
    FROM otel_traces
    WHERE Timestamp >= {since:DateTime64(9, 'UTC')} AND Timestamp < {until:DateTime64(9, 'UTC')} AND TraceId IN mixed
),
steps AS (
    SELECT around.TraceId AS TraceId, around.SpanId AS SpanId, around.ParentSpanId AS ParentSpanId,
        reports.kind AS kind, reports.is_ours AS is_ours
    FROM around LEFT JOIN reports ON reports.TraceId = around.TraceId AND reports.SpanId = around.SpanId
),
-- From every report outwards: `outer_span` is an enclosing report of the same kind. Two of ours in a row end the way.
way AS (
    SELECT TraceId, SpanId, kind, is_ours AS inner_is_ours, ParentSpanId AS above, '' AS outer_span, 1 AS depth
    FROM reports
    WHERE TraceId IN mixed
    UNION ALL
    SELECT
        way.TraceId, way.SpanId, way.kind,
        if(steps.kind = way.kind, steps.is_ours, way.inner_is_ours),
        steps.ParentSpanId,
        if(steps.kind = way.kind, steps.SpanId, ''),
        way.depth + 1
    FROM way JOIN steps ON steps.TraceId = way.TraceId AND steps.SpanId = way.above
    WHERE way.depth < 900 AND steps.SpanId != way.SpanId
        AND NOT (steps.kind = way.kind AND steps.is_ours AND way.inner_is_ours)
),
nested AS (SELECT TraceId, SpanId, outer_span FROM way WHERE outer_span != ''),
inside AS (
    SELECT nested.TraceId AS TraceId, nested.outer_span AS SpanId, max(reports.detail) AS detail
    FROM nested JOIN reports ON reports.TraceId = nested.TraceId AND reports.SpanId = nested.SpanId
    GROUP BY TraceId, SpanId
),
beaten AS (
    SELECT reports.TraceId AS TraceId, reports.SpanId AS SpanId
    FROM reports JOIN inside ON inside.TraceId = reports.TraceId AND inside.SpanId = reports.SpanId
    WHERE reports.detail < inside.detail
),
repeated AS (
    SELECT TraceId, SpanId FROM nested WHERE (TraceId, outer_span) NOT IN beaten
),
counted AS (
    SELECT TraceId, SpanId FROM reports
    WHERE (TraceId, SpanId) NOT IN beaten AND (TraceId, SpanId) NOT IN repeated
),
read AS (
    SELECT
        *,
        multiIf(
            kind = '', 'recorded',
            SpanAttributes['otel_callbacks.cost.status'] = 'cached', 'cached',
            own_usd >= 0 OR other_usd >= 0,
            if(SpanAttributes['otel_callbacks.cost.status'] IN ('partial', 'reported'),
                SpanAttributes['otel_callbacks.cost.status'], 'priced'),
            NOT is_ours AND mapContains(SpanAttributes, 'error.type')
                AND NOT mapContains(SpanAttributes, 'gen_ai.usage.input_tokens'), 'failed',
            'unpriced'
        ) AS status
    FROM spans
    WHERE (TraceId, SpanId) IN counted OR (kind = '' AND recorded >= 0)
)
SELECT
    Timestamp, TraceId, SpanId, SpanName, ServiceName,
    toDate(Timestamp, 'UTC') AS day,
    coalesce(nullIf(SpanAttributes['app.tenant_id'], ''), nullIf(ResourceAttributes['app.tenant_id'], '')) AS tenant,
    coalesce(nullIf(SpanAttributes['app.feature'], ''), nullIf(ResourceAttributes['app.feature'], '')) AS feature,
    coalesce(
        nullIf(SpanAttributes['gen_ai.response.model'], ''),
        nullIf(SpanAttributes['gen_ai.request.model'], ''),
        nullIf(SpanAttributes['rag.rerank_model'], ''),
        nullIf(arrayStringConcat(
            JSONExtract(SpanAttributes['otel_callbacks.cost.recorded_what'], 'Array(String)'), ', '), '')
    ) AS model,
    nullIf(SpanAttributes['gen_ai.provider.name'], '') AS provider,
    nullIf(SpanAttributes['gen_ai.operation.name'], '') AS operation,
    status,
    multiIf(
        status = 'recorded', recorded,
        status = 'cached', toDecimal256(0, 45),
        own_usd >= 0, own_usd,
        other_usd >= 0, other_usd,
        NULL
    ) AS usd,
    if(status = 'cached', toDecimal256OrNull(SpanAttributes['otel_callbacks.cost.saved_usd'], 45), NULL) AS saved_usd,
    if(status IN ('unpriced', 'partial'),
        coalesce(nullIf(SpanAttributes['otel_callbacks.cost.unpriced_reason'], ''), 'no cost recorded'), NULL) AS reason,
    status NOT IN ('cached', 'recorded') AS sent,
    tokens_of(SpanAttributes['gen_ai.usage.input_tokens']) AS input_tokens,
    tokens_of(SpanAttributes['gen_ai.usage.output_tokens']) AS output_tokens,
    tokens_of(SpanAttributes['gen_ai.usage.cache_read.input_tokens']) AS cached_tokens,
    tokens_of(SpanAttributes['gen_ai.usage.reasoning.output_tokens']) AS reasoning_tokens,
    greatest(toInt64(Duration), 0) AS duration_ns
FROM read
