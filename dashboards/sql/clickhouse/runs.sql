-- The runs of each workflow in a time span, and which of them are slow: what `otel-callbacks why` compares.
--
-- Reads `otel_traces`, the table of the collector's ClickHouse exporter. Makes two views, which why_slow.sql and
-- why_in_common.sql read:
--   * otel_run_spans: the spans of each trace once, each with its kind and name of step. Times are nanoseconds since the epoch.
--     `parent` is '' for a root, also for a span whose parent is not there.
--   * otel_runs: one row a trace. `part` is `tail` for the runs from the 95th percentile on, `usual` for the middle half,
--     `other` for the rest. A run that `Keep` kept for a share of its kind weighs 1 / ratio.
-- Left out are runs that wait for a person or did not end, traces with a span without an end, which no exporter sends, and
-- workflows of which only runs were kept that are slow, failed or expensive: they cannot be compared.
-- A trace that crosses `since` or `until` is cut there: ask for whole days.
CREATE OR REPLACE VIEW otel_run_spans AS
WITH
spans AS (
    SELECT
        TraceId, SpanId, ParentSpanId, SpanName, SpanAttributes, ResourceAttributes,
        SpanAttributes['gen_ai.operation.name'] AS operation,
        toInt64(toUnixTimestamp64Nano(Timestamp)) AS began,
        toInt64(Duration) AS nanoseconds,
        StatusCode IN ('Error', 'STATUS_CODE_ERROR') OR mapContains(SpanAttributes, 'error.type') AS failed
    FROM otel_traces
    WHERE Timestamp >= {since:DateTime64(9, 'UTC')} AND Timestamp < {until:DateTime64(9, 'UTC')}
        -- a judgement of `record_feedback` stands in no trace: it is a root with a link
        AND NOT (mapContains(SpanAttributes, 'gen_ai.evaluation.name') AND ParentSpanId = '' AND notEmpty(Links.TraceId))
    LIMIT 1 BY TraceId, SpanId
),
places AS (SELECT TraceId, SpanId FROM spans)
SELECT
    TraceId, SpanId, failed, SpanAttributes, ResourceAttributes,
    if((TraceId, ParentSpanId) IN places, ParentSpanId, '') AS parent,
    began,
    -- a negative duration below -1 day is that of a span without an end
    nanoseconds < -86400000000000 AS is_open,
    began + greatest(nanoseconds, 0) AS ended,
    transform(
        operation,
        ['chat', 'text_completion', 'generate_content', 'embeddings', 'retrieval', 'rerank', 'execute_tool', 'invoke_agent',
            'invoke_workflow'],
        ['model', 'model', 'model', 'embedding', 'retrieval', 'rerank', 'tool', 'agent', 'workflow'],
        'step'
    ) AS kind,
    multiIf(
        kind = 'tool' AND SpanAttributes['gen_ai.tool.name'] != '', SpanAttributes['gen_ai.tool.name'],
        operation != '' AND startsWith(SpanName, concat(operation, ' ')), substring(SpanName, length(operation) + 2),
        SpanName
    ) AS step
FROM spans;

CREATE OR REPLACE VIEW otel_runs AS
WITH
runs AS (
    SELECT
        TraceId,
        argMinIf(step, (began, -ended), parent = '') AS workflow,
        argMinIf(SpanAttributes['otel_callbacks.outcome'], (began, -ended), parent = '') AS outcome,
        minIf(began, parent = '') AS run_began,
        maxIf(ended, parent = '') AS run_ended,
        run_ended - run_began AS time_ns,
        toFloat64OrZero(anyIf(SpanAttributes['otel_callbacks.keep.ratio'], mapContains(SpanAttributes, 'otel_callbacks.keep.ratio')))
            AS ratio,
        ratio > 0 AND ratio <= 1 AS is_sample,
        if(is_sample, anyIf(SpanAttributes['otel_callbacks.keep.reason'], mapContains(SpanAttributes, 'otel_callbacks.keep.ratio')), '')
            AS kept_for,
        if(is_sample, 1 / ratio, 1) AS weight
    FROM otel_run_spans(since = {since:DateTime64(9, 'UTC')}, until = {until:DateTime64(9, 'UTC')})
    GROUP BY TraceId
    HAVING NOT max(is_open) AND outcome NOT IN ('unfinished', 'interrupted') AND time_ns > 0
),
ranked AS (
    SELECT
        *,
        -- the share of all runs that take as long or less
        sum(weight) OVER (PARTITION BY workflow ORDER BY time_ns RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
            / sum(weight) OVER (PARTITION BY workflow) + 1e-12 AS up_to
    FROM runs
),
bounds AS (
    SELECT
        workflow,
        minIf(time_ns, up_to >= 0.95) AS tail_begins, -- where the slow tail begins
        minIf(time_ns, up_to >= 0.25) AS low,
        minIf(time_ns, up_to >= 0.5) AS middle,
        minIf(time_ns, up_to >= 0.75) AS high,
        if(max(time_ns) > high, high, middle) AS most -- equal values are on one side
    FROM ranked
    GROUP BY workflow
    HAVING NOT (
        countIf(kept_for IN ('slow', 'error', 'cost')) > 0 AND countIf(kept_for = '') = 0 AND countIf(kept_for = 'share') < 5
    )
)
SELECT
    TraceId, workflow, run_began, run_ended, time_ns, weight,
    multiIf(
        time_ns >= tail_begins AND time_ns > most, 'tail',
        time_ns >= low AND time_ns <= high, 'usual',
        'other'
    ) AS part
FROM ranked JOIN bounds USING (workflow);
