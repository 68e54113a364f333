-- The spans and the model calls in trace files, as `configure()` writes them (one OTLP JSON document a line), in DuckDB.
--
-- Reads .otel_callbacks/*.jsonl of the folder in which DuckDB runs; `SET VARIABLE files = '…'` names others. It says what
-- `otel-callbacks cost` says: each call once, costs as decimal fractions, an unknown cost NULL and not 0. Run it again when the
-- files have grown: it reads them once, into tables.
CREATE OR REPLACE MACRO text_of(attributes, name) AS nullif(attributes[name] ->> '$.stringValue', '');
CREATE OR REPLACE MACRO whole_of(attributes, name) AS try_cast(attributes[name] ->> '$.intValue' AS UBIGINT);
-- a count that cannot be is none
CREATE OR REPLACE MACRO number_of(attributes, name) AS
    try_cast(coalesce(attributes[name] ->> '$.intValue', attributes[name] ->> '$.doubleValue') AS DOUBLE);
CREATE OR REPLACE MACRO tokens_of(attributes, name) AS
    CASE WHEN number_of(attributes, name) >= 0 AND number_of(attributes, name) < 1e15
        THEN floor(number_of(attributes, name))::UBIGINT ELSE 0 END;
CREATE OR REPLACE MACRO usd_of(attributes, name) AS
    try_cast(coalesce(attributes[name] ->> '$.doubleValue', attributes[name] ->> '$.intValue') AS DECIMAL(38, 30));

CREATE OR REPLACE TABLE otel_spans AS
WITH
documents AS (
    SELECT unnest(resourceSpans) AS process
    FROM read_ndjson(
        coalesce(getvariable('files'), '.otel_callbacks/*.jsonl'),
        columns = {resourceSpans: 'STRUCT(
            resource STRUCT(attributes STRUCT("key" VARCHAR, "value" JSON)[]),
            scopeSpans STRUCT(spans STRUCT(
                traceId VARCHAR, spanId VARCHAR, parentSpanId VARCHAR, name VARCHAR,
                startTimeUnixNano VARCHAR, endTimeUnixNano VARCHAR,
                attributes STRUCT("key" VARCHAR, "value" JSON)[],
                links STRUCT(traceId VARCHAR)[],
                status STRUCT(code JSON))[])[])[]'},
        maximum_object_size = 1073741824,
        ignore_errors = true) -- a line that is being written, or damaged
),
scopes AS (SELECT process.resource.attributes AS resource, unnest(process.scopeSpans) AS scope FROM documents),
spans AS (SELECT resource, unnest(scope.spans) AS span FROM scopes)
SELECT DISTINCT ON (trace_id, span_id)
    lower(span.traceId) AS trace_id,
    lower(span.spanId) AS span_id,
    nullif(lower(span.parentSpanId), '') AS parent_id,
    span.name AS name,
    span.startTimeUnixNano::BIGINT AS start_ns,
    greatest(coalesce(span.endTimeUnixNano, '0')::BIGINT - span.startTimeUnixNano::BIGINT, 0) AS duration_ns,
    map_from_entries(coalesce(span.attributes, [])) AS attributes,
    map_from_entries(coalesce(resource, [])) AS resource,
    coalesce(span.status.code::VARCHAR IN ('2', '"STATUS_CODE_ERROR"'), false)
        OR map_contains(map_from_entries(coalesce(span.attributes, [])), 'error.type') AS failed,
    -- a judgement of `record_feedback` stands in no trace: it is a root with a link
    map_contains(map_from_entries(coalesce(span.attributes, [])), 'gen_ai.evaluation.name')
        AND nullif(span.parentSpanId, '') IS NULL AND coalesce(len(span.links), 0) > 0 AS is_judgement
FROM spans;

CREATE OR REPLACE TABLE otel_calls AS
WITH RECURSIVE
spans AS (
    SELECT
        *,
        map_contains(attributes, 'otel_callbacks.cost.status') AS is_ours,
        CASE
            WHEN text_of(attributes, 'gen_ai.operation.name') IN ('chat', 'text_completion', 'generate_content')
                THEN 'inference'
            WHEN text_of(attributes, 'gen_ai.operation.name') IN ('embeddings', 'rerank')
                THEN text_of(attributes, 'gen_ai.operation.name')
            WHEN NOT map_contains(attributes, 'gen_ai.operation.name')
                AND map_contains(attributes, 'otel_callbacks.cost.status') THEN 'inference'
        END AS kind,
        usd_of(attributes, 'otel_callbacks.cost.recorded_usd') AS recorded,
        usd_of(attributes, 'gen_ai.usage.cost_usd') AS own_usd,
        usd_of(attributes, 'gen_ai.usage.cost') AS other_usd
    FROM otel_spans
),
reports AS (
    SELECT
        trace_id, span_id, parent_id, kind, is_ours,
        CASE
            WHEN map_contains(attributes, 'gen_ai.usage.cost_usd') OR map_contains(attributes, 'gen_ai.usage.cost') THEN 2
            WHEN map_contains(attributes, 'gen_ai.usage.input_tokens') THEN 1
            ELSE 0
        END AS detail
    FROM spans
    WHERE kind IS NOT NULL AND coalesce(attributes['otel_callbacks.duplicate'] ->> '$.boolValue', '') != 'true'
),
-- No two spans of ours report one call. Only traces with a report of somebody else are looked at further.
mixed AS (SELECT DISTINCT trace_id FROM reports WHERE NOT is_ours),
steps AS (
    SELECT spans.trace_id, spans.span_id, spans.parent_id, reports.kind, reports.is_ours
    FROM spans LEFT JOIN reports USING (trace_id, span_id)
    WHERE trace_id IN (FROM mixed)
),
-- From every report outwards: `outer_span` is an enclosing report of the same kind. Two of ours in a row end the way.
way AS (
    SELECT trace_id, span_id, kind, is_ours AS inner_is_ours, parent_id AS above, NULL::VARCHAR AS outer_span, 1 AS depth
    FROM reports
    WHERE trace_id IN (FROM mixed)
    UNION ALL
    SELECT
        way.trace_id, way.span_id, way.kind,
        CASE WHEN steps.kind = way.kind THEN steps.is_ours ELSE way.inner_is_ours END,
        steps.parent_id,
        CASE WHEN steps.kind = way.kind THEN steps.span_id END,
        way.depth + 1
    FROM way JOIN steps ON steps.trace_id = way.trace_id AND steps.span_id = way.above
    WHERE way.depth < 900 AND steps.span_id != way.span_id
        AND NOT coalesce(steps.kind = way.kind AND steps.is_ours AND way.inner_is_ours, false)
),
nested AS (SELECT trace_id, span_id, outer_span FROM way WHERE outer_span IS NOT NULL),
inside AS (
    SELECT nested.trace_id, nested.outer_span AS span_id, max(reports.detail) AS detail
    FROM nested JOIN reports USING (trace_id, span_id)
    GROUP BY ALL
),
beaten AS (
    SELECT trace_id, span_id FROM reports JOIN inside USING (trace_id, span_id) WHERE reports.detail < inside.detail
),
repeated AS (
    SELECT trace_id, span_id FROM nested
    WHERE NOT EXISTS (
        SELECT 1 FROM beaten WHERE beaten.trace_id = nested.trace_id AND beaten.span_id = nested.outer_span
    )
),
counted AS (
    SELECT trace_id, span_id FROM reports
    EXCEPT SELECT trace_id, span_id FROM beaten
    EXCEPT SELECT trace_id, span_id FROM repeated
),
read AS (
    SELECT
        *,
        CASE
            WHEN kind IS NULL THEN 'recorded'
            WHEN text_of(attributes, 'otel_callbacks.cost.status') = 'cached' THEN 'cached'
            WHEN own_usd >= 0 OR other_usd >= 0 THEN
                CASE
                    WHEN text_of(attributes, 'otel_callbacks.cost.status') IN ('partial', 'reported')
                        THEN text_of(attributes, 'otel_callbacks.cost.status')
                    ELSE 'priced'
                END
            WHEN NOT is_ours AND map_contains(attributes, 'error.type')
                AND NOT map_contains(attributes, 'gen_ai.usage.input_tokens') THEN 'failed'
            ELSE 'unpriced'
        END AS status
    FROM spans
    WHERE (trace_id, span_id) IN (FROM counted) OR (kind IS NULL AND recorded >= 0)
)
SELECT
    trace_id, span_id, name, start_ns, duration_ns,
    make_timestamp_ns(start_ns)::DATE AS day,
    coalesce(text_of(attributes, 'app.tenant_id'), text_of(resource, 'app.tenant_id')) AS tenant,
    coalesce(text_of(attributes, 'app.feature'), text_of(resource, 'app.feature')) AS feature,
    coalesce(
        text_of(attributes, 'gen_ai.response.model'),
        text_of(attributes, 'gen_ai.request.model'),
        text_of(attributes, 'rag.rerank_model'),
        nullif(array_to_string(
            attributes['otel_callbacks.cost.recorded_what'] ->> '$.arrayValue.values[*].stringValue', ', '), '')
    ) AS model,
    text_of(attributes, 'gen_ai.provider.name') AS provider,
    text_of(attributes, 'gen_ai.operation.name') AS operation,
    status,
    CASE
        WHEN status = 'recorded' THEN recorded
        WHEN status = 'cached' THEN 0
        WHEN own_usd >= 0 THEN own_usd
        WHEN other_usd >= 0 THEN other_usd
    END AS usd,
    CASE WHEN status = 'cached' THEN usd_of(attributes, 'otel_callbacks.cost.saved_usd') END AS saved_usd,
    CASE WHEN status IN ('unpriced', 'partial')
        THEN coalesce(text_of(attributes, 'otel_callbacks.cost.unpriced_reason'), 'no cost recorded') END AS reason,
    status NOT IN ('cached', 'recorded') AS sent,
    tokens_of(attributes, 'gen_ai.usage.input_tokens') AS input_tokens,
    tokens_of(attributes, 'gen_ai.usage.output_tokens') AS output_tokens,
    tokens_of(attributes, 'gen_ai.usage.cache_read.input_tokens') AS cached_tokens,
    tokens_of(attributes, 'gen_ai.usage.reasoning.output_tokens') AS reasoning_tokens
FROM read;
