"""Values that are handed over at once give the points that recording them one by one gives."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics._internal._view_instrument_match import _ViewInstrumentMatch
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from otel_callbacks.recording import series
from otel_callbacks.recording.series import HistogramSeries, Value

ATTRIBUTES: dict[str, str | int] = {"model": "m", "port": 443}
DELTA = {SdkHistogram: AggregationTemporality.DELTA}
SET_UPS: dict[str, Callable[[], dict[str, Any]]] = {
    "cumulative": lambda: {"metric_readers": [InMemoryMetricReader()]},
    "delta": lambda: {"metric_readers": [InMemoryMetricReader(preferred_temporality=DELTA)]},
    "two readers": lambda: {
        "metric_readers": [InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=DELTA)]
    },
    "other buckets": lambda: view(aggregation=ExplicitBucketHistogramAggregation((1, 10))),
    "no min and max": lambda: view(
        aggregation=ExplicitBucketHistogramAggregation((1, 10), record_min_max=False)
    ),
    "exponential": lambda: view(aggregation=ExponentialBucketHistogramAggregation()),
    "dropped": lambda: view(aggregation=DropAggregation()),
    "fewer attributes": lambda: view(attribute_keys={"model"}),
    "two views": lambda: {
        "metric_readers": [InMemoryMetricReader()],
        "views": [
            View(instrument_name="h", name="a"),
            View(instrument_name="h", name="b", aggregation=ExponentialBucketHistogramAggregation()),
        ],
    },
    "no exemplars": lambda: {
        "metric_readers": [InMemoryMetricReader()],
        "exemplar_filter": AlwaysOffExemplarFilter(),
    },
    "all exemplars": lambda: {
        "metric_readers": [InMemoryMetricReader()],
        "exemplar_filter": AlwaysOnExemplarFilter(),
    },
}


def view(**how: Any) -> dict[str, Any]:
    return {"metric_readers": [InMemoryMetricReader()], "views": [View(instrument_name="h", **how)]}


def values(seed: int, number: int) -> list[Value]:
    chance = random.Random(seed)
    return [
        (
            chance.choice((0.0, 0.5, 1, 3, 10, 10.5, 1e9)),
            SpanContext(1, n + 1, False, TraceFlags(chance.random() < 0.5)),
        )
        for n in range(number)
    ]


def record(histogram: Histogram, given: list[Value]) -> None:
    for value, span in given:
        context = trace.set_span_in_context(NonRecordingSpan(span), Context())
        histogram.record(value, ATTRIBUTES, context)


def hand_over(histogram: Histogram, given: list[Value]) -> None:
    waiting = HistogramSeries(histogram, ATTRIBUTES)
    for value in given:
        waiting.add(value)
    waiting.hand_over()


def points(set_up: dict[str, Any], take: Callable[[Histogram, list[Value]], None]) -> list[Any]:
    """What each reader collects, twice, but for the times."""
    provider = MeterProvider(shutdown_on_exit=False, **set_up)
    random.seed(0)  # some exemplars are drawn by lot
    histogram = provider.get_meter("test").create_histogram(
        "h", explicit_bucket_boundaries_advisory=(0.5, 2, 10)
    )
    collected: list[Any] = []
    for batch in (values(1, 60), values(2, 1), values(3, 25)):
        take(histogram, batch)
        for reader in set_up["metric_readers"]:
            data: Any = reader.get_metrics_data()
            collected += [
                (metric.name, described(point))
                for resource in (data.resource_metrics if data else ())
                for scope in resource.scope_metrics
                for metric in scope.metrics
                for point in metric.data.data_points
            ]
    provider.shutdown()
    return collected


def described(point: Any) -> dict[str, Any]:
    told = {name: getattr(point, name, None) for name in ("count", "sum", "min", "max", "bucket_counts")}
    exemplars = [(each.value, each.span_id, each.filtered_attributes) for each in point.exemplars]
    return {
        **told,
        "attributes": dict(point.attributes),
        "positive": repr(getattr(point, "positive", None)),
        "exemplars": exemplars,
    }


@pytest.mark.parametrize("set_up", SET_UPS.values(), ids=SET_UPS)
def test_the_points_are_those_of_the_sdk(set_up: Callable[[], dict[str, Any]]) -> None:
    assert points(set_up(), hand_over) == points(set_up(), record)


def test_most_values_are_added_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known = hasattr(_ViewInstrumentMatch, "_get_or_create_aggregation")  # not in the oldest SDK
    assert series._adds_right() is known
    recorded = []
    provider = MeterProvider(metric_readers=[InMemoryMetricReader()], shutdown_on_exit=False)
    histogram = provider.get_meter("test").create_histogram("h")
    monkeypatch.setattr(histogram, "record", lambda *arguments: recorded.append(arguments))
    hand_over(histogram, values(1, 500))
    assert 0 < len(recorded) < 30 or not known
    provider.shutdown()


@pytest.mark.parametrize("name", ["cumulative", "delta", "exponential"])
def test_an_unknown_sdk_records_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "_adds_right", lambda: False)
    assert points(SET_UPS[name](), hand_over) == points(SET_UPS[name](), record)
