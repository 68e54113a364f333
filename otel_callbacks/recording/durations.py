"""The durations of operations that share all metric attributes but the type of the error."""

from collections.abc import Mapping

from opentelemetry.metrics import Histogram

from otel_callbacks import semconv
from otel_callbacks.recording.metrics_queue import EndedOperation
from otel_callbacks.recording.series import HistogramSeries


class Durations:
    """The durations of one kind of operation, apart by the type of the error."""

    def __init__(self, histogram: Histogram, attributes: Mapping[str, str | int]) -> None:
        self._histogram = histogram
        self._attributes = attributes
        self._series: dict[str | None, HistogramSeries] = {}

    def record(self, ended: EndedOperation) -> None:
        """Adds a duration; an operation that nobody measured took no time."""
        series = self._series.get(ended.error_type)
        if series is None:
            error = {semconv.ERROR_TYPE: ended.error_type} if ended.error_type else {}
            series = self._series[ended.error_type] = HistogramSeries(
                self._histogram, {**self._attributes, **error}
            )
        series.add((ended.seconds or 0.0, ended.span))

    def hand_over(self) -> None:
        """Hands the durations to the SDK."""
        for series in self._series.values():
            series.hand_over()
