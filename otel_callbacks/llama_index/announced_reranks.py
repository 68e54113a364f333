"""Asynchronous rerankers that send events: LlamaIndex does not report their method, so the events start and end a run.

An end is announced only of a rerank that succeeded, and had something to do. Any other ends with the report around it,
or when the method is found to be over.
"""

import sys
from types import FrameType
from typing import Any, NamedTuple

from otel_callbacks.llama_index import retrieval
from otel_callbacks.operations import Rerank
from otel_callbacks.operations.payload import attribute
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.execution_context import InFrame, is_called_from

_METHODS = ("_postprocess_nodes", "_apostprocess_nodes")


def announcing() -> tuple[Any, InFrame] | None:
    """Returns the reranker whose method is sending an event, and its body; None if another function sends it."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name not in _METHODS:
        frame = frame.f_back
    reranker = frame.f_locals.get("self") if frame is not None else None
    if frame is None or reranker is None:
        return None
    inside = InFrame(frame)
    inside.may_vanish = False  # here it is known better how it ends
    return reranker, inside


def start_rerank(reranker: Any, event: Any, with_content: bool) -> Rerank:
    """Returns the operation that an event announces."""
    query = attribute(event, "query") if with_content else None
    return retrieval.start_rerank_of(reranker, attribute(event, "nodes"), query)


class _Announced(NamedTuple):
    run: Run
    inside: InFrame
    around: Any


class AnnouncedReranks:
    """The reranks in progress that were announced by an event: `open`."""

    def __init__(self) -> None:
        self.open: list[_Announced] = []

    def add(self, run: Run, inside: InFrame, around: Any) -> None:
        """Notes a rerank that has started, and the report around it."""
        self.open.append(_Announced(run, inside, around))

    def end_announced(self, event: Any) -> None:
        """Finishes the rerank whose method has sent an end event."""
        for each in reversed(self.open):
            if is_called_from(each.inside.frame):
                if isinstance(each.run.operation, Rerank):
                    retrieval.finish_rerank(each.run.operation, attribute(event, "nodes"))
                self.open.remove(each)
                each.run.recorder.finish(each.run)
                return

    def end_with(self, around: Any, error: BaseException | None) -> None:
        """Ends the reranks within a report that ends, with its error."""
        for each in list(self.open):
            if each.around is around:
                self.open.remove(each)
                if error is None:
                    each.run.recorder.finish(each.run)
                else:
                    each.run.recorder.fail(each.run, error)

    def end_silent(self, unknown: str) -> None:
        """Ends the reranks whose method is over although nobody said so.

        Within a report that goes on, none has failed. Outside, the outcome is `unknown`.
        """
        for each in list(self.open):
            if not each.inside():
                self.open.remove(each)
                each.run.recorder.finish(each.run, unknown if each.around is None else None)
