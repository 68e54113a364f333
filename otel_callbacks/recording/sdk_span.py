"""Starts spans of the SDK's own class without its checks of attributes that we know to be valid.

The SDK copies and checks every attribute of every span, asks a sampler whose answer is known, and prepares lists for
events and links. Here, a span is put together from a template and our own dictionary. It goes to the provider's
processors as any span does: samplers, limits, id generator, `on_start` processors that write, resource and scope hold.

This is the only file that knows internals of the SDK's tracer. `quick_starter` compares the result with the SDK's own
span once per tracer. Where anything differs, and for every other provider, the public `start_span` is used.
"""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from random import getrandbits
from threading import Lock
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, Tracer, _Span
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
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
_IDLE = (SpanProcessor.on_start, BatchSpanProcessor.on_start, SimpleSpanProcessor.on_start)
_NONE: Any = ()  # of events or links: most spans have neither
_READABLE = tuple(vars(ReadableSpan("probe")))  # what a finished span has
_read = itemgetter(*_READABLE)


class RecordedSpan(_Span):
    """A span of the SDK that takes our attributes as they are."""

    _room: int
    """How many attributes it may have; -1 if the SDK has to look at each of them."""

    def get_span_context(self) -> SpanContext:
        """Returns the identity of the span."""
        return self._context  # type: ignore[return-value]

    def put_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Adds attributes with valid names and values; the SDK does it where a limit might be reached."""
        names = self._attributes._dict  # type: ignore[union-attr]
        if len(names) + len(attributes) > self._room:
            self.set_attributes(attributes)
            return
        if list in map(type, attributes.values()):
            attributes = {k: tuple(v) if type(v) is list else v for k, v in attributes.items()}
        names.update(attributes)

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
        self._has_random_ids = type(self._ids) is RandomIdGenerator
        self._resource = tracer.resource
        self._has_switch = (
            getattr(tracer, "_tracer_config", None) is not None
        )  # of newer SDKs, for a single tracer
        self._ignoring: tuple[SpanProcessor, ...] | None = None
        """The processors, if none of them does anything when a span starts."""
        limits, public = tracer._span_limits, _public_span(tracer)
        self._most, self._longest = limits.max_span_attributes, limits.max_span_attribute_length
        self._room = -1 if self._longest is not None else sys.maxsize if self._most is None else self._most
        self._template = {
            **vars(public),
            "_span_processor": tracer.span_processor,
            "_end_time": None,
            "_events": _NONE,
            "_links": _NONE,
            "_room": self._room,
        }
        self._attributes_class: Any = type(public._attributes)
        self._attributes_template = {**vars(public._attributes), "_immutable": False, "dropped": 0}
        metrics = getattr(tracer, "_tracer_metrics", None)
        self._metrics = None if metrics is None or type(metrics).__name__.startswith("NoOp") else metrics
        sampler = tracer.sampler
        parent_based = type(sampler).should_sample is ParentBased.should_sample
        samples_children = parent_based and _always_samples(getattr(sampler, "_local_parent_sampled", None))
        self._flags_below = {int(flags): flags for flags in _FLAGS} if samples_children else {}
        """The flags of a span by those of its parent, where the sampler need not be asked."""
        self._samples_roots = _always_samples(getattr(sampler, "_root", None) if parent_based else sampler)

    def start(
        self,
        name: str,
        parent: trace.Span,
        above: SpanContext,
        around: Context,
        kind: SpanKind,
        attributes: dict[str, Any],
        links: Sequence[Link],
        started: int,
    ) -> trace.Span:
        """Starts a span as `Tracer.start_span` does; the dictionary becomes the span's."""
        tracer: Any = self._tracer
        identity, is_valid = None, above[5]
        is_off = self._has_switch and tracer._tracer_config.is_enabled is not True
        if not (is_off or links) and tracer.resource is self._resource:
            identity = self._child_identity(above) if is_valid else self._root_identity()
        if identity is None:
            context = context_with(parent, around)
            return self._tracer.start_span(name, context, kind, attributes, links, started)
        outer = above if is_valid else None
        span = self._span(name, identity, outer, kind, attributes, started)
        if self._metrics is not None:
            span._record_end_metrics = self._metrics.start_span(outer, Decision.RECORD_AND_SAMPLE)
        processors = getattr(tracer.span_processor, "_span_processors", None)  # a new tuple when one is added
        if processors is None or processors is not self._ignoring:
            tracer.span_processor.on_start(span, parent_context=context_with(parent, around))
            self._ignoring = processors if processors and all(map(_ignores_starts, processors)) else None
        return span

    def _child_identity(self, above: SpanContext) -> SpanContext | None:
        """Returns the identity of a span below another; None if the sampler has to be asked."""
        trace_id, _, is_remote, flags, state, _ = above
        own_flags = self._flags_below.get(flags)
        if is_remote or own_flags is None:
            return None
        span_id = (getrandbits(64) if self._has_random_ids else 0) or self._ids.generate_span_id()
        return tuple.__new__(SpanContext, (trace_id, span_id, False, own_flags, state, True))

    def _root_identity(self) -> SpanContext | None:
        """Returns the identity of an outermost span; None if the sampler has to be asked."""
        if not self._samples_roots:
            return None
        flags = _FLAGS[bool(_RANDOM and self._ids.is_trace_id_random())]
        trace_id = self._ids.generate_trace_id()
        return _identity(trace_id, self._ids.generate_span_id(), flags, _NO_STATE)

    def _span(
        self,
        name: str,
        identity: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, Any],
        started: int,
    ) -> RecordedSpan:
        if len(attributes) > self._room:
            held = self._attributes_class(
                self._most, attributes, immutable=False, max_value_len=self._longest
            )
        else:
            held = object.__new__(self._attributes_class)
            held.__dict__ = {**self._attributes_template, "_dict": attributes, "_lock": Lock()}
        span = object.__new__(RecordedSpan)
        span.__dict__ = {
            **self._template,
            "_name": name,
            "_context": identity,
            "_parent": parent,
            "_kind": kind,
            "_start_time": started,
            "_attributes": held,
            "_lock": Lock(),
        }
        return span


def _ignores_starts(processor: SpanProcessor) -> bool:
    """Tells whether a processor does nothing when a span starts, as those that export do."""
    return getattr(type(processor), "on_start", None) in _IDLE and "on_start" not in vars(processor)


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
