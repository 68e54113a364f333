"""A counter whose additions are cheap and whose sums are exact."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_callbacks import limits
from otel_callbacks.cost.rates import add
from otel_callbacks.runtime import fork

_OVERFLOW: frozenset[tuple[str, str | int]] = frozenset({("otel.metric.overflow", True)})


class Counter:
    """A counter whose additions cost one dictionary update, and whose sums of decimals are exact.

    An addition to the SDK's counter takes a dozen microseconds, and a model call adds to several counters. So the sums
    are kept here and read when metrics are collected. What is exported is the same monotonic sum.

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
        self._sums: dict[frozenset[tuple[str, str | int]], int | Decimal] = {}
        self._lock = fork.safe_lock()
        fork.run_in_child(self._sums.clear)  # the parent process exports what was added before
        self._before_reading = before_reading
        meter.create_observable_counter(name, [self._observe], unit, description)

    def add(self, amount: int | Decimal, attributes: Mapping[str, str | int]) -> None:
        """Adds to the sum of these attributes; past the SDK's cardinality limit, to its overflow sum."""
        key = frozenset(attributes.items())
        with self._lock:
            if key not in self._sums and len(self._sums) >= limits.METRIC_SERIES:
                key = _OVERFLOW
            known = self._sums.get(key, 0)
            self._sums[key] = add(Decimal(known), amount) if isinstance(amount, Decimal) else known + amount

    def _observe(self, options: CallbackOptions) -> Iterable[Observation]:
        self._before_reading()
        with self._lock:
            sums = list(self._sums.items())
        return [
            Observation(float(total) if isinstance(total, Decimal) else total, dict(key))
            for key, total in sums
        ]
