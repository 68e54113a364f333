"""Values that are handed over at once give the points that recording them one by one gives."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    MeterProvider,
    SimpleFixedSizeExemplarReservoir,
)
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
from otel_callbacks.recording.series import HistogramSeries

Value = tuple[float, SpanContext]
Take = Callable[[list[Value]], None]


class _OfSmallValues(ExemplarFilter):
    def should_sample(self, value: float, *rest: Any) -> bool:
        return value < 2


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
    "exemplars by a filter of the application's": lambda: {
        "metric_readers": [InMemoryMetricReader()],
        "exemplar_filter": _OfSmallValues(),
    },
    "exemplars by lot": lambda: view(
        exemplar_reservoir_factory=lambda kind: lambda **how: SimpleFixedSizeExemplarReservoir(size=2)
    ),
}


def view(**how: Any) -> dict[str, Any]:
    return {"metric_readers": [InMemoryMetricReader()], "views": [View(instrument_name="h", **how)]}


def values(seed: int, number: int, *more: float) -> list[Value]:
    chance = random.Random(seed)
    return [
        (
            chance.choice((0.0, 0.5, 1, 3, 10, 10.5, 1e9, *more)),
            SpanContext(1, n + 1, False, TraceFlags(chance.random() < 0.5)),
        )
        for n in range(number)
    ]


def one_by_one(histogram: Histogram) -> Take:
    def take(given: list[Value]) -> None:
        for value, span in given:
            context = trace.set_span_in_context(NonRecordingSpan(span), Context())
            histogram.record(value, ATTRIBUTES, context)

    return take


def at_once(histogram: Histogram) -> Take:
    waiting = HistogramSeries(histogram, ATTRIBUTES)

    def take(given: list[Value]) -> None:
        for part in (given[: len(given) // 2], given[len(given) // 2 :]):
            waiting.add([value for value, _ in part], [span for _, span in part])
        waiting.hand_over()

    return take


BATCHES = (values(1, 60), values(2, 1), values(3, 25))


def points(
    set_up: dict[str, Any], how: Callable[[Histogram], Take], batches: Sequence[list[Value]] = BATCHES
) -> list[Any]:
    """What each reader collects after every batch, but for the times."""
    provider = MeterProvider(shutdown_on_exit=False, **set_up)
    random.seed(0)  # some exemplars are drawn by lot
    histogram = provider.get_meter("test").create_histogram(
        "h", explicit_bucket_boundaries_advisory=(0.5, 2, 10)
    )
    take = how(histogram)
    collected: list[Any] = []
    for batch in batches:
        take(batch)
        for reader in set_up["metric_readers"]:
            collected += read(reader)
    provider.shutdown()
    return collected


def read(reader: InMemoryMetricReader) -> list[Any]:
    data: Any = reader.get_metrics_data()
    return [
        (metric.name, described(point))
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


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
    assert points(set_up(), at_once) == points(set_up(), one_by_one)


def test_what_the_sdk_refuses_is_refused() -> None:
    batches = [values(4, 20, -1.0), values(5, 20, float("inf")), values(6, 20, float("nan"))]
    ours, theirs = (points(SET_UPS["delta"](), how, batches) for how in (at_once, one_by_one))
    assert repr(ours) == repr(theirs)  # as text: SDK 1.39 adds up what is no number, which equals nothing


def test_values_that_are_not_known_are_left_out() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    waiting = HistogramSeries(provider.get_meter("test").create_histogram("h"), ATTRIBUTES)
    waiting.add((None, 3, None), [SpanContext(1, n, False, TraceFlags(1)) for n in (1, 2, 3)])
    waiting.hand_over()
    ((_, point),) = read(reader)
    assert (point["count"], point["sum"], [span for _, span, _ in point["exemplars"]]) == (1, 3, [2])
    provider.shutdown()


def test_a_reader_that_is_added_later_gets_what_follows() -> None:
    def collected(how: Callable[[Histogram], Take]) -> list[Any]:
        readers = [InMemoryMetricReader(), InMemoryMetricReader()]
        provider: Any = MeterProvider(metric_readers=readers[:1], shutdown_on_exit=False)
        if not hasattr(provider, "add_metric_reader"):
            pytest.skip("this SDK has a fixed number of readers")
        take = how(provider.get_meter("test").create_histogram("h"))
        take(values(1, 20))
        provider.add_metric_reader(readers[1])
        take(values(2, 20))
        found = [read(each) for each in readers]
        provider.shutdown()
        return found

    assert collected(at_once) == collected(one_by_one)


def test_values_are_added_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known = hasattr(_ViewInstrumentMatch, "_get_or_create_aggregation")  # not in the oldest SDK
    assert series._adds_right() is known
    recorded: list[Any] = []
    provider = MeterProvider(metric_readers=[InMemoryMetricReader()], shutdown_on_exit=False)
    histogram = provider.get_meter("test").create_histogram("h")
    monkeypatch.setattr(histogram, "record", lambda *arguments: recorded.append(arguments))
    at_once(histogram)(values(1, 500))
    assert (not recorded) is known
    provider.shutdown()


@pytest.mark.parametrize("name", ["cumulative", "delta", "exponential"])
def test_an_unknown_sdk_records_one_by_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "_adds_right", lambda: False)
    assert points(SET_UPS[name](), at_once) == points(SET_UPS[name](), one_by_one)
