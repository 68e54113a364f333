"""The part of a streamed answer that has arrived, for a model call that is ended before LangChain reports its end."""

from collections.abc import Callable
from functools import partial, reduce
from operator import add, attrgetter
from typing import Any

from langchain_core.outputs import ChatGenerationChunk, GenerationChunk, LLMResult

from otel_callbacks import limits
from otel_callbacks.operations.payload import attribute, is_a
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.faults import guarded


def keep_chunk(run: Run, chunk: Any, complete: Callable[..., None]) -> None:
    """Keeps a chunk that has arrived, for `complete(run, response, cut=True)` if the run is given up."""
    if run.complete is None:
        with_content = run.recorder.wants_content(run)
        run.complete = StreamedAnswer(partial(complete, run, cut=True), with_content=with_content)
    if isinstance(run.complete, StreamedAnswer):
        run.complete.add(chunk)
        run.plain_reports = None if run.complete.with_content else _plain_reports(chunk)


reports_of = attrgetter(
    "message.response_metadata", "generation_info", "message.usage_metadata", "message.chunk_position"
)
"""Returns what a chunk reports beside its text."""


def _plain_reports(chunk: Any) -> tuple[Any, ...] | None:
    """Returns what a chunk reports that later ones only repeat, as most name their provider; None if it has usage."""
    try:
        metadata, details, usage, position = reports_of(chunk)
        return None if usage or position else ({**metadata}, details, usage, position)
    except Exception:  # a chunk of other fields, or with values of the application's own
        return None


class StreamedAnswer:
    """Keeps the chunks of an answer: all if content is recorded, else those that report usage or details.

    Args:
        complete: adds a response to the operation of the model call.
        with_content: content is recorded.
    """

    __slots__ = ("_chunks", "_complete", "with_content")

    def __init__(self, complete: Callable[[LLMResult], None], *, with_content: bool) -> None:
        self._complete = complete
        self.with_content = with_content
        self._chunks: list[Any] = []

    def add(self, chunk: Any) -> None:
        """Adds a chunk."""
        if not is_a(chunk, ChatGenerationChunk) and not is_a(chunk, GenerationChunk):
            return
        message = attribute(chunk, "message")
        reports = attribute(message, "usage_metadata") or attribute(message, "response_metadata")
        if not self.with_content and not reports and not attribute(chunk, "generation_info"):
            return
        if len(self._chunks) < limits.STREAMED_CHUNKS:
            self._chunks.append(chunk)
        else:
            limits.log_reached(
                "STREAMED_CHUNKS", "a stream that is given up later lacks the end of its answer"
            )

    @guarded
    def __call__(self) -> None:
        """Completes the operation with the chunks that have arrived."""
        if not self._chunks:
            return
        first, *others = self._chunks
        try:
            merged = first + others if is_a(first, ChatGenerationChunk) else reduce(add, self._chunks)
        except Exception:  # chunks that LangChain cannot add up either; it would report no answer
            return
        self._complete(LLMResult(generations=[[merged]]))
