"""Everything that is counted: the conventions' metrics, our own, and how many spans we started and ended."""

import functools
from collections.abc import Callable, Hashable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from otel_callbacks import limits, semconv
from otel_callbacks.recording.cost_metrics import CostMetrics, LabelRules, LabelValues
from otel_callbacks.recording.counter import Counter
from otel_callbacks.recording.instrumentation_scope import meter_of
from otel_callbacks.recording.instruments import Instruments
from otel_callbacks.recording.metrics_queue import EndedOperation, MetricsQueue
from otel_callbacks.recording.operation_metrics import OperationMetrics, metrics_for, metrics_key
from otel_callbacks.recording.own_metrics import DocumentMetrics, Names, OperationCounts
from otel_callbacks.recording.span_attributes import operation_name
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.by_identity import ByIdentity


class SpanCounts:
    """How many spans we started, ended, swept (their end was never reported) and failed to record; unpriced calls."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Sets all counts to zero."""
        self.started = 0
        self.ended = 0
        self.swept = 0
        self.errors = 0
        self.unpriced = 0


class Metrics:
    """The metrics of one meter provider (None: the global one, even if it is set later).

    Get them from `metrics_of`: an application may make a handler for every call.
    """

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        self._keeps = None if meter_provider is None else _keeps(type(meter_provider))
        self.counts = SpanCounts()
        self._label_values = LabelValues()
        self._at_once = fork.safe_lock()  # for what end callbacks count while all else waits in the queue
        self._queue = MetricsQueue(self._record, self._hand_over)
        self._by_key: dict[Hashable, OperationMetrics] = {}
        fork.run_in_child(self.counts.reset)  # the parent process exports what was counted before the fork
        fork.run_in_child(self._queue.clear)
        fork.run_in_child(self._by_key.clear)
        meter = meter_of(meter_provider)
        self._instruments = Instruments(meter, self._queue.drain)
        self._cost_metrics = CostMetrics(
            lambda name, unit, description: Counter(meter, name, unit, description, self._queue.drain)
        )
        self._last_labels: tuple[Any, Any, Mapping[str, str]] = (None, None, {})
        self._names = Names(self._label_values)
        self._operations = OperationCounts(self._instruments.operations, self._names)
        fork.run_in_child(self._operations.clear)
        self._documents = DocumentMetrics(self._instruments, self._names)
        for name, field, description in (
            (semconv.METRIC_SPANS_STARTED, "started", "Our spans that started"),
            (semconv.METRIC_SPANS_ENDED, "ended", "Our spans that ended"),
            (semconv.METRIC_SPANS_SWEPT, "swept", "Our spans whose end nobody reported"),
            (
                semconv.METRIC_SPANS_ERRORS,
                "errors",
                "Our spans that were not recorded in full, by a fault of ours",
            ),
        ):
            meter.create_observable_counter(name, [self._observe_count(field)], "{span}", description)

    def have_provider(self) -> bool:
        """Tells whether there is a meter provider that keeps what is recorded."""
        return _keeps(type(metrics.get_meter_provider())) if self._keeps is None else self._keeps

    def add(self, ended: EndedOperation) -> None:
        """Adds an operation that has ended; it is recorded when metrics are collected."""
        self._queue.add(ended)

    def drain(self) -> None:
        """Records at once what waits for the next collection."""
        self._queue.drain()

    def count_exceeded_budget(self, per: str, labels: Mapping[str, str], rules: LabelRules) -> None:
        """Counts one call, with these labels, that exceeded a budget."""
        bounded = self._label_values.bounded(rules, labels)
        with self._at_once:
            self._cost_metrics.count_exceeded_budget(per, bounded)

    def count_recorded_cost(
        self, usd: Decimal, what: str, labels: Mapping[str, str], rules: LabelRules
    ) -> None:
        """Counts the cost of something that is no model call."""
        named = self._label_values.bounded_value(semconv.COST_WHAT, what, limits.LABEL_VALUES)
        bounded = self._label_values.bounded(rules, labels)
        with self._at_once:
            self._cost_metrics.count_recorded_cost(usd, named, bounded)

    def _observe_count(self, field: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            self._queue.drain()  # the SDK calls observable instruments before it reads the others
            return (Observation(getattr(self.counts, field)),)

        return observe

    def _record(self, ended: EndedOperation) -> None:
        if (key := metrics_key(ended.operation)) is not None:
            same = self._by_key.get(key)
            if same is None:
                if len(self._by_key) >= limits.METRIC_SERIES:
                    self._hand_over()
                    self._by_key.clear()
                same = self._by_key[key] = metrics_for(self._instruments, ended.operation, self._names)
            same.record(ended)
        verb = operation_name(ended.operation)
        if verb is None:  # a step
            return
        labels = self._bounded_labels(ended)
        self._operations.count(verb, ended, labels)
        if ended.documents:
            self._documents.count(ended.documents)
        if ended.cost is not None:
            self._cost_metrics.count_tool_tokens(ended.tool_tokens)
            self.counts.unpriced += self._cost_metrics.count(ended.operation, ended.cost, labels)

    def _bounded_labels(self, ended: EndedOperation) -> Mapping[str, str]:
        """Returns the labels that metrics carry. Operations in a row often have the same object as their labels."""
        rules, labels, bounded = self._last_labels
        if ended.labels is not labels or ended.label_rules is not rules:
            bounded = self._label_values.bounded(ended.label_rules, ended.labels)
            self._last_labels = ended.label_rules, ended.labels, bounded
        return bounded

    def _hand_over(self) -> None:
        for each in self._by_key.values():
            each.hand_over()


@functools.lru_cache(maxsize=64)
def _keeps(kind: type[MeterProvider]) -> bool:
    """Tells whether providers of a kind keep what is recorded; those of the OpenTelemetry API itself do not."""
    return not kind.__module__.startswith(metrics.__name__)


_global = functools.cache(lambda: Metrics(None))
_by_provider = ByIdentity[MeterProvider, Metrics](Metrics, limits.PROVIDERS_KEPT)


def metrics_of(meter_provider: MeterProvider | None) -> Metrics:
    """Returns the metrics of a meter provider, the same object each time: a provider ignores a second set."""
    if meter_provider is None or meter_provider is metrics.get_meter_provider():
        return _global()
    return _by_provider.of(meter_provider)


def span_counts(meter_provider: MeterProvider | None) -> list[SpanCounts]:
    """Returns the counts of handlers without a meter provider of their own, and of those with this one."""
    used = {metrics_of(None), metrics_of(meter_provider)}
    for each in used:
        each.drain()
    return [each.counts for each in used]
