"""Rules for a single span: its kind, name, attributes, status, times and ids."""

import re
from collections.abc import Iterator

from otel_callbacks.conformance.attributes import check_attributes, missing
from otel_callbacks.conformance.findings import Finding, advice, violation
from otel_callbacks.conformance.otlp import Span
from otel_callbacks.conformance.registry import OPERATION, Registry, SpanType

SCOPE = "otel_callbacks"

_HEX = re.compile("[0-9a-f]+")
_USAGE = "gen_ai.usage."
_COST_STATUS = "otel_callbacks.cost.status"
_COST = "gen_ai.usage.cost_usd"
_UNPRICED_REASON = "otel_callbacks.cost.unpriced_reason"


def is_checked(span: Span) -> bool:
    """Tells whether the span describes a GenAI operation or is ours; spans of other libraries are skipped."""
    return OPERATION in span.attributes or span.scope == SCOPE


def check_span(span: Span, registry: Registry) -> Iterator[Finding]:
    """Applies all rules that need nothing but the span itself."""
    where = str(span)
    yield from check_attributes(where, span.attributes, registry)
    yield from _check_status(span)
    yield from _check_time(span)
    yield from _check_ids(span)
    yield from _check_cost(span)
    yield from _check_usage_totals(span, registry)
    yield from _check_events(span, registry)
    if OPERATION not in span.attributes:
        yield from _check_step(span, registry)
    elif span_type := _type_of(span, registry):
        yield from _check_kind(span, span_type)
        yield from _check_name(span, span_type)
        yield from _check_presence(span, span_type, registry)
        yield from _check_declared(span, span_type, registry)


def _type_of(span: Span, registry: Registry) -> SpanType | None:
    """Returns the span type of the operation; of several, the one with a matching kind, else the first."""
    operation = span.attributes[OPERATION]
    candidates = [
        span_type
        for span_type in registry.spans.values()
        # An MCP span type shares its operation with execute_tool; only the MCP method tells them apart.
        if operation in span_type.operations and span_type.name_from[0] in span.attributes
    ]
    matching = [candidate for candidate in candidates if span.kind in candidate.kinds]
    return next(iter(matching or candidates), None)


def _check_kind(span: Span, span_type: SpanType) -> Iterator[Finding]:
    if span.kind in span_type.kinds:
        return
    message = f"kind is {span.kind.upper()}, expected {' or '.join(span_type.kinds).upper()}"
    if span.kind in span_type.kinds_tolerated:
        # The text allows it for a model in the same process, but the official check flags it.
        yield advice("genai_span_kind_unexpected", str(span), message)
    else:
        yield violation("genai_span_kind_unexpected", str(span), message)


def _check_name(span: Span, span_type: SpanType) -> Iterator[Finding]:
    parts = (span.attributes.get(key) for key in span_type.name_from)
    expected = " ".join(str(part) for part in parts if part)
    if span.name != expected:
        yield violation("genai_span_name_format", str(span), f"name is {span.name!r}, expected {expected!r}")


def _check_presence(span: Span, span_type: SpanType, registry: Registry) -> Iterator[Finding]:
    rule, where = "genai_expected_attribute_missing", str(span)
    for name in missing(span.attributes, span_type.required):
        yield violation(rule, where, f"{name} is required")
    for name in missing(span.attributes, span_type.expected):
        yield advice(rule, where, f"{name} is recommended")
    for present, absent in registry.expected_together.items():
        if present in span.attributes and absent not in span.attributes:
            yield advice(rule, where, f"{absent} is expected with {present}")


def _check_declared(span: Span, span_type: SpanType, registry: Registry) -> Iterator[Finding]:
    declared = span_type.declared | registry.anywhere
    for name in span.attributes:
        if name in span_type.forbidden:
            yield violation("attribute_forbidden", str(span), f"{name} must not be on this span type")
        elif name in declared or name not in registry.attributes:
            continue
        elif name.startswith(_USAGE):
            yield violation("usage_on_wrong_span", str(span), f"{name} does not belong on this span type")
        elif name.startswith("gen_ai."):
            yield advice("attribute_not_declared", str(span), f"{name} is not listed for this span type")


