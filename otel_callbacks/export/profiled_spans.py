"""Finished spans with the extra attributes of a destination's profiles; made on the thread that sends them."""

import copy
from collections.abc import Sequence
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan

from otel_callbacks.profiles import extra_attributes


def with_profiles(span: ReadableSpan, profiles: Sequence[str]) -> ReadableSpan:
    """Returns a copy of a span with what the profiles add; the span itself if they add nothing."""
    known = span.attributes or {}
    extra = extra_attributes(profiles, known, span.start_time or 0) if profiles else {}
    if not extra:
        return span
    dropped = span.dropped_attributes
    span = copy.copy(span)
    held: Any = {**known, **extra}
    if dropped:  # only this class has a place for their number
        held = BoundedAttributes(None, held, immutable=False)
        held.dropped = dropped
    span._attributes = held
    return span
