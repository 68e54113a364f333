"""Prometheus's recording and alert rules, and the figures that they share with the dashboards."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import promql
import yaml

from otel_callbacks import semconv

BUDGET = "otel_callbacks:budget_usd"
LOOP_CALLS = 16
"""An agent's run with more model calls is taken for a loop; it is one of the histogram's boundaries."""
PAID = promql.one_of(
    semconv.OPERATION_NAME,
    *(semconv.CHAT, semconv.TEXT_COMPLETION, semconv.EMBEDDINGS, semconv.RERANK),
)
"""The operations that a provider may bill."""
_TENANT = [semconv.APP_TENANT_ID]
_COST = promql.name(semconv.METRIC_COST_USD)
_OPERATIONS = promql.name(semconv.METRIC_OPERATIONS)
_RETRIEVALS = promql.name(semconv.METRIC_RAG_RETRIEVALS)


def paid_calls(over: str, *where: str) -> str:
    """Returns the rate of the calls that a provider may bill."""
    return promql.total(_OPERATIONS, [], [*where, PAID], over)


def budget_used(over: str, *where: str) -> str:
    """Returns what a tenant's cost over a time is of the budget of a day; 1 is all of it."""
    return f"{promql.total(_COST, _TENANT, where, over, fn='increase')} / on () group_left () {BUDGET}"


def budget_burn(over: str, *where: str) -> str:
    """Returns how many of today's budgets a tenant would use in a day, at the rate of a time."""
    return f"86400 * {promql.total(_COST, _TENANT, where, over)} / on () group_left () {BUDGET}"


def against_last_week(*where: str) -> str:
    """Returns a tenant's cost of the last hour, as a multiple of that in the same hour a week ago."""
    cost = partial(promql.total, _COST, _TENANT, where, "1h", fn="increase")
    return f"{cost()} / {cost(ago='1w')}"


def looping(over: str, *where: str) -> str:
    """Returns the share of an agent's runs with more model calls than `LOOP_CALLS`."""
    name = promql.name(semconv.METRIC_AGENT_INFERENCE_CALLS)
    within = [*where, f'le=~"{LOOP_CALLS}([.]0)?"']  # how the boundary is written depends on the version
    by = [semconv.AGENT_NAME]
    few = promql.total(f"{name}_bucket", by, within, over)
    return f"1 - {few} / {promql.total(f'{name}_count', by, where, over)}"


@dataclass(frozen=True)
class Recording:
    """A rule that records the result of a query under a name."""

    name: str
    query: str

    def to_yaml(self) -> dict[str, Any]:
        """Returns it as Prometheus reads it."""
        return {"record": self.name, "expr": self.query}


