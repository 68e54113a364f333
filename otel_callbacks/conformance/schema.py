"""Validates values against the part of JSON Schema that the message schemas use.

Keywords: `$ref` (local), `allOf`, `if`/`then`, `const`, `type`, `required`, `properties`, `items`. Tuples count as
arrays, because the SDK stores lists as tuples. A test compares this validator with the `jsonschema` package.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list | tuple),
    "object": lambda value: isinstance(value, Mapping),
}


def errors(value: Any, schema: Schema, root: Schema, path: str = "$") -> Iterator[str]:
    """Yields what is wrong with `value`, in phrases such as `$[0].parts is missing`; nothing if it matches.

    `root` holds the `$defs` that a `$ref` points to.
    """
    if "$ref" in schema:
        yield from errors(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, path)
    for part in schema.get("allOf", ()):
        yield from errors(value, part, root, path)
    if "if" in schema and not any(errors(value, schema["if"], root)):
        yield from errors(value, schema["then"], root, path)
    yield from _type_errors(value, schema, path)
    if isinstance(value, Mapping):
        yield from _object_errors(value, schema, root, path)
    if isinstance(value, list | tuple) and "items" in schema:
        for index, item in enumerate(value):
            yield from errors(item, schema["items"], root, f"{path}[{index}]")


def _type_errors(value: Any, schema: Schema, path: str) -> Iterator[str]:
    if "const" in schema and value != schema["const"]:
        yield f"{path} is not {schema['const']!r}"
    if "type" in schema:
        allowed = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        if not any(_TYPES[name](value) for name in allowed):
            yield f"{path} is not of type {' or '.join(allowed)}"


def _object_errors(value: Mapping[str, Any], schema: Schema, root: Schema, path: str) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path}.{name} is missing"
    for name, subschema in schema.get("properties", {}).items():
        if name in value:
            yield from errors(value[name], subschema, root, f"{path}.{name}")
