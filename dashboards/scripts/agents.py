"""The dashboard *agents*: how many calls a run takes, which tools fail, what they take of prompts, and who loops."""

import promql
import rules
from grafana import OVER, SERVICE, Dashboard, Panel, legend
from shapes import failing, per_second, percentiles

from otel_callbacks import semconv

_RUNS = f"{promql.name(semconv.METRIC_AGENT_DURATION)}_count"
_CALLS_OF_TOOLS = f"{promql.name(semconv.METRIC_TOOL_DURATION)}_count"
_TOOL_TOKENS = promql.name(semconv.METRIC_TOOL_TOKENS)
_INPUT = promql.total(promql.name(semconv.METRIC_USAGE_INPUT_TOKENS), [], [SERVICE], OVER)


def _of_input(by: str) -> str:
    return f"{promql.total(_TOOL_TOKENS, [by], [SERVICE], OVER)} / on () group_left () {_INPUT}"


def _each(metric: str) -> str:
    """Returns the average of a histogram, by agent."""
    parts = (
        promql.total(f"{promql.name(metric)}_{part}", [semconv.AGENT_NAME], [SERVICE], OVER)
        for part in ("sum", "count")
    )
    return " / ".join(parts)


_RUNNING = [
    per_second("Invocations", _RUNS, semconv.AGENT_NAME),
    failing("Failing agents", _RUNS, semconv.AGENT_NAME),
    percentiles("How long they take", semconv.METRIC_AGENT_DURATION, semconv.AGENT_NAME),
]
_CALLS = [
    percentiles(
        "Model calls of a run", semconv.METRIC_AGENT_INFERENCE_CALLS, semconv.AGENT_NAME, unit="short"
    ),
    percentiles("Tool calls of a run", semconv.METRIC_AGENT_TOOL_CALLS, semconv.AGENT_NAME, unit="short"),
    Panel(
        "Calls of a run, on average",
        {
            f"models {legend(semconv.AGENT_NAME)}": _each(semconv.METRIC_AGENT_INFERENCE_CALLS),
            f"tools {legend(semconv.AGENT_NAME)}": _each(semconv.METRIC_AGENT_TOOL_CALLS),
        },
    ),
    Panel(
        "Loops",
        {legend(semconv.AGENT_NAME): rules.looping(OVER, SERVICE)},
        "percentunit",
        f"The share of the runs with more than {rules.LOOP_CALLS} model calls.",
        24,
    ),
]
_TOOLS = [
    per_second("Tool calls", _CALLS_OF_TOOLS, semconv.TOOL_NAME),
    failing("Failing tools", _CALLS_OF_TOOLS, semconv.TOOL_NAME),
    percentiles("How long tools take", semconv.METRIC_TOOL_DURATION, semconv.TOOL_NAME),
    Panel(
        "Tokens of tools in prompts, by tool",
        {legend(semconv.TOOL_NAME): _of_input(semconv.TOOL_NAME)},
        "percentunit",
        "The share of all input tokens that were results, definitions and calls of a tool; an estimate.",
        12,
    ),
    Panel(
        "Tokens of tools in prompts, by kind",
        {legend(semconv.TOOL_PART): _of_input(semconv.TOOL_PART)},
        "percentunit",
        "Results, definitions and calls. Results that are sent again with every turn count every time.",
        12,
    ),
]

AGENTS = Dashboard("agents", "Agents", {"Runs": _RUNNING, "Calls": _CALLS, "Tools": _TOOLS})
