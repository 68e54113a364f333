"""Attribute values as plain Python, whichever way a span came."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

AttributeValue: TypeAlias = (
    "str | bool | int | float | bytes | tuple[AttributeValue, ...] | dict[str, AttributeValue] | None"
)
Attributes: TypeAlias = Mapping[str, AttributeValue]

_SCALARS = (str, bool, int, float, bytes)


def plain_attributes(attributes: Mapping[str, Any] | None) -> dict[str, AttributeValue]:
    """Attributes as the SDK keeps them; arrays come out as tuples."""
    return {name: _plain(value) for name, value in (attributes or {}).items()}


def _plain(value: Any) -> AttributeValue:
    if value is None or isinstance(value, _SCALARS):  # nearly all are, and asking for the rest is slow
        scalar: AttributeValue = value
        return scalar
    if isinstance(value, Mapping):
        return plain_attributes(value)
    return tuple(map(_plain, value))


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


def integer(value: Any) -> int | None:
    """`value` if it is a whole number; a truth value is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: Any) -> float | None:
    """`value` if it is a number; a truth value is none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def items(value: Any) -> Sequence[Any] | None:
    """What a list holds, or JSON text of one; None for anything else, such as JSON cut off by a limit."""
    value = parsed(value)
    return value if isinstance(value, list | tuple) else None


def parsed(value: Any) -> Any:
    """What JSON text stands for; None if it is none. Anything but a text is returned as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:  # an attribute length limit cut it off
        return None


def attributes_to_json(attributes: Attributes) -> str:
    """Attributes as JSON text; bytes and numbers that JSON lacks are written as OTLP writes them."""
    try:
        return _encode(attributes)
    except ValueError:  # NaN or an infinity is somewhere in it
        return _encode(_finite(attributes))


def attributes_from_json(text: str) -> dict[str, AttributeValue]:
    """The attributes that `attributes_to_json` wrote."""
    has_otlp = '"bytesValue"' in text or '"doubleValue"' in text
    return plain_attributes(json.loads(text, object_hook=_otlp_to_plain if has_otlp else None))


def _bytes_to_otlp(value: bytes) -> dict[str, str]:
    return {"bytesValue": base64.b64encode(value).decode()}


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_bytes_to_otlp).encode


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(content) for name, content in value.items()}
    if isinstance(value, tuple):
        return [_finite(content) for content in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"doubleValue": str(value)}
    return value


def _otlp_to_plain(value: dict[str, Any]) -> Any:
    return _otlp_value(value) if value.keys() in ({"bytesValue"}, {"doubleValue"}) else value
