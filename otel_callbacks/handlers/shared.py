"""What the handlers of both frameworks share: how their traces are found, and how they are copied and pickled."""

import functools
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from otel_callbacks.limits import UNPICKLED_HANDLERS
from otel_callbacks.recording.process_recorder import process_recorder
from otel_callbacks.recording.recorder import Recorder

if TYPE_CHECKING:
    from otel_callbacks.explore.trace import Trace


class SharedByHandlers:
    """A handler that knows its traces, and that may be copied and pickled with what holds it.

    A copy is the same handler. A pickle holds nothing of the handler, no policy, price or key: unpickled in the same
    process it is the same handler, and in another process a handler with the process-wide recorder there.
    """

    _make_recorder: ClassVar[Callable[..., Recorder]]
    _recorder: Recorder
    _pickled_as: str | None = None

    def _join(self, recorder: Recorder) -> None:
        """Initialises the handler with `recorder`, which several handlers may share."""
        self._recorder = recorder

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._pickled_as is None:
            self._pickled_as = uuid.uuid4().hex
        _pickled[self._pickled_as] = self
        return _unpickle, (type(self), self._pickled_as)

    def trace_id(self, run_id: uuid.UUID | str) -> str | None:
        """Returns the trace id, in hex, of an open run or of the outermost run of an ended call; None if unknown.

        The last 4,096 calls are remembered.

        Args:
            run_id: for LangChain the id from `config={"run_id": ...}`, from `astream_events` or from a callback. For
                LlamaIndex the dispatcher's id of the operation, its `active_span_id`.
        """
        if isinstance(run_id, str):
            with suppress(ValueError):  # an id of LlamaIndex's
                run_id = uuid.UUID(run_id)
        return self._recorder.trace_id(run_id)

    @property
    def last_trace(self) -> "Trace":
        """The trace of the outermost call that this handler traced and that ended last.

        It comes from `otel_callbacks.traces`: from the file that `configure()` writes, or from memory after
        `configure(local=True)`.

        Raises:
            LookupError: no call of this handler has ended yet, or its trace is not kept here, or no tracer provider
                is set.
        """
        from otel_callbacks.explore.collection import traces  # not needed only to trace

        trace_id = self._recorder.last_trace_id
        if trace_id is None:
            raise LookupError(
                "no call of this handler has ended yet"
                if self._recorder.has_provider
                else "spans go nowhere, because no tracer provider is set: call configure() before the first call"
            )
        try:
            return traces.get(trace_id)
        except LookupError:  # exported elsewhere, not written yet, or dropped for newer ones
            raise LookupError(
                f"trace {trace_id} is not kept here: configure(local=True) keeps traces in memory, and configure()"
                " without an endpoint in files"
            ) from None


_pickled: "weakref.WeakValueDictionary[str, Any]" = weakref.WeakValueDictionary()


def _unpickle(kind: Any, pickled_as: str) -> Any:
    same = _pickled.get(pickled_as)
    if same is not None:
        return same
    return _handler_with(kind, process_recorder() or _default_recorder(kind._make_recorder))


def handler_with(kind: Any, recorder: Recorder) -> Any:
    """Makes a handler of a kind that records with `recorder`, which several handlers may share."""
    handler = kind.__new__(kind)
    handler._join(recorder)
    return handler


_handler_with = functools.lru_cache(maxsize=UNPICKLED_HANDLERS)(handler_with)


@functools.cache
def _default_recorder(make: Callable[[], Recorder]) -> Recorder:
    return make()
