"""Converts attribute values of the SDK and of OTLP JSON to plain Python values."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from otel_callbacks.limits import TRACE_VALUE_DEPTH
from otel_callbacks.runtime.encodable import INT64, well_formed

AttributeValue: TypeAlias = (
    "str | bool | int | float | bytes | tuple[AttributeValue, ...] | dict[str, AttributeValue] | None"
)
Attributes: TypeAlias = Mapping[str, AttributeValue]

_SCALARS = (bool, int, float, bytes)


def plain_attributes(attributes: Mapping[str, Any] | None) -> dict[str, AttributeValue]:
    """Returns attributes of the SDK as plain values; arrays become tuples, and lone surrogates U+FFFD."""
    return {
        name if name.isascii() else well_formed(name): _plain(value)
        for name, value in (attributes or {}).items()
    }


def _plain(value: Any) -> AttributeValue:
    if isinstance(value, str):
        return value if value.isascii() else well_formed(value)
    if value is None or isinstance(value, _SCALARS):  # nearly all are; checking for a Mapping is slow
        scalar: AttributeValue = value
        return scalar
    if isinstance(value, Mapping):
        return plain_attributes(value)
    return tuple(map(_plain, value))


def otlp_attributes(holder: Mapping[str, Any]) -> dict[str, AttributeValue]:
    """Returns the `attributes` of a resource, span, event or link of an OTLP JSON document."""
    return _pairs(holder.get("attributes"), 0)


def _pairs(pairs: Any, depth: int) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = {}
    for pair in pairs or ():
        name, value = pair["key"], pair.get("value") or {}
        content = value.get("stringValue") if len(value) == 1 else None
        # Most are texts, and a file has ten for each span: two calls less for each take a second off 100,000 spans.
        found[name if type(name) is str else text(name)] = (
            content if type(content) is str else _otlp_value(value, depth)
        )
    return found


def _otlp_value(value: Mapping[str, Any], depth: int = 0) -> AttributeValue:
    """Returns the Python value of an OTLP `AnyValue`, whose single key names its type.

    Raises:
        ValueError, TypeError: OTLP allows no such value, or it is nested too deep.
    """
    if depth > TRACE_VALUE_DEPTH:
        raise ValueError("a value is nested too deep")
    for kind, content in value.items():
        match kind:
            case "stringValue":
                return text(content)
            case "boolValue":
                return bool(content)
            case "intValue":  # a string, because JSON numbers lose digits beyond 2**53
                if (number := int(content)) not in INT64:
                    raise ValueError("a whole number has more than 64 bits")
                return number
            case "doubleValue":  # JSON writers use the strings NaN, Infinity and -Infinity
                return float(content)
            case "arrayValue":
                return tuple(_otlp_value(item, depth + 1) for item in content.get("values") or ())
            case "kvlistValue":
                return _pairs(content.get("values"), depth + 1)
            case "bytesValue":
                return base64.b64decode(content)
    return None


def text(value: Any) -> str:
    """Returns a text of an OTLP document; "" if it is missing.

    Raises:
        TypeError: It is something else.
    """
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in place of a text")
    return value or ""


def integer(value: Any) -> int | None:
    """Returns `value` if it is an integer, else None. A bool is not an integer."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def number(value: Any) -> float | None:
    """Returns `value` if it is a number, else None. A bool is not a number."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def json_list(value: Any) -> Sequence[Any] | None:
    """Returns a list, or the list that a JSON text holds; None for anything else, such as JSON that was cut off."""
    value = json_value(value)
    return value if isinstance(value, list | tuple) else None


def json_value(value: Any) -> Any:
    """Parses JSON text; None if the text is not JSON. A value that is not text is returned unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # an attribute length limit cut it off, or it is nested too deep
        return None


def attributes_to_json(attributes: Attributes) -> str:
    """Writes attributes as JSON text. Bytes, NaN and infinities, which JSON lacks, are written as OTLP writes them."""
    try:
        return _encode(attributes)
    except ValueError:  # they contain NaN or an infinity
        return _encode(_finite(attributes))


def attributes_from_json(text: str) -> dict[str, AttributeValue]:
    """Reads the attributes that `attributes_to_json` wrote."""
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
