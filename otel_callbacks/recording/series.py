"""The values of one histogram with one set of attributes, kept until metrics are collected.

The SDK executes 800 bytecodes to record a value: a measurement object, a hash of the attributes, locks, an exemplar.
Here, values are added to a list, and the collection adds the list to the SDK's own aggregations at once. Views,
temporalities, several readers and the cardinality limit hold, because the SDK looks the aggregations up. Values are
recorded one by one where the SDK's aggregation is not the one we know, or the SDK would refuse one of them.

This is the only file that knows internals of the SDK's metrics. It compares the result with that of `record` once.
"""

import functools
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress, repeat
from math import isfinite
from operator import and_, is_not, itemgetter
from time import time_ns
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram
from opentelemetry.trace import SpanContext, TraceFlags


class HistogramSeries:
    """Values that wait, each with the span that it was measured in."""

    __slots__ = ("_amounts", "_attributes", "_histogram", "_spans", "_storages", "_streams")

    def __init__(self, histogram: Histogram, attributes: Mapping[str, str | int]) -> None:
        self._histogram = histogram
        self._attributes = attributes
        self._amounts: list[float] = []
        self._spans: list[SpanContext] = []
        self._storages: tuple[Any, ...] = ()  # of the SDK's readers, when the streams were looked up
        self._streams: Sequence[_Stream] = ()

    def add(self, amounts: Iterable[float | None], spans: Iterable[SpanContext]) -> None:
        """Adds the values that are known."""
        found = [*amounts]
        known = [*map(is_not, found, repeat(None))]
        self._amounts.extend(compress(found, known))  # type: ignore[arg-type] # without None
        self._spans.extend(compress(spans, known))

    def hand_over(self) -> None:
        """Hands the values to the SDK."""
        amounts, spans = self._amounts, self._spans
        if not amounts:
            return
        self._amounts, self._spans = [], []
        if streams := self._streams_for(amounts):
            for stream in streams:
                stream.add(amounts, spans)
        else:
            for value, span in zip(amounts, spans, strict=True):
                self._histogram.record(value, self._attributes, _context(span))

    def _streams_for(self, amounts: Sequence[float]) -> "Sequence[_Stream]":
        """Returns the streams of all readers and views; none if the SDK must record the values one by one."""
        try:
            histogram: Any = getattr(self._histogram, "_real_instrument", None) or self._histogram
            is_enabled = getattr(histogram, "_is_enabled", None)
            if (
                (is_enabled is not None and not is_enabled())
                or min(amounts) < 0
                or not isfinite(sum(amounts))
            ):
                return ()
            storages = tuple(histogram._measurement_consumer._reader_storages.values())
            if storages != self._storages:
                self._streams = _streams(histogram, self._attributes) if _adds_right() else ()
                self._storages = storages
            return self._streams
        except Exception:  # an SDK or a provider that we do not know: anything may be under these names
            return ()


def _context(span: SpanContext) -> Context:
    return trace.set_span_in_context(trace.NonRecordingSpan(span), Context())


_trace_flags = itemgetter(3)
"""Reads them from a span context, which is a tuple, without its property."""


def _are_sampled(spans: Sequence[SpanContext]) -> Iterable[int]:
    return map(and_, map(_trace_flags, spans), repeat(TraceFlags.SAMPLED))


class _Stream:
    """What a view of a reader makes of one histogram and set of attributes.

    Args:
        match: the SDK's object for the view and the histogram.
        attributes: of the values.
        may_be_exemplars: tells of the span of each value whether the value may become an exemplar.
    """

    def __init__(
        self,
        match: Any,
        attributes: Mapping[str, Any],
        may_be_exemplars: Callable[[Sequence[SpanContext]], Iterable[Any]],
    ) -> None:
        from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes

        keys = match._view._attribute_keys
        self._match = match
        self._all_attributes = attributes
        self._attributes = {k: v for k, v in attributes.items() if keys is None or k in keys}
        self._key = _hash_attributes(self._attributes)
        self._may_be_exemplars = may_be_exemplars

    def _find(self) -> Any:
        return self._match._get_or_create_aggregation(self._key, self._attributes)

    def is_known(self) -> bool:
        """Tells whether it has explicit buckets, and keeps the last value in each as exemplar."""
        from opentelemetry.sdk.metrics import AlignedHistogramBucketExemplarReservoir
        from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation

        with self._match._lock:
            aggregation = self._find()
        return (
            type(aggregation) is _ExplicitBucketHistogramAggregation
            and type(aggregation._reservoir) is AlignedHistogramBucketExemplarReservoir
        )

    def add(self, amounts: Sequence[float], spans: Sequence[SpanContext]) -> None:
        """Adds values, as the aggregation does with one."""
        with self._match._lock:
            aggregation = self._find()  # a collection may have replaced it
            buckets = [*map(bisect_left, repeat(aggregation._boundaries), amounts)]
            with aggregation._lock:
                if aggregation._value is None:
                    aggregation._value = aggregation._get_empty_bucket_counts()
                for bucket, number in Counter(buckets).items():
                    aggregation._value[bucket] += number
                aggregation._sum += sum(amounts)
                if aggregation._record_min_max:
                    aggregation._min = min(aggregation._min, *amounts)
                    aggregation._max = max(aggregation._max, *amounts)
            eligible = [*self._may_be_exemplars(spans)]
            measured = compress(zip(amounts, spans, strict=True), eligible)
            for value, span in dict(zip(compress(buckets, eligible), measured, strict=True)).values():
                aggregation._reservoir.offer(value, time_ns(), self._all_attributes, _context(span))


def _streams(histogram: Any, attributes: Mapping[str, Any]) -> "Sequence[_Stream]":
    """Returns the streams of all readers and views; none if one is of another kind, which would count values twice."""
    from opentelemetry.sdk import metrics as sdk

    of_filter: dict[type, Callable[[Sequence[SpanContext]], Iterable[Any]]] = {
        sdk.TraceBasedExemplarFilter: _are_sampled,
        sdk.AlwaysOnExemplarFilter: lambda spans: repeat(True, len(spans)),
        sdk.AlwaysOffExemplarFilter: lambda spans: repeat(False, len(spans)),
    }
    consumer = histogram._measurement_consumer
    may_be_exemplars = of_filter[type(consumer._sdk_config.exemplar_filter)]
    streams = [
        _Stream(match, attributes, may_be_exemplars)
        for storage in consumer._reader_storages.values()
        for match in storage._get_or_init_view_instrument_match(histogram)
    ]
    return streams if all(stream.is_known() for stream in streams) else ()


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
    spans = [SpanContext(1, n + 1, False, TraceFlags(n % 2)) for n in range(len(values))]
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    histogram = provider.get_meter("probe").create_histogram("probe")
    if at_once:
        for stream in _streams(histogram, attributes):
            stream.add(values, spans)
    else:
        for value, span in zip(values, spans, strict=True):
            histogram.record(value, attributes, _context(span))
    data: Any = reader.get_metrics_data()
    provider.shutdown()
    return [
        (
            *(
                dict(point.attributes),
                point.count,
                point.sum,
                point.min,
                point.max,
                tuple(point.bucket_counts),
            ),
            [(each.value, each.span_id, each.filtered_attributes) for each in point.exemplars],
        )
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    ]
