"""The files of dashboards fit the code, and each other: names, rules, what the collector keeps, what compose mounts."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import make
import promql
import pytest
import yaml

from otel_callbacks import semconv
from otel_callbacks.conformance.registry import load
from otel_callbacks.export.keep import Keep

DASHBOARDS = Path(__file__).parents[2] / "dashboards"
COLLECTOR = yaml.safe_load((DASHBOARDS / "collector.yaml").read_text())
COMPOSE = yaml.safe_load((DASHBOARDS / "compose.yaml").read_text())
SQL = sorted((DASHBOARDS / "sql").glob("*/*.sql"))
OURS = {value for value in vars(semconv).values() if isinstance(value, str)}


@pytest.mark.parametrize(("path", "text"), make.files().items(), ids=lambda value: value[:20])
def test_generated_files_are_up_to_date(path: str, text: str) -> None:
    assert (DASHBOARDS / path).read_text() == text, "run `make dashboards`"


def test_names_follow_the_rules_of_the_specification() -> None:
    assert promql.name("gen_ai.client.inference.duration") == "gen_ai_client_inference_duration_seconds"
    assert promql.name("gen_ai.tokens.total") == "gen_ai_tokens_total"
    assert promql.name("gen_ai.cost.usd") == "gen_ai_cost_usd_total"
    assert promql.name("otel_callbacks.rag.top_score") == "otel_callbacks_rag_top_score"
    assert promql.label("app.tenant_id") == "app_tenant_id"


@pytest.mark.parametrize("dashboard", make.DASHBOARDS, ids=lambda each: each.name)
def test_panels_read_attributes_that_their_metric_has(dashboard: Any) -> None:
    by_name = {promql.name(name): registered for name, registered in load().metrics.items()}
    labels = {semconv.APP_TENANT_ID, semconv.APP_FEATURE}
    for query in (query for panel in dashboard.panels() for query in panel.queries.values()):
        for series, conditions in re.findall(r"(\w+?)(?:_bucket|_count|_sum)?{([^}]*)}", query):
            registered = by_name[series]
            known = {*registered.required, *registered.optional, *(labels if registered.labels else ())}
            asked = set(re.findall(r'(\w+)(?:=~|!=)"', conditions)) - {"job", "le"}
            assert asked <= set(map(promql.label, known)), (series, asked)


@pytest.mark.parametrize("dashboard", make.DASHBOARDS, ids=lambda each: each.name)
def test_no_two_panels_lie_on_each_other(dashboard: Any) -> None:
    panels = json.loads(make.files()[f"grafana/{dashboard.name}.json"])["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [tuple(panel["gridPos"][side] for side in "xywh") for panel in panels]
    assert all(x + w <= 24 for x, _, w, _ in places)
    for (x, y, w, h), (ox, oy, ow, oh) in combinations(places, 2):
        assert x + w <= ox or ox + ow <= x or y + h <= oy or oy + oh <= y


@pytest.mark.parametrize("file", SQL, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_queries_read_attributes_that_we_write(file: Path) -> None:
    names = set(re.findall(r"'((?:gen_ai|otel_callbacks|rag|app|error)\.[\w.]+)'", file.read_text()))
    assert names <= OURS
    assert names or file.stem in ("cost", "cost_by_day", "keep_day", "retention", "why_slow")


def test_the_collector_keeps_what_the_application_would_keep() -> None:
    keep = Keep(ratio=1, slow_seconds=5, cost_usd=0.10, labels={"user_tier": "gold"})
    expected = yaml.safe_load(keep.collector_yaml())["processors"]["tail_sampling"]
    share = expected["policies"][-1]["probabilistic"]
    assert share == {"sampling_percentage": 100}
    share["sampling_percentage"] = "${env:KEEP_PERCENT:-100}"
    assert COLLECTOR["processors"]["tail_sampling"] == expected


def test_the_collector_counts_by_attributes_that_we_write() -> None:
    assert {each["name"] for each in COLLECTOR["connectors"]["spanmetrics"]["dimensions"]} <= OURS


@pytest.mark.parametrize("more", [None, "collector.clickhouse.yaml"])
def test_pipelines_name_what_there_is(more: str | None) -> None:
    added = yaml.safe_load((DASHBOARDS / more).read_text()) if more else {}
    defined = {
        kind: {*COLLECTOR.get(kind, {}), *added.get(kind, {})}
        for kind in ("receivers", "processors", "exporters", "connectors")
    }
    pipelines = COLLECTOR["service"]["pipelines"] | added.get("service", {}).get("pipelines", {})
    used = {
        kind: {name for each in pipelines.values() for name in each[kind]}
        for kind in ("receivers", "exporters")
    }
    processors = {name for each in pipelines.values() for name in each["processors"]}
    assert processors == defined["processors"]
    assert used["receivers"] == defined["receivers"] | defined["connectors"]
    assert used["exporters"] <= defined["exporters"] | defined["connectors"]
    assert more is None or set(added["exporters"]) <= used["exporters"]


SECRETS = (
    "sk-proj-abcdefghijklmnopqrstuv123456",
    "AKIAIOSFODNN7EXAMPLE",
    "Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
    "Write to jane.doe@example.com.",
    "4111111111111111",
)
HARMLESS = (
    "gpt-4o-2024-08-06",
    "acme",
    "0.0035",
    "chat gpt-4o",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "s-1791331200",
)


def test_the_collector_masks_what_slipped_through() -> None:
    blocked = [re.compile(each) for each in COLLECTOR["processors"]["redaction"]["blocked_values"]]
    assert [text for text in SECRETS if not any(each.search(text) for each in blocked)] == []
    assert [text for text in HARMLESS if any(each.search(text) for each in blocked)] == []
    [keys] = map(re.compile, COLLECTOR["processors"]["redaction"]["blocked_key_patterns"])
    assert keys.match("http.request.header.Authorization") and keys.match("db.password")
    attributes = {value for name, value in vars(semconv).items() if isinstance(value, str) and "." in value}
    assert [name for name in attributes if keys.match(name)] == []


def test_compose_mounts_files_that_there_are_and_pins_images() -> None:
    for service in COMPOSE["services"].values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (DASHBOARDS / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_the_parts_find_each_other() -> None:
    services = set(COMPOSE["services"])
    exporters = COLLECTOR["exporters"]
    sources = yaml.safe_load((DASHBOARDS / "grafana/provisioning/datasources/sources.yaml").read_text())
    addresses = [exporters["otlp_grpc/jaeger"]["endpoint"], exporters["otlp_http/prometheus"]["endpoint"]]
    addresses += [source["url"] for source in sources["datasources"]]
    assert {re.sub(r"^\w+://", "", address).partition(":")[0] for address in addresses} <= services
    [provider] = yaml.safe_load((DASHBOARDS / "grafana/provisioning/dashboards/dashboards.yaml").read_text())[
        "providers"
    ]
    assert f"./grafana:{provider['options']['path']}:ro" in COMPOSE["services"]["grafana"]["volumes"]
