"""Rules for single attributes: the same for spans, span events, metric points and log events."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from otel_callbacks.conformance import schema
from otel_callbacks.conformance.findings import Finding, advice, violation
from otel_callbacks.conformance.registry import OPERATION, Attribute, Registry


def check_attributes(where: str, attributes: Mapping[str, Any], registry: Registry) -> Iterator[Finding]:
    """Checks each attribute: its name is known and current, its type right, its value documented and valid."""
    for name, value in attributes.items():
        known = registry.attribute(name)
        if known is None:
            yield _unknown(where, name, registry)
        elif not _has_type(value, known.type):
            # a text may be content, which a report must not repeat
            said = repr(value) if isinstance(value, int | float) else f"a {type(value).__name__}"
            yield violation("attribute_type", where, f"{name} is {said:.80}, not of type {known.type}")
        else:
            yield from _check_value(where, name, value, known, registry)


def missing(attributes: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Returns the `names` that are absent."""
    return [name for name in names if name not in attributes]


def _unknown(where: str, name: str, registry: Registry) -> Finding:
    if name in registry.deprecated:
        message = f"{name} is deprecated: {registry.replacement(name)}"
        return violation("attribute_deprecated", where, message)
    if registry.owns(name):
        return violation("attribute_unknown", where, f"{name} is not registered")
    # In any other namespace it may be the application's own attribute, which nobody registers.
    return advice("attribute_unknown", where, f"{name} is neither in the GenAI registry nor ours")


def _check_value(
    where: str, name: str, value: Any, known: Attribute, registry: Registry
) -> Iterator[Finding]:
    if name == OPERATION:
        if value not in registry.operations:
            yield violation("genai_operation_name_unknown", where, f"{name} is {value!r:.80}")
    elif name in registry.deprecated_values and value in registry.deprecated_values[name]:
        new = registry.deprecated_values[name][value]
        yield violation("attribute_deprecated", where, f"{name} {value!r} is deprecated: use {new!r}")
    elif known.enum and value not in known.enum:
        yield advice("attribute_enum", where, f"{name} is {value!r:.80}, which is not a documented value")
    if known.schema:
        yield from _check_content(where, name, value, known.schema, registry)


def _check_content(
    where: str, name: str, value: Any, schema_name: str, registry: Registry
) -> Iterator[Finding]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as exc:
            yield violation("genai_content_schema", where, f"{name} is not JSON: {exc}")
            return
    for error in schema.errors(value, {"$ref": f"#/$defs/{schema_name}"}, registry.schemas):
        yield violation("genai_content_schema", where, f"{name}: {error}")


def _has_type(value: Any, type_name: str) -> bool:
    match type_name:
        case "any":
            return True
        case "string[]":
            return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case _:
            return isinstance(value, {"string": str, "double": float, "boolean": bool}[type_name])
