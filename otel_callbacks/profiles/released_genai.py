"""`released_genai`: what the last released GenAI conventions (core v1.41) call differently.

Today's dashboards read these names. The profile goes when the new conventions are released. Its metrics are in
`recording/released_metrics.py`.
"""

from typing import Any

from otel_callbacks import semconv
from otel_callbacks.profiles.reading import Attributes


def extra(attributes: Attributes, started: int) -> dict[str, Any]:
    """Returns the extra attributes of a span. Reads only what is known when a run ends."""
    found: dict[str, Any] = {}
    if (written := attributes.get(semconv.USAGE_CACHE_WRITE_INPUT_TOKENS)) is not None:
        found[semconv.USAGE_CACHE_CREATION_INPUT_TOKENS] = written
    if (cost := attributes.get(semconv.USAGE_COST_USD)) is not None and (
        semconv.USAGE_COST_AMOUNT not in attributes
    ):
        found[semconv.USAGE_COST] = cost
    return found
