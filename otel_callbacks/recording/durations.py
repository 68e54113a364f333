"""How long operations took that share all metric attributes but the type of the error."""

from collections.abc import Mapping
from itertools import chain, compress, repeat

from opentelemetry.metrics import Histogram

from otel_callbacks import semconv
from otel_callbacks.recording.columns import grouped, read
from otel_callbacks.recording.metrics_queue import EndedOperations
from otel_callbacks.recording.series import HistogramSeries


class Durations:
    """The durations of one kind of operation, apart by the type of the error."""

    def __init__(self, histogram: Histogram, attributes: Mapping[str, str | int]) -> None:
        self._histogram = histogram
        self._attributes = attributes
        self._series: dict[str | None, HistogramSeries] = {}

    def record(self, ended: EndedOperations) -> None:
        """Adds the durations that are known."""
        measured = zip(ended.seconds, ended.spans, strict=True)
        for error_type, values in grouped(ended.error_types, measured).items():
            series = self._series.get(error_type)
            if series is None:
                error = {semconv.ERROR_TYPE: error_type} if error_type else {}
                series = HistogramSeries(self._histogram, {**self._attributes, **error})
                self._series[error_type] = series
            series.add(*zip(*values, strict=True))

    def hand_over(self) -> None:
        """Hands the durations to the SDK."""
        for series in self._series.values():
            series.hand_over()


class CallTimes:
    """The durations of model calls, and when their chunks came."""

    def __init__(
        self,
        durations: Histogram,
        first_chunk: Histogram,
        chunk: Histogram,
        attributes: Mapping[str, str | int],
    ) -> None:
        self._durations = Durations(durations, attributes)
        self._first_chunk = HistogramSeries(first_chunk, attributes)
        self._chunk = HistogramSeries(chunk, attributes)

    def record(self, ended: EndedOperations) -> None:
        """Adds the times that are known."""
        self._durations.record(ended)
        self._first_chunk.add(read(ended.operations, "time_to_first_chunk"), ended.spans)
        gaps = [*filter(None, ended.chunk_gaps)]
        spans = map(repeat, compress(ended.spans, ended.chunk_gaps), map(len, gaps))
        self._chunk.add(chain.from_iterable(gaps), chain.from_iterable(spans))

    def hand_over(self) -> None:
        """Hands the times to the SDK."""
        for each in (self._durations, self._first_chunk, self._chunk):
            each.hand_over()
