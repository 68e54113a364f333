"""The dashboard *operations*: requests, errors and how long everything takes."""

import promql
from grafana import FEATURE, OVER, SERVICE, TENANT, Dashboard, Panel, legend
from shapes import failing, per_second, percentiles

from otel_callbacks import semconv

_OPERATIONS = promql.name(semconv.METRIC_OPERATIONS)
_CHOSEN = (TENANT, FEATURE)
_CALLS = f"{promql.name(semconv.METRIC_INFERENCE_DURATION)}_count"

_REQUESTS = [
    per_second(
        "Operations",
        _OPERATIONS,
        semconv.OPERATION_NAME,
        *_CHOSEN,
        text="Everything that ended, by kind: workflows, agents, model calls, tools, retrievals.",
    ),
    per_second("Operations by tenant", _OPERATIONS, semconv.APP_TENANT_ID, *_CHOSEN),
    per_second(
        "Ended early",
        _OPERATIONS,
        semconv.OUTCOME,
        promql.has(semconv.OUTCOME),
        *_CHOSEN,
        text="Abandoned streams, cancelled and interrupted runs. They are no errors.",
    ),
]
_ERRORS = [
    per_second(
        "Errors by type",
        _OPERATIONS,
        semconv.ERROR_TYPE,
        promql.has(semconv.ERROR_TYPE),
        *_CHOSEN,
        text="An error that passes through a tool, an agent and a workflow counts in each of them.",
    ),
    failing("Failing operations", _OPERATIONS, semconv.OPERATION_NAME, *_CHOSEN),
    failing("Failing operations by tenant", _OPERATIONS, semconv.APP_TENANT_ID, *_CHOSEN),
    Panel(
        "Errors of models",
        {
            f"{legend(semconv.REQUEST_MODEL)} {legend(semconv.ERROR_TYPE)}": promql.total(
                _CALLS,
                [semconv.REQUEST_MODEL, semconv.ERROR_TYPE],
                [SERVICE, promql.has(semconv.ERROR_TYPE)],
                OVER,
            )
        },
        "ops",
        "Rate limits, time-outs and refusals, by model.",
        12,
    ),
    failing(
        "Failing tools",
        f"{promql.name(semconv.METRIC_TOOL_DURATION)}_count",
        semconv.TOOL_NAME,
        width=12,
    ),
]
_TIMES = [
    percentiles("Workflows", semconv.METRIC_WORKFLOW_DURATION, semconv.WORKFLOW_NAME),
    percentiles("Agents", semconv.METRIC_AGENT_DURATION, semconv.AGENT_NAME),
    percentiles(
        "Steps", semconv.METRIC_STEP_DURATION, semconv.STEP_NAME, text="Graph nodes and workflow steps."
    ),
    percentiles("Tools", semconv.METRIC_TOOL_DURATION, semconv.TOOL_NAME),
    percentiles("Models", semconv.METRIC_INFERENCE_DURATION, semconv.REQUEST_MODEL),
    percentiles(
        "Time to first token",
        semconv.METRIC_TIME_TO_FIRST_CHUNK,
        semconv.REQUEST_MODEL,
        text="From the request to the first chunk, of streamed calls alone.",
    ),
    percentiles(
        "Time between tokens",
        semconv.METRIC_TIME_PER_OUTPUT_CHUNK,
        semconv.REQUEST_MODEL,
        text="From one chunk to the next, of streamed calls alone.",
        width=12,
    ),
    percentiles(
        "Retrievals and embeddings",
        semconv.METRIC_CLIENT_OPERATION_DURATION,
        semconv.OPERATION_NAME,
        promql.one_of(semconv.OPERATION_NAME, semconv.RETRIEVAL, semconv.EMBEDDINGS),
        width=12,
    ),
]


def _delivered(metric: str) -> str:
    return promql.total(promql.name(metric), [semconv.DELIVERY_DESTINATION], [SERVICE], OVER)


_TELEMETRY = [
    Panel(
        "Spans",
        {
            "started": promql.total(promql.name(semconv.METRIC_SPANS_STARTED), [], [SERVICE], OVER),
            "ended": promql.total(promql.name(semconv.METRIC_SPANS_ENDED), [], [SERVICE], OVER),
            "ended for the framework": promql.total(
                promql.name(semconv.METRIC_SPANS_SWEPT), [], [SERVICE], OVER
            ),
            "not recorded in full": promql.total(
                promql.name(semconv.METRIC_SPANS_ERRORS), [], [SERVICE], OVER
            ),
        },
        "ops",
        "More started than ended for long means that the framework does not report ends.",
    ),
    Panel(
        "Sent and lost, by destination",
        {
            f"sent {legend(semconv.DELIVERY_DESTINATION)}": _delivered(semconv.METRIC_DELIVERY_SENT),
            f"lost {legend(semconv.DELIVERY_DESTINATION)}": _delivered(semconv.METRIC_DELIVERY_LOST),
        },
        "ops",
        "Spans, events and collections of metrics. Refused, or no room in the queue: lost for good.",
    ),
    Panel(
        "Waiting to be sent",
        {
            f"{legend(semconv.DELIVERY_DESTINATION)} {legend(semconv.DELIVERY_SIGNAL)}": "sum by "
            f"({promql.label(semconv.DELIVERY_DESTINATION)}, {promql.label(semconv.DELIVERY_SIGNAL)}) "
            f"({promql.name(semconv.METRIC_DELIVERY_QUEUED)}{{{SERVICE}}})"
        },
        text="A queue that grows says that a back end is slow or away.",
    ),
]

OPERATIONS = Dashboard(
    "operations",
    "GenAI operations",
    {
        "Requests": _REQUESTS,
        "Errors": _ERRORS,
        "How long it takes": _TIMES,
        "The telemetry itself": _TELEMETRY,
    },
    semconv.METRIC_OPERATIONS,
)
