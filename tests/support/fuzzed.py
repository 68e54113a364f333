"""Documents that no reader expects, for fuzzing readers."""

import copy
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from([10**400, 2**63, "9" * 400, -1, "NaN", "Infinity", 1e308, [], {}, [[]], "\x00"])
)  # fmt: skip
KEYS = st.sampled_from(
    [
        *(
            "resourceSpans",
            "resource",
            "scopeSpans",
            "scope",
            "spans",
            "attributes",
            "key",
            "value",
            "intValue",
        ),
        *(
            "stringValue",
            "doubleValue",
            "arrayValue",
            "values",
            "traceId",
            "spanId",
            "name",
            "events",
            "status",
        ),
        *("startTimeUnixNano", "a"),
    ]
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def replaced(document: Any, steps: list[int], value: Any) -> Any:
    """Returns a document with the value at a place put in."""
    if not steps or not isinstance(document, dict | list) or not document:
        return value
    document = copy.copy(document)
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    key = keys[steps[0] % len(keys)]
    document[key] = replaced(document[key], steps[1:], value)
    return document
