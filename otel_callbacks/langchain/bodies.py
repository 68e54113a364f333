"""Tells whether code is in the body of a run, or only beside it, like the consumer of a stream.

For chains the child config tells it, which LangChain sets around every body. For models, tools and retrievers the
frame that runs their body tells it, while it is on the stack.
"""

from collections.abc import Callable
from types import FrameType
from typing import Any

from otel_callbacks.langchain import event_streams
from otel_callbacks.langchain.functions import Function, calling_frame, function_of
from otel_callbacks.langchain.parent_run import body_key
from otel_callbacks.runs.run import Run
from otel_callbacks.runtime.execution_context import InFrame


def inside_of(key: Any, frame: FrameType | None, function: Function) -> Callable[[], bool] | None:
    """Returns what tells whether the caller is in the body of the model call, tool or retrieval `key`.

    Only of some methods of LangChain is it known that the body runs in the frame that starts the run. Any other code
    may start it in a function that returns first; None means that the run goes on until its end is reported.

    Args:
        key: the run's.
        frame: the frame in which it starts.
        function: the function of that frame.
    """
    if frame is None:
        return None
    if function.runs_body:
        return InFrame(frame)
    return event_streams.InEventStream(key, frame) if function.starts_stream else None


def never() -> bool:
    """Tells of a model call whose body may be anywhere that no other run is in it just because it is current.

    The tokens of a model within a model would not count twice.
    """
    return False


class InStreamingChain:
    """Tells whether the caller is inside a chain that streams, whose body pauses between chunks.

    The child config tells it, unless it belongs to a run that nobody reported; then the frame does.
    """

    __slots__ = ("_in_frame", "_key", "_runs", "_started_under")

    def __init__(self, runs: dict[Any, Run], key: Any, frame: FrameType) -> None:
        self._runs = runs
        self._key = key
        self._started_under = body_key()
        self._in_frame = InFrame(frame)

    @property
    def frame(self) -> FrameType:
        """The frame in which the chain started."""
        return self._in_frame.frame

    def __call__(self) -> bool:
        """Tells whether the caller is in the body."""
        config_key = body_key()
        if config_key is None or config_key == self._started_under:
            return False
        configured = self._runs.get(config_key)
        if configured is None:
            return self._in_frame()
        run = self._runs.get(self._key)
        return config_key == self._key or (run is not None and configured.is_within(run))


def inside_chain(runs: dict[Any, Run], key: Any, frame: FrameType | None = None) -> InStreamingChain | None:
    """Returns what tells whether the caller is inside the chain `key`, which started in `frame` or calls this.

    None means: as long as the chain is open.
    """
    frame = calling_frame()[0] if frame is None else frame
    return (
        InStreamingChain(runs, key, frame) if frame is not None and function_of(frame).is_generator else None
    )


def body_begun(started_under: Any) -> Callable[[], bool]:
    """Returns a function that tells whether the body of the chain that starts now has begun.

    LangChain sets a child config around every body, so the config is another one than that of `started_under`, at the
    start.
    """
    return lambda: body_key() != started_under
