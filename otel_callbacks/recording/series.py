"""The values of one histogram with one set of attributes, kept until metrics are collected.

The SDK executes 800 bytecodes to record a value: a measurement object, a hash of the attributes, locks, an exemplar.
Here, a value is appended to a list, and the collection adds the list to the SDK's own aggregations at once. Views,
temporalities, several readers and the cardinality limit hold, because the SDK looks the aggregations up. Values that
may become exemplars are recorded one by one, and so is every value where the SDK's aggregation is not the one we know.

This is the only file that knows internals of the SDK's metrics. It compares the result with that of `record` once.
"""

import functools
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import count, repeat
from operator import and_, itemgetter
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram
from opentelemetry.trace import SpanContext, TraceFlags

Value = tuple[float, SpanContext]
"""A measured value, and the span that it was measured in."""


class HistogramSeries:
    """Values that wait; `add` is `list.append`."""

    __slots__ = ("_attributes", "_histogram", "_values", "add")

    def __init__(self, histogram: Histogram, attributes: Mapping[str, str | int]) -> None:
        self._histogram = histogram
        self._attributes = attributes
        self._values: list[Value] = []
        self.add: Callable[[Value], None] = self._values.append

    def hand_over(self) -> None:
        """Hands the values to the SDK."""
        values = self._values
        if not values:
            return
        self._values = []
        self.add = self._values.append
        streams = _streams_or_none(self._histogram, self._attributes) if len(values) > 1 else []
        amounts, spans = map(list, zip(*values, strict=True))
        singly = sorted(_possible_exemplars(amounts, spans, {stream.boundaries for stream in streams}))
        for at in reversed(singly):
            del amounts[at]
        for stream in streams if amounts else ():
            stream.add(amounts)
        for at in singly if streams else range(len(values)):
            value, span = values[at]
            context = trace.set_span_in_context(trace.NonRecordingSpan(span), Context())
            self._histogram.record(value, self._attributes, context)


def _possible_exemplars(
    amounts: Sequence[float], spans: Sequence[SpanContext], boundaries: set[tuple[float, ...]]
) -> set[int]:
    """Returns the places of the last value and the last sampled value in each bucket, which become the exemplars."""
    places: set[int] = set()
    sampled = [*map(and_, map(_trace_flags, spans), repeat(TraceFlags.SAMPLED))]
    for edges in boundaries:
        buckets = map(bisect_left, repeat(edges), amounts)
        last = dict(zip(zip(buckets, sampled, strict=True), count(), strict=False))
        places.update(last.values())
    return places


_trace_flags = itemgetter(3)
"""Reads them from a span context, which is a tuple, without its property."""


class _Stream:
    """What a view of a reader makes of one histogram and set of attributes."""

    def __init__(self, match: Any, attributes: Mapping[str, Any]) -> None:
        from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes

        keys = match._view._attribute_keys
        self._match = match
        self._attributes = {k: v for k, v in attributes.items() if keys is None or k in keys}
        self._key = _hash_attributes(self._attributes)
        with match._lock:
            self._aggregation = self._find()
        self.boundaries: tuple[float, ...] = getattr(self._aggregation, "_boundaries", ())

    def _find(self) -> Any:
        return self._match._get_or_create_aggregation(self._key, self._attributes)

    def is_known(self) -> bool:
        """Tells whether it has explicit buckets and the SDK's own exemplars."""
        from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation
        from opentelemetry.sdk.metrics._internal.view import _default_reservoir_factory

        own_exemplars = self._match._view._exemplar_reservoir_factory is _default_reservoir_factory
        return type(self._aggregation) is _ExplicitBucketHistogramAggregation and own_exemplars

    def add(self, amounts: Sequence[float]) -> None:
        """Adds values, as the aggregation does with one."""
        with self._match._lock:
            aggregation = self._find()  # a collection may have replaced it
            with aggregation._lock:
                if aggregation._value is None:
                    aggregation._value = aggregation._get_empty_bucket_counts()
                counts, edges = aggregation._value, aggregation._boundaries
                for bucket, number in Counter(map(bisect_left, repeat(edges), amounts)).items():
                    counts[bucket] += number
                aggregation._sum += sum(amounts)
                if aggregation._record_min_max:
                    aggregation._min = min(aggregation._min, *amounts)
                    aggregation._max = max(aggregation._max, *amounts)


def _streams(histogram: Any, attributes: Mapping[str, Any]) -> list[_Stream]:
    """Returns the streams of all readers and views; none if one is of another kind, which would count values twice."""
    histogram = getattr(histogram, "_real_instrument", None) or histogram
    consumer = getattr(histogram, "_measurement_consumer", None)
    if consumer is None:
        return []
    streams = [
        _Stream(match, attributes)
        for storage in consumer._reader_storages.values()
        for match in storage._get_or_init_view_instrument_match(histogram)
    ]
    return streams if all(stream.is_known() for stream in streams) else []


def _streams_or_none(histogram: Any, attributes: Mapping[str, Any]) -> list[_Stream]:
    """Returns the streams; none for a histogram of an SDK whose internals we do not know."""
    try:
        return _streams(histogram, attributes) if _adds_right() else []
    except Exception:  # an SDK that we do not know, or another provider: anything may be under these names
        return []


@functools.cache
def _adds_right() -> bool:
    """Tells whether adding at once gives the same points as recording, with the SDK that is installed."""
    try:
        return _points(at_once=True) == _points(at_once=False)
    except Exception:  # an SDK whose internals we do not know: values are recorded one by one
        return False


def _points(*, at_once: bool) -> list[tuple[Any, ...]]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    values, attributes = (0.5, 3, 3.5, 1_000), {"probe": 1}
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    histogram = provider.get_meter("probe").create_histogram("probe")
    if at_once:
        for stream in _streams(histogram, attributes):
            stream.add(values)
    else:
        for value in values:
            histogram.record(value, attributes)
    data: Any = reader.get_metrics_data()
    provider.shutdown()
    return [
        (dict(point.attributes), point.count, point.sum, point.min, point.max, tuple(point.bucket_counts))
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    ]
