"""Every query of the dashboards and every rule has data in Prometheus and in VictoriaMetrics, from our own metrics.

`python tests/dashboards/environments/make.py prometheus` unpacks both, and promtool.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make
import promql
import pytest
import requests
import rules
import yaml
from grafana import Panel, choices
from prometheus_servers import BIN, Servers, ask, servers
from waiting import patiently

from otel_callbacks import BackEnd, configure, inference, semconv
from otel_callbacks.handlers.options import recorder
from otel_callbacks.recording.process_recorder import set_process_recorder

pytestmark = pytest.mark.backend
DASHBOARDS = Path(__file__).parents[2] / "dashboards"
RULES = DASHBOARDS / "prometheus" / "rules.yaml"
PANELS = [(each.name, panel) for each in make.DASHBOARDS for panel in each.panels()]
Series = list[dict[str, Any]]
CHOSEN = {"$__rate_interval": "5m", "$service": ".*", "$tenant": ".*", "$feature": ".*"}


@pytest.fixture(scope="module", params=["prometheus", "victoria_metrics"])
def url(request: pytest.FixtureRequest, both: Servers) -> str:
    return str(getattr(both, request.param))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("servers"), RULES) as found:
        for each in (found.prometheus, found.victoria_metrics):
            assert eventually(each, "otel_callbacks_spans_started_total offset 1w")
            assert eventually(each, "rate(otel_callbacks_spans_started_total[5m])")
        yield found


def eventually(url: str, query: str) -> Series:
    """Returns what a query gives; rules are evaluated every second, and written a while later."""
    return patiently(lambda: ask(url, query))


def chosen(query: str) -> str:
    for name, value in CHOSEN.items():
        query = query.replace(name, value)
    return query


@pytest.mark.parametrize(
    ("dashboard", "panel"), PANELS, ids=lambda value: value.title if isinstance(value, Panel) else value
)
def test_a_panel_has_data(dashboard: str, panel: Panel, url: str) -> None:
    for legend, query in panel.queries.items():
        found = ask(url, chosen(query))
        assert found, query
        for label in re.findall(r"{{(\w+)}}", legend):
            assert any(series["metric"].get(label) for series in found), (label, query)


@pytest.mark.parametrize("alert", rules.ALERTS, ids=lambda alert: alert.name)
def test_what_an_alert_watches_has_data(alert: rules.Alert, url: str) -> None:
    for query in alert.above:
        assert eventually(url, query), query


@pytest.mark.parametrize("recording", rules.RECORDINGS, ids=lambda recording: recording.name)
def test_a_rule_records(recording: rules.Recording, url: str) -> None:
    assert eventually(url, recording.name)


def test_no_rule_fails(both: Servers) -> None:
    groups = requests.get(f"{both.prometheus}/api/v1/rules", timeout=30).json()["data"]["groups"]
    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    expected = [each.name for each in (*rules.RECORDINGS, *rules.ALERTS)]
    assert health == dict.fromkeys(expected, "ok")


def test_the_choices_have_values(url: str) -> None:
    for variable in choices(semconv.METRIC_COST_USD)[1:]:
        series, label = re.findall(r"[\w:]+", variable["definition"])[1:]
        where = {"match[]": series}
        found = requests.get(f"{url}/api/v1/label/{label}/values", params=where, timeout=30).json()["data"]
        assert found, variable["definition"]


def test_every_series_has_the_name_that_we_think(both: Servers) -> None:
    """What the server made of our metrics, against what `promql.name` says of all that the application sent."""
    where = {"match[]": '{__name__=~"gen_ai.*|otel_callbacks_.*"}', "start": "0"}
    found = requests.get(f"{both.prometheus}/api/v1/label/__name__/values", params=where, timeout=30).json()[
        "data"
    ]
    names = {re.sub(r"_(bucket|count|sum)$", "", name) for name in found}
    ours = {promql.name(value) for key, value in vars(semconv).items() if key.startswith("METRIC_")}
    assert names <= ours
    assert len(names) > 25


@pytest.mark.usefixtures("no_providers")
def test_victoria_metrics_takes_metrics_from_an_application(both: Servers) -> None:
    telemetry = configure("direct", to=BackEnd(f"{both.victoria_metrics}/opentelemetry", signals=["metrics"]))
    by_hand = recorder(prices={"prices": {"gpt-x": {"input": 2, "output": 10}}})
    set_process_recorder(configure, lambda: by_hand)
    with inference("gpt-x", provider="openai") as call:
        call.usage(input_tokens=100, output_tokens=20)
    set_process_recorder(configure, None)
    assert telemetry.flush(30)
    telemetry.shutdown(30)
    [cost] = eventually(both.victoria_metrics, 'gen_ai_cost_usd_total{job="direct"}')
    assert cost["value"][1] == "0.0004"
    assert cost["metric"]["gen_ai_request_model"] == "gpt-x"


def test_rules_fire_and_stay_silent() -> None:
    tests = sorted((DASHBOARDS / "prometheus").glob("*.test.yaml"))
    done = subprocess.run([BIN / "promtool", "test", "rules", *tests], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_firing_and_silent() -> None:
    tests = [
        each
        for file in (DASHBOARDS / "prometheus").glob("*.test.yaml")
        for each in yaml.safe_load(file.read_text())["tests"]
    ]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    firing = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert firing == silent == {alert.name for alert in rules.ALERTS}
