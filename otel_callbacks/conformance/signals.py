"""Rules for metrics and log events."""

from collections.abc import Iterator

from otel_callbacks.conformance.attributes import check_attributes, missing
from otel_callbacks.conformance.findings import Finding, violation
from otel_callbacks.conformance.otlp import Log, Metric, Point
from otel_callbacks.conformance.registry import OPERATION, EventType, MetricType, Registry

# The cost room bounds the values of attribution labels, but a user's or session's id has no bound.
_UNBOUNDED_LABELS = ("user.id", "session.id", "app.user_id", "app.session_id")


def check_metric(metric: Metric, registry: Registry) -> Iterator[Finding] | None:
    """Returns the findings for a metric; None if it belongs to another library and is not checked."""
    if known := registry.metrics.get(metric.name):
        return _check_known_metric(metric, known, registry)
    if metric.name in registry.deprecated:
        message = f"deprecated: {registry.replacement(metric.name)}"
        return iter([violation("metric_deprecated", metric.name, message)])
    if registry.owns(metric.name):
        return iter([violation("metric_unknown", metric.name, "this metric is not registered")])
    return None


def _check_known_metric(metric: Metric, known: MetricType, registry: Registry) -> Iterator[Finding]:
    if metric.unit != known.unit:
        yield violation("metric_unit", metric.name, f"unit is {metric.unit!r}, expected {known.unit!r}")
    # A view may turn any histogram into an exponential one, which has no boundaries to compare.
    if metric.instrument.removeprefix("exponential_") != known.instrument:
        message = f"instrument is {metric.instrument}, expected {known.instrument}"
        yield violation("metric_instrument", metric.name, message)
    for point in metric.points:
        yield from _check_point(metric.name, point, known, registry)
        yield from check_attributes(metric.name, point.attributes, registry)


def _check_point(where: str, point: Point, known: MetricType, registry: Registry) -> Iterator[Finding]:
    # A view may add boundaries: what is counted below each of the conventions' is still known.
    if (
        known.buckets
        and point.bounds is not None
        and not {*registry.buckets[known.buckets]} <= {*point.bounds}
    ):
        message = (
            f"bucket boundaries are {list(point.bounds)}, expected {list(registry.buckets[known.buckets])}"
        )
        yield violation("metric_buckets", where, message)
    if point.value and point.value != known.value:
        yield violation("metric_value_type", where, f"values are {point.value}, expected {known.value}")
    for name in missing(point.attributes, known.required):
        yield violation("metric_attributes", where, f"{name} is required")
    for name in point.attributes:
        if not _may_carry(known, name):
            yield violation("metric_attributes", where, f"{name} is not among its attributes")
    operation = point.attributes.get(OPERATION)
    if operation in known.not_for_operations:
        yield violation("metric_deprecated", where, f"no longer recorded for {operation}")


def _may_carry(known: MetricType, name: str) -> bool:
    label = known.labels and name.startswith("app.") and name not in _UNBOUNDED_LABELS
    return label or name in known.required or name in known.optional


def check_event(log: Log, registry: Registry) -> Iterator[Finding] | None:
    """Returns the findings for a log event; None if it is not an event of the GenAI conventions."""
    name = log.event_name
    if known := registry.events.get(name):
        return _check_known_event(log, known, registry)
    if name in registry.deprecated:
        return iter([violation("event_deprecated", name, f"deprecated: {registry.replacement(name)}")])
    if name and registry.owns(name):
        return iter([violation("event_unknown", name, "this event is not registered")])
    return None


def _check_known_event(log: Log, known: EventType, registry: Registry) -> Iterator[Finding]:
    where = log.event_name
    if known.severity is not None and log.severity != known.severity:
        yield violation("event_severity", where, f"severity is {log.severity}, expected {known.severity}")
    if log.has_body:
        yield violation("event_body", where, "it has a body; everything belongs in its attributes")
    for name in missing(log.attributes, known.required):
        yield violation("event_attributes", where, f"{name} is required")
    if known.any_of and not log.attributes.keys() & set(known.any_of):
        yield violation("event_attributes", where, f"one of {', '.join(known.any_of)} is required")
    for name, value in log.attributes.items():
        spec = registry.attribute(name)
        if spec and spec.schema and isinstance(value, str):
            yield violation("event_content_structured", where, f"{name} is a JSON string, not structured")
        if not _event_may_carry(known, name, registry):
            yield violation("event_attributes", where, f"{name} is not among its attributes")
    yield from check_attributes(where, log.attributes, registry)


def _event_may_carry(known: EventType, name: str, registry: Registry) -> bool:
    if known.attributes_of == "*" or not name.startswith("gen_ai."):
        return True
    of = known.attributes_of
    declared = registry.spans[of].declared | registry.anywhere if of else frozenset()
    in_prefix = name not in registry.attributes and registry.attribute(name) is not None
    return in_prefix or name in declared or name in known.required or name in known.optional
