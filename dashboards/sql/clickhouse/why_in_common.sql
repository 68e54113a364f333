-- What the slow runs of each workflow have in common: tenants, features, models, tools, data sources and versions that are
-- more frequent in the slow tail than in all other runs.
--
-- `tail_with` of `tail_runs` have the fact, and `others_with` of `others`. `lift` is how many times as often a run is slow with
-- the fact as without it; NULL where every slow run has it. `lift_low` and `lift_high` are its 95 % interval, with half a run added to
-- each count. Runs count, not weights. Where many facts are asked, some are there by chance: `otel-callbacks why` tests
-- what half of the conversations show on the other half, and says which fact only goes with another. Needs runs.sql.
WITH
runs AS (SELECT * FROM otel_runs(since = {since:DateTime64(9, 'UTC')}, until = {until:DateTime64(9, 'UTC')})),
facts AS (
    SELECT DISTINCT TraceId, fact.1 AS name, fact.2 AS value
    FROM (
        SELECT
            TraceId,
            arrayJoin([
                ('tenant', SpanAttributes['app.tenant_id']),
                ('feature', SpanAttributes['app.feature']),
                ('model', SpanAttributes['gen_ai.request.model']),
                ('tool called', SpanAttributes['gen_ai.tool.name']),
                ('data source', SpanAttributes['gen_ai.data_source.id']),
                ('service.version', if(parent = '', ResourceAttributes['service.version'], ''))
            ]) AS fact
        FROM otel_run_spans(since = {since:DateTime64(9, 'UTC')}, until = {until:DateTime64(9, 'UTC')})
    )
    WHERE value != '' AND lengthUTF8(value) <= 100
),
groups AS (
    SELECT workflow, countIf(part = 'tail') AS tail_runs, countIf(part != 'tail') AS others
    FROM runs
    GROUP BY workflow
    HAVING tail_runs > 0 AND others > 0
),
counted AS (
    SELECT
        runs.workflow AS workflow, name, value,
        countIf(part = 'tail') AS tail_with,
        any(groups.tail_runs) AS tail_runs,
        countIf(part != 'tail') AS others_with,
        any(groups.others) AS others,
        groupArrayIf(3)(runs.TraceId, part = 'tail') AS examples
    FROM runs
    JOIN facts ON facts.TraceId = runs.TraceId
    JOIN groups ON groups.workflow = runs.workflow
    GROUP BY workflow, name, value
)
SELECT
    workflow, name, value, tail_with, tail_runs, others_with, others,
    tail_with / tail_runs AS tail_share,
    others_with / others AS others_share,
    if(without_it = 0 OR tail_with = tail_runs, NULL, (tail_with / with_it) / ((tail_runs - tail_with) / without_it)) AS lift,
    if(without_it = 0, NULL, about * exp(-1.96 * error)) AS lift_low,
    if(without_it = 0, NULL, about * exp(1.96 * error)) AS lift_high,
    examples
FROM (
    SELECT
        *,
        tail_with + others_with AS with_it,
        tail_runs + others - with_it AS without_it,
        ((tail_with + 0.5) / (with_it + 1)) / ((tail_runs - tail_with + 0.5) / (without_it + 1)) AS about,
        sqrt(1 / (tail_with + 0.5) - 1 / (with_it + 1) + 1 / (tail_runs - tail_with + 0.5) - 1 / (without_it + 1)) AS error
    FROM counted
)
WHERE tail_share > others_share
ORDER BY workflow, lift_low DESC NULLS LAST, name, value
