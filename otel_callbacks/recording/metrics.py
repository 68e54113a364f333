"""Everything that is counted: the conventions' metrics, our own, and how many spans we started and ended."""

import functools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import compress, repeat
from operator import is_not
from typing import Any

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

from otel_callbacks import limits, operations, semconv
from otel_callbacks.recording.columns import grouped, read
from otel_callbacks.recording.cost_metrics import BoundedLabels, CostMetrics, LabelRules, LabelValues
from otel_callbacks.recording.counter import Counter
from otel_callbacks.recording.instrumentation_scope import meter_of
from otel_callbacks.recording.instruments import Instruments
from otel_callbacks.recording.metrics_queue import EndedOperations, MetricsQueue, in_columns
from otel_callbacks.recording.operation_metrics import OperationMetrics, metrics_for, metrics_keys
from otel_callbacks.recording.own_metrics import DocumentMetrics, Names, OperationCounts
from otel_callbacks.recording.span_attributes import operation_name
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.by_identity import ByIdentity
from otel_callbacks.runtime.faults import guarded

_WITH_COST = (operations.Inference, operations.Embedding, operations.Rerank)


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
        self.waiting = self._queue.waiting
        self.make_room = self._queue.make_room
        self._by_key: dict[Hashable, OperationMetrics] = {}
        self._with_values: dict[OperationMetrics, None] = {}  # what waits to be handed over to the SDK
        fork.run_in_child(self._forget)
        meter = meter_of(meter_provider)
        self._instruments = Instruments(meter, self._queue.drain)
        self._cost_metrics = CostMetrics(
            lambda name, unit, description: Counter(meter, name, unit, description, self._queue.drain)
        )
        self._names = Names(self._label_values)
        self._operations = OperationCounts(self._instruments.operations, self._names)
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

    def _record(self, ended: EndedOperations) -> None:
        ended = ended._replace(labels=self._bounded_labels(ended))
        keys = metrics_keys(ended.operations)
        for key, rows in grouped(keys, zip(*ended, strict=True)).items():
            self._record_alike(key, in_columns(rows))

    @guarded
    def _record_alike(self, key: Hashable, ended: EndedOperations) -> None:
        """Records operations that share all metric attributes."""
        operation = ended.operations[0]
        same = self._by_key.get(key)
        if same is None:
            if len(self._by_key) >= limits.METRIC_SERIES:
                self._by_key.clear()
            same = self._by_key[key] = metrics_for(self._instruments, operation, self._names)
        same.record(ended)
        self._with_values[same] = None
        verb = operation_name(operation)
        if verb is None:  # steps
            return
        self._operations.count(verb, ended)
        self._documents.count(ended.documents)
        if isinstance(operation, _WITH_COST):
            self._cost_metrics.count_tool_tokens(compress(ended.tool_tokens, ended.costs))
            usages = read(ended.operations, "usage")
            self.counts.unpriced += self._cost_metrics.count(operation, ended.costs, usages, ended.labels)

    def _bounded_labels(self, ended: EndedOperations) -> Sequence[BoundedLabels]:
        """Returns the labels that metrics carry.

        The operations of a trace often have the same object as their labels, and those of many traces equal ones. So
        each object is looked at once. Steps are not counted by who pays.
        """
        objects = [*zip(map(id, ended.labels), map(id, ended.label_rules), strict=True)]
        given = zip(objects, zip(ended.label_rules, ended.labels, strict=True), strict=True)
        no_steps = map(is_not, map(type, ended.operations), repeat(operations.Step))
        by_object: dict[tuple[int, int], BoundedLabels] = {}
        by_values: dict[tuple[Any, ...], BoundedLabels] = {}
        for at, (rules, labels) in dict(compress(given, no_steps)).items():
            values = (rules, *map(labels.get, rules.limits))
            if values not in by_values:
                by_values[values] = tuple(self._label_values.bounded(rules, labels).items())
            by_object[at] = by_values[values]
        return [*map(by_object.get, objects, repeat(()))]

    def _hand_over(self) -> None:
        for each in [*self._with_values]:
            del self._with_values[each]
            each.hand_over()

    def _forget(self) -> None:
        """Forgets everything in a forked child: the parent process exports what was counted before the fork."""
        self.counts.reset()
        self.waiting.clear()
        self._by_key.clear()
        self._with_values.clear()
        self._operations.clear()


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
