"""The metrics of model calls under the names of the released conventions: the metrics of `released_genai`."""

from collections.abc import Mapping, Sequence
from itertools import compress
from operator import not_

from opentelemetry.trace import SpanContext

from otel_callbacks import operations, semconv
from otel_callbacks.recording.columns import read
from otel_callbacks.recording.durations import CallTimes
from otel_callbacks.recording.instruments import Instruments
from otel_callbacks.recording.metrics_queue import EndedOperations, in_columns
from otel_callbacks.recording.series import HistogramSeries


class ReleasedMetrics:
    """The durations, chunks and tokens of one model, of the handlers that want these names."""

    def __init__(self, instruments: Instruments, attributes: Mapping[str, str | int]) -> None:
        to = instruments
        self._times = CallTimes(to.client, to.old_first_chunk, to.old_chunk, attributes)
        self._tokens = {
            kind: HistogramSeries(to.token_usage, {**attributes, semconv.RELEASED_TOKEN_TYPE: kind})
            for kind in ("input", "output")
        }

    def record(self, ended: EndedOperations, *, times: bool = True) -> None:
        """Adds model calls; without `times` only their tokens."""
        if not any(ended.released_names):
            return
        ended = in_columns(compress(zip(*ended, strict=True), ended.released_names))
        if times:
            self._times.record(ended)
        usages, spans = usages_of_calls(ended)
        for kind, series in self._tokens.items():
            series.add(read(usages, f"{kind}_tokens"), spans)

    def hand_over(self) -> None:
        """Hands what was added to the SDK."""
        self._times.hand_over()
        for series in self._tokens.values():
            series.hand_over()


def usages_of_calls(
    ended: EndedOperations,
) -> tuple[Sequence[operations.Usage | None], Sequence[SpanContext]]:
    """Returns the usage of the calls that reached a provider, and their spans."""
    sent = [*map(not_, read(ended.operations, "cached"))]
    return [*compress(read(ended.operations, "usage"), sent)], [*compress(ended.spans, sent)]