@dataclass(frozen=True)
class Alert:
    """An alert that fires while every query is above its limit.

    Attributes:
        name: the name.
        above: the limit of each query; a query has data even if the alert does not fire.
        lasting: for how long, before it fires.
        severity: `page` for what cannot wait, else `ticket`.
        summary: what is wrong, with Prometheus's templates.
        text: what to look at.
    """

    name: str
    above: dict[str, str | float]
    lasting: str
    severity: str
    summary: str
    text: str

    def to_yaml(self) -> dict[str, Any]:
        """Returns it as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": "\nand ".join(f"({query}) > {limit}" for query, limit in self.above.items()),
            "for": self.lasting,
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "description": self.text},
        }


@dataclass(frozen=True)
class Objective:
    """What may go wrong, in at most `budget` of the cases (a share from 0 to 1); `bad` says it in words.

    Two alerts watch it, by the multi-window burn rates of Google's SRE Workbook (chapter 5): at 14.4 times the budget
    over an hour (2 % of a month's budget) and at 6 times over six hours (5 %), and still so over the last twelfth of
    that time.
    """

    name: str
    title: str
    budget: float
    bad: str
    text: str

    def series(self, over: str) -> str:
        """Returns the name of the recorded share."""
        return f"otel_callbacks:{self.name}:ratio_rate{over}"

    def recordings(self, query: Any) -> list[Recording]:
        """Returns a rule for each window; `query` returns the share over a time."""
        return [Recording(self.series(over), query(over)) for over in ("5m", "30m", "1h", "6h")]

    def alerts(self) -> list[Alert]:
        """Returns the fast and the slow alert."""
        return [
            Alert(
                f"{self.title}Burn{speed}",
                {
                    self.series(long): round(times * self.budget, 6),
                    self.series(short): round(times * self.budget, 6),
                },
                "2m",
                severity,
                f"{{{{ $labels.job }}}}: {{{{ $value | humanizePercentage }}}} {self.bad}",
                self.text,
            )
            for speed, times, long, short, severity in (
                ("Fast", 14.4, "1h", "5m", "page"),
                ("Slow", 6, "6h", "30m", "ticket"),
            )
        ]


ERRORS = Objective(
    "errors",
    "GenAiErrors",
    0.01,
    "of the workflows, agents and model calls fail",
    "See the dashboard operations, errors by type. The objective is 99 % without an error.",
)
LATENCY = Objective(
    "slow_calls",
    "GenAiLatency",
    0.05,
    "of the model calls take longer than 10.24 s",
    "See the dashboard operations, models. The objective is 95 % within 10.24 s, a boundary of the histogram.",
)
FIRST_TOKEN = Objective(
    "slow_first_tokens",
    "GenAiFirstToken",
    0.05,
    "of the streams begin after more than 2.56 s",
    "See the dashboard operations, time to first token. The objective is 95 % within 2.56 s.",
)
_SERVICE = ["job"]
_COUNTED = promql.one_of(
    semconv.OPERATION_NAME,
    *(semconv.INVOKE_WORKFLOW, semconv.INVOKE_AGENT, semconv.CHAT, semconv.TEXT_COMPLETION),
)


def _failing(over: str) -> str:
    failed = promql.total(_OPERATIONS, _SERVICE, [_COUNTED, promql.has(semconv.ERROR_TYPE)], over)
    return promql.share(failed, promql.total(_OPERATIONS, _SERVICE, [_COUNTED], over))


def _longer(metric: str, seconds: float, over: str) -> str:
    name = promql.name(metric)
    within = promql.total(f"{name}_bucket", _SERVICE, [f'le="{seconds}"'], over)
    return f"1 - {within} / {promql.total(f'{name}_count', _SERVICE, [], over)}"


RECORDINGS: Sequence[Recording] = (
    Recording(BUDGET, "vector(50)"),
    *ERRORS.recordings(_failing),
    *LATENCY.recordings(lambda over: _longer(semconv.METRIC_INFERENCE_DURATION, 10.24, over)),
    *FIRST_TOKEN.recordings(lambda over: _longer(semconv.METRIC_TIME_TO_FIRST_CHUNK, 2.56, over)),
)

_BY_SOURCE = [semconv.DATA_SOURCE_ID]
ALERTS: Sequence[Alert] = (
    *ERRORS.alerts(),
    *LATENCY.alerts(),
    *FIRST_TOKEN.alerts(),
    Alert(
        "GenAiTenantCostSpike",
        {
            against_last_week(): 3,
            promql.total(_COST, _TENANT, [], "1h", fn="increase"): 1,
        },
        "5m",
        "ticket",
        "{{ $labels.app_tenant_id }} costs {{ $value | humanize }} times what it cost a week ago",
        "The last hour against the same hour of last week, from 1 USD an hour on. See the dashboard money.",
    ),
    Alert(
        "GenAiBudgetNearlyUsed",
        {budget_used("1d"): 0.8},
        "5m",
        "ticket",
        "{{ $labels.app_tenant_id }} has used {{ $value | humanizePercentage }} of a day's budget",
        f"The cost of the last 24 hours against {BUDGET}.",
    ),
    Alert(
        "GenAiBudgetBurn",
        {budget_burn("1h"): 6, budget_burn("5m"): 6},
        "5m",
        "page",
        "{{ $labels.app_tenant_id }} uses a day's budget {{ $value | humanize }} times a day",
        "At this rate the budget of the day is used up within four hours.",
    ),
    Alert(
        "GenAiBudgetExceeded",
        {
            promql.growth(
                promql.name(semconv.METRIC_BUDGET_EXCEEDED),
                [semconv.APP_TENANT_ID, semconv.BUDGET_PER],
                [],
                "15m",
            ): 0
        },
        "0m",
        "ticket",
        "{{ $labels.app_tenant_id }} has used up its budget for a {{ $labels.otel_callbacks_budget_per }}",
        "A `Budget` of the application. Enforced budgets refuse further model calls.",
    ),
    Alert(
        "GenAiUnpricedCalls",
        {
            promql.share(
                promql.total(promql.name(semconv.METRIC_UNPRICED), [], [], "1h"), paid_calls("1h")
            ): 0.05
        },
        "15m",
        "ticket",
        "{{ $value | humanizePercentage }} of the model calls have no price, or only a part of it",
        "Every sum of costs is too low. See the dashboard money, unpriced calls by model and reason.",
    ),
    Alert(
        "RagEmptyRetrievals",
        {
            promql.share(
                promql.total(_RETRIEVALS, _BY_SOURCE, [promql.one_of(semconv.RAG_EMPTY, "true")], "30m"),
                promql.total(_RETRIEVALS, _BY_SOURCE, [promql.has(semconv.RAG_EMPTY)], "30m"),
            ): 0.3,
        },
        "10m",
        "ticket",
        "{{ $value | humanizePercentage }} of the retrievals from {{ $labels.gen_ai_data_source_id }} find nothing",
        "An index that is empty or out of reach, or embeddings of another model than the index has.",
    ),
    Alert(
        "AgentLoop",
        {looping("15m"): 0.05},
        "5m",
        "ticket",
        f"{{{{ $value | humanizePercentage }}}} of the runs of {{{{ $labels.gen_ai_agent_name }}}} take more than"
        f" {LOOP_CALLS} model calls",
        "See the dashboard agents, and `otel-callbacks top --sort cost` for the traces.",
    ),
    Alert(
        "TelemetryLost",
        {promql.growth(promql.name(semconv.METRIC_DELIVERY_LOST), _SERVICE, [], "10m"): 0},
        "0m",
        "ticket",
        "{{ $labels.job }} has lost {{ $value | humanize }} spans, metrics or events",
        "The back end was away for longer than the queue has room, or refused them; see the log of the application.",
    ),
)


def to_yaml() -> str:
    """Returns the file of the rules."""
    groups = [
        {"name": "otel_callbacks_shares", "interval": "1m", "rules": [each.to_yaml() for each in RECORDINGS]},
        {"name": "otel_callbacks_alerts", "interval": "1m", "rules": [each.to_yaml() for each in ALERTS]},
    ]
    head = (
        f"# Made by dashboards/scripts/make.py. {BUDGET} is the budget of each tenant for a day: change it there,\n"
        "# or put a rule with the same name in its place.\n"
    )
    return head + yaml.dump(
        {"groups": groups}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000
    )


class _Dumper(yaml.SafeDumper):
    """Writes queries of several lines as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
