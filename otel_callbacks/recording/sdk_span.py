"""Starts spans of the SDK's own class without its checks of attributes that we know to be valid.

The SDK copies and checks every attribute of every span, asks a sampler whose answer is known, and prepares lists for
events and links. Here, a span is put together from a template and our own dictionary. It goes to the provider's
processors as any span does: samplers, limits, id generator, `on_start` processors that write, resource and scope hold.

This is the only file that knows internals of the SDK's tracer. `quick_starter` compares the result with the SDK's own
span once per tracer. Where anything differs, and for every other provider, the public `start_span` is used.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, Tracer, _Span
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, StaticSampler
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, TraceState

from otel_callbacks.runs.current_span import context_with

logger = logging.getLogger("otel_callbacks")

_FIELDS = {
    *(
        "_name",
        "_context",
        "_kind",
        "_instrumentation_info",
        "_instrumentation_scope",
        "_parent",
        "_start_time",
    ),
    *("_end_time", "_attributes", "_events", "_links", "_resource", "_status", "_sampler", "_trace_config"),
    *("_record_exception", "_set_status_on_exception", "_span_processor", "_limits", "_lock"),
}
_LATER_FIELDS = {"_record_end_metrics"}  # since SDK 1.41
_RANDOM = getattr(TraceFlags, "RANDOM_TRACE_ID", 0)  # since SDK 1.42
_NO_STATE = trace.INVALID_SPAN_CONTEXT.trace_state
_FLAGS = (TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.SAMPLED | _RANDOM))
_NONE: Any = ()  # of events or links: most spans have neither
_READABLE = tuple(vars(ReadableSpan("probe")))  # what a finished span has
_read = itemgetter(*_READABLE)


class RecordedSpan(_Span):
    """A span of the SDK that takes our attributes as they are."""

    def put_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Adds attributes with valid names and values; the SDK does it where a limit might be reached."""
        held: Any = self._attributes
        names = held._dict
        if held.max_value_len is None and (
            held.maxlen is None or len(names) + len(attributes) <= held.maxlen
        ):
            if list in map(type, attributes.values()):
                attributes = {k: tuple(v) if type(v) is list else v for k, v in attributes.items()}
            names.update(attributes)
        else:
            self.set_attributes(attributes)

    def _readable_span(self) -> ReadableSpan:
        readable = object.__new__(ReadableSpan)
        readable.__dict__.update(zip(_READABLE, _read(self.__dict__), strict=True))
        return readable

    def _add_event(self, event: Any) -> None:
        with self._lock:
            if self._events is _NONE:
                self._events = self._new_events()  # type: ignore[no-untyped-call]
        super()._add_event(event)

    def _add_link(self, link: Any) -> None:
        with self._lock:
            if self._links is _NONE:
                self._links = self._new_links(())
        super()._add_link(link)


