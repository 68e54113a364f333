"""Spans that need not be made: those below one that the sampler dropped."""

from opentelemetry.trace import NonRecordingSpan, Span, TracerProvider


def drops_below(provider: TracerProvider) -> bool:
    """Whether the sampler of a provider surely drops what is below a dropped span; OpenTelemetry's default one does.

    Told by the description that samplers give of themselves: this must not import the SDK.
    """
    sampler = getattr(provider, "sampler", None)
    description: str = sampler.get_description() if sampler is not None else ""
    return description == "AlwaysOffSampler" or (
        description.startswith("ParentBased{")
        and description.endswith("localParentNotSampled:AlwaysOffSampler}")
    )


def is_dropped(span: Span) -> bool:
    """Whether a span was dropped in this process."""
    identity = span.get_span_context()
    return not identity.trace_flags.sampled and identity.is_valid and not identity.is_remote


def without_span(parent: Span) -> Span:
    """What takes the place of a span below a dropped one: the parent's identity, which user spans can go on with."""
    return NonRecordingSpan(parent.get_span_context())
