"""A counter whose additions are cheap and whose sums are exact."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_callbacks import limits
from otel_callbacks.cost.rates import add
from otel_callbacks.runtime import fork

_OVERFLOW: frozenset[tuple[str, str | int]] = frozenset({("otel.metric.overflow", True)})


class Sum:
    """The sum of a counter for one set of attributes. Whoever adds holds the lock of the metrics."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total: int | Decimal = 0

    def add(self, amount: int) -> None:
        """Adds a whole number."""
        self.total += amount

    def add_exactly(self, amount: Decimal) -> None:
        """Adds a decimal without rounding."""
        self.total = add(Decimal(self.total), amount)


class Counter:
    """A counter whose sums are kept here and read when metrics are collected.

    An addition to the SDK's counter takes a dozen microseconds, and a model call adds to several counters. What is
    exported is the same monotonic sum.

    Args:
        meter: makes the instrument that is read.
        name: of the metric.
        unit: of the metric.
        description: of the metric.
        before_reading: is called before the sums are read, to add what is still waiting.
    """

    def __init__(
        self, meter: Meter, name: str, unit: str, description: str, before_reading: Callable[[], None]
    ) -> None:
        self._sums: dict[frozenset[tuple[str, str | int]], Sum] = {}
        fork.run_in_child(self._sums.clear)  # the parent process exports what was added before
        self._before_reading = before_reading
        meter.create_observable_counter(name, [self._observe], unit, description)

    def sum(self, attributes: Mapping[str, str | int]) -> Sum:
        """Returns the sum of these attributes; past the SDK's cardinality limit, the SDK's overflow sum."""
        key = frozenset(attributes.items())
        known = self._sums.get(key)
        if known is not None:
            return known
        if len(self._sums) >= limits.METRIC_SERIES:
            key = _OVERFLOW
        return self._sums.setdefault(key, Sum())

    def _observe(self, options: CallbackOptions) -> Iterable[Observation]:
        self._before_reading()
        return [
            Observation(float(each.total) if isinstance(each.total, Decimal) else each.total, dict(key))
            for key, each in list(self._sums.items())
        ]