class _FastTracer:
    """Starts spans for one tracer of the SDK."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._ids = tracer.id_generator
        self._limits = tracer._span_limits
        public = _public_span(tracer)
        self._template = {
            **vars(public),
            "_span_processor": tracer.span_processor,
            "_end_time": None,
            "_events": _NONE,
            "_links": _NONE,
        }
        self._attributes_class: Any = type(public._attributes)
        self._attributes_template = {**vars(public._attributes), "_immutable": False, "dropped": 0}
        metrics = getattr(tracer, "_tracer_metrics", None)
        self._metrics = None if metrics is None or type(metrics).__name__.startswith("NoOp") else metrics
        sampler = tracer.sampler
        parent_based = type(sampler).should_sample is ParentBased.should_sample
        self._samples_children = parent_based and _always_samples(
            getattr(sampler, "_local_parent_sampled", None)
        )
        self._samples_roots = _always_samples(getattr(sampler, "_root", None) if parent_based else sampler)

    def start(
        self,
        name: str,
        parent: trace.Span,
        around: Context,
        kind: SpanKind,
        attributes: dict[str, Any],
        links: Sequence[Link],
        started: int,
    ) -> trace.Span:
        """Starts a span as `Tracer.start_span` does; the dictionary becomes the span's."""
        tracer = self._tracer
        above: SpanContext | None = parent.get_span_context()
        context = context_with(parent, around)
        if links or tracer.resource is not self._template["_resource"] or not _is_enabled(tracer):
            return tracer.start_span(name, context, kind, attributes, links, started)
        if above is not None and above.is_valid:
            if not (self._samples_children and above.trace_flags & 1 and not above.is_remote):
                return tracer.start_span(name, context, kind, attributes, links, started)
            flags = _FLAGS[bool(above.trace_flags & _RANDOM)]
            identity = _identity(above.trace_id, self._ids.generate_span_id(), flags, above.trace_state)
        else:
            if not self._samples_roots:
                return tracer.start_span(name, context, kind, attributes, links, started)
            above = None
            flags = _FLAGS[bool(_RANDOM and self._ids.is_trace_id_random())]
            trace_id = self._ids.generate_trace_id()
            identity = _identity(trace_id, self._ids.generate_span_id(), flags, _NO_STATE)
        span = self._span(name, identity, above, kind, attributes, started)
        if self._metrics is not None:
            span._record_end_metrics = self._metrics.start_span(above, Decision.RECORD_AND_SAMPLE)
        tracer.span_processor.on_start(span, parent_context=context)
        return span

    def _span(
        self,
        name: str,
        identity: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        started: int,
    ) -> RecordedSpan:
        span = object.__new__(RecordedSpan)
        span.__dict__ = {
            **self._template,
            "_name": name,
            "_context": identity,
            "_parent": parent,
            "_kind": kind,
            "_start_time": started,
            "_attributes": self._new_attributes(attributes),
            "_lock": threading.Lock(),
        }
        return span

    def _new_attributes(self, attributes: dict[str, Any]) -> Any:
        most, longest = self._limits.max_span_attributes, self._limits.max_span_attribute_length
        if longest is not None or (most is not None and len(attributes) > most):
            return self._attributes_class(most, attributes, immutable=False, max_value_len=longest)
        held = object.__new__(self._attributes_class)
        held.__dict__ = {**self._attributes_template, "_dict": attributes, "_lock": threading.Lock()}
        return held


def _identity(trace_id: int, span_id: int, flags: TraceFlags, state: TraceState) -> SpanContext:
    """Returns the identity of a span; both ids are valid. The constructor would check them."""
    return tuple.__new__(SpanContext, (trace_id, span_id, False, flags, state, True))


def quick_starter(tracer: Any) -> Callable[..., trace.Span] | None:
    """Returns a quick way to start spans with a tracer; None if its spans are not as we know them."""
    if type(tracer) is Tracer:
        try:
            fast = _FastTracer(tracer)
            if _is_like_public(fast, tracer):
                return fast.start
        except Exception as error:  # an SDK whose internals we do not know
            logger.debug("otel-callbacks uses the SDK's public way to start spans: %r", error)
    return None


def _is_enabled(tracer: Any) -> bool:
    configured = getattr(tracer, "_tracer_config", None)
    return configured is None or configured.is_enabled is True


def _always_samples(sampler: Any) -> bool:
    return type(sampler) is StaticSampler and sampler._decision is Decision.RECORD_AND_SAMPLE


_PROBE = {"text": "a", "number": 1, "texts": ("a", "b")}


def _public_span(tracer: Tracer, attributes: Mapping[str, Any] | None = None) -> _Span:
    """Makes a span with the SDK's own constructor; no processor of the application sees it."""
    return _Span(
        name="probe",
        context=SpanContext(1, 1, False, _FLAGS[0]),
        parent=None,
        sampler=tracer.sampler,
        resource=tracer.resource,
        attributes=attributes,
        span_processor=SpanProcessor(),
        kind=SpanKind.CLIENT,
        instrumentation_info=tracer.instrumentation_info,
        limits=tracer._span_limits,
        instrumentation_scope=tracer._instrumentation_scope,
    )


def _is_like_public(fast: _FastTracer, tracer: Tracer) -> bool:
    """Tells whether a span put together here ends up as one that the SDK makes."""
    public = _public_span(tracer, _PROBE)
    if not _FIELDS <= vars(public).keys() <= _FIELDS | _LATER_FIELDS:
        return False
    ours = fast._span("probe", public.get_span_context(), None, SpanKind.CLIENT, dict(_PROBE), 1)
    ours._span_processor = public._span_processor
    public.start(1)
    ours.put_attributes({"more": 2.5})
    public.set_attributes({"more": 2.5})
    for span in (public, ours):
        span.add_event("event", {"of": "the probe"}, 1)
        span.end(2)
    same: bool = public.to_json() == ours._readable_span().to_json()
    identity = _identity(1, 1, _FLAGS[0], _NO_STATE)
    return (
        same
        and vars(public._readable_span()).keys() == {*_READABLE}
        and identity == SpanContext(*identity[:-1])
    )
