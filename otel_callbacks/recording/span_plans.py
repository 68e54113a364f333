"""The plans of spans: what operations of one kind and names share when they start, made once."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from opentelemetry.trace import SpanKind

from otel_callbacks import operations, semconv
from otel_callbacks.limits import CACHED_PLANS
from otel_callbacks.privacy.redactor import redact_name
from otel_callbacks.recording.attribute_table import Attributes
from otel_callbacks.recording.span_attributes import START, operation_name

_KINDS = dict.fromkeys((operations.Inference, operations.Embedding, operations.Retrieval), SpanKind.CLIENT)
_KINDS[operations.ReceivedMessage] = SpanKind.CONSUMER

_CLEANED = ("name", "provider", "response_model")
_NAMES = {kind: tuple(each.name for each in fields(kind) if each.name in _CLEANED) for kind in START}
_READ_NAMES = {kind: attrgetter(*names, "agent_name") for kind, names in _NAMES.items()}


def clean_names(operation: operations.Operation) -> None:
    """Removes credentials from the names of an operation, which spans, metrics and warnings about prices repeat."""
    kind = type(operation)
    if found := _names_with_secrets(_NAMES[kind], _READ_NAMES[kind](operation)):
        operation.__dict__.update(found)


@lru_cache(maxsize=CACHED_PLANS)
def _names_with_secrets(fields: Sequence[str], names: Sequence[str | None]) -> dict[str, str]:
    """Returns the fields in whose names there are credentials, without these."""
    cleaned = ((field, name and redact_name(name)) for field, name in zip(fields, names, strict=False))
    return {
        field: clean for (field, clean), name in zip(cleaned, names, strict=False) if clean and clean != name
    }


class Plan(NamedTuple):
    """What every operation with the same names shares when it starts.

    Attributes:
        span_name: `{operation} {key}`, or the operation alone if its key is unknown; for a step, its own name.
        span_kind: CLIENT for calls of a model or a store, CONSUMER for messages of others, INTERNAL for the rest.
        attributes: the start attributes, without credentials. To be copied.
        cleaned: the names that had credentials in them, without these.
        add_varying: adds to the attributes what differs between these operations.
    """

    span_name: str
    span_kind: SpanKind
    attributes: Attributes
    cleaned: dict[str, str]
    add_varying: Callable[[Attributes, Any], None] | None


_PLAN_FIELDS = {
    kind: (
        *START[kind].text_fields,
        *(_NAMES[kind]),
        "agent_name",
        *(("integration",) if issubclass(kind, (operations.Inference, operations.Embedding)) else ()),
        *(("text_completion",) if kind is operations.Inference else ()),
    )
    for kind in START
}
_read_plan_fields = {kind: attrgetter(*names) for kind, names in _PLAN_FIELDS.items()}


def plan_of(operation: operations.Operation) -> Plan:
    """Returns the plan of an operation."""
    kind: Any = type(operation)
    return _plan(kind, _read_plan_fields[kind](operation))


@lru_cache(maxsize=CACHED_PLANS)
def _plan(kind: Any, values: Sequence[Any]) -> Plan:
    """Makes the plan of operations of a class whose `_PLAN_FIELDS` have these values."""
    alike = kind(**dict(zip(_PLAN_FIELDS[kind], values, strict=True)))
    cleaned = _names_with_secrets(_NAMES[kind], _READ_NAMES[kind](alike))
    alike.__dict__.update(cleaned)
    table, verb, name, agent = START[kind], operation_name(alike), alike.name, alike.agent_name
    attributes = table.clean_texts(table.read_texts(alike))
    if agent is not None:
        attributes.setdefault(semconv.AGENT_NAME, redact_name(agent))
    if verb is not None:
        attributes[semconv.OPERATION_NAME] = verb
        span_name = f"{verb} {name}" if name else verb
    else:
        span_name = name or "step"
    varying = table.add_varying if table.varies else None
    return Plan(span_name, _KINDS.get(kind, SpanKind.INTERNAL), attributes, cleaned, varying)


def start_attributes(operation: operations.Operation, clean: Callable[[str], str]) -> Attributes:
    """Returns the attributes known when the operation starts, without credentials. Samplers see them.

    `clean` applies the content policy to the conversation's id, which the application chooses.
    """
    plan = plan_of(operation)
    return add_varying(plan.attributes.copy(), plan, operation, clean)


def add_varying(
    attributes: Attributes, plan: Plan, operation: operations.Operation, clean: Callable[[str], str]
) -> Attributes:
    """Adds to the attributes of a plan what differs between its operations, and returns them."""
    if plan.add_varying is not None:
        plan.add_varying(attributes, operation)
    if operation.conversation_id is not None:
        attributes[semconv.CONVERSATION_ID] = clean(operation.conversation_id)
    return attributes
