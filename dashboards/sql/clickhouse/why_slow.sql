-- Why slow runs are slow: the time of each kind of step on the critical path, in the slow tail and in the usual run.
--
-- The path is that of Jaeger's rule: from the child that finished last to the one that finished last before that one began; a
-- child that only overlaps is not on it. A span's own time is what its children on the path leave of it. Spans are cut to the
-- time of their parents. Per run, the times of all steps add up to the run exactly. `otel-callbacks why` shows the same figures
-- as `added_by_jaegers_rule`; its first figure also counts the part of an overlapping child that holds the run up, and it says
-- where the two disagree, how certain a difference is, and whether there are enough runs. This query says none of these: mind
-- `tail_runs`.
--
-- `kind` is `gaps` for the time between the steps of a span. `tail_ns`, `usual_ns` and `added_ns` are means per run, `share` is
-- that of the whole difference. `tail_calls` and `usual_calls` count all calls per run, on the path or not; `longest_ns` and
-- `failed_calls` are of those in the tail. Needs runs.sql.
WITH RECURSIVE
runs AS (SELECT * FROM otel_runs(since = {since:DateTime64(9, 'UTC')}, until = {until:DateTime64(9, 'UTC')})),
families AS (
    SELECT TraceId, parent, groupArray((SpanId, began, ended, kind, step, failed)) AS children
    FROM otel_run_spans(since = {since:DateTime64(9, 'UTC')}, until = {until:DateTime64(9, 'UTC')})
    WHERE TraceId IN (SELECT TraceId FROM runs WHERE part != 'other')
    GROUP BY TraceId, parent
),
-- From the roots downwards, each span cut to its parent. A client's span inside a tool or another call is a part of that call.
nodes AS (
    SELECT
        TraceId, '' AS parent, '' AS SpanId, toInt64(run_began) AS low, toInt64(run_ended) AS high,
        'workflow' AS kind, 'roots' AS step, false AS is_part, false AS failed, true AS on_path, toUInt16(0) AS depth
    FROM runs
    WHERE part != 'other'
    UNION ALL
    SELECT
        TraceId, above, child.1, child.2, child.3,
        if(is_inside, above_kind, child.4), if(is_inside, above_step, child.5),
        is_inside, child.6, above_on_path AND has(whole, child.1), depth
    FROM (
        SELECT
            nodes.TraceId AS TraceId, nodes.SpanId AS above, nodes.kind AS above_kind, nodes.step AS above_step,
            nodes.on_path AS above_on_path, toUInt16(nodes.depth + 1) AS depth,
            -- the latest end first
            arraySort(
                c -> (-c.3, c.2, c.7, c.8),
                arrayMap(
                    c -> (
                        c.1,
                        least(greatest(c.2, low), high),
                        greatest(least(c.3, high), least(greatest(c.2, low), high)),
                        toString(c.4), toString(c.5), c.6 = 1, c.2, -c.3
                    ),
                    families.children
                )
            ) AS cut,
            arrayFold(
                (found, c) -> if(c.2 < c.3 AND c.3 <= found.1, (c.2, arrayPushBack(found.2, c.1)), found),
                cut,
                (high, CAST([], 'Array(String)'))
            ).2 AS whole,
            arrayJoin(cut) AS child,
            child.4 = 'step' AND nodes.kind IN ('model', 'embedding', 'retrieval', 'rerank', 'tool') AS is_inside
        FROM nodes JOIN families ON families.TraceId = nodes.TraceId AND families.parent = nodes.SpanId
        WHERE nodes.depth < 900
    )
    WHERE child.1 != above
),
below AS (
    SELECT TraceId, parent AS SpanId, sumIf(high - low, on_path) AS on_path_ns
    FROM nodes
    WHERE depth > 0
    GROUP BY TraceId, parent
),
-- what a span adds to its own time's kind of step, and to its own kind as a call
added AS (
    SELECT
        nodes.TraceId AS TraceId, step,
        arrayJoin([
            (
                if(below.TraceId != '' AND kind IN ('agent', 'workflow', 'step'), 'gaps', kind),
                if(on_path, high - low - on_path_ns, 0), 0, toInt64(0), false
            ),
            (kind, 0, depth > 0 AND NOT is_part, high - low, failed)
        ]) AS one,
        one.1 AS counts_for, one.2 AS own_ns, one.3 AS is_call, one.4 AS call_ns, one.5 AS is_failed
    FROM nodes LEFT JOIN below ON below.TraceId = nodes.TraceId AND below.SpanId = nodes.SpanId
),
per_run AS (
    SELECT
        TraceId, counts_for AS kind, step, sum(own_ns) AS ns, countIf(is_call) AS calls, countIf(is_call AND is_failed) AS failed,
        maxIf(call_ns, is_call) AS longest
    FROM added
    GROUP BY TraceId, counts_for, step
),
groups AS (
    SELECT
        workflow, countIf(part = 'tail') AS tail_runs, countIf(part = 'usual') AS usual_runs,
        sumIf(weight, part = 'tail') AS tail_weight, sumIf(weight, part = 'usual') AS usual_weight,
        sumIf(weight * time_ns, part = 'tail') / tail_weight AS tail_mean_ns,
        sumIf(weight * time_ns, part = 'usual') / usual_weight AS usual_mean_ns
    FROM runs
    GROUP BY workflow
    HAVING tail_runs > 0 AND usual_runs > 0
)
SELECT
    workflow,
    any(groups.tail_runs) AS tail_runs,
    any(groups.usual_runs) AS usual_runs,
    any(groups.tail_mean_ns) AS tail_mean_ns,
    any(groups.usual_mean_ns) AS usual_mean_ns,
    kind,
    step,
    sumIf(runs.weight * ns, part = 'tail') / any(tail_weight) AS tail_ns,
    sumIf(runs.weight * ns, part = 'usual') / any(usual_weight) AS usual_ns,
    tail_ns - usual_ns AS added_ns,
    added_ns / (tail_mean_ns - usual_mean_ns) AS share,
    sumIf(runs.weight * calls, part = 'tail') / any(tail_weight) AS tail_calls,
    sumIf(runs.weight * calls, part = 'usual') / any(usual_weight) AS usual_calls,
    maxIf(longest, part = 'tail') AS longest_ns,
    sumIf(failed, part = 'tail') AS failed_calls,
    -- the runs of the tail in which it took longest
    arraySlice(arrayMap(each -> each.2, arraySort(each -> (-each.1, each.2), groupArrayIf((ns, TraceId), part = 'tail' AND ns > 0))), 1, 3)
        AS examples
FROM per_run
JOIN runs ON runs.TraceId = per_run.TraceId
JOIN groups ON groups.workflow = runs.workflow
GROUP BY workflow, kind, step
HAVING tail_ns > 0 OR usual_ns > 0
ORDER BY any(groups.tail_mean_ns * groups.tail_weight) DESC, workflow, added_ns DESC, kind, step
