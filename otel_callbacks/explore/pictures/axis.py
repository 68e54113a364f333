"""The time axis of a waterfall, which all bars share."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from otel_callbacks.explore.spans.records import SpanRecord
from otel_callbacks.explore.spans.tree import SpanTree

_INTERVALS = 6  # between ticks, at most
_STEPS = (
    *(digit * 10.0**power for power in range(-6, 1) for digit in (1, 2, 5)),
    *(10.0, 15.0, 30.0),
    *(60.0 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600.0 * hours * 10**power for power in range(6) for hours in (1, 2, 5)),
)
_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps times to pixels: `start_ns` is at `left`, and `seconds` later is at `right`."""

    start_ns: int
    seconds: float
    left: float
    right: float

    @classmethod
    def of(cls, trace: SpanTree, left: float, right: float) -> "Axis":
        """Makes the axis that holds the whole trace."""
        return cls(trace.start_ns, trace.duration, left, right)

    def x(self, seconds: float) -> float:
        """Returns the pixel of the time `seconds` after the start, at most the right end of the axis."""
        share = seconds / self.seconds if self.seconds else 0.0
        return self.left + (self.right - self.left) * min(1.0, share)

    def bar(self, span: SpanRecord) -> tuple[float, float]:
        """Returns the left and right end of the bar of `span`."""
        begin = (span.start_ns - self.start_ns) / 1e9
        return self.x(begin), self.x(begin + span.duration)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yields the position and label of each tick."""
        if not self.seconds:
            return
        step = next((step for step in _STEPS if self.seconds <= step * _INTERVALS), _STEPS[-1])
        size, unit = next(chain((unit for unit in _UNITS if self.seconds >= unit[0]), [(1e-6, "µs")]))
        for number in range(int(self.seconds / step) + 1):
            label = f"{number * step / size:.6g} {unit}" if number else "0"
            yield self.x(number * step), label
