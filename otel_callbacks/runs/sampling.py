"""Spans that need not be made: those below a span that the sampler dropped."""

from opentelemetry.trace import NonRecordingSpan, Span, TraceFlags, TracerProvider


def drops_children(provider: TracerProvider) -> bool:
    """Tells whether a provider's sampler is sure to drop every span below a dropped one, as the default sampler is.

    Goes by the description that a sampler returns, because this room must not import the SDK.
    """
    try:
        description = str(provider.sampler.get_description())  # type: ignore[attr-defined]
    except Exception:  # a provider of another kind, which may have anything under this name
        return False
    return description == "AlwaysOffSampler" or (
        description.startswith("ParentBased{")
        and description.endswith("localParentNotSampled:AlwaysOffSampler}")
    )


def is_dropped(span: Span) -> bool:
    """Tells whether the sampler of this process dropped a span."""
    _, _, is_remote, flags, _, is_valid = span.get_span_context()
    return is_valid and not flags & TraceFlags.SAMPLED and not is_remote


def dropped_child(parent: Span) -> Span:
    """Returns what takes the place of a span below a dropped one: its parent's identity, for users' spans below."""
    return NonRecordingSpan(parent.get_span_context())
