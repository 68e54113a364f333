"""Registers the span handler and event handler that LlamaIndex's dispatcher calls for every method and event.

The dispatcher calls them in the frame of the reporting code, and swallows exceptions. `guarded` catches our own faults
first, so that they are counted and logged.
"""

import functools
from inspect import BoundArguments
from typing import Any

from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMCompletionEndEvent,
    LLMCompletionInProgressEvent,
)
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index_instrumentation import root_dispatcher
from opentelemetry.context import get_current
from workflows.runtime.types.step_function import SpanCancelledEvent

from otel_callbacks.carriers.carrying import attach, captured, is_here
from otel_callbacks.llama_index.dispatcher_reports import RecorderFor, reports
from otel_callbacks.llama_index.reported_run import ReportedRun
from otel_callbacks.operations.payload import attribute, is_a, text
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded

_CAPTURED_KEY = "otel_callbacks"


@functools.singledispatch
def _handle(event: Any, reported: ReportedRun) -> None:
    """Ignores an event of any other class than those below."""


@_handle.register(LLMChatInProgressEvent)
@_handle.register(LLMCompletionInProgressEvent)
@guarded
def _chunk(event: Any, reported: ReportedRun) -> None:
    reported.chunk_source = reported.chunk_source or event.span_id
    if reported.chunk_source != event.span_id:
        return  # a model and its base class both report the chunk
    recorder: Recorder = reported.run.recorder
    recorder.chunk(reported.run)
    if reported.received is not None:
        reported.received.add(attribute(event, "response"), with_content=recorder.wants_content(reported.run))


@_handle.register(LLMChatEndEvent)
@_handle.register(LLMCompletionEndEvent)
@guarded
def _end_of_answer(event: Any, reported: ReportedRun) -> None:
    if reported.run.inside is not None:  # a stream; any other call ends with its report
        reports.end_stream(reported, None)


@_handle.register(ExceptionEvent)
@guarded
def _end_of_broken_stream(event: ExceptionEvent, reported: ReportedRun) -> None:
    if reported.run.inside is not None:
        error = attribute(event, "exception")
        reports.end_stream(reported, error if is_a(error, BaseException) else None)


@_handle.register(SpanCancelledEvent)
def _cancelled(event: Any, reported: ReportedRun) -> None:
    reports.cancelled(reported)


class _SpanHandler(BaseSpanHandler[BaseSpan]):
    """Receives the start, end and error of every instrumented method.

    A workflow captures the context where it is called and restores it where it runs, perhaps in another process.
    """

    def capture_propagation_context(self) -> dict[str, Any]:
        return {} if (found := guarded(captured)()) is None else {_CAPTURED_KEY: found}

    @guarded
    def restore_propagation_context(self, context: dict[str, Any]) -> None:
        if (found := context.get(_CAPTURED_KEY)) is not None and not is_here(found):
            attach(found, get_current())  # for the rest of the task

    def span_enter(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: Any = None,
        parent_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        reports.enter(id_, bound_args, instance, parent_id)

    def span_exit(
        self, id_: str, bound_args: BoundArguments, instance: Any = None, result: Any = None, **kwargs: Any
    ) -> None:
        if reports.open:
            reports.exit(id_, instance, result)

    def span_drop(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: Any = None,
        err: BaseException | None = None,
        **kwargs: Any,
    ) -> None:
        if reports.open:
            reports.drop(id_, instance, err)

    def close(self) -> None:
        reports.close()

    def new_span(self, *args: Any, **kwargs: Any) -> None:
        return None

    def prepare_to_exit_span(self, *args: Any, **kwargs: Any) -> None:
        return None

    def prepare_to_drop_span(self, *args: Any, **kwargs: Any) -> None:
        return None


class _EventHandler(BaseEventHandler):
    """Receives every event."""

    def handle(self, event: Any, **kwargs: Any) -> None:
        span_id = text(attribute(event, "span_id"))
        if isinstance(event, ReRankStartEvent):
            reports.rerank_starts(event, span_id)
        elif isinstance(event, ReRankEndEvent):
            reports.rerank_ends(event)
        reported = reports.open.get(span_id)
        # events after the end are ignored, and events of methods without a run of their own
        if reported is not None and (reported.id == span_id or span_id in reported.repeats):
            _handle(event, reported)


_lock = fork.safe_lock()
_span_handler, _event_handler = _SpanHandler(), _EventHandler()


def register(recorder_for: RecorderFor) -> None:
    """Registers the handlers with the root dispatcher. Further calls only replace `recorder_for`."""
    with _lock:
        reports.recorder_for = recorder_for
        if not any(handler is _span_handler for handler in root_dispatcher.span_handlers):
            root_dispatcher.add_span_handler(_span_handler)
        if not any(handler is _event_handler for handler in root_dispatcher.event_handlers):
            root_dispatcher.add_event_handler(_event_handler)


def unregister() -> None:
    """Takes the handlers out of the root dispatcher again, unless something that they report is still open."""
    with _lock:
        if not reports.open:
            # other lists, because calls in other threads go through these
            spans, events = root_dispatcher.span_handlers, root_dispatcher.event_handlers
            root_dispatcher.span_handlers = [each for each in spans if each is not _span_handler]
            root_dispatcher.event_handlers = [each for each in events if each is not _event_handler]
