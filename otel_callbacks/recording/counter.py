"""A counter whose additions are cheap and whose sums are exact."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from otel_callbacks.cost.rates import add
from otel_callbacks.runtime import fork

_MAX_SUMS = 2_000  # the SDK's own cardinality limit
_OVERFLOW: frozenset[tuple[str, str | int]] = frozenset({("otel.metric.overflow", True)})


class Counter:
    """A counter whose additions cost a dictionary update, and whose sum of decimals is exact.

    The SDK's own costs a dozen microseconds each, and a model call adds to several. So the sums are kept here and
    read when metrics are collected; what is exported is the same monotonic sum.

    Args:
        meter: makes the instrument that is read.
        name: of the metric.
        unit: of the metric.
        description: of the metric.
        prepare: called before the sums are read; adds what is still to be added.
    """

    def __init__(
        self, meter: Meter, name: str, unit: str, description: str, prepare: Callable[[], None]
    ) -> None:
        self._sums: dict[frozenset[tuple[str, str | int]], int | Decimal] = {}
        self._lock = fork.safe_lock()
        fork.run_in_child(self._sums.clear)  # what was added before the fork is the parent's to tell
        self._prepare = prepare
        meter.create_observable_counter(name, [self._observe], unit, description)

    def add(self, amount: int | Decimal, attributes: Mapping[str, str | int]) -> None:
        """Adds to the sum of these attributes; past the cardinality limit, to the SDK's overflow sum."""
        key = frozenset(attributes.items())
        with self._lock:
            if key not in self._sums and len(self._sums) >= _MAX_SUMS:
                key = _OVERFLOW
            known = self._sums.get(key, 0)
            self._sums[key] = add(Decimal(known), amount) if isinstance(amount, Decimal) else known + amount

    def _observe(self, options: CallbackOptions) -> Iterable[Observation]:
        self._prepare()
        with self._lock:
            sums = list(self._sums.items())
        return [
            Observation(float(total) if isinstance(total, Decimal) else total, dict(key))
            for key, total in sums
        ]
