"""Plain values and attributes as OTLP JSON, written independently of what reads it."""

from typing import Any


def any_value(value: Any) -> dict[str, Any]:
    """Returns the OTLP JSON of a plain value."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [any_value(item) for item in value]}}
        case dict():
            return {"kvlistValue": {"values": otlp_attributes(value)}}
        case _:
            return {"stringValue": value}


def otlp_attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in values.items()]
