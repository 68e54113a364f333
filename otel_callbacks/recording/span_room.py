"""What fits on a span. The SDK drops a span's oldest attributes at its limit, and these say what the span is."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from opentelemetry.trace import Span

from otel_callbacks import profiles, semconv
from otel_callbacks.limits import SPAN_ATTRIBUTES
from otel_callbacks.recording.attribute_table import Attributes


def add_profiles(
    attributes: Attributes, span: Span, names: tuple[str, ...], started: int, *, has_variables: bool = False
) -> None:
    """Adds the attributes of profiles to those of a span's end, as many as fit, the most important first.

    What filled in a prompt (`has_variables`) is left out first.
    """
    if names == profiles.DEFAULT:  # it reads only what is known at the end, and adds two
        extra = profiles.extra_attributes(names, attributes, started)
        if not has_variables or len(_held(span)) + len(attributes) + len(extra) <= _most(span):
            attributes.update(extra)
            return
    held = _held(span)
    extra = profiles.extra_attributes(names, {**held, **attributes}, started)
    room = _most(span) - len({*held, *attributes})  # the union of views takes long
    if has_variables and room < len(extra):
        room += _leave_variables_out(attributes, len(extra) - room)
    attributes.update(islice(extra.items(), max(room, 0)))


def _leave_variables_out(attributes: Attributes, surplus: int) -> int:
    """Leaves out so many variables of a prompt, and says so; returns how much room there is now."""
    variables = [name for name in attributes if name.startswith(semconv.PROMPT_VARIABLE_PREFIX)]
    if not variables:
        return 0
    cut: Any = attributes.get(semconv.CONTENT_CUT)
    left_out = variables[-surplus - (cut is None) :]
    for name in left_out:
        del attributes[name]
    attributes[semconv.CONTENT_CUT] = [*(cut or ()), semconv.PROMPT_VARIABLE_PREFIX]
    return len(left_out) - (cut is None)


def _held(span: Span) -> Mapping[str, Any]:
    """Returns the attributes that a span has already."""
    return getattr(span, "attributes", None) or {}


def _most(span: Span) -> int:
    """Returns how many attributes a span holds."""
    limits: Any = getattr(span, "_limits", None)
    most = getattr(limits, "max_span_attributes", SPAN_ATTRIBUTES)
    return 1_000_000 if most is None else int(most)
