"""Attribute values as plain Python, whichever way a span came."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

AttributeValue: TypeAlias = (
    "str | bool | int | float | bytes | tuple[AttributeValue, ...] | dict[str, AttributeValue] | None"
)
Attributes: TypeAlias = Mapping[str, AttributeValue]


def plain_attributes(attributes: Mapping[str, Any] | None) -> dict[str, AttributeValue]:
    """Attributes as the SDK keeps them; arrays come out as tuples."""
    return {name: _plain(value) for name, value in (attributes or {}).items()}


def _plain(value: Any) -> AttributeValue:
    if isinstance(value, Mapping):
        return plain_attributes(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(map(_plain, value))
    plain: AttributeValue = value
    return plain


def otlp_attributes(holder: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """The `attributes` of an object of an OTLP JSON document: a resource, span, event or link."""
    return {pair["key"]: _otlp_value(pair.get("value") or {}) for pair in holder.get("attributes") or ()}


def _otlp_value(value: Mapping[str, Any]) -> AttributeValue:
    """The Python value of an OTLP `AnyValue`, whose single key names its type."""
    for kind, content in value.items():
        match kind:
            case "stringValue" | "boolValue":
                plain: AttributeValue = content
                return plain
            case "intValue":  # a string, because JSON numbers lose digits beyond 2**53
                return int(content)
            case "doubleValue":  # may be the strings NaN, Infinity and -Infinity
                return float(content)
            case "arrayValue":
                return tuple(map(_otlp_value, content.get("values") or ()))
            case "kvlistValue":
                return {
                    pair["key"]: _otlp_value(pair.get("value") or {}) for pair in content.get("values") or ()
                }
            case "bytesValue":
                return base64.b64decode(content)
    return None
