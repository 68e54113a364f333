"""Registers the span handler and event handler that LlamaIndex's dispatcher calls for every method and event.

The dispatcher calls them in the frame of the reporting code, and swallows exceptions. `guarded` catches our own faults
first, so that they are counted and logged.
"""

import functools
from collections.abc import Callable
from operator import attrgetter
from time import time_ns
from typing import Any, TypeGuard

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
from otel_callbacks.limits import CACHED_TYPES, CHUNK_GAPS
from otel_callbacks.llama_index.dispatcher_reports import RecorderFor, reports
from otel_callbacks.llama_index.reported_run import ReportedRun
from otel_callbacks.operations.payload import attribute, is_a, text
from otel_callbacks.operations.providers import goes_on
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded

_CAPTURED_KEY = "otel_callbacks"


def _is_about(reported: ReportedRun | None, event_id: str | None) -> TypeGuard[ReportedRun]:
    """Tells whether an event is about a run: its method may have none of its own, and stand for the one above."""
    return reported is not None and (reported.id == event_id or event_id in reported.repeats)


@guarded
def _chunk(event: Any, reported: ReportedRun | None, span_id: str | None) -> None:
    if reported is None:
        return
    if reported.chunk_source != span_id:
        if reported.chunk_source is not None or not _is_about(reported, span_id):
            return  # a model and its base class both report the chunk
        reported.chunk_source = span_id
    reported.run.add_chunk(time_ns())
    if (received := reported.received) is not None:
        received.add(event.__dict__.get("response"))
        reported.text_source = None if received.with_content else span_id


@guarded
def _end_of_answer(event: Any, reported: ReportedRun | None, span_id: str | None) -> None:
    if _is_about(reported, span_id) and reported.run.inside is not None:
        reports.end(reported, None)  # of a stream; any other call ends with its report


@guarded
def _end_of_broken_stream(event: Any, reported: ReportedRun | None, span_id: str | None) -> None:
    if _is_about(reported, span_id) and reported.run.inside is not None:
        error = attribute(event, "exception")
        reports.end(reported, error if is_a(error, BaseException) else None)


@guarded
def _cancelled(event: Any, reported: ReportedRun | None, span_id: str | None) -> None:
    if _is_about(reported, span_id):
        reports.cancelled(reported)


@guarded
def _rerank_starts(event: Any, reported: ReportedRun | None, span_id: str | None) -> None:
    reports.rerank_starts(event, span_id)


@guarded
def _rerank_ends(event: Any, reported: ReportedRun | None, span_id: str | None) -> None:
    reports.rerank_ends(event)


_Act = Callable[[Any, ReportedRun | None, str | None], None]
"""What an event does. Takes the event, the run that is found by the id of its report, and that id."""

_OF_ANY_CHUNK = ("span_id", "response", "response.raw", "response.additional_kwargs")
_CHUNK_READERS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    LLMChatInProgressEvent: attrgetter(*_OF_ANY_CHUNK, "response.message.additional_kwargs"),
    LLMCompletionInProgressEvent: attrgetter(*_OF_ANY_CHUNK, "response.additional_kwargs"),
}
"""Functions that return a chunk's report id and answer, and what may say more than text, by the class of the event."""

_ACTS: tuple[tuple[type, _Act], ...] = (
    (LLMChatInProgressEvent, _chunk),
    (LLMCompletionInProgressEvent, _chunk),
    (LLMChatEndEvent, _end_of_answer),
    (LLMCompletionEndEvent, _end_of_answer),
    (ExceptionEvent, _end_of_broken_stream),
    (SpanCancelledEvent, _cancelled),
    (ReRankStartEvent, _rerank_starts),
    (ReRankEndEvent, _rerank_ends),
)


@functools.lru_cache(maxsize=CACHED_TYPES)
def _act_of(kind: type) -> _Act | None:
    """Returns what events of a class do; None if they are ignored, as most are."""
    return next((act for base, act in _ACTS if issubclass(kind, base)), None)


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

    # without a method around each, because the dispatcher calls them at every method of LlamaIndex's
    span_enter = staticmethod(reports.enter)
    span_exit = staticmethod(reports.exit)
    span_drop = staticmethod(reports.drop)

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
        act = _act_of(type(event))  # type: ignore[arg-type]  # a class has a hash
        if act is None:
            return
        if act is _chunk:
            try:  # nearly every chunk has nothing but text: only its time is noted, with no call of ours in between
                span_id, response, raw, extra, of_message = _CHUNK_READERS[type(event)](event)
                reported = reports.open.get(span_id)
                if reported is not None and reported.text_source == span_id:
                    times: Any = reported.run.chunk_times
                    if (
                        not (extra or of_message)
                        and (raw is None or goes_on(raw))
                        and len(times) <= CHUNK_GAPS
                    ):
                        times.append(time_ns())
                        reported.received.last = response  # type: ignore[union-attr]
                        return
            except Exception:
                pass  # it was put together without its fields, or its class is the application's: `_chunk` copes
        span_id = event.__dict__.get("span_id")  # all that we know have fields
        if type(span_id) is not str:
            span_id = text(span_id)
        act(event, reports.open.get(span_id), span_id)


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
