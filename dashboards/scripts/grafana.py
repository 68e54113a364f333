"""Dashboards as Grafana reads them: JSON of its schema version 39 (Grafana 10.3 and newer)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import promql

from otel_callbacks import semconv

SERVICE = 'job=~"$service"'
TENANT = f'{promql.label(semconv.APP_TENANT_ID)}=~"$tenant"'
FEATURE = f'{promql.label(semconv.APP_FEATURE)}=~"$feature"'
OVER = "$__rate_interval"

_COLUMNS = 24
_HEIGHT = 8
_SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        title: what it shows, in a few words.
        queries: PromQL by legend; a legend may name labels as `{{label}}`.
        unit: Grafana's name of the unit: `s`, `percentunit`, `currencyUSD`, `ops`, `short` ...
        text: what the picture says, and what it does not.
        width: in columns; a row has 24.
        kind: `timeseries` or `stat`.
    """

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    text: str = ""
    width: int = 8
    kind: str = "timeseries"


@dataclass(frozen=True)
class Dashboard:
    """A dashboard.

    Attributes:
        name: the name of its file.
        title: its title.
        rows: its panels, by the heading above them.
        labels: the metric whose labels `tenant` and `feature` one can choose; None without these choices.
    """

    name: str
    title: str
    rows: Mapping[str, Sequence[Panel]]
    labels: str | None = None

    def panels(self) -> list[Panel]:
        """Returns all panels."""
        return [panel for row in self.rows.values() for panel in row]


def legend(attribute: str) -> str:
    """Returns the legend that shows an attribute."""
    return f"{{{{{promql.label(attribute)}}}}}"


def to_json(dashboard: Dashboard) -> str:
    """Returns the JSON of a dashboard."""
    document = {
        "uid": f"otel-callbacks-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["otel-callbacks", "genai"],
        "description": "Made by dashboards/scripts/make.py of otel-callbacks, which overwrites changes made here.",
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "type": "dashboards",
                "tags": ["otel-callbacks"],
                "title": "GenAI",
                "asDropdown": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": choices(dashboard.labels)},
        "annotations": {"list": []},
        "panels": list(_laid_out(dashboard.rows)),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def choices(labelled: str | None) -> list[dict[str, Any]]:
    """Returns the variables at the top: the Prometheus, and services, tenants and features that have series."""
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    found = [source, _choice("service", promql.name(semconv.METRIC_OPERATIONS), "job")]
    if labelled is not None:
        series = promql.name(labelled)
        found.append(_choice("tenant", series, promql.label(semconv.APP_TENANT_ID)))
        found.append(_choice("feature", series, promql.label(semconv.APP_FEATURE)))
    return found


def _choice(name: str, series: str, label: str) -> dict[str, Any]:
    """Returns a variable with the values of a label; "All" also takes series without the label."""
    query = f"label_values({series}, {label})"
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "sort": 1,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _laid_out(rows: Mapping[str, Sequence[Panel]]) -> Any:
    """Yields the panels with their places, from left to right and from top to bottom."""
    number, x, y = 0, 0, 0
    for heading, panels in rows.items():
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": heading,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": _COLUMNS, "h": 1},
            "panels": [],
        }
        x, y = 0, y + 1
        for panel in panels:
            number += 1
            if x + panel.width > _COLUMNS:
                x, y = 0, y + _HEIGHT
            yield _panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": _HEIGHT})
            x += panel.width
        y += _HEIGHT


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    options: dict[str, Any] = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    if panel.kind == "timeseries":
        defaults |= {"min": 0, "custom": {"lineWidth": 1, "fillOpacity": 10, "showPoints": "auto"}}
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": _SOURCE,
        "gridPos": dict(place),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": _SOURCE,
                "expr": query,
                "legendFormat": text,
                "range": True,
            }
            for place, (text, query) in enumerate(panel.queries.items())
        ],
    }
