"""The meter provider that `configure` makes counts workflows of less than a second in buckets of their own."""

from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from otel_callbacks.conformance import report
from otel_callbacks.export.own_providers import make_provider
from otel_callbacks.handlers.options import recorder
from otel_callbacks.operations import Step, Workflow


def workflow_points(reader: InMemoryMetricReader) -> dict[str, Any]:
    """Records a workflow of no time at all with a step; returns the point of each duration."""
    meters = make_provider("metrics", [reader], Resource.get_empty())
    by_hand = recorder(meter_provider=meters)
    for operation in (Workflow(name="w"), Step(name="s")):
        run = by_hand.start(object(), operation)
        assert run is not None
        by_hand.finish(run)
    data: Any = reader.get_metrics_data()
    meters.shutdown()
    return {
        metric.name: metric.data.data_points[0]
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name.endswith(".duration")
    }


def test_short_workflows_have_buckets() -> None:
    found = workflow_points(InMemoryMetricReader())
    bounds = found["gen_ai.invoke_workflow.duration"].explicit_bounds
    conventions = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
    assert len([each for each in bounds if each < 1]) == 6
    assert set(conventions) < set(bounds)
    assert found["gen_ai.invoke_workflow.duration"].bucket_counts[0] == 1
    assert found["otel_callbacks.step.duration"].explicit_bounds[:2] == (0.01, 0.02)


def test_the_environment_may_ask_for_exponential_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    variable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    monkeypatch.setenv(variable, "base2_exponential_bucket_histogram")
    found = workflow_points(InMemoryMetricReader())  # whose own preference are explicit buckets
    assert found["gen_ai.invoke_workflow.duration"].explicit_bounds[0] == 1


METRIC = """{"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "gen_ai.invoke_workflow.duration", "unit": "s",
 "histogram": {"aggregationTemporality": 2, "dataPoints": [{"timeUnixNano": "1", "count": "0", "sum": 0,
 "bucketCounts": [%s], "explicitBounds": [%s]}]}}]}]}]}"""
BOUNDS = "1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200"


@pytest.mark.parametrize(
    ("bounds", "violations"),
    [(BOUNDS, 0), (f"0.1, 0.5, {BOUNDS}", 0), (f"0.1, {BOUNDS[3:]}", 1), ("0.1, 1, 5", 1)],
    ids=["the conventions'", "more", "others", "fewer"],
)
def test_more_boundaries_conform(bounds: str, violations: int, tmp_path: Any) -> None:
    counts = ", ".join(['"0"'] * (bounds.count(",") + 2))
    path = tmp_path / "metrics.jsonl"
    path.write_text(" ".join((METRIC % (counts, bounds)).split()) + "\n")
    found = report([path])
    assert (found.metrics_checked, len(found.violations)) == (1, violations)
