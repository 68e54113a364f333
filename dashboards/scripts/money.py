"""The dashboard *money*: what it costs, who pays, and what of it nobody can price."""

import promql
import rules
from grafana import FEATURE, OVER, SERVICE, TENANT, Dashboard, Panel, legend
from shapes import per_second

from otel_callbacks import semconv

_COST = promql.name(semconv.METRIC_COST_USD)
_TOKENS = promql.name(semconv.METRIC_TOKENS_TOTAL)
_UNPRICED = promql.name(semconv.METRIC_UNPRICED)
_CHOSEN = (SERVICE, TENANT, FEATURE)


def _per_hour(title: str, by: str, *where: str, text: str = "") -> Panel:
    query = f"3600 * {promql.total(_COST, [by], [*_CHOSEN, *where], OVER)}"
    return Panel(title, {legend(by): query}, "currencyUSD", text)


def _stat(title: str, query: str, unit: str, text: str = "") -> Panel:
    return Panel(title, {"": query}, unit, text, 6, "stat")


_SUMS = [
    _stat(
        "Last 24 hours",
        promql.total(_COST, [], _CHOSEN, "1d", fn="increase"),
        "currencyUSD",
        "A lower bound where calls are unpriced.",
    ),
    _stat(
        "Last hour, for a month",
        f"730 * {promql.total(_COST, [], _CHOSEN, '1h', fn='increase')}",
        "currencyUSD",
    ),
    _stat(
        "Unpriced calls",
        promql.share(promql.total(_UNPRICED, [], [SERVICE], "1h"), rules.paid_calls("1h", SERVICE)),
        "percentunit",
        "The share of the model calls of the last hour whose cost is unknown, or only a part of it.",
    ),
    _stat(
        "Input from the provider's cache",
        promql.share(
            promql.total(promql.name(semconv.METRIC_USAGE_CACHE_READ), [], [SERVICE], "1h"),
            promql.total(promql.name(semconv.METRIC_USAGE_INPUT_TOKENS), [], [SERVICE], "1h"),
        ),
        "percentunit",
        "Of the input tokens of the last hour.",
    ),
]
_PAYERS = [
    _per_hour("USD an hour by tenant", semconv.APP_TENANT_ID),
    _per_hour("USD an hour by feature", semconv.APP_FEATURE),
    _per_hour("USD an hour by model", semconv.REQUEST_MODEL),
    Panel(
        "USD an operation by feature",
        {
            legend(semconv.APP_FEATURE): " / ".join(
                [
                    promql.total(_COST, [semconv.APP_FEATURE], _CHOSEN, OVER),
                    promql.total(
                        promql.name(semconv.METRIC_OPERATIONS),
                        [semconv.APP_FEATURE],
                        [
                            *_CHOSEN,
                            promql.one_of(
                                semconv.OPERATION_NAME, semconv.INVOKE_WORKFLOW, semconv.INVOKE_AGENT
                            ),
                        ],
                        OVER,
                    ),
                ]
            )
        },
        "currencyUSD",
        "The cost of a feature, divided by its workflows and agents.",
    ),
    _per_hour(
        "USD an hour by kind",
        semconv.OPERATION_NAME,
        promql.has(semconv.OPERATION_NAME),
    ),
    _per_hour(
        "USD an hour of what is no model call",
        semconv.COST_WHAT,
        promql.has(semconv.COST_WHAT),
        text="What the application recorded with `record_cost`.",
    ),
]
_BUDGETS = [
    Panel(
        "Used of the day's budget",
        {legend(semconv.APP_TENANT_ID): rules.budget_used("1d", SERVICE, TENANT)},
        "percentunit",
        "The cost of the last 24 hours, of the budget in rules.yaml (otel_callbacks:budget_usd).",
    ),
    Panel(
        "Burn rate",
        {legend(semconv.APP_TENANT_ID): rules.budget_burn("1h", SERVICE, TENANT)},
        "short",
        "1 uses the day's budget up in a day, 24 in an hour.",
    ),
    Panel(
        "Against last week",
        {legend(semconv.APP_TENANT_ID): rules.against_last_week(*_CHOSEN)},
        "short",
        "The cost of the last hour, as a multiple of the same hour a week ago.",
    ),
    Panel(
        "Budgets used up",
        {
            f"{legend(semconv.APP_TENANT_ID)} a {legend(semconv.BUDGET_PER)}": promql.growth(
                promql.name(semconv.METRIC_BUDGET_EXCEEDED),
                [semconv.APP_TENANT_ID, semconv.BUDGET_PER],
                _CHOSEN,
                "1d",
            )
        },
        "short",
        "How often a `Budget` of the application was used up in the last 24 hours.",
        24,
    ),
]
_HOW = [
    Panel(
        "Unpriced calls by model and reason",
        {
            f"{legend(semconv.REQUEST_MODEL)} {legend(semconv.COST_UNPRICED_REASON)}": promql.total(
                _UNPRICED, [semconv.REQUEST_MODEL, semconv.COST_UNPRICED_REASON], [SERVICE], OVER
            )
        },
        "ops",
        "Their cost is missing from every sum here.",
    ),
    per_second("Tokens", _TOKENS, semconv.TOKEN_TYPE, TENANT, FEATURE),
    Panel(
        "Input from the provider's cache, by model",
        {
            legend(semconv.REQUEST_MODEL): promql.share(
                promql.total(
                    promql.name(semconv.METRIC_USAGE_CACHE_READ), [semconv.REQUEST_MODEL], [SERVICE], OVER
                ),
                promql.total(
                    promql.name(semconv.METRIC_USAGE_INPUT_TOKENS), [semconv.REQUEST_MODEL], [SERVICE], OVER
                ),
            )
        },
        "percentunit",
        "The share of the input tokens that the provider had in its cache.",
    ),
]

MONEY = Dashboard(
    "money",
    "GenAI money",
    {"Sums": _SUMS, "Who pays": _PAYERS, "Budgets": _BUDGETS, "What the cost is made of": _HOW},
    semconv.METRIC_COST_USD,
)