def _check_step(span: Span, registry: Registry) -> Iterator[Finding]:
    """Checks a span without an operation, a step: it is internal, has no usage and looks like no operation."""
    where = str(span)
    if span.kind not in ("internal", "consumer"):  # a consumer works on a message that another process sent
        yield violation("step_kind", where, f"kind is {span.kind.upper()}, expected INTERNAL or CONSUMER")
    for name in span.attributes:
        if name.startswith(_USAGE):
            yield violation("usage_on_wrong_span", where, f"{name} on a span without an operation")
        operation = registry.inferred_operations.get(name)
        if operation and name not in registry.anywhere:
            message = f"{OPERATION} is missing, and {name} makes it look like {operation}"
            yield violation("genai_expected_attribute_missing", where, message)


def _check_status(span: Span) -> Iterator[Finding]:
    where, failed, typed = str(span), span.status == "error", "error.type" in span.attributes
    if span.status == "ok":
        message = "status is OK, which only the application may set"
        yield violation("span_status_ok_set_by_instrumentation", where, message)
    if failed and not typed:
        yield violation("error_type_missing_on_error", where, "status is ERROR, error.type is missing")
    if typed and not failed:
        message = f"error.type is set, status is {span.status.upper()}"
        yield violation("error_type_without_error_status", where, message)


def _check_time(span: Span) -> Iterator[Finding]:
    if span.start is None or span.end is None:
        yield violation("span_time", str(span), f"start is {span.start}, end is {span.end}")
    elif span.end < span.start:
        yield violation("span_time", str(span), f"ends {span.start - span.end} ns before it starts")


def _check_ids(span: Span) -> Iterator[Finding]:
    """Checks that ids are hex digits: protobuf's own JSON writes base64, and then no reader can join spans."""
    for name, value, length in (
        ("trace id", span.trace_id, 32),
        ("span id", span.span_id, 16),
        ("parent id", span.parent_id or span.span_id, 16),
    ):
        if len(value) != length or not _HEX.fullmatch(value) or not value.strip("0"):
            yield violation("id_format", str(span), f"{name} is {value!r:.40}, expected {length} hex digits")


def _check_cost(span: Span) -> Iterator[Finding]:
    where, attributes = str(span), span.attributes
    if "gen_ai.usage.cost" in attributes and "gen_ai.usage.cost.amount" in attributes:
        message = (
            "gen_ai.usage.cost and gen_ai.usage.cost.amount: a back end that reads both counts the cost twice"
        )
        yield violation("cost_attribute_conflict", where, message)
    status, priced = attributes.get(_COST_STATUS), _COST in attributes
    if status in ("priced", "reported", "partial") and not priced:
        yield violation("cost_status_inconsistent", where, f"{_COST_STATUS} is {status!r} without {_COST}")
    if status == "unpriced" and priced:
        yield violation("cost_status_inconsistent", where, f"{_COST_STATUS} is 'unpriced' beside {_COST}")
    if status in ("unpriced", "partial") and _UNPRICED_REASON not in attributes:
        yield violation("cost_status_inconsistent", where, f"{_UNPRICED_REASON} is missing")


def _check_usage_totals(span: Span, registry: Registry) -> Iterator[Finding]:
    numbers = {name: n for name, n in span.attributes.items() if name.startswith(_USAGE) and _is_number(n)}
    for name, number in numbers.items():
        if number < 0:
            yield violation("usage_inconsistent", str(span), f"{name} is {number}")
        known = registry.attribute(name)
        for total in known.subset_of if known else ():
            if number > numbers.get(total, number):
                message = f"{name} {number} is more than {total} {numbers[total]}, which includes it"
                yield violation("usage_inconsistent", str(span), message)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_events(span: Span, registry: Registry) -> Iterator[Finding]:
    for event in span.events:
        where = f"{span} event {event.name}"
        if event.name in registry.deprecated:
            message = f"{event.name} is deprecated: {registry.replacement(event.name)}"
            yield violation("event_deprecated", where, message)
        elif event.name == "exception":
            if not event.attributes.keys() & {"exception.type", "exception.message"}:
                yield violation("event_attributes", where, "neither exception.type nor exception.message")
            yield from check_attributes(where, event.attributes, registry)
