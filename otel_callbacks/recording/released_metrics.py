"""The metrics of model calls under the names of the released conventions: the metrics of `released_genai`."""

from collections.abc import Mapping
from typing import Any

from otel_callbacks import semconv
from otel_callbacks.recording.durations import Durations
from otel_callbacks.recording.instruments import Instruments
from otel_callbacks.recording.metrics_queue import EndedOperation
from otel_callbacks.recording.series import HistogramSeries


class ReleasedMetrics:
    """The durations, chunks and tokens of one model."""

    def __init__(self, instruments: Instruments, attributes: Mapping[str, str | int]) -> None:
        self._durations = Durations(instruments.client, attributes)
        self._first_chunk = HistogramSeries(instruments.old_first_chunk, attributes)
        self._chunk = HistogramSeries(instruments.old_chunk, attributes)
        self._tokens = {
            kind: HistogramSeries(instruments.token_usage, {**attributes, semconv.RELEASED_TOKEN_TYPE: kind})
            for kind in ("input", "output")
        }

    def record(self, ended: EndedOperation) -> None:
        """Adds everything about a model call."""
        operation: Any = ended.operation
        if ended.seconds is not None:
            self._durations.record(ended)
        if operation.time_to_first_chunk is not None:
            self._first_chunk.add((operation.time_to_first_chunk, ended.span))
        for seconds in ended.chunk_gaps:
            self._chunk.add((seconds, ended.span))
        self.record_tokens(ended)

    def record_tokens(self, ended: EndedOperation) -> None:
        """Adds the tokens of a call that used any."""
        operation: Any = ended.operation
        if (usage := operation.usage) is None or operation.cached:
            return
        for kind, count in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            if count is not None:
                self._tokens[kind].add((count, ended.span))

    def hand_over(self) -> None:
        """Hands what was added to the SDK."""
        self._durations.hand_over()
        for each in (self._first_chunk, self._chunk, *self._tokens.values()):
            each.hand_over()
