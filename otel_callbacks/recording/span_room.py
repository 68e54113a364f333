"""What fits on a span. The SDK drops a span's oldest attributes at its limit, and these say what the span is."""

from itertools import islice
from typing import Any

from opentelemetry.trace import Span

from otel_callbacks import profiles, semconv
from otel_callbacks.limits import SPAN_ATTRIBUTES
from otel_callbacks.recording.attribute_table import Attributes


def add_profiles(attributes: Attributes, span: Span, names: tuple[str, ...], started: int) -> None:
    """Adds the attributes of profiles to those of a span's end, the most important first, as many as fit."""
    if names == profiles.DEFAULT:  # it reads only what is known at the end
        attributes.update(profiles.extra_attributes(names, attributes, started))
        return
    known = {**(getattr(span, "attributes", None) or {}), **attributes}
    extra = profiles.extra_attributes(names, known, started)
    attributes.update(islice(extra.items(), max(_most(span) - len(known), 0)))


def make_room(attributes: Attributes, span: Span) -> None:
    """Leaves out what filled in a prompt if a span would otherwise have too many attributes."""
    held = getattr(span, "attributes", None) or {}
    surplus = len(held.keys() | attributes.keys()) - _most(span)
    variables = [name for name in attributes if name.startswith(semconv.PROMPT_VARIABLE_PREFIX)]
    if surplus <= 0 or not variables:
        return
    for name in variables[-surplus - 1 :]:  # one more, for the attribute that says so
        del attributes[name]
    cut: Any = attributes.get(semconv.CONTENT_CUT) or ()
    attributes[semconv.CONTENT_CUT] = [*cut, semconv.PROMPT_VARIABLE_PREFIX]


def _most(span: Span) -> int:
    """Returns how many attributes a span holds."""
    limits: Any = getattr(span, "_limits", None)
    most = getattr(limits, "max_span_attributes", SPAN_ATTRIBUTES)
    return 1_000_000 if most is None else int(most)
