"""The dispatcher's side: what LlamaIndex calls around every method and for every event.

The dispatcher calls in the frame of the reporting code, and swallows what is raised; `guarded` sees to it that no
fault of ours vanishes that way.
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
from llama_index.core.instrumentation.span import BaseSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index_instrumentation import root_dispatcher
from workflows.runtime.types.step_function import SpanCancelledEvent

from otel_callbacks.llama_index.dispatch import RecorderFor, Shown, client
from otel_callbacks.operations.payload import attribute, is_a, text
from otel_callbacks.recording.recorder import Recorder
from otel_callbacks.runtime import fork
from otel_callbacks.runtime.faults import guarded


@functools.singledispatch
def _note(event: Any, shown: Shown) -> None:
    """An event that tells nothing new."""


@_note.register(LLMChatInProgressEvent)
@_note.register(LLMCompletionInProgressEvent)
@guarded
def _chunk(event: Any, shown: Shown) -> None:
    shown.speaker = shown.speaker or event.span_id
    if shown.speaker != event.span_id:
        return  # a model that reports what its base class has reported already
    recorder: Recorder = shown.run.recorder
    recorder.chunk(shown.run)
    if shown.received is not None:
        shown.received.add(attribute(event, "response"), with_content=recorder.wants_content(shown.run))


@_note.register(LLMChatEndEvent)
@_note.register(LLMCompletionEndEvent)
@guarded
def _answered(event: Any, shown: Shown) -> None:
    if shown.run.inside is not None:  # a stream; the report of any other call ends with its answer
        client.end_stream(shown, None)


@_note.register(ExceptionEvent)
@guarded
def _broken(event: ExceptionEvent, shown: Shown) -> None:
    if shown.run.inside is not None:
        error = attribute(event, "exception")
        client.end_stream(shown, error if is_a(error, BaseException) else None)


@_note.register(SpanCancelledEvent)
def _cancelled(event: Any, shown: Shown) -> None:
    client.cancelled(shown)


class _SpanHandler(BaseSpanHandler[BaseSpan]):
    """What the dispatcher calls around every method that it watches."""

    def span_enter(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: Any = None,
        parent_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        client.enter(id_, bound_args, instance, parent_id)

    def span_exit(
        self, id_: str, bound_args: BoundArguments, instance: Any = None, result: Any = None, **kwargs: Any
    ) -> None:
        if client.shown:
            client.exit(id_, instance, result)

    def span_drop(
        self,
        id_: str,
        bound_args: BoundArguments,
        instance: Any = None,
        err: BaseException | None = None,
        **kwargs: Any,
    ) -> None:
        if client.shown:
            client.drop(id_, instance, err)

    def close(self) -> None:
        client.close()

    def new_span(self, *args: Any, **kwargs: Any) -> None:
        return None

    def prepare_to_exit_span(self, *args: Any, **kwargs: Any) -> None:
        return None

    def prepare_to_drop_span(self, *args: Any, **kwargs: Any) -> None:
        return None


class _EventHandler(BaseEventHandler):
    """What the dispatcher calls for every event."""

    def handle(self, event: Any, **kwargs: Any) -> None:
        span_id = text(attribute(event, "span_id"))
        shown = client.shown.get(span_id)
        # what comes after the end is ignored, and what comes from a method in between
        if shown is not None and (shown.id == span_id or span_id in shown.repeated):
            _note(event, shown)


_lock = fork.safe_lock()
_span_handler, _event_handler = _SpanHandler(), _EventHandler()


def register(recorder_for: RecorderFor) -> None:
    """Has the root dispatcher call the client, once however often this is called."""
    with _lock:
        client.recorder_for = recorder_for
        if not any(handler is _span_handler for handler in root_dispatcher.span_handlers):
            root_dispatcher.add_span_handler(_span_handler)
        if not any(handler is _event_handler for handler in root_dispatcher.event_handlers):
            root_dispatcher.add_event_handler(_event_handler)
